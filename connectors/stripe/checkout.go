package stripe

import (
	"cmp"

	"revstream/ingest/revenue"
)

// checkout reads whom a Checkout session's sale is owed to. The session itself
// is no money: it names the payment, invoice or subscription that is.
func (d *reader) checkout() {
	o := d.object
	customer := o.ID("customer", "customer_account")
	payment, invoice, subscription := o.ID("payment_intent"), o.ID("invoice"), o.ID("subscription")
	switch {
	case subscription != "":
		d.emit(d.attributed(subscription, cmp.Or(customer, subscription)))
	case payment != "":
		d.emit(d.attributed(payment, payment))
		if invoice != "" {
			d.emit(d.attributed(invoice, cmp.Or(customer, invoice)))
			d.checkoutLink(payment, invoice)
		}
	}
	sale := o.Text("mode") == "payment" && payment != "" && invoice == "" && o.Text("payment_status") == "paid"
	if sale && d.config.OneTimeSource == OneTimeCheckoutSessions {
		d.emit(d.checkoutSale(payment))
	}
}

// checkoutLink states that the invoice which a paid session made counts its payment.
func (d *reader) checkoutLink(payment, invoice string) {
	o := d.object
	units := d.units(o, "amount_total")
	if o.Text("payment_status") != "paid" || units == 0 {
		return
	}
	e := d.link(payment, invoice, d.currency(o), units, linkByPayment)
	e.Customer = o.ID("customer", "customer_account")
	d.emit(e)
}

// attributed states the attribution of what has the id original. Its content is
// the session's alone, so that all events of a session state the same.
func (d *reader) attributed(original, group string) revenue.Event {
	o := d.object
	at := cmp.Or(d.seconds(o, "created"), d.created)
	e := d.statement(revenue.KindAttribution, o.ID("id")+":"+original, group, at)
	e.Version = 1
	e.Original, e.ExternalID = original, o.ID("id")
	d.checkoutDimensions(&e.Dimensions)
	return e
}

// checkoutSale is the sale that a paid session was, as a statement about its
// payment intent, so that it is the same fact as with OneTimePaymentIntents.
func (d *reader) checkoutSale(payment string) revenue.Event {
	o, m := d.object, d.currency(d.object)
	units := d.units(o, "amount_total")
	e := d.statement(revenue.KindCharge, payment, payment, d.created)
	e.Version = d.told(units)
	e.Amount, e.Currency, e.Billing = d.amount(m, units), m.code, revenue.BillingOneTime
	e.Tax = m.rounded(d.units(o, "total_details.amount_tax"))
	e.Discount = m.rounded(d.units(o, "total_details.amount_discount"))
	e.Payment, e.ExternalID = payment, payment
	if types := elements(o, "payment_method_types"); len(types) == 1 {
		e.PaymentMethod = idOf(types[0])
	}
	d.checkoutDimensions(&e.Dimensions)
	return e
}

// checkoutDimensions are whose the session was and where it came from. What the
// shop handed over as client_reference_id is its name for the visitor.
func (d *reader) checkoutDimensions(to *revenue.Dimensions) {
	o := d.object
	to.Customer = o.ID("customer", "customer_account")
	to.CustomerName = o.Text("customer_details.name")
	to.Country = o.Text("customer_details.address.country")
	to.Visitor = o.Text("client_reference_id")
	note(to, o, nil, "metadata")
}
