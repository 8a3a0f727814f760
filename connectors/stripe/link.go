package stripe

import (
	"maps"
	"slices"

	"revstream/ingest/revenue"
)

// What a link was read from, as the part of its version that decides between
// links of one amount: the more it knows, the higher.
const (
	linkByPayment = iota // knows the customer
	linkByAllocation
	linkByInvoice // knows the customer, subscription and product too
	linkSources
)

// The same for links to invoices that are presumed: see presume.
const (
	presumedByPayment = iota
	presumedByCharge
)

// link says that an invoice counts part of a payment. It is one fact for the pair
// whoever tells it; the greatest part stands, and for that the best informed.
func (d *reader) link(payment, invoice string, m money, units int64, source int64) revenue.Event {
	e := d.statement(revenue.KindLink, payment+":"+invoice, payment, d.created)
	e.Version = units*linkSources + source
	e.Original, e.Amount, e.Currency = payment, d.amount(m, units), m.code
	e.Payment, e.Invoice = payment, invoice
	// When it was told is of no meaning, and must not tell equal links apart.
	if at := d.seconds(d.object, "status_transitions.paid_at", "created"); !at.IsZero() {
		e.OccurredAt = at
	}
	return e
}

// invoiceLinks tells the groups of the payments that paid an invoice whose they
// are, so that their own events do not count the money again and their refunds
// find the subscription.
func (d *reader) invoiceLinks(m money, s settlement) {
	o := d.object
	payments := d.invoicePayments(o, s)
	for _, payment := range slices.Sorted(maps.Keys(payments)) {
		if payments[payment] == 0 {
			continue
		}
		d.emit(d.invoiceLink(o, payment, m, payments[payment]))
	}
}

// invoiceLink is link as the invoice tells it.
func (d *reader) invoiceLink(o object, payment string, m money, units int64) revenue.Event {
	e := d.link(payment, o.ID("id"), m, units, linkByInvoice)
	e.Customer, e.CustomerName, e.Country = invoiceCustomer(o), o.Text("customer_name"), o.Text("customer_address.country")
	e.Subscription = invoiceSubscription(o)
	e.Recurring = e.Subscription != ""
	if line := mainLine(o); line != nil {
		e.Product, e.Plan = lineProduct(line)
	}
	return e
}

// invoicePayment is the payment that an invoice names, if it names one.
func invoicePayment(o object) string {
	if payment := o.ID("payment_intent", "charge"); payment != "" {
		return payment
	}
	for _, payment := range list(o, "payments") {
		if id := linkedPayment(payment); id != "" && payment.Text("status") == "paid" {
			return id
		}
	}
	return ""
}

// invoicePayments are the payments that an invoice names, with the part of it
// that each paid, in Stripe's units.
func (d *reader) invoicePayments(o object, s settlement) map[string]int64 {
	if payment := o.ID("payment_intent", "charge"); payment != "" {
		// Before partial payments there was one for all that Stripe collected.
		return map[string]int64{payment: s.paid - s.offStripe}
	}
	paid := map[string]int64{}
	for _, payment := range list(o, "payments") { // only when expanded
		if id := linkedPayment(payment); id != "" && payment.Text("status") == "paid" {
			paid[id] += d.units(payment, "amount_paid")
		}
	}
	return paid
}

// invoicePayment reads an allocation of a payment to an invoice, which from basil
// on is the only place that names both.
func (d *reader) invoicePayment() {
	o := d.object
	payment, invoice := linkedPayment(o), o.ID("invoice")
	units := d.units(o, "amount_paid")
	if payment == "" || invoice == "" || units == 0 {
		return // paid outside Stripe, or not at all
	}
	d.emit(d.link(payment, invoice, d.currency(o), units, linkByAllocation))
}

func linkedPayment(o object) string {
	return o.ID("payment.payment_intent", "payment.charge", "payment_intent", "charge")
}
