package simulation

import (
	"net/http"
	"time"
)

// transaction is one of ThriveStack's, as it is in the end.
type transaction struct {
	id, invoice string
	refund      bool // type refund, else payment
	status      string
	recurring   bool
	at          time.Time
	deleted     bool

	amount, tax, fee, discount int64
	plan                       plan
	// start and end bound the paid term; both zero if the sender leaves them out.
	start, end time.Time
}

// business is a customer of ThriveStack's.
type business struct {
	*scene
	customer string
	// dated says that transactions tell their terms, instead of beginning when they
	// are paid.
	dated        bool
	transactions []*transaction
}

// playThriveStack is a subscriber's life, or that of someone who buys now and then.
func (s *scene) playThriveStack() {
	b := &business{scene: s, customer: s.name("cust"), dated: s.chance(0.7)}
	if s.chance(0.65) {
		b.subscribe()
	} else {
		b.buy()
	}
	if s.chance(0.1) {
		b.mistake()
	}
	b.close()
}

// subscribe pays term after term, leaves some out, and perhaps stops.
func (b *business) subscribe() {
	p := b.plan()
	at := anchored(b.startBefore(24 * time.Hour))
	if b.dated {
		at = at.Truncate(24 * time.Hour)
	}
	for at.Before(b.span.end.Add(-24 * time.Hour)) {
		t := b.pay(p, at)
		b.afterwards(t)
		if b.chance(0.03) {
			return // lapsed for good
		}
		at = p.next(at)
		for b.chance(0.05) { // a term without payment, and so without MRR
			at = p.next(at)
		}
		if b.chance(0.05) {
			p = p.scaled(int64(pick(b.dice, 50, 80, 150, 200)))
		}
	}
}

// pay is the transaction of a term.
func (b *business) pay(p plan, start time.Time) *transaction {
	t := b.transaction(start)
	t.recurring, t.plan, t.amount = true, p, p.net+t.tax
	if b.dated {
		t.start, t.end = start, p.next(start)
		t.at = start.Add(time.Duration(b.between(0, 20*60)) * time.Minute)
	}
	return t
}

// transaction makes up what any transaction has.
func (b *business) transaction(at time.Time) *transaction {
	t := &transaction{id: b.name("txn"), invoice: b.name("inv"), status: "paid", at: at, plan: plan{interval: "month", count: 1}}
	if b.chance(0.5) {
		t.tax = int64(b.between(0, 900))
	}
	if b.chance(0.5) {
		t.fee = int64(b.between(30, 300))
	}
	if b.chance(0.2) {
		t.discount = int64(b.between(100, 1000))
	}
	b.transactions = append(b.transactions, t)
	return t
}

func (b *business) buy() {
	for range b.between(1, 6) {
		t := b.transaction(b.startBefore(24 * time.Hour))
		t.amount = t.tax + b.amount(3, 400)
		b.afterwards(t)
	}
}

// afterwards decides what becomes of a payment, and tells of it.
func (b *business) afterwards(t *transaction) {
	steps := b.repeated(b.create(t))
	if b.corrected() {
		switch b.IntN(6) {
		case 0: // another amount
			t.amount += int64(b.between(1, 2000))
			steps = append(steps, b.repeated(b.update(t, "amount", number(decimal(t.amount))))...)
		case 1: // it bounced
			t.status = pick(b.dice, "failed", "cancelled")
			steps = append(steps, b.repeated(b.update(t, "status", t.status))...)
		case 2: // it bounced, and came after all
			steps = append(steps, b.update(t, "status", "failed"))
			steps = append(steps, b.repeated(b.update(t, "status", "paid"))...)
		case 3: // entered by mistake
			t.deleted = true
			steps = append(steps, b.remove(t))
		case 4: // deleted by mistake
			steps = append(steps, b.remove(t), b.create(t))
		default: // entered again, another way
			t.fee += 10
			if !t.recurring || b.dated { // else its term would move
				t.at = t.at.Add(-time.Duration(b.between(1, 300)) * time.Second)
			}
			steps = append(steps, b.repeated(b.create(t))...)
		}
	}
	if !t.deleted && t.status == "paid" {
		steps = append(steps, b.giveBack(t)...)
	}
	b.tell(t.at, steps...)
}

