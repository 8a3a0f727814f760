// Package thrivestack reads the ThriveStack revenue transactions API and states
// each transaction as the facts that it comes to. A transaction is created,
// updated in part and deleted, so what is known of one is a State, which the
// caller keeps; this package only says what the next one is.
package thrivestack

import (
	"math/big"
	"slices"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Body is a transaction with its members as written, so that an update merges
// with what came before without loss: the amount of a transaction whose currency
// changes is read anew. Members that were not given are left out of its JSON.
type Body struct {
	TransactionID   connectors.Value `json:"transaction_id,omitzero"`
	CustomerID      connectors.Value `json:"customer_id,omitzero"`
	GroupID         connectors.Value `json:"group_id,omitzero"`
	CustomerName    connectors.Value `json:"customer_name,omitzero"`
	InvoiceID       connectors.Value `json:"invoice_id,omitzero"`
	Type            connectors.Value `json:"type,omitzero"`
	Status          connectors.Value `json:"status,omitzero"`
	TransactionDate connectors.Value `json:"transaction_date,omitzero"`
	Date            connectors.Value `json:"date,omitzero"` // what an update calls transaction_date
	Amount          connectors.Value `json:"amount,omitzero"`
	Currency        connectors.Value `json:"currency,omitzero"`
	PaymentMethod   connectors.Value `json:"payment_method,omitzero"`
	TransactionFee  connectors.Value `json:"transaction_fee,omitzero"`
	TaxAmount       connectors.Value `json:"tax_amount,omitzero"`
	DiscountAmount  connectors.Value `json:"discount_amount,omitzero"`
	TermFrequency   connectors.Value `json:"term_frequency,omitzero"`
	TermUnit        connectors.Value `json:"term_unit,omitzero"`
	PeriodStartDate connectors.Value `json:"period_start_date,omitzero"`
	PeriodEndDate   connectors.Value `json:"period_end_date,omitzero"`
	LineItemType    connectors.Value `json:"line_item_type,omitzero"`
}

// ReadBody reads the JSON of a request and its transaction id, which every
// request needs. The other members are not looked at yet. The error is a
// *connectors.InvalidError.
func ReadBody(text []byte) (Body, string, error) {
	var body Body
	if err := connectors.ReadObject(text, &body); err != nil {
		return Body{}, "", err
	}
	var fields connectors.Fields
	id := fields.RequiredText("transaction_id", body.TransactionID)
	return body, id, fields.Err()
}

// updatable are the members that an update can change: those of the contract's
// table. A transaction does not change its customer or invoice.
func (b *Body) updatable() []*connectors.Value {
	return []*connectors.Value{
		&b.Type, &b.Status, &b.TransactionDate, &b.Amount, &b.Currency, &b.PaymentMethod,
		&b.TransactionFee, &b.TaxAmount, &b.DiscountAmount, &b.TermFrequency, &b.TermUnit,
		&b.PeriodStartDate, &b.PeriodEndDate, &b.LineItemType,
	}
}

// merge is the body with the given members of an update.
func (b Body) merge(update Body) Body {
	if connectors.Given(update.Date) {
		update.TransactionDate = update.Date
	}
	changes := update.updatable()
	for i, member := range b.updatable() {
		if change := *changes[i]; connectors.Given(change) && string(change) != `""` {
			*member = change
		}
	}
	return b
}

// transaction is a body that was found valid.
type transaction struct {
	id, customer, customerName, group, invoice string

	refund       bool // type refund, else payment
	status       string
	subscription bool // line_item_type subscription, else one_time

	at                         time.Time
	amount, fee, tax, discount int64 // minor units
	currency, paymentMethod    string

	termUnit               string
	termFrequency          int64
	periodStart, periodEnd time.Time
	presumedEnd            bool // by the term, not by the caller
	// mrr is what the term is worth, listMRR what it would be without the discount.
	mrr, listMRR int64 // MRR units
}

// Statuses of the contract.
const (
	statusPaid        = "paid"
	statusCancelled   = "cancelled"
	statusFailed      = "failed"
	statusRefund      = "refund"
	statusChargedBack = "charged_back"
)

// termFrequencyMax bounds the intervals of a term: some 27 years of days.
const termFrequencyMax = 10_000

// read checks a whole transaction. Amounts are what was charged: tax included,
// after discount. The error is a *connectors.InvalidError.
func (b Body) read(now time.Time) (transaction, error) {
	fields := connectors.Fields{Now: now}
	kind := fields.Choice("type", b.Type, "payment", "refund")
	line := fields.Choice("line_item_type", b.LineItemType, "subscription", "one_time")
	t := transaction{
		id:           fields.RequiredText("transaction_id", b.TransactionID),
		customer:     fields.RequiredText("customer_id", b.CustomerID),
		group:        fields.RequiredText("group_id", b.GroupID),
		customerName: fields.Text("customer_name", b.CustomerName),
		invoice:      fields.Text("invoice_id", b.InvoiceID),
		refund:       kind == "refund",
		status: fields.Choice("status", b.Status,
			statusPaid, statusCancelled, statusFailed, statusRefund, statusChargedBack),
		subscription:  line == "subscription",
		at:            fields.OccurredAt("transaction_date", b.TransactionDate),
		currency:      fields.Currency("currency", b.Currency, "USD"),
		paymentMethod: fields.Choice("payment_method", b.PaymentMethod, "credit_card", "paypal", "stripe"),
	}
	for _, required := range [...]struct {
		name    string
		missing bool
	}{
		{"type", kind == ""}, {"status", t.status == ""}, {"transaction_date", t.at.IsZero()},
		{"amount", !connectors.Given(b.Amount)}, {"line_item_type", line == ""},
	} {
		if required.missing {
			fields.Missing(required.name)
		}
	}
	t.readAmounts(&fields, b)
	t.readTerm(&fields, b)
	if err := fields.Err(); err != nil {
		return transaction{}, err
	}
	return t, nil
}

func (t *transaction) readAmounts(fields *connectors.Fields, b Body) {
	for _, amount := range [...]struct {
		name  string
		value connectors.Value
		to    *int64
	}{
		{"amount", b.Amount, &t.amount}, {"transaction_fee", b.TransactionFee, &t.fee},
		{"tax_amount", b.TaxAmount, &t.tax}, {"discount_amount", b.DiscountAmount, &t.discount},
	} {
		if *amount.to = fields.Amount(amount.name, amount.value, t.currency); *amount.to < 0 {
			fields.Invalid(amount.name, "must not be negative: the type says which way the money went")
		}
	}
	if t.tax > t.amount {
		fields.Invalid("tax_amount", "must not exceed the amount, which includes it")
	}
}

func (t *transaction) readTerm(fields *connectors.Fields, b Body) {
	t.termUnit, t.termFrequency = "month", 1
	if unit := fields.Choice("term_unit", b.TermUnit, "day", "week", "month", "year"); unit != "" {
		t.termUnit = unit
	}
	if connectors.Given(b.TermFrequency) {
		t.termFrequency = fields.Integer("term_frequency", b.TermFrequency, 1, termFrequencyMax)
	}
	t.periodStart = fields.PeriodBound("period_start_date", b.PeriodStartDate)
	t.periodEnd = fields.InclusivePeriodEnd("period_end_date", b.PeriodEndDate)
	if fields.Err() != nil || !t.subscription {
		return
	}
	if t.periodStart.IsZero() {
		t.periodStart = t.at
	}
	if t.periodEnd.IsZero() {
		t.presumedEnd = true
		t.periodEnd = connectors.AddTerm(t.periodStart, t.termUnit, int(t.termFrequency))
		fields.CheckPeriodBound("term_frequency", t.periodEnd)
	}
	if !t.periodStart.Before(t.periodEnd) {
		fields.Invalid("period_end_date", "must lie after the start of the period")
	}
	monthly := func(name string, minor int64) int64 {
		mrr, err := revenue.MonthlyMRR(big.NewRat(minor, 1), t.termUnit, t.termFrequency)
		if err != nil {
			fields.Invalid(name, "has no monthly value: %v", err)
		}
		return mrr
	}
	t.mrr = monthly("amount", t.amount-t.tax)
	t.listMRR = monthly("discount_amount", t.amount-t.tax+t.discount)
}

// equal reports whether two bodies say the same.
func (b Body) equal(other Body) bool {
	return slices.EqualFunc(b.members(), other.members(), func(a, b *connectors.Value) bool { return string(*a) == string(*b) })
}

func (b *Body) members() []*connectors.Value {
	return append(b.updatable(), &b.TransactionID, &b.CustomerID, &b.GroupID, &b.CustomerName, &b.InvoiceID)
}
