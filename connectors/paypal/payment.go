package paypal

import (
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks of a status, the versions of statements about payments and refunds.
const (
	rankMoved = iota + 1
	rankFailed
)

// sale is a payment of the first version of the API.
func (e *event) sale() {
	if state := e.resource.Text("state"); state != "completed" {
		return
	}
	c := e.charge()
	c.Subscription = e.resource.ID("billing_agreement_id")
	c.Invoice = e.resource.ID("invoice_number")
	c.Tax = min(c.Amount, e.Major(e.resource, c.Currency, "amount.details.tax"))
	if c.Subscription == "" {
		c.Billing = revenue.BillingOneTime
		e.emit(c)
		return
	}
	c.Recurring = true
	if c.Amount != 0 {
		e.EmitLinked(c, groupOf(c.Subscription))
		e.inForce()
	}
}

// capture is a payment of the second version.
func (e *event) capture() {
	switch e.resource.Text("status") {
	case "COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED": // the last two if it is told late
	default:
		return
	}
	c := e.charge()
	c.Billing, c.Invoice = revenue.BillingOneTime, e.resource.ID("invoice_id")
	if order := e.resource.ID("supplementary_data.related_ids.order_id"); order != "" {
		c.ExternalID = order
	}
	e.emit(c)
}

// charge begins the statement about a payment, in its own group.
func (e *event) charge() revenue.Event {
	id := e.RequiredID(e.resource, "id")
	c := e.cash(revenue.KindCharge, id, id)
	c.Payment = id
	fee := e.resource.Child("seller_receivable_breakdown.paypal_fee", "transaction_fee")
	// A fee in another currency is no part of the amount that could be told.
	if strings.EqualFold(fee.Text("currency_code", "currency"), c.Currency) {
		c.Fee = min(c.Amount, e.Major(fee, c.Currency, "value"))
	}
	return c
}

// refund moved nothing while it is pending, and nothing if it failed.
func (e *event) refund() {
	status := revenue.StatusSettled
	switch e.resource.Text("status", "state") {
	case "COMPLETED", "completed":
	case "FAILED", "failed", "CANCELLED", "cancelled":
		status = revenue.StatusFailed
	default:
		return
	}
	payment := e.payment()
	if payment == "" {
		e.Invalid("resource.links", "names no payment that the refund is of")
	}
	r := e.cash(revenue.KindRefund, e.RequiredID(e.resource, "id"), payment)
	r.Original = payment
	if r.Status = status; status == revenue.StatusFailed {
		r.Version = rankFailed
	}
	e.emit(r)
}

// reversed is money that PayPal took back. What it names may be the payment itself.
func (e *event) reversed() {
	id := e.RequiredID(e.resource, "id")
	payment := e.payment()
	if payment == "" {
		payment = id
	}
	d := e.cash(revenue.KindDispute, id, payment)
	d.Original, d.Reason = payment, e.resource.Text("reason_code", "status_details.reason")
	e.emit(d)
}

// payment is what a refund or reversal is about: in the first version a member, in
// the second a link "up".
func (e *event) payment() string {
	if id := e.resource.ID("sale_id", "capture_id"); id != "" {
		return id
	}
	for _, link := range e.resource.List("links") {
		_, id, found := strings.Cut(link.Text("href"), "/v2/payments/captures/")
		if found && link.Text("rel") == "up" && !strings.ContainsAny(id, "/?#") {
			return id
		}
	}
	return ""
}

func (e *event) cash(kind revenue.Kind, id, group string) revenue.Event {
	c := e.Statement(kind, id, group, e.createdAt())
	c.Version = rankMoved
	c.Currency = e.Currency(e.resource, "amount.currency_code", "amount.currency")
	c.Amount = e.Major(e.resource, c.Currency, "amount.value", "amount.total")
	if c.Amount < 0 && kind != revenue.KindCharge {
		c.Amount = -c.Amount // of money that goes back, which has been sent with a sign
	}
	own := connectors.Object{}
	if custom := e.resource.Text("custom_id", "custom"); custom != "" {
		own["custom_id"] = custom
	}
	connectors.Note(&c.Dimensions, connectors.Object{"own": map[string]any(own)}, "own")
	return c
}

// emit leaves out what is worth nothing.
func (e *event) emit(c revenue.Event) {
	if c.Amount != 0 {
		e.Emit(c)
	}
}
