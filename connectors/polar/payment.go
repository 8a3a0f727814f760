package polar

import (
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// order reads what was paid for an order, and what was given back of it so far. One
// that is a draft, pending or void was not paid.
func (e *event) order() {
	o := e.o
	switch o.Text("status") {
	case "paid", "refunded", "partially_refunded":
	default:
		return
	}
	currency := e.Currency(o, "currency")
	// The customer's balance pays for a part if it is negative here, and is a debt that
	// is paid off too if it is not.
	amount := e.Minor(o, currency, "total_amount") + e.Minor(o, currency, "applied_balance_amount")
	if amount <= 0 {
		return
	}
	id := e.RequiredID(o, "id")
	c := e.Statement(revenue.KindCharge, id, e.customer(), e.RequiredTime(o, "created_at"))
	c.Version = connectors.Version(e.modifiedAt())
	c.Amount, c.Currency = amount, currency
	c.Tax = min(amount, e.Minor(o, currency, "tax_amount"))
	c.Discount = e.Minor(o, currency, "discount_amount")
	if in := o.Text("platform_fee_currency"); in == "" || strings.EqualFold(in, currency) {
		c.Fee = min(amount-c.Tax, e.Minor(o, currency, "platform_fee_amount"))
	}
	c.Customer, c.Subscription, c.Payment = e.customer(), o.ID("subscription_id", "subscription"), id
	c.Invoice, c.Country = o.Text("invoice_number"), o.Text("billing_address.country")
	c.Product, c.Plan, c.Quantity = o.ID("product_id", "product"), o.ID("product_id", "product"), o.Count("seats")
	switch o.Text("billing_reason") {
	case "purchase":
		c.Billing = revenue.BillingOneTime
	case "subscription_create":
		c.Billing = revenue.BillingFirst
	case "subscription_cycle", "subscription_update":
		c.Billing = revenue.BillingRenewal
	}
	c.Recurring = c.Subscription != "" && c.Billing != revenue.BillingOneTime
	e.note(&c.Dimensions)
	e.Emit(c)
	e.refunded(c)
}

// refunded states what was given back of an order in all. Whatever refunds of their
// own account for is not counted again.
func (e *event) refunded(c revenue.Event) {
	tax := e.Minor(e.o, c.Currency, "refunded_tax_amount")
	total := e.Minor(e.o, c.Currency, "refunded_amount") + tax
	if total == 0 {
		return
	}
	r := e.Statement(revenue.KindRefundTotal, c.ObjectID, e.customer(), e.modifiedAt())
	r.Version = c.Version
	r.Amount, r.Tax, r.Currency, r.Original = total, min(total, tax), c.Currency, c.ObjectID
	r.Customer, r.Subscription, r.Recurring = c.Customer, c.Subscription, c.Recurring
	e.Emit(r)
}

// Ranks of a refund's status, the versions of its statements: events may come in any
// order, and the furthest status stands. One that is pending has moved nothing yet.
var ranks = map[string]int64{"succeeded": 1, "failed": 2, "canceled": 2}

// refund reads money that goes back.
func (e *event) refund() {
	o := e.o
	rank, moves := ranks[o.Text("status")]
	if !moves {
		return
	}
	currency := e.Currency(o, "currency")
	tax := e.Minor(o, currency, "tax_amount")
	amount := e.Minor(o, currency, "amount") + tax
	r := e.Statement(revenue.KindRefund, e.RequiredID(o, "id"), e.customer(), e.RequiredTime(o, "created_at"))
	r.Version = rank
	if o.Text("status") != "succeeded" {
		r.Status = revenue.StatusFailed
	}
	r.Amount, r.Tax, r.Currency, r.Original = amount, min(amount, tax), currency, e.RequiredID(o, "order_id")
	r.Customer, r.Subscription, r.Reason = e.customer(), o.ID("subscription_id"), o.Text("reason")
	e.note(&r.Dimensions)
	e.Emit(r)
}
