package recurly

import (
	"context"
	"errors"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// readPayment reads the transaction that a webhook names, and the invoice that it is
// for, which says what for.
func (e *event) readPayment(ctx context.Context) error {
	transaction, err := e.fetch(ctx, "transactions", e.id())
	if err != nil {
		return err
	}
	var invoice connectors.Object
	if id := transaction.ID("invoice"); id != "" && moved(transaction) {
		invoice, err = e.fetch(ctx, "invoices", id)
		if err != nil && !errors.Is(err, connectors.ErrMalformed) { // the money moved all the same
			return err
		}
	}
	e.transaction(transaction, invoice)
	return nil
}

// readInvoice reads the transactions of the invoice that a webhook names.
func (e *event) readInvoice(ctx context.Context) error {
	id := e.named.ID("id")
	if number := e.named.ID("invoice_number"); number != "" {
		id = "number-" + number
	} else if e.named.Text("uuid") != "" {
		id = e.id()
	}
	invoice, err := e.fetch(ctx, "invoices", id)
	if err != nil {
		return err
	}
	for _, transaction := range invoice.List("transactions") {
		e.transaction(transaction, invoice)
	}
	return nil
}

// kinds are the types of transactions that move money; an authorization and a
// verification do not.
var kinds = map[string]revenue.Kind{
	"purchase": revenue.KindCharge,
	"capture":  revenue.KindCharge,
	"refund":   revenue.KindRefund,
}

// moved tells a transaction that went through, also one that was taken back since.
func moved(transaction connectors.Object) bool {
	switch transaction.Text("status") {
	case "success", "void", "chargeback":
		return true
	default: // declined, error, pending, processing, scheduled
		return false
	}
}

// transaction reads money that moved. A chargeback is told of by its payment, and by
// a refund that names it; both speak of one dispute.
func (e *event) transaction(o, invoice connectors.Object) {
	kind, known := kinds[o.Text("type")]
	if !known || !moved(o) {
		return
	}
	currency := e.Currency(o, "currency")
	amount := e.Major(o, currency, "amount")
	if amount == 0 {
		return
	}
	status, chargedBack := o.Text("status"), o.Text("origin") == "chargeback"
	id := e.RequiredID(o, "id")
	t := e.begin(kind, id, o)
	t.Amount, t.Currency, t.PaymentMethod = amount, currency, o.Text("payment_method.object", "collection_method")
	t.Invoice = o.ID("invoice")
	if status == "void" {
		t.Status = revenue.StatusFailed
	}
	switch original := o.ID("original_transaction_id"); {
	case kind == revenue.KindCharge:
		t.Payment = id
		e.invoiced(&t, invoice)
		e.Emit(t)
		if status == "chargeback" {
			e.dispute(o, id, t)
		}
	case chargedBack && original != "":
		e.dispute(o, original, t)
	default:
		t.Original = original
		e.Emit(t)
	}
}

// dispute states that a payment was charged back.
func (e *event) dispute(o connectors.Object, payment string, of revenue.Event) {
	d := e.begin(revenue.KindDispute, payment, o)
	d.Amount, d.Currency, d.Status, d.Original = of.Amount, of.Currency, of.Status, payment
	d.OccurredAt = e.updatedAt(o)
	e.Emit(d)
}

func (e *event) begin(kind revenue.Kind, id string, o connectors.Object) revenue.Event {
	s := e.Statement(kind, id, e.account(o), e.RequiredTime(o, "collected_at", "created_at"))
	s.Version = connectors.Version(e.updatedAt(o))
	s.Customer, s.Country = o.ID("account.code", "account"), o.Text("billing_address.country")
	if ids, _ := o.Value("subscription_ids").([]any); len(ids) > 0 {
		s.Subscription = connectors.Object{"id": ids[0]}.ID("id")
		s.Recurring = true
	}
	return s
}

// invoiced fills a charge from its invoice. Tax and discount are known of a payment
// of the whole invoice only.
func (e *event) invoiced(t *revenue.Event, invoice connectors.Object) {
	switch invoice.Text("origin") {
	case "renewal", "immediate_change":
		t.Billing = revenue.BillingRenewal
	case "purchase":
		t.Billing = revenue.BillingFirst
		if t.Subscription == "" {
			t.Billing = revenue.BillingOneTime
		}
	}
	if invoice == nil || e.Major(invoice, t.Currency, "total") != t.Amount {
		return
	}
	t.Tax = min(t.Amount, e.Major(invoice, t.Currency, "tax"))
	t.Discount = e.Major(invoice, t.Currency, "discount")
}
