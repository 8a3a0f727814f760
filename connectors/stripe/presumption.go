package stripe

import (
	"cmp"
	"strings"

	"revstream/ingest/revenue"
)

// From API version 2025-03-31.basil on neither an invoice nor its payment names the
// other. What is left to go by, from the surest to the least, as payments recorded
// since then show it:
//
//   - an invoice_payment.paid event, or the API: exact;
//   - payment_details.order_reference of a payment intent, which is the invoice's id,
//     or that of the Checkout session that the payment came by, which may have been
//     for a subscription;
//   - the description that Stripe itself gives the payments of invoices, which says
//     too whether they are of a subscription;
//   - the address of the charge's receipt, which has invoices in a place of their own.
//
// A payment without a customer is for no invoice, for those always have one. All
// others may be, and count provisionally: they are marked and counted.

// provisional is the note in the metadata of a payment of which Stripe does not say
// whether an invoice counts it.
const provisional = string(revenue.NoteProvisional)

// descriptions are those that Stripe gives to payments of invoices, each with
// whether it is for a subscription.
var descriptions = map[string]bool{
	"Subscription creation": true, "Subscription update": true, "Payment for Invoice": false,
}

// invoiceReceipts is in the address of the receipt of a charge that paid an invoice.
const invoiceReceipts = "/receipts/invoices/"

// referredInvoice is the invoice that a payment intent names, if it does.
func referredInvoice(payment object) string {
	if id := payment.ID("invoice"); id != "" {
		return id
	}
	if reference := payment.Text("payment_details.order_reference"); strings.HasPrefix(reference, "in_") {
		return reference
	}
	return ""
}

// presumed says whether a payment intent or a charge gives away that it was for an
// invoice, without naming it.
func presumed(o object) bool {
	_, byStripe := descriptions[o.Text("description")]
	return byStripe || strings.Contains(o.Text("receipt_url"), invoiceReceipts) ||
		strings.Contains(o.Text("latest_charge.receipt_url"), invoiceReceipts)
}

// own says whether a payment can be for no invoice: without a customer, or by a
// Checkout session that was for no subscription (if it made an invoice, it names it).
func own(o object) bool {
	return invoiceCustomer(o) == "" || strings.HasPrefix(o.Text("payment_details.order_reference"), "cs_")
}

// presume states that an invoice which is not named counts a payment. It is a fact
// beside those that name one: links count what of a payment is not its own, and more
// than all is all.
func (d *reader) presume(payment string, m money, units, source int64) {
	o := d.object
	d.metrics.presumed.Inc()
	e := d.link(payment, "?", m, units, source)
	e.Invoice = ""
	e.Customer, e.Recurring = invoiceCustomer(o), descriptions[o.Text("description")]
	d.emit(e)
}

// presumeOfCharge is presume for events that show a charge, which come beside those
// of its payment intent.
func (d *reader) presumeOfCharge(units int64) {
	o := d.object
	if d.about.APIVersion < linkingVersion || units == 0 || !presumed(o) {
		return
	}
	d.presume(cmp.Or(o.ID("payment_intent"), o.ID("id")), d.currency(o), units, presumedByCharge)
}

// linkPayment states what a payment intent says of the invoice that it was for, and
// reports whether it says anything.
func (d *reader) linkPayment(m money, units int64) bool {
	o := d.object
	invoice := referredInvoice(o)
	switch {
	case invoice != "":
		e := d.link(o.ID("id"), invoice, m, units, linkByPayment)
		e.Customer, e.Recurring = invoiceCustomer(o), descriptions[o.Text("description")]
		d.emit(e)
		// An allocation to the same invoice, which knows no more than the pair, stands
		// above that; whether it is of a subscription is said beside it.
		if e.Recurring && d.about.APIVersion >= linkingVersion {
			d.presume(o.ID("id"), m, units, presumedByPayment)
		}
	case d.about.APIVersion >= linkingVersion && presumed(o):
		d.presume(o.ID("id"), m, units, presumedByPayment)
	default:
		return own(o) || d.about.APIVersion < linkingVersion
	}
	return true
}

// doubt emits a payment that may be for an invoice, and marks it. The mark is an
// attribution where the payment has no metadata of its own: that of the Checkout
// session that it came by, which settles the doubt, goes before.
func (d *reader) doubt(e revenue.Event) {
	d.metrics.unlinked.Inc()
	marks := map[string]string{provisional: revenue.DetailProvisional}
	if len(e.Metadata) > 0 {
		note(&e.Dimensions, d.object, marks, "metadata")
		d.emit(e)
		return
	}
	d.emit(e)
	mark := d.statement(revenue.KindAttribution, e.ObjectID+":"+provisional, e.ObjectID, e.OccurredAt)
	mark.Version, mark.Original, mark.ExternalID = 1, e.ObjectID, e.ObjectID
	note(&mark.Dimensions, object{}, marks)
	d.emit(mark)
}
