package stripe

import (
	"cmp"

	"revstream/ingest/revenue"
)

// Ranks of a refund's status, the versions of its statements: events may come in
// any order, and the furthest status stands. Failed and cancelled are final, and
// stand even above succeeded, because money can come back after that.
const (
	rankRequiresAction = iota
	rankPending
	rankSucceeded
	rankFailed
)

// refund reads a Refund object, whatever the event calls it; it also comes for
// changes of metadata.
func (d *reader) refund() {
	d.emitRefund(d.object, false)
	d.fees(d.object)
}

// emitRefund states what a refund is. Released says that its charge was never
// captured: an authorisation was let go and no money moved.
func (d *reader) emitRefund(o object, released bool) {
	payment := paymentOf(o)
	if payment == "" {
		return // a customer balance paid back, which was no revenue
	}
	m := d.currency(o)
	at := d.seconds(o, "created")
	if at.IsZero() {
		at = d.created
	}
	e := d.statement(revenue.KindRefund, o.ID("id"), payment, at)
	rank, status := refundRank(o.Text("status"))
	if released {
		rank, status = rankFailed, revenue.StatusFailed
	}
	e.Version, e.Status = d.told(rank), status
	e.Amount, e.Currency = d.amount(m, d.units(o, "amount")), m.code
	e.Original, e.Payment, e.ExternalID = payment, payment, e.ObjectID
	note(&e.Dimensions, o, nil, "metadata")
	d.emit(e)
}

// refundRank is the version and settlement of a status. Without one, as in the
// oldest versions, a refund has happened.
func refundRank(status string) (int64, revenue.Status) {
	switch status {
	case "requires_action":
		return rankRequiresAction, revenue.StatusFailed
	case "pending":
		return rankPending, revenue.StatusPending
	case "failed", "canceled":
		return rankFailed, revenue.StatusFailed
	default:
		return rankSucceeded, revenue.StatusSettled
	}
}

// refundTotal reads how much of a charge has been refunded so far, for accounts
// that do not get its refunds, and the refunds themselves where the version still
// lists them (until 2022-11-15).
func (d *reader) refundTotal() {
	o := d.object
	captured, released := wasCaptured(o), d.released(o)
	for _, refund := range list(o, "refunds") {
		d.emitRefund(refund, d.letGo(refund, o))
	}
	if captured {
		d.presumeOfCharge(d.captured(o))
	}
	units := d.units(o, "amount_refunded")
	units -= min(units, released)
	if !captured || units == 0 {
		return
	}
	m := d.currency(o)
	payment := cmp.Or(o.ID("payment_intent"), o.ID("id"))
	e := d.statement(revenue.KindRefundTotal, o.ID("id"), payment, d.created)
	e.Version = units
	e.Amount, e.Currency = d.amount(m, units), m.code
	e.Original, e.Payment, e.ExternalID = payment, payment, e.ObjectID
	d.emit(e)
}

func wasCaptured(charge object) bool { return !charge.Has("captured") || charge.Flag("captured") }

// released is how much of a charge was authorised and never captured.
func (d *reader) released(charge object) int64 {
	if !charge.Has("amount_captured") {
		return 0
	}
	return max(0, d.units(charge, "amount")-d.units(charge, "amount_captured"))
}

// letGo reports whether a refund of a charge is none: what was authorised and never
// captured shows as refunded too, by a refund without a movement of the balance.
func (d *reader) letGo(refund, charge object) bool {
	released := d.released(charge)
	return !wasCaptured(charge) || released > 0 && refund.ID("balance_transaction") == "" && d.units(refund, "amount") == released
}

// paymentOf is the payment that a refund or dispute is about, by the id that its
// group has: the payment intent, or for old payments the charge.
func paymentOf(o object) string { return o.ID("payment_intent", "charge") }
