package simulation

import (
	"net/http"
	"time"
)

// reporter is an application that reports what its customer does to Pulsora.
type reporter struct {
	*scene
	customer *customer
	id       string
	// subscription is the one that the customer has now, if any.
	subscription *subscription
	plan         plan
	mrr          int64
	// payments are the transactions that can be refunded.
	payments []reported
}

type reported struct {
	id        string
	at        time.Time
	amount    int64
	recurring bool
}

// playPulsora is a customer who subscribes, changes plans, leaves and comes back,
// and buys things beside.
func (s *scene) playPulsora() {
	r := &reporter{scene: s, customer: s.customer(), id: s.name("cus")}
	at := anchored(s.startBefore(24 * time.Hour))
	for at.Before(s.span.end.Add(-24 * time.Hour)) {
		at = r.live(at)
		if s.chance(0.6) {
			break // gone for good
		}
		at = at.Add(time.Duration(s.between(2, 200)) * 24 * time.Hour)
	}
	for range s.between(0, 3) {
		r.charge("purchase", purchase, r.moment(s.span.begin, s.span.end), r.amount(2, 300))
	}
	r.refunds()
}

// live is one subscription from sign-up to churn, or to the end of the history.
func (r *reporter) live(at time.Time) time.Time {
	r.subscription = r.customer.subscribe(r.name("sub"))
	r.plan = r.scene.plan()
	r.mrr = 0
	r.change("subscription", subscriptionPurchase, at, r.plan.net, r.plan.monthly(1))
	for {
		next := r.plan.next(at)
		if between := at.Add(next.Sub(at) / 2).Truncate(time.Second); r.chance(0.08) && between.Before(r.span.end) {
			r.replan(between)
		}
		if !next.Before(r.span.end.Add(-time.Hour)) {
			return next
		}
		if at = next; r.chance(0.07) {
			r.churn(at)
			return at
		}
		r.change("renewal", renewal, at, r.plan.net, 0)
	}
}

// replan moves to another plan. Going up costs the difference now, going down
// costs nothing.
func (r *reporter) replan(at time.Time) {
	before := r.plan
	kind, amount := "upgrade", int64(0)
	if r.chance(0.6) {
		r.plan = before.scaled(int64(pick(r.dice, 120, 150, 300)))
		amount = r.plan.net - before.net
	} else {
		kind, r.plan = "downgrade", before.scaled(int64(pick(r.dice, 40, 50, 75)))
	}
	r.change(kind, renewal, at, amount, r.plan.monthly(1)-before.monthly(1))
}

// change books and tells of an event of the subscription.
func (r *reporter) change(kind string, what happening, at time.Time, amount, impact int64) {
	id := r.charge(kind, what, at, amount)
	body := r.data(kind, id, at, amount)
	body["customer_subscription_id"] = r.subscription.id
	if impact != 0 {
		r.mrr += impact
		r.subscription.from(at, r.mrr, true)
		body["mrr_impact"] = number(mrrDecimal(impact))
	}
	r.send(at, kind, body)
}

// charge books money that came in, and tells of it if it is not part of a change.
func (r *reporter) charge(kind string, what happening, at time.Time, amount int64) (id string) {
	id = r.name("tx")
	if amount > 0 {
		r.add(flow{what: what, at: at, amount: amount, recurring: what != purchase})
		r.payments = append(r.payments, reported{id, at, amount, what != purchase})
	}
	if what == purchase {
		r.send(at, kind, r.data(kind, id, at, amount))
	}
	return id
}

// churn ends the subscription, with its MRR declared or not.
func (r *reporter) churn(at time.Time) {
	body := r.data("churn", r.name("tx"), at, 0)
	body["customer_subscription_id"] = r.subscription.id
	switch r.IntN(3) {
	case 0:
		body["mrr_impact"] = number(mrrDecimal(-r.mrr))
	case 1:
		body["amount"] = number("-" + decimal(r.plan.net))
	}
	r.subscription.from(at, 0, false)
	r.add(flow{what: cancellation, at: at, subscription: r.subscription.id})
	r.send(at, "churn", body)
}

// refunds gives some of the money back, by the id of its transaction, with the
// sign that the sender thinks right.
func (r *reporter) refunds() {
	for _, paid := range r.payments {
		if !r.chance(0.05) {
			continue
		}
		amount := paid.amount
		if r.chance(0.5) {
			amount = 1 + r.Int64N(paid.amount)
		}
		at := earliest(paid.at.Add(time.Duration(r.between(1, 500))*time.Hour), r.span.end.Add(-time.Second))
		r.add(flow{what: refund, at: at, amount: amount, recurring: paid.recurring})
		body := r.data("refund", paid.id, at, amount)
		if r.chance(0.5) {
			body["amount"] = number(decimal(-amount))
		}
		r.send(at, "refund", body)
	}
}

func (r *reporter) data(kind, transaction string, at time.Time, amount int64) members {
	data := members{
		"visitor_fingerprint": "fp-" + r.id, "session_id": "sess-" + r.id, "customer_id": r.id,
		"amount": number(plainDecimal(amount)), "currency": r.currency, "transaction_id": transaction,
		"payment_processor": "stripe", "event_type": kind, "timestamp": at.Format(time.RFC3339),
		"metadata": members{"plan": r.plan.name, "campaign": "campaign-" + r.letters(2), "seats": r.between(1, 20)},
	}
	if kind == "purchase" && r.chance(0.3) {
		delete(data, "event_type") // what it is without one
	}
	return data
}

// send tells of one event, with the token in the header, the body, or both.
func (r *reporter) send(at time.Time, kind string, data members) {
	body, header := members{"type": "revenue", "data": data}, withHeader()
	where := r.IntN(3)
	if where != 0 {
		header.Set("X-API-Token", r.key)
	}
	if where != 1 {
		body["token"] = r.key
	}
	r.tell(at, Delivery{
		Door: DoorPulsora, Label: kind, Method: http.MethodPost, Path: "/api/ingest", Header: header, Body: body.text(),
		Events: 1, Check: expectStatus(http.StatusAccepted),
	})
}
