package lemonsqueezy

import (
	"context"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// paidStatuses are those of orders and invoices that were paid, if only for a while.
var paidStatuses = map[string]bool{"paid": true, "refunded": true, "partial_refund": true, "fraudulent": true}

// order reads what was paid for an order.
func (e *event) order(context.Context) error {
	c, paid := e.payment(orderID(e.id))
	if !paid {
		return nil
	}
	c.Billing, c.ExternalID = revenue.BillingOneTime, e.o.Text("identifier")
	c.Product, c.Plan = e.o.ID("first_order_item.product_id"), e.o.ID("first_order_item.variant_id")
	c.Quantity = e.o.Count("first_order_item.quantity")
	e.book(c)
	return nil
}

// invoice reads what was paid for a term of a subscription, or for a change of it.
func (e *event) invoice(context.Context) error {
	c, paid := e.payment(invoiceID(e.id))
	if !paid {
		return nil
	}
	c.Subscription, c.Recurring, c.Invoice = e.RequiredID(e.o, "subscription_id"), true, c.ObjectID
	c.PaymentMethod = e.o.Text("card_brand")
	c.Billing = revenue.BillingRenewal // renewal, updated
	if e.o.Text("billing_reason") == "initial" {
		c.Billing = revenue.BillingFirst
	}
	e.book(c)
	return nil
}

// payment begins the charge of an order or invoice; a total of nothing is none.
func (e *event) payment(id string) (_ revenue.Event, paid bool) {
	if !paidStatuses[e.o.Text("status")] {
		return revenue.Event{}, false
	}
	currency := e.Currency(e.o, "currency")
	amount := e.Minor(e.o, currency, "total")
	if amount == 0 {
		return revenue.Event{}, false
	}
	c := e.Statement(revenue.KindCharge, id, e.customer(), e.RequiredTime(e.o, "created_at"))
	c.Version = connectors.Version(e.updatedAt())
	c.Amount, c.Currency = amount, currency
	c.Tax = min(amount, e.Minor(e.o, currency, "tax"))
	c.Discount = e.Minor(e.o, currency, "discount_total")
	c.Customer, c.Payment = e.customer(), id
	e.note(&c.Dimensions)
	return c, true
}

// book states a charge, and what was refunded of it so far, which only grows. Objects
// of before partial refunds say no amount: all of it.
func (e *event) book(c revenue.Event) {
	e.Emit(c)
	refunded := e.Minor(e.o, c.Currency, "refunded_amount")
	if e.o.Value("refunded_amount") == nil && e.o.Flag("refunded") {
		refunded = c.Amount
	}
	if refunded == 0 {
		return
	}
	r := e.Statement(revenue.KindRefundTotal, c.ObjectID, e.customer(), e.RequiredTime(e.o, "refunded_at", "updated_at"))
	r.Version, r.Amount, r.Currency, r.Original = refunded, refunded, c.Currency, c.ObjectID
	r.Customer, r.Subscription, r.Recurring, r.ExternalID = c.Customer, c.Subscription, c.Recurring, c.ExternalID
	e.Emit(r)
}