// giveBack refunds some payments: by their own status, or by a transaction of
// type refund, which finds its charge by the invoice.
func (b *business) giveBack(t *transaction) []Delivery {
	switch {
	case b.chance(0.02):
		t.status = pick(b.dice, "refund", "charged_back")
		return b.repeated(b.update(t, "status", t.status))
	case b.chance(0.05):
		r := b.transaction(earliest(t.at.Add(time.Duration(b.between(1, 900))*time.Hour), b.span.end.Add(-time.Second)))
		r.refund, r.recurring, r.invoice, r.plan, r.tax, r.fee, r.discount = true, t.recurring, t.invoice, t.plan, 0, 0, 0
		r.status = pick(b.dice, "refund", "refund", "paid", "charged_back")
		if r.amount = t.amount; b.chance(0.5) {
			r.amount = 1 + b.Int64N(t.amount)
		}
		steps := b.repeated(b.create(r))
		if b.corrected() {
			r.status = "failed"
			steps = append(steps, b.update(r, "status", r.status))
		}
		b.tell(r.at, steps...)
	}
	return nil
}

// mistake updates or deletes what does not exist.
func (b *business) mistake() {
	unknown := &transaction{id: b.name("nosuch")}
	d := pick(b.dice, b.update(unknown, "status", "paid"), b.remove(unknown))
	d.Label, d.Check, d.Events = d.Label+" of unknown", expectStatus(http.StatusNotFound), 0
	b.tell(b.span.begin, d)
}

// request is one to ThriveStack's API.
func (b *business) request(method string, body members) Delivery {
	return Delivery{
		Door: DoorThriveStack, Label: method, Method: method, Path: "/revenue/transactions",
		Header: withHeader("X-Api-Key", b.key), Body: body.text(), Events: 1,
	}
}

func (b *business) create(t *transaction) Delivery {
	kind, line := "payment", "one_time"
	if t.refund {
		kind = "refund"
	}
	body := members{
		"transaction_id": t.id, "customer_id": b.customer, "group_id": "group-" + b.customer, "customer_name": "Customer " + b.customer,
		"invoice_id": t.invoice, "type": kind, "status": t.status, "transaction_date": t.at.Format(time.RFC3339),
		"amount": number(decimal(t.amount)), "currency": b.currency,
		"payment_method": "credit_card", "tax_amount": number(decimal(t.tax)), "transaction_fee": number(decimal(t.fee)),
		"discount_amount": number(decimal(t.discount)),
	}
	if t.recurring {
		line = "subscription"
		body["term_unit"], body["term_frequency"] = t.plan.interval, t.plan.count
	}
	body["line_item_type"] = line
	if !t.start.IsZero() {
		body["period_start_date"] = t.start.Format(time.RFC3339)
		body["period_end_date"] = t.end.Add(-time.Second).Format(time.RFC3339) // inclusive
	}
	return b.request(http.MethodPost, body)
}

func (b *business) update(t *transaction, member string, value any) Delivery {
	return b.request(http.MethodPut, members{"transaction_id": t.id, member: value})
}

func (b *business) remove(t *transaction) Delivery {
	d := b.request(http.MethodDelete, members{"transaction_id": t.id})
	d.Check = func(a Answer) error {
		if a.Status == http.StatusNotFound && a.Attempts > 1 {
			return nil // the attempt without an answer did it
		}
		return expectSuccess(a)
	}
	return d
}

// close books what the transactions came to in the end.
func (b *business) close() {
	var terms []term
	first := b.firstPaid()
	for _, t := range b.transactions {
		failed := t.status == "failed" || t.status == "cancelled"
		if t.deleted || failed {
			continue
		}
		if t.refund {
			b.reverse(t)
			continue
		}
		what := purchase
		if t.recurring {
			if what = renewal; t == first {
				what = subscriptionPurchase
			}
			start, end := t.start, t.end
			if start.IsZero() {
				start, end = t.at, t.plan.next(t.at)
			}
			priced := t.plan
			priced.net = t.amount - t.tax
			terms = append(terms, term{start, end, priced.monthly(1)})
		}
		b.add(flow{what: what, at: t.at, amount: t.amount, tax: t.tax, fee: t.fee, discount: t.discount, recurring: t.recurring})
		if t.status == "refund" || t.status == "charged_back" {
			b.reverse(t)
		}
	}
	b.cover(b.scene.customer(), b.customer, terms)
}

func (b *business) reverse(t *transaction) {
	what := refund
	if t.status == "charged_back" {
		what = dispute
	}
	b.add(flow{what: what, at: t.at, amount: t.amount, recurring: t.recurring})
}

// firstPaid is the earliest payment for the subscription that stands.
func (b *business) firstPaid() *transaction {
	var first *transaction
	for _, t := range b.transactions {
		stands := t.recurring && !t.refund && !t.deleted && t.status != "failed" && t.status != "cancelled"
		if stands && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	return first
}
