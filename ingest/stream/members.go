package stream

import (
	"encoding/json"
	"time"

	"revstream/ingest/revenue"
)

// member is one member of the published JSON object: its name, and where in the
// event it lives. Exactly one accessor is set. One list serves the encoder, the
// decoder and the documentation, so that they cannot disagree.
type member struct {
	name     string
	required bool // must be present, and not empty if it is text
	always   bool // written even when zero

	text    func(*revenue.Event) *string
	number  func(*revenue.Event) *int64
	flag    func(*revenue.Event) *bool
	instant func(*revenue.Event) *time.Time
	moment  func(*revenue.Event) **time.Time // optional
	raw     func(*revenue.Event) *json.RawMessage
	object  []member
}

type event = revenue.Event

// members lists the encoding in the order it is written. The order is that of
// revenue.Event; a test holds the names against its json tags. "v" precedes it.
var members = []member{
	{name: "workspace", required: true, text: func(e *event) *string { return &e.Workspace }},
	{name: "provider", required: true, text: func(e *event) *string { return &e.Provider }},
	{name: "account", text: func(e *event) *string { return &e.Account }},
	{name: "livemode", always: true, flag: func(e *event) *bool { return &e.Livemode }},
	{name: "object_id", required: true, text: func(e *event) *string { return &e.ObjectID }},
	{name: "kind", required: true, text: func(e *event) *string { return (*string)(&e.Kind) }},
	{name: "test_clock", text: func(e *event) *string { return &e.TestClock }},
	{name: "group", required: true, text: func(e *event) *string { return &e.Group }},
	{name: "version", always: true, number: func(e *event) *int64 { return &e.Version }},
	{name: "deleted", flag: func(e *event) *bool { return &e.Deleted }},
	{name: "occurred_at", required: true, instant: func(e *event) *time.Time { return &e.OccurredAt }},
	{name: "received_at", required: true, instant: func(e *event) *time.Time { return &e.ReceivedAt }},

	{name: "amount", number: func(e *event) *int64 { return &e.Amount }},
	{name: "tax", number: func(e *event) *int64 { return &e.Tax }},
	{name: "fee", number: func(e *event) *int64 { return &e.Fee }},
	{name: "discount", number: func(e *event) *int64 { return &e.Discount }},
	{name: "currency", text: func(e *event) *string { return &e.Currency }},
	{name: "recurring", flag: func(e *event) *bool { return &e.Recurring }},
	{name: "billing", text: func(e *event) *string { return (*string)(&e.Billing) }},
	{name: "status", text: func(e *event) *string { return (*string)(&e.Status) }},
	{name: "original", text: func(e *event) *string { return &e.Original }},

	{name: "mrr", number: func(e *event) *int64 { return &e.MRR }},
	{name: "closes_mrr", flag: func(e *event) *bool { return &e.ClosesMRR }},
	{name: "ends_at", moment: func(e *event) **time.Time { return &e.EndsAt }},
	{name: "cancel_requested_at", moment: func(e *event) **time.Time { return &e.CancelRequestedAt }},
	{name: "period_start", moment: func(e *event) **time.Time { return &e.PeriodStart }},
	{name: "period_end", moment: func(e *event) **time.Time { return &e.PeriodEnd }},
	{name: "reason", text: func(e *event) *string { return &e.Reason }},

	{name: "customer", text: func(e *event) *string { return &e.Customer }},
	{name: "customer_name", text: func(e *event) *string { return &e.CustomerName }},
	{name: "country", text: func(e *event) *string { return &e.Country }},
	{name: "subscription", text: func(e *event) *string { return &e.Subscription }},
	{name: "invoice", text: func(e *event) *string { return &e.Invoice }},
	{name: "payment", text: func(e *event) *string { return &e.Payment }},
	{name: "product", text: func(e *event) *string { return &e.Product }},
	{name: "plan", text: func(e *event) *string { return &e.Plan }},
	{name: "quantity", number: func(e *event) *int64 { return &e.Quantity }},
	{name: "interval", text: func(e *event) *string { return &e.Interval }},
	{name: "interval_count", number: func(e *event) *int64 { return &e.IntervalCount }},
	{name: "payment_method", text: func(e *event) *string { return &e.PaymentMethod }},

	{name: "message", text: func(e *event) *string { return &e.Message }},
	{name: "offer", text: func(e *event) *string { return &e.Offer }},
	{name: "contact", text: func(e *event) *string { return &e.Contact }},
	{name: "campaign", text: func(e *event) *string { return &e.Campaign }},
	{name: "source", text: func(e *event) *string { return &e.Source }},
	{name: "visitor", text: func(e *event) *string { return &e.Visitor }},
	{name: "session", text: func(e *event) *string { return &e.Session }},
	{name: "attribution_type", text: func(e *event) *string { return &e.AttributionType }},

	{name: "external_id", text: func(e *event) *string { return &e.ExternalID }},
	{name: "imported", flag: func(e *event) *bool { return &e.Imported }},
	{name: "metadata", raw: func(e *event) *json.RawMessage { return &e.Metadata }},
	{name: "delivery", object: deliveryMembers},
}

var deliveryMembers = []member{
	{name: "id", text: func(e *event) *string { return &e.Delivery.ID }},
	{name: "type", text: func(e *event) *string { return &e.Delivery.Type }},
	{name: "api_version", text: func(e *event) *string { return &e.Delivery.APIVersion }},
	{name: "integration", text: func(e *event) *string { return &e.Delivery.Integration }},
}
