package analytics

import (
	"encoding/json"
	"time"

	"go.uber.org/zap/zapcore"

	"revstream/ingest/revenue"
)

const zapWarn = zapcore.WarnLevel

// at reads an instant, or a date as its midnight in UTC.
func at(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if instant, err := time.Parse(layout, text); err == nil {
			return instant.UTC()
		}
	}
	panic("not an instant: " + text)
}

// charge is a one-time payment; options make it something else.
func charge(id, when string, amount int64, options ...func(*revenue.Event)) revenue.Event {
	event := revenue.Event{
		Workspace: "ws_1", Provider: "stripe", Livemode: true, ObjectID: id, Kind: revenue.KindCharge,
		Version: 1, OccurredAt: at(when), ReceivedAt: at(when).Add(5 * time.Second), Amount: amount, Currency: "USD",
	}
	event.Payment = id
	event.Group = revenue.GroupName("stripe", "", true, id)
	return with(event, options...)
}

// refund is a refund of the charge `of`.
func refund(id, of, when string, amount int64, options ...func(*revenue.Event)) revenue.Event {
	event := charge(id, when, amount)
	event.Kind, event.Original = revenue.KindRefund, of
	event.Group = revenue.GroupName("stripe", "", true, of)
	return with(event, options...)
}

// state says that a customer's subscription is worth so much a month, in minor units.
func state(customer, when string, mrr int64, options ...func(*revenue.Event)) revenue.Event {
	event := charge("sub_"+customer+"@"+when, when, 0)
	event.Kind, event.MRR, event.Status = revenue.KindSubscription, mrr*revenue.MRRScale, revenue.StatusActive
	event.Customer, event.Subscription, event.Payment = customer, "sub_"+customer, ""
	event.Group = revenue.GroupName("stripe", "", true, customer)
	return with(event, options...)
}

// marker is a declared lifecycle event of a subscription.
func marker(kind revenue.Kind, id, when string) revenue.Event {
	event := charge(id, when, 0)
	event.Kind, event.Subscription, event.Currency, event.Payment = kind, "sub_"+id, "", ""
	return event
}

func with(event revenue.Event, options ...func(*revenue.Event)) revenue.Event {
	for _, option := range options {
		option(&event)
	}
	return event
}

func recurring(billing revenue.Billing, subscription string) func(*revenue.Event) {
	return func(e *revenue.Event) {
		e.Recurring, e.Billing, e.Subscription = true, billing, subscription
	}
}

func in(currency string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Currency = currency }
}

func ends(when string) func(*revenue.Event) {
	return func(e *revenue.Event) { end := at(when); e.EndsAt = &end }
}

func cancelRequested(when string) func(*revenue.Event) {
	return func(e *revenue.Event) { request := at(when); e.CancelRequestedAt = &request }
}

func status(status revenue.Status) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Status = status }
}

func metadata(text string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Metadata = json.RawMessage(text) }
}

func from(provider string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Provider = provider; e.Group = provider + e.Group }
}

func by(integration string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Delivery.Integration = integration }
}

// version is a later statement about the same fact.
func version(n int64, received string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Version, e.ReceivedAt = n, at(received) }
}

func deleted(e *revenue.Event) { e.Deleted = true }

func testMode(e *revenue.Event) { e.Livemode = false }
