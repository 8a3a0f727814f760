package stripe

import (
	"time"

	"revstream/ingest/revenue"
)

// linkingVersion is the first API version whose payments do not name their
// invoice. Versions are dates and compare as text.
const linkingVersion = "2025-03-31"

// paymentIntent reads a payment. What it received counts as a one-time sale, less
// what links say an invoice counts.
func (d *reader) paymentIntent() {
	o, m := d.object, d.currency(d.object)
	units := d.units(o, "amount_received")
	if units == 0 {
		return
	}
	d.feesOfLatestCharge()
	said := d.about.APIVersion >= linkingVersion && !own(o) && d.fetchLinks(m, units) || d.linkPayment(m, units)
	if d.config.OneTimeSource != OneTimePaymentIntents {
		return
	}
	e := d.payment(o, latestCharge(o), m, units, d.created)
	if said {
		d.emit(e)
	} else {
		d.doubt(e)
	}
}

// charge reads a charge that has neither a payment intent nor an invoice, which
// count it. An authorisation is no money until it is captured, perhaps in part.
func (d *reader) charge() {
	o, m := d.object, d.currency(d.object)
	id, invoice := o.ID("id"), o.ID("invoice")
	if !o.Flag("captured") {
		return
	}
	units := d.captured(o)
	d.presumeOfCharge(units)
	d.fees(o)
	if o.ID("payment_intent") != "" {
		return
	}
	at := d.created
	if d.kind == "charge.succeeded" { // captured at once
		at = d.seconds(o, "created")
	}
	switch {
	case units == 0:
	case invoice != "":
		e := d.link(id, invoice, m, units, linkByPayment)
		e.Customer = o.ID("customer")
		d.emit(e)
	case d.config.OneTimeSource == OneTimePaymentIntents:
		d.emit(d.payment(o, o, m, units, at))
	}
}

// captured is how much of a charge became money, in Stripe's units. Before
// amount_captured the part that was let go showed as refunded.
func (d *reader) captured(charge object) int64 {
	if charge.Has("amount_captured") {
		return d.units(charge, "amount_captured")
	}
	units := d.units(charge, "amount")
	if d.kind == "charge.captured" {
		units -= min(units, d.units(charge, "amount_refunded"))
	}
	return units
}

// latestCharge is the charge behind a payment intent as far as the body shows it:
// a list up to 2022-08-01, later only when expanded.
func latestCharge(o object) object {
	if charges := list(o, "charges"); len(charges) > 0 {
		return charges[0]
	}
	return o.Child("latest_charge")
}

// payment is the statement that a payment intent or charge brought in money.
func (d *reader) payment(o, charge object, m money, units int64, at time.Time) revenue.Event {
	e := d.statement(revenue.KindCharge, o.ID("id"), o.ID("id"), at)
	e.Version = d.told(units)
	e.Amount, e.Currency, e.Billing = d.amount(m, units), m.code, revenue.BillingOneTime
	e.Payment, e.ExternalID = e.ObjectID, e.ObjectID
	e.Invoice, e.Customer = referredInvoice(o), invoiceCustomer(o)
	e.CustomerName = charge.Text("billing_details.name")
	e.Country = charge.Text("billing_details.address.country")
	e.PaymentMethod = charge.Text("payment_method_details.type")
	if types := elements(o, "payment_method_types"); e.PaymentMethod == "" && len(types) == 1 {
		e.PaymentMethod = idOf(types[0])
	}
	note(&e.Dimensions, o, nil, "metadata")
	return e
}
