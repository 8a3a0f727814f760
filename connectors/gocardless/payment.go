package gocardless

import (
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks of a refund's status, the versions of its statements.
const (
	rankPaid = iota + 1
	rankReturned
)

// moment is when the event happened, to the millisecond.
func (e *event) moment() time.Time { return e.RequiredTime(e.data, "created_at") }

// group is whose group the object belongs to.
func (e *event) group(fallback string) string {
	if e.customer != "" {
		return e.customer
	}
	return fallback
}

// confirmed is money. That it is paid out as well changes nothing, but makes up for
// a confirmation that got lost; so it is dated by the payment and not by the event.
func (e *event) confirmed() {
	c := e.charge(e.RequiredTime(e.object, "charge_date", "created_at"))
	e.emit(c)
}

// failed takes the payment back, which may be tried again.
func (e *event) failed() {
	c := e.charge(e.moment())
	c.Status = revenue.StatusFailed
	e.emit(c)
}

func (e *event) charge(at time.Time) revenue.Event {
	c := e.cash(revenue.KindCharge, at)
	c.Subscription, c.PaymentMethod = e.object.ID("links.subscription"), e.object.Text("scheme")
	if c.Recurring = c.Subscription != ""; !c.Recurring {
		c.Billing = revenue.BillingOneTime
	}
	if reference := e.object.Text("reference"); reference != "" {
		c.ExternalID = reference
	}
	return c
}

// chargedBack takes the payment back. A chargeback before it may have been
// cancelled, which then holds no longer.
func (e *event) chargedBack() {
	dispute := e.cash(revenue.KindDispute, e.moment())
	dispute.Original, dispute.Reason = dispute.ObjectID, e.data.Text("details.cause")
	e.emit(dispute)
	e.reversal(revenue.StatusFailed)
}

func (e *event) chargebackCancelled() { e.reversal(revenue.StatusSettled) }

// reversal states whether the latest chargeback of the payment was taken back.
func (e *event) reversal(status revenue.Status) {
	reversal := e.cash(revenue.KindDisputeReversal, e.moment())
	reversal.Original, reversal.Status = reversal.ObjectID, status
	e.emit(reversal)
}

func (e *event) refundPaid() { e.refund(rankPaid, revenue.StatusSettled) }

// refundReturned takes back a refund that did not reach the customer.
func (e *event) refundReturned() { e.refund(rankReturned, revenue.StatusFailed) }

func (e *event) refund(rank int64, status revenue.Status) {
	id := e.RequiredID(e.object, "id")
	refund := e.Statement(revenue.KindRefund, id, e.group(e.object.ID("links.payment", "id")), e.moment())
	refund.Version, refund.Status = rank, status
	e.fill(&refund)
	refund.Original, refund.Payment = e.object.ID("links.payment"), e.object.ID("links.payment")
	e.emit(refund)
}

// cash begins a statement about the payment, of which the latest event is right.
func (e *event) cash(kind revenue.Kind, at time.Time) revenue.Event {
	id := e.RequiredID(e.object, "id")
	c := e.Statement(kind, id, e.group(id), at)
	c.Version, c.Payment = connectors.Version(e.moment()), id
	e.fill(&c)
	return c
}

func (e *event) fill(c *revenue.Event) {
	c.Currency = e.Currency(e.object, "currency")
	c.Amount = e.Minor(e.object, c.Currency, "amount")
	c.Customer = e.customer
	connectors.Note(&c.Dimensions, e.object, "metadata")
}

// emit leaves out what is worth nothing.
func (e *event) emit(c revenue.Event) {
	if c.Amount != 0 {
		e.Emit(c)
	}
}
