package revenuecat

import (
	"revstream/ingest/revenue"
)

// cancellation reads that a subscription will not be renewed, or that its latest
// transaction was refunded: then the price is negative, and it may be renewed yet.
func (e *event) cancellation() {
	refunded := e.o.Text("cancel_reason") == "CUSTOMER_SUPPORT"
	if !refunded && e.o.Value("price_in_purchased_currency") != nil {
		amount, _, _ := e.price()
		refunded = amount < 0
	}
	switch trial := e.o.Text("period_type") == "TRIAL"; {
	case !refunded:
		e.requested(false)
	case !trial:
		e.refund()
	}
}

// uncancellation takes a cancellation back.
func (e *event) uncancellation() { e.requested(true) }

// requested marks that the running term is the last, or is not any more. There is
// one such mark for each term.
func (e *event) requested(takenBack bool) {
	c := e.statement(revenue.KindCancellation, e.RequiredID(e.o, "transaction_id"), e.at)
	c.Deleted = takenBack
	switch e.o.Text("cancel_reason") {
	case "BILLING_ERROR":
		c.Reason = "delinquent"
	default:
		c.Reason = "voluntary"
	}
	e.Emit(c)
}

// expiration marks the end of a trial that was not converted. The terms that were
// paid end by themselves.
func (e *event) expiration() {
	if e.o.Text("period_type") != "TRIAL" {
		return
	}
	e.Emit(e.statement(revenue.KindExpiration, e.RequiredID(e.o, "transaction_id"), e.RequiredTime(e.o, "expiration_at_ms")))
}

// refund reads what the store returned of a transaction. A term that it cut short
// was worth nothing: RevenueCat says neither what it would have been worth, nor that
// of a term that goes on.
func (e *event) refund() {
	amount, currency, _ := e.price()
	if amount >= 0 {
		e.Invalid("event.price_in_purchased_currency", "a refund of %d is none", -amount)
	}
	r := e.statement(revenue.KindRefund, e.RequiredID(e.o, "transaction_id"), e.at)
	r.Amount, r.Currency, r.Original = -amount, currency, r.ObjectID
	e.Emit(r)
	if end := e.Moment(e.o, "expiration_at_ms"); end != nil && !end.After(e.at) {
		p := e.statement(revenue.KindPeriod, r.ObjectID, e.RequiredTime(e.o, "purchased_at_ms"))
		p.Deleted = true
		e.Emit(p)
	}
}

// refundReversed takes a refund back: the money is there again, and the term is worth
// what it was.
func (e *event) refundReversed() {
	amount, currency, _ := e.price()
	if amount < 0 {
		amount = -amount
	}
	r := e.statement(revenue.KindRefund, e.RequiredID(e.o, "transaction_id"), e.at)
	r.Amount, r.Currency, r.Original, r.Status = amount, currency, r.ObjectID, revenue.StatusFailed
	e.Emit(r)
	if amount == 0 || e.o.Value("expiration_at_ms") == nil {
		return
	}
	c := e.statement(revenue.KindCharge, r.ObjectID, e.RequiredTime(e.o, "purchased_at_ms"))
	c.Amount, c.Currency = amount, currency
	e.term(&c) // of the charge itself its own event tells
}
