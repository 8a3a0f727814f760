package stripe

import (
	"cmp"
	"time"

	"revstream/ingest/revenue"
)

// Versions of a withdrawal: one that was seen stands over one that is concluded
// from a lost dispute.
const (
	withdrawalConcluded = 1
	withdrawalSeen      = 2
)

// dispute reads what a dispute moved. Its withdrawal and its return are one fact
// each, whichever event tells of them: those named for it, the balance
// transactions that any of them shows, or a loss whose withdrawal was missed.
// Inquiries (warning_*) move nothing.
func (d *reader) dispute() {
	o := d.object
	payment := cmp.Or(paymentOf(o), o.ID("id"))
	m := d.currency(o)
	withdrawn, returned := d.movements(o)
	version := int64(withdrawalSeen)
	switch {
	case !withdrawn.IsZero():
	case d.kind == "charge.dispute.funds_withdrawn":
		withdrawn = d.created
	case d.kind == "charge.dispute.closed" && o.Text("status") == "lost":
		withdrawn, version = d.seconds(o, "created"), withdrawalConcluded
	}
	if returned.IsZero() && d.kind == "charge.dispute.funds_reinstated" {
		returned = d.created
	}
	if !withdrawn.IsZero() {
		d.emit(d.disputed(revenue.KindDispute, payment, m, withdrawn, version))
	}
	if !returned.IsZero() {
		d.emit(d.disputed(revenue.KindDisputeReversal, payment, m, returned, withdrawalSeen))
	}
	d.disputeFee(payment)
}

// disputed is the statement that the principal of a dispute moved.
func (d *reader) disputed(kind revenue.Kind, payment string, m money, at time.Time, version int64) revenue.Event {
	o := d.object
	e := d.statement(kind, o.ID("id"), payment, at)
	e.Version = d.told(version)
	e.Amount, e.Currency = d.amount(m, d.units(o, "amount")), m.code
	e.Original, e.Payment, e.ExternalID = payment, payment, e.ObjectID
	note(&e.Dimensions, o, nil, "metadata")
	return e
}

// movements are when the principal left and came back, as the balance
// transactions show; zero times if they do not.
func (d *reader) movements(o object) (withdrawn, returned time.Time) {
	for _, transaction := range list(o, "balance_transactions") {
		at := d.seconds(transaction, "created")
		amount, _ := d.integer(transaction, "amount")
		switch {
		case at.IsZero() || amount == 0:
		case amount < 0 && (withdrawn.IsZero() || at.Before(withdrawn)):
			withdrawn = at
		case amount > 0 && at.After(returned):
			returned = at
		}
	}
	return withdrawn, returned
}

// disputeFee states what the dispute has cost in fees so far. They come on top of
// the principal and in the currency of settlement, so they are a fact of their
// own; its version is the number of movements seen, since a won dispute may give
// the fee back.
func (d *reader) disputeFee(payment string) {
	o := d.object
	transactions := list(o, "balance_transactions")
	if len(transactions) == 0 {
		return
	}
	m := d.currency(transactions[0])
	fee, first := int64(0), time.Time{}
	for _, transaction := range transactions {
		n, _ := d.integer(transaction, "fee")
		if fee += n; fee > revenue.AmountMax || fee < -revenue.AmountMax {
			d.invalid("fee", "%d is not an amount", n)
			return
		}
		if at := d.seconds(transaction, "created"); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if first.IsZero() {
		first = d.created
	}
	e := d.statement(revenue.KindFee, o.ID("id"), payment, first)
	e.Version = d.told(int64(len(transactions)))
	e.Amount, e.Currency = d.amount(m, max(0, fee)), m.code
	e.Original, e.Payment, e.ExternalID = payment, payment, e.ObjectID
	d.emit(e)
}
