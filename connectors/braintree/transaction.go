package braintree

import (
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks, the versions of statements about transactions: what a subscription says of
// its transaction is more than what it says of itself, and a failure is final.
const (
	rankMoved = iota + 1
	rankOfSubscription
	rankFailed
)

// settlements are the statuses of a transaction that is money, or is on its way to
// be (StatusSettled), and of one that was and is not any more.
var settlements = map[string]revenue.Status{
	"submitted_for_settlement": revenue.StatusSettled,
	"settlement_pending":       revenue.StatusSettled,
	"settlement_confirmed":     revenue.StatusSettled,
	"settling":                 revenue.StatusSettled,
	"settled":                  revenue.StatusSettled,
	"settlement_declined":      revenue.StatusFailed,
	"voided":                   revenue.StatusFailed,
	"failed":                   revenue.StatusFailed,
	"processor_declined":       revenue.StatusFailed,
	"gateway_rejected":         revenue.StatusFailed,
}

// timestamp is when the notification was made.
func (n *notification) timestamp() time.Time { return n.RequiredTime(n.data, "timestamp") }

// transaction reads one that a notification is about.
func (n *notification) transaction() {
	n.money(n.subject.Child("transaction", "local_payment.transaction", "local_payment_funded.transaction"), nil)
}

// money states what a transaction moved; subscription is what listed it, if
// anything did.
func (n *notification) money(o, subscription connectors.Object) {
	if o.Text("status") == "" {
		n.Invalid("transaction.status", "is required")
	}
	status, moved := settlements[o.Text("status")]
	if !moved {
		return // authorized, or not even that
	}
	if o.Text("type") == "credit" || o.ID("refunded_transaction_id") != "" {
		n.refund(o, status)
		return
	}
	n.charge(o, subscription, status)
}

func (n *notification) charge(o, subscription connectors.Object, status revenue.Status) {
	id := n.RequiredID(o, "id")
	subscriptionID := subscription.ID("id")
	if subscriptionID == "" {
		subscriptionID = o.ID("subscription_id")
	}
	c := n.cash(revenue.KindCharge, o, id, status)
	c.Payment, c.Subscription, c.Plan = id, subscriptionID, o.ID("plan_id")
	c.Recurring = subscriptionID != ""
	switch {
	case !c.Recurring:
		c.Billing = revenue.BillingOneTime
	case subscription != nil:
		c.Version = max(c.Version, rankOfSubscription)
		c.Plan = subscription.ID("plan_id")
		c.Billing = billing(subscription)
	}
	switch {
	case c.Amount == 0:
	case c.Recurring:
		n.EmitLinked(c, groupOf(subscriptionID))
	default:
		n.Emit(c)
	}
}

// billing is the place of a subscription's newest charge. The number of the cycle
// may be missing, and is 0 for what is charged within a trial.
func billing(subscription connectors.Object) revenue.Billing {
	switch cycle := subscription.Count("current_billing_cycle"); {
	case cycle == 1:
		return revenue.BillingFirst
	case cycle > 1:
		return revenue.BillingRenewal
	default:
		return ""
	}
}

func (n *notification) refund(o connectors.Object, status revenue.Status) {
	original := o.ID("refunded_transaction_id", "id")
	r := n.cash(revenue.KindRefund, o, original, status)
	if r.Original = original; original == r.ObjectID {
		r.Original = "" // a credit that refunds no transaction
	}
	if r.Amount != 0 {
		n.Emit(r)
	}
}

func (n *notification) cash(kind revenue.Kind, o connectors.Object, group string, status revenue.Status) revenue.Event {
	at := n.Time(o, "created_at")
	if at.IsZero() {
		at = n.timestamp()
	}
	c := n.Statement(kind, n.RequiredID(o, "id"), group, at)
	c.Version, c.Status = rankMoved, status
	if status == revenue.StatusFailed {
		c.Version = rankFailed
	}
	c.Currency = n.Currency(o, "currency_iso_code")
	c.Amount = n.Major(o, c.Currency, "amount")
	c.Tax = min(c.Amount, n.Major(o, c.Currency, "tax_amount"))
	c.Customer, c.PaymentMethod = o.ID("customer.id", "customer_details.id"), o.Text("payment_instrument_type")
	if order := o.ID("order_id"); order != "" {
		c.ExternalID = order
	}
	connectors.Note(&c.Dimensions, o, "custom_fields")
	return c
}

// dispute takes the disputed money back, whichever notification is the first to
// tell of it. A retrieval asks for documents only.
func (n *notification) dispute() {
	if kind := n.subject.Text("dispute.kind"); kind != "retrieval" {
		d := n.disputed(revenue.KindDispute, n.Time(n.subject, "dispute.created_at", "dispute.received_date", "dispute.date_opened"))
		n.Emit(d)
	}
}

// disputeWon says what came back of it, which may be less.
func (n *notification) disputeWon() {
	if kind := n.subject.Text("dispute.kind"); kind == "retrieval" {
		return
	}
	n.dispute()
	won := n.disputed(revenue.KindDisputeReversal, n.Time(n.subject, "dispute.date_won"))
	if n.subject.Value("dispute.amount_won") != nil {
		won.Amount = n.Major(n.subject, won.Currency, "dispute.amount_won")
	}
	if won.Amount != 0 {
		n.Emit(won)
	}
}

func (n *notification) disputed(kind revenue.Kind, at time.Time) revenue.Event {
	if at.IsZero() {
		at = n.timestamp()
	}
	payment := n.RequiredID(n.subject, "dispute.transaction.id", "dispute.transaction_details.id")
	d := n.Statement(kind, n.RequiredID(n.subject, "dispute.id"), payment, at)
	d.Version, d.Original, d.Reason = rankMoved, payment, n.subject.Text("dispute.reason")
	d.Currency = n.Currency(n.subject, "dispute.currency_iso_code")
	d.Amount = n.Major(n.subject, d.Currency, "dispute.amount_disputed", "dispute.amount")
	return d
}
