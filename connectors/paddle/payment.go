package paddle

import (
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// transaction reads what a transaction has brought in. It is money from paid on;
// completed adds the fee. A total of nothing (a trial) is no fact.
func (e *event) transaction() {
	o := e.data
	if status := o.Text("status"); status != "paid" && status != "completed" {
		return
	}
	currency := e.Currency(o, "currency_code")
	amount := e.Minor(o, currency, "details.totals.grand_total", "details.totals.total")
	if amount == 0 {
		return
	}
	id := e.RequiredID(o, "id")
	c := e.Statement(revenue.KindCharge, id, e.customer(id), e.paidAt())
	c.Version = connectors.Version(e.RequiredTime(o, "updated_at", "created_at"))
	c.Amount, c.Currency = amount, currency
	c.Tax = min(amount, e.Minor(o, currency, "details.totals.grand_total_tax", "details.totals.tax"))
	c.Fee = min(amount, e.Minor(o, currency, "details.totals.fee"))
	c.Discount = e.Minor(o, currency, "details.totals.discount")
	c.Customer, c.Subscription, c.Invoice, c.Payment = o.ID("customer_id"), o.ID("subscription_id"), o.ID("invoice_id"), id
	c.PaymentMethod = e.paymentMethod()
	c.Billing = e.billing()
	c.Recurring = c.Billing != revenue.BillingOneTime
	describe(&c.Dimensions, mainItem(o))
	connectors.Note(&c.Dimensions, o, "custom_data")
	e.Emit(c)
}

// billing is a transaction's place in its subscription. A first payment does not
// name the subscription that it begins; its items say that it recurs.
func (e *event) billing() revenue.Billing {
	recurs := mainItem(e.data).Child("price.billing_cycle") != nil
	switch origin := e.data.Text("origin"); {
	case origin == "subscription_recurring" || origin == "subscription_update":
		return revenue.BillingRenewal
	case origin == "subscription_charge" || !recurs:
		return revenue.BillingOneTime
	default: // web, api: checkouts and invoices by hand
		return revenue.BillingFirst
	}
}

// captured is the payment that went through; the others of the list failed.
func (e *event) captured() connectors.Object {
	for _, payment := range e.data.List("payments") {
		if payment.Text("status") == "captured" {
			return payment
		}
	}
	return nil
}

func (e *event) paidAt() time.Time {
	if at := e.Time(e.captured(), "captured_at"); !at.IsZero() {
		return at
	}
	return e.RequiredTime(e.data, "billed_at", "updated_at", "created_at")
}

func (e *event) paymentMethod() string { return e.captured().Text("method_details.type") }

// Ranks of an adjustment's status, the versions of its statements: events may come
// in any order, and the furthest status stands.
const (
	rankApproved = iota + 1
	rankTakenBack
)

// adjustment reads money that goes back, or comes back again. One that waits for
// approval has moved nothing yet, a credit only lowers the next bill, and a warning
// of a chargeback is none.
func (e *event) adjustment() {
	kind, moves := map[string]revenue.Kind{
		"refund":             revenue.KindRefund,
		"chargeback":         revenue.KindDispute,
		"chargeback_reverse": revenue.KindDisputeReversal,
	}[e.data.Text("action")]
	status := e.data.Text("status")
	if !moves || status == "pending_approval" {
		return
	}
	currency := e.Currency(e.data, "currency_code", "totals.currency_code")
	payment := e.RequiredID(e.data, "transaction_id")
	a := e.Statement(kind, e.RequiredID(e.data, "id"), e.customer(payment), e.RequiredTime(e.data, "created_at"))
	a.Version = rankApproved
	if status != "approved" { // rejected, reversed
		a.Version, a.Status = rankTakenBack, revenue.StatusFailed
	}
	a.Amount, a.Currency, a.Original = e.Minor(e.data, currency, "totals.total"), currency, payment
	a.Tax = min(a.Amount, e.Minor(e.data, currency, "totals.tax"))
	a.Customer, a.Subscription = e.data.ID("customer_id"), e.data.ID("subscription_id")
	a.Reason = e.data.Text("reason")
	e.Emit(a)
}

// mainItem is what a transaction or subscription is mainly about: the dearest of
// the items that recur, or else of all.
func mainItem(o connectors.Object) connectors.Object {
	var main connectors.Object
	var best [2]int64
	for _, item := range o.List("items") {
		rank := [2]int64{0, worthOf(item)}
		if item.Child("price.billing_cycle") != nil {
			rank[0] = 1
		}
		if main == nil || rank[0] > best[0] || rank[0] == best[0] && rank[1] > best[1] {
			main, best = item, rank
		}
	}
	return main
}

func describe(to *revenue.Dimensions, item connectors.Object) {
	to.Product, to.Plan, to.Quantity = item.ID("price.product_id", "product"), item.ID("price"), item.Count("quantity")
	to.Interval, to.IntervalCount = item.Text("price.billing_cycle.interval"), item.Count("price.billing_cycle.frequency")
}
