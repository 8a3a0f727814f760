package shopify

import (
	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks of a transaction's status, the versions of statements about refunds and
// disputes.
const (
	rankMoved = iota + 1
	rankFailed
)

// transaction reads one transaction of an order, of which each change of its status
// is told.
func (e *event) transaction() {
	switch e.data.Text("kind") {
	case "sale", "capture":
		e.received(e.data)
	case "refund", "change": // change is what a till gives back
		e.returned(e.data)
	}
}

// received states a payment, and that it is a part of what the order brought in.
func (e *event) received(o connectors.Object) {
	if o.Text("status") != "success" {
		return
	}
	c := e.cash(revenue.KindCharge, o)
	c.Payment, c.Billing = c.ObjectID, revenue.BillingOneTime
	if c.Amount == 0 {
		return
	}
	e.Emit(c)
	// The order knows whose it is, and the link does not.
	link := e.Statement(revenue.KindLink, c.ObjectID, c.Invoice, c.OccurredAt)
	link.Version, link.Original, link.Amount, link.Currency = rankMoved, c.Invoice, c.Amount, c.Currency
	e.Emit(link)
}

// refund states each transaction of a refund. One that only puts goods back has none.
func (e *event) refund() {
	for _, o := range e.data.List("transactions") {
		if o.Text("kind") == "refund" {
			e.returned(o)
		}
	}
}

// returned states money that went back, or that it did not after all.
func (e *event) returned(o connectors.Object) {
	status, version := revenue.StatusSettled, int64(rankMoved)
	switch o.Text("status") {
	case "success":
	case "failure", "error":
		status, version = revenue.StatusFailed, rankFailed
	default:
		return // pending
	}
	r := e.cash(revenue.KindRefund, o)
	r.Status, r.Version, r.Original = status, version, r.Invoice
	if r.Amount != 0 {
		e.Emit(r)
	}
}

// cash begins the statement about a transaction, in the group of its order.
func (e *event) cash(kind revenue.Kind, o connectors.Object) revenue.Event {
	if o.Flag("test") {
		e.Livemode = false
	}
	order := o.ID("order_id")
	if order == "" {
		order = e.RequiredID(e.data, "order_id")
	}
	c := e.Statement(kind, e.RequiredID(o, "id"), order, e.RequiredTime(o, "processed_at", "created_at"))
	c.Version, c.Invoice = rankMoved, order
	c.Currency = e.Currency(o, "currency")
	c.Amount = e.Major(o, c.Currency, "amount")
	c.PaymentMethod = o.Text("gateway")
	return c
}

// dispute states a chargeback, which takes the money at once, and whether it came
// back. An inquiry takes nothing.
func (e *event) dispute() {
	o := e.data
	if o.Text("type") != "chargeback" {
		return
	}
	e.Emit(e.disputed(revenue.KindDispute, "initiated_at"))
	if o.Text("status") == "won" {
		e.Emit(e.disputed(revenue.KindDisputeReversal, "finalized_on"))
	}
}

func (e *event) disputed(kind revenue.Kind, at string) revenue.Event {
	o := e.data
	id := e.RequiredID(o, "id")
	order := o.ID("order_id", "id")
	d := e.Statement(kind, id, order, e.RequiredTime(o, at, "initiated_at"))
	d.Version, d.Original, d.Invoice, d.Reason = rankMoved, order, order, o.Text("reason")
	d.Currency = e.Currency(o, "currency")
	d.Amount = e.Major(o, d.Currency, "amount")
	return d
}
