package chargebee

import (
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks within one rendering of a transaction, added to its version, which has room
// for them below the millisecond: what was taken back stands before what came with
// its invoice, and that before what came alone.
const (
	rankInvoice = 1 << iota
	rankTakenBack
	rankDeleted
)

// kinds are the types of transactions that move money; an authorization does not.
var kinds = map[string]revenue.Kind{
	"payment":          revenue.KindCharge,
	"refund":           revenue.KindRefund,
	"payment_reversal": revenue.KindDispute,
}

// transaction reads money that moved. What is in progress, failed or waits for a
// decision has not.
func (e *event) transaction(o connectors.Object) {
	kind, moves := kinds[o.Text("type")]
	status := o.Text("status")
	undone := status == "voided" || status == "late_failure"
	if !moves || status != "success" && !undone {
		return
	}
	currency := e.currency("transaction")
	amount := e.Minor(o, currency, "amount")
	if amount == 0 {
		return
	}
	t := e.Statement(kind, e.RequiredID(o, "id"), e.customer(o), e.RequiredTime(o, "date", "settled_at"))
	t.Version = connectors.Version(e.renderedAt(o))
	t.Amount, t.Currency = amount, currency
	t.Customer, t.Subscription = e.customer(o), o.ID("subscription_id")
	t.PaymentMethod = o.Text("payment_method", "gateway")
	// A payment that failed late and was reversed is told of by its reversal.
	reversed := status == "late_failure" && o.ID("reversal_transaction_id") != ""
	if undone && !reversed {
		t.Version |= rankTakenBack
		t.Status = revenue.StatusFailed
	}
	if o.Flag("deleted") {
		t.Version |= rankDeleted
		t.Deleted = true
	}
	if kind == revenue.KindCharge {
		t.Payment = t.ObjectID
		e.invoiced(&t, o)
	} else {
		t.Original = e.original(o)
	}
	e.Emit(t)
}

// currency is an object's own, or the site's.
func (e *event) currency(object string) string {
	code := e.content.Text(object+".currency_code", "invoice.currency_code")
	if code == "" {
		code = e.Delivery.Settings[currencySetting]
	}
	return e.Currency(connectors.Object{"currency_code": code}, "currency_code")
}

// original is the payment that a refund or reversal is about.
func (e *event) original(o connectors.Object) string {
	if id := o.ID("refunded_txn_id", "reference_transaction_id"); id != "" {
		return id
	}
	for _, payment := range o.List("linked_payments") {
		return payment.ID("id")
	}
	return ""
}

// invoiced fills a charge from the invoice that it pays, if the event has it. Tax
// and discount are known of a payment of the whole invoice only.
func (e *event) invoiced(t *revenue.Event, o connectors.Object) {
	invoice := e.content.Child("invoice")
	t.Invoice = o.ID("invoice_id")
	linked := o.List("linked_invoices")
	if len(linked) == 1 {
		t.Invoice = linked[0].ID("invoice_id")
	}
	if invoice == nil {
		return
	}
	t.Version |= rankInvoice
	t.Invoice = invoice.ID("id")
	if t.Subscription == "" {
		t.Subscription = invoice.ID("subscription_id")
	}
	if total := e.Minor(invoice, t.Currency, "total", "amount"); total == t.Amount {
		t.Tax = min(t.Amount, e.Minor(invoice, t.Currency, "tax"))
		t.Discount = e.discounts(invoice, t.Currency)
	}
	t.Recurring, t.Billing = billing(invoice)
	if line := mainLine(invoice); line != nil {
		t.Plan, t.Quantity = line.ID("entity_id"), line.Count("quantity")
	}
	connectors.Note(&t.Dimensions, e.content, "customer.meta_data", "subscription.meta_data")
}

func (e *event) discounts(invoice connectors.Object, currency string) int64 {
	var sum int64
	for _, discount := range invoice.List("discounts") {
		sum += max(0, e.Minor(discount, currency, "amount"))
	}
	return sum
}

// billing is an invoice's place in its subscription, as far as the invoice says it:
// only newer ones say whether they are the first.
func billing(invoice connectors.Object) (recurring bool, _ revenue.Billing) {
	switch {
	case !invoice.Flag("recurring") || mainLine(invoice) == nil:
		return false, revenue.BillingOneTime
	case !invoice.Has("first_invoice"):
		return true, ""
	case invoice.Flag("first_invoice"):
		return true, revenue.BillingFirst
	default:
		return true, revenue.BillingRenewal
	}
}

// mainLine is what an invoice is mainly about: its first line for a plan, or else
// for an addon; nil if it has but charges. The lines of the first API do not say
// what they are for.
func mainLine(invoice connectors.Object) connectors.Object {
	lines := invoice.List("line_items")
	for _, entity := range []string{"plan", "addon"} {
		for _, line := range lines {
			kind := line.Text("entity_type")
			if kind == "" || strings.HasPrefix(kind, entity) && kind != "plan_setup" {
				return line
			}
		}
	}
	return nil
}
