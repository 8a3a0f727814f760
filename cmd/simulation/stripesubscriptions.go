package simulation

import (
	"reflect"
	"strconv"
	"time"
)

// stripeSubscription is a subscription as Stripe has it, which changes by events.
type stripeSubscription struct {
	*merchant
	id       string
	of       *subscription
	plan     plan
	quantity int64
	// percentOff is a discount for good.
	percentOff                    int64
	status, reason                string
	created, trialEnd             time.Time
	periodStart, periodEnd        time.Time
	cancelAt, canceledAt, endedAt time.Time
	latestInvoice                 string
	tried                         bool // and not converted yet
	paid                          bool
	taxPercent                    int64
}

// unixOrNil is a Stripe timestamp, null for the zero time.
func unixOrNil(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.Unix()
}

func decimalUnits(units int64) string { return strconv.FormatInt(units, 10) }

// subscriber lives through one subscription, and perhaps a second one later.
func (m *merchant) subscriber() {
	at := anchored(m.startBefore(48 * time.Hour))
	for {
		end := m.subscription(at)
		if end.IsZero() || m.chance(0.6) {
			return
		}
		if at = end; !m.chance(0.2) { // else one takes the place of the other
			at = end.Add(time.Duration(m.between(5, 200)) * 24 * time.Hour)
		}
		if !at.Before(m.span.end.Add(-48 * time.Hour)) {
			return
		}
	}
}

// subscription is one from sign-up to its end, which it returns; the zero time if
// it goes on.
func (m *merchant) subscription(at time.Time) (ended time.Time) {
	s := &stripeSubscription{
		merchant: m, id: m.name("sub_"), plan: m.plan(), quantity: int64(pick(m.dice, 1, 1, 1, 3, 10)),
		created: at, periodStart: at, taxPercent: int64(pick(m.dice, 0, 0, 7, 19)),
	}
	s.of = m.account.subscribe(s.id)
	if m.version != versionBasil && m.chance(0.1) {
		s.percentOff = int64(pick(m.dice, 10, 25, 50))
	}
	if m.chance(0.3) {
		if !s.trial() {
			return s.endedAt
		}
	} else {
		s.signUp()
	}
	return s.live()
}

// monthly is what it is worth a month, after the discount.
func (s *stripeSubscription) monthly() int64 {
	numerator, denominator := s.plan.months()
	denominator *= 100
	return (2*s.plan.net*s.quantity*(100-s.percentOff)*mrrUnits*numerator + denominator) / (2 * denominator)
}

// update applies a change and tells of it, with what it was before.
func (s *stripeSubscription) update(at time.Time, change func()) {
	before := s.object()
	change()
	now, previous := s.object(), members{}
	for name, value := range before {
		if !reflect.DeepEqual(value, now[name]) {
			previous[name] = value
		}
	}
	for name := range now { // what was not there before
		if _, there := before[name]; !there {
			previous[name] = nil
		}
	}
	s.changed("customer.subscription.updated", at, now, previous)
}

// signUp goes through Checkout: the subscription waits for its first payment,
// which comes within the second.
func (s *stripeSubscription) signUp() {
	s.periodEnd = s.plan.next(s.created)
	s.status = "incomplete"
	s.event("customer.subscription.created", s.created, s.object())
	p := s.invoice("subscription_create", s.created, s.price())
	s.update(s.created, func() { s.status, s.latestInvoice = "active", p.invoice })
	s.of.from(s.created, s.monthly(), true)
	s.event("checkout.session.completed", s.created.Add(2*time.Second), members{
		"id": s.name("cs_live_"), "object": "checkout.session", "mode": "subscription", "payment_status": "paid", "status": "complete",
		"payment_intent": nil, "invoice": p.invoice, "subscription": s.id, "customer": s.merchant.customer, "created": s.created.Unix() - 90,
		"amount_total": p.amount, "currency": s.lower(), "client_reference_id": "visitor-" + s.merchant.customer, "metadata": members{},
	})
	s.reversals(p)
}

// trial begins with one, which costs nothing; it reports whether it converted.
func (s *stripeSubscription) trial() bool {
	s.tried = true
	s.trialEnd = s.created.AddDate(0, 0, 14)
	s.periodEnd, s.status = s.trialEnd, "trialing"
	s.event("customer.subscription.created", s.created, s.object())
	s.add(flow{what: trialStart, at: s.created})
	free := &payment{merchant: s.merchant, at: s.created, invoice: s.name("in_"), subscription: s, reason: "subscription_create"}
	s.event("invoice.paid", s.created, free.invoiceObject()) // of nothing
	if !s.trialEnd.Before(s.span.end.Add(-time.Hour)) {
		return true
	}
	if s.chance(0.4) {
		s.end(s.trialEnd, s.trialEnd, "cancellation_requested")
		return false
	}
	s.renew(s.trialEnd)
	return true
}

// price is what a term costs, after the discount and without tax.
func (s *stripeSubscription) price() int64 {
	return s.plan.net * s.quantity * (100 - s.percentOff) / 100
}

// invoice bills an amount without tax, and it is paid.
func (s *stripeSubscription) invoice(reason string, at time.Time, net int64) *payment {
	tax := net * s.taxPercent / 100
	p := &payment{merchant: s.merchant, at: at, amount: net + tax, tax: tax, invoice: s.name("in_"), subscription: s, reason: reason}
	p.tell()
	what := renewal
	switch {
	case s.tried && !s.paid:
		what = trialConversion
	case !s.paid:
		what = subscriptionPurchase
	}
	s.paid = true
	s.add(flow{what: what, at: at, amount: p.amount, tax: p.tax, recurring: true})
	return p
}

