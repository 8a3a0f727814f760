package stripe

import (
	"cmp"
	"errors"
	"net/url"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// feeVersion is the version of what Stripe took: a balance transaction never changes.
const feeVersion = 1

// fees states what Stripe took for a charge or refund, if the body shows its balance
// transaction, or names it and there is an API key to look it up with. Money is not
// refused for a fee that cannot be looked up now: it is counted, and a backfill has it.
func (d *reader) fees(o object) {
	transaction := o.Child("balance_transaction")
	if id := o.ID("balance_transaction"); transaction == nil && id != "" && d.api != nil {
		transaction = d.lookUpFee("/v1/balance_transactions/" + url.PathEscape(id))
	}
	d.fee(transaction, movedPayment(o))
}

// feesOfLatestCharge is fees of the charge behind a payment intent, which events name.
func (d *reader) feesOfLatestCharge() {
	charge := latestCharge(d.object)
	if id := d.object.ID("latest_charge"); charge == nil && id != "" && d.api != nil {
		charge = d.lookUpFee("/v1/charges/" + url.PathEscape(id) + "?expand[]=balance_transaction")
	}
	if charge != nil && paymentOf(charge) == "" {
		charge["payment_intent"] = d.object.ID("id")
	}
	d.fees(charge)
}

// lookUpFee is an object of the API; nil if it cannot be had.
func (d *reader) lookUpFee(path string) object {
	if o, known := d.api.held[path]; known || d.api.failure != nil {
		return o
	}
	o, err := d.api.fetch(path)
	if err != nil {
		d.metrics.feesUnknown.Inc()
	}
	if errors.As(err, new(*connectors.RefusedError)) {
		d.api.refused = cmp.Or(d.api.refused, err)
	}
	d.api.held[path] = o
	return o
}

// chargeFees reads a charge whose balance transaction became known after it succeeded.
func (d *reader) chargeFees() {
	if d.object.Flag("captured") {
		d.fees(d.object)
	}
}

// fee states what Stripe took in one movement of the balance: a fact of its own,
// whichever way it was learnt, because it comes in the currency of settlement. One that
// Stripe gives back is below zero.
func (d *reader) fee(transaction object, payment string) {
	units, given := d.integer(transaction, "fee")
	if !given || units == 0 {
		return
	}
	d.emitFee(transaction, units, payment)
}

func (d *reader) emitFee(transaction object, units int64, payment string) {
	m := d.currency(transaction)
	id := transaction.ID("id")
	e := d.statement(revenue.KindFee, id, cmp.Or(payment, id), cmp.Or(d.seconds(transaction, "created"), d.created))
	e.Version = feeVersion
	if units > revenue.AmountMax || units < -revenue.AmountMax {
		d.invalid("fee", "%d is not an amount", units)
		return
	}
	e.Amount, e.Currency = m.rounded(units), m.code
	e.Original, e.Payment, e.ExternalID, e.TestClock = payment, payment, e.ObjectID, ""
	d.emit(e)
}

// movedPayment is the payment that a charge, refund or dispute is of, by the id that its
// group has.
func movedPayment(o object) string {
	if o.Text("object") == "charge" {
		return o.ID("payment_intent", "id")
	}
	return paymentOf(o)
}

// Reporting categories of balance transactions that are a fee and nothing else.
var feeCategories = map[string]bool{"fee": true, "network_cost": true}

// balanceTransaction reads one movement of the balance from Stripe's books, for what
// was taken in it: the amounts themselves are told by what moved. The fees of a dispute
// are one fact, of all its movements.
func (d *reader) balanceTransaction() {
	o := d.object
	source := o.Child("source")
	switch {
	case feeCategories[o.Text("reporting_category")]:
		units, _ := d.integer(o, "amount")
		if net, given := d.integer(o, "net"); given {
			units = net
		}
		if units != 0 {
			d.emitFee(o, -units, "")
		}
	case source.Text("object") == "dispute":
		d.object = source
		d.disputeFee(cmp.Or(paymentOf(source), source.ID("id")))
	case source != nil && movedPayment(source) != "":
		d.fee(o, movedPayment(source))
	}
}