// renew begins a term that is paid at once. After a trial it is the first.
func (s *stripeSubscription) renew(at time.Time) {
	p := s.invoice("subscription_cycle", at.Add(time.Second), s.price())
	s.update(at, func() {
		s.periodStart, s.periodEnd, s.status, s.latestInvoice = at, s.plan.next(at), "active", p.invoice
	})
	s.of.from(at, s.monthly(), true)
	s.reversals(p)
}

// live goes from term to term.
func (s *stripeSubscription) live() (ended time.Time) {
	for {
		middle := s.periodStart.Add(s.periodEnd.Sub(s.periodStart) / 2).Truncate(time.Second)
		if !middle.Before(s.span.end) {
			return time.Time{}
		}
		switch {
		case s.status == "trialing":
		case s.chance(0.05):
			s.end(middle, middle, "cancellation_requested")
			return s.endedAt
		case s.chance(0.06):
			if s.scheduleEnd(middle) {
				return s.endedAt
			}
		case s.chance(0.1):
			s.replan(middle)
		}
		at := s.periodEnd
		if !at.Before(s.span.end.Add(-2 * time.Hour)) {
			return time.Time{}
		}
		if s.status == "active" && s.plan.interval != "week" && s.chance(0.05) {
			if s.fail(at); !s.endedAt.IsZero() {
				return s.endedAt
			}
			continue
		}
		s.renew(at)
	}
}

// replan goes up, which is billed now, or down, which is not. Sometimes it is
// changed twice in a second, as by an eager customer.
func (s *stripeSubscription) replan(at time.Time) {
	net := s.price()
	if s.chance(0.2) {
		s.update(at, func() { s.quantity += 2 })
	}
	s.update(at, func() {
		if s.chance(0.5) {
			s.quantity += int64(s.between(1, 5))
		} else {
			s.plan = s.plan.scaled(int64(pick(s.dice, 50, 80, 130, 200)))
		}
	})
	s.of.from(at, s.monthly(), true)
	if more := (s.price() - net) / 2; more > 0 {
		s.reversals(s.invoice("subscription_update", at.Add(2*time.Second), more))
	}
}

// scheduleEnd asks for the end with the period; sometimes it is thought better of.
// It reports whether the subscription ended.
func (s *stripeSubscription) scheduleEnd(asked time.Time) bool {
	end := s.periodEnd
	s.update(asked, func() { s.cancelAt, s.canceledAt, s.reason = end, asked, "cancellation_requested" })
	s.of.from(asked, s.monthly(), false)
	back := asked.Add(end.Sub(asked) / 2).Truncate(time.Second)
	if s.chance(0.4) && back.Before(s.span.end) {
		s.update(back, func() { s.cancelAt, s.canceledAt, s.reason = time.Time{}, time.Time{}, "" })
		s.of.from(back, s.monthly(), true)
		s.add(flow{what: cancellation, at: asked, subscription: s.id, takenBack: back})
		return false
	}
	if end.Before(s.span.end) {
		s.end(asked, end, "cancellation_requested")
	} else { // it is known to end, but nothing has been told of that yet
		s.bookEnd(asked, end)
		s.endedAt = end
	}
	return true
}

// end is the end, asked for at one moment and effective at another.
func (s *stripeSubscription) end(asked, at time.Time, reason string) {
	s.status, s.reason, s.canceledAt, s.endedAt = "canceled", reason, asked, at
	s.event("customer.subscription.deleted", at, s.object())
	s.bookEnd(asked, at)
}

func (s *stripeSubscription) bookEnd(asked, at time.Time) {
	s.of.from(at, 0, false)
	s.add(flow{what: cancellation, at: asked, subscription: s.id})
	s.add(flow{what: expiration, at: at})
}

// pastDueDays is how long a subscription counts that is past due.
const pastDueDays = 30

// fail is a renewal whose payment does not come: it is past due, and recovers, or
// is given up, sooner or later.
func (s *stripeSubscription) fail(at time.Time) {
	s.update(at, func() { s.periodStart, s.periodEnd, s.status = at, s.plan.next(at), "past_due" })
	recovered := at.Add(time.Duration(s.between(2, 12)) * 24 * time.Hour)
	if s.chance(0.5) || !at.AddDate(0, 0, 62).Before(s.span.end) {
		if !recovered.Before(s.span.end) {
			// Nobody knows yet. What the thirty days lead to lies ahead of the history.
			s.of.from(at.AddDate(0, 0, pastDueDays), 0, false)
			s.periodEnd = s.span.end.AddDate(1, 0, 0)
			return
		}
		p := s.invoice("subscription_cycle", recovered, s.price())
		s.update(recovered.Add(time.Second), func() { s.status, s.latestInvoice = "active", p.invoice })
		s.reversals(p)
		return
	}
	end := at.Add(time.Duration(pick(s.dice, 15, 21, 60)) * 24 * time.Hour)
	if grace := at.AddDate(0, 0, pastDueDays); grace.Before(end) {
		s.of.from(grace, 0, false)
	}
	s.end(end, end, "payment_failed")
}
