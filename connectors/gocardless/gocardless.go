// Package gocardless translates the webhooks of GoCardless into statements about
// facts.
//
// A webhook is a batch of up to 250 events. An event says what became of a payment,
// refund or subscription, and when, and nothing else: the amounts are fetched.
//
//   - A payment is money once the bank confirms it. It may fail after that, and be
//     tried again under the same id, so that no status is final: the moment that an
//     event names is the version.
//   - A chargeback, and its reversal, which ends if the payment is charged back
//     again.
//   - A refund, by the rank of its status. One whose funds return never was.
//   - The terms of a subscription from each event about it on. They are fetched, and
//     so are those of today: an amendment that is read late is believed to have held
//     since the event before it.
//
// All facts of a customer, whom the mandate names, are in one group; those of a
// payment without a mandate are in its own. What was settled with a payout is told
// of by events of its own, which book nothing here; fees are in payouts only.
// Sources: developer.gocardless.com/api-reference (webhooks, events and their
// actions, payments, refunds, subscriptions, mandates) and
// github.com/gocardless/gocardless-pro-python.
package gocardless

import (
	"context"
	"net/http"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "gocardless"

// statusBadSignature is what GoCardless wants to be told when a webhook does not
// verify.
const statusBadSignature = 498

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "GoCardless", Secret: "the secret of the webhook endpoint",
		Settings: []connectors.Setting{
			{
				Name: "api_url", Default: "https://api.gocardless.com", Outbound: true, Check: connectors.IsBaseURL,
				About: "The API that payments, refunds, subscriptions and mandates are read from; the sandbox has its own.",
			},
			{Name: "access_token", Required: true, Secret: true, About: "A read-only access token of the account."},
		},
		Verify:        verify,
		Decode:        decode,
		RefusedStatus: statusBadSignature,
	}
}

// verify checks the header, which is the hexadecimal HMAC-SHA256 of the body.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	return connectors.HMAC{}.Verify(delivery.Secrets, delivery.Header.Values("Webhook-Signature"), delivery.Body)
}

// reading is what is made of an action, and which kind of resource it needs.
type reading struct {
	resource string
	read     func(*event)
}

// readers are what is made of each action upon each type of resource; what is
// missing books nothing, and nothing is fetched for it.
var readers = map[string]reading{
	"payments.confirmed":            {payments, (*event).confirmed},
	"payments.paid_out":             {payments, (*event).confirmed},
	"payments.failed":               {payments, (*event).failed},
	"payments.charged_back":         {payments, (*event).chargedBack},
	"payments.chargeback_cancelled": {payments, (*event).chargebackCancelled},

	"refunds.paid":           {refunds, (*event).refundPaid},
	"refunds.failed":         {refunds, (*event).refundReturned},
	"refunds.funds_returned": {refunds, (*event).refundReturned},

	"subscriptions.created":                   {subscriptions, (*event).subscriptionActive},
	"subscriptions.customer_approval_granted": {subscriptions, (*event).subscriptionActive},
	"subscriptions.amended":                   {subscriptions, (*event).subscriptionActive},
	"subscriptions.resumed":                   {subscriptions, (*event).subscriptionActive},
	"subscriptions.paused":                    {subscriptions, (*event).subscriptionPaused},
	"subscriptions.cancelled":                 {subscriptions, (*event).subscriptionEnded},
	"subscriptions.finished":                  {subscriptions, (*event).subscriptionEnded},
	"subscriptions.customer_approval_denied":  {subscriptions, (*event).subscriptionEnded},
}

// event is one event being read.
type event struct {
	*connectors.Reader
	// data is the event itself, object what it is about, as it was fetched.
	data, object connectors.Object
	// customer is whose the object is, if its mandate is known.
	customer string
}

func decode(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	events := envelope.List("events")
	held := newResources(&delivery)
	if err := held.gather(ctx, events); err != nil {
		return nil, err
	}
	var items []connectors.Item
	for _, data := range events {
		items = append(items, decodeEvent(&delivery, held, data))
	}
	return items, nil
}

func decodeEvent(delivery *connectors.Delivery, held *resources, data connectors.Object) connectors.Item {
	e := &event{data: data}
	e.Reader = connectors.NewReader(Provider, delivery, revenue.Delivery{ID: data.ID("id"), Type: typeOf(data)})
	e.At, _ = connectors.Happened(data, "created_at")
	e.environment()
	wanted, known := readers[e.About.Type]
	if !known {
		return e.Item()
	}
	object, err := held.about(data)
	if err != nil {
		return connectors.Item{ID: e.About.ID, Type: e.About.Type, Err: err}
	}
	if e.customer, err = held.customerOf(object); err != nil {
		return connectors.Item{ID: e.About.ID, Type: e.About.Type, Err: err}
	}
	e.object = object
	wanted.read(e)
	return e.Item()
}

// environment reads whose the event is: an app is told of several organisations,
// and the sandbox says that it is one.
func (e *event) environment() {
	switch e.Delivery.Header.Get("Origin") {
	case "https://api.gocardless.com":
		e.Livemode = true
	case "https://api-sandbox.gocardless.com":
		e.Livemode = false
	}
	if organisation := e.data.ID("links.organisation"); organisation != "" {
		e.Account = organisation
	}
}

func typeOf(data connectors.Object) string {
	return data.Text("resource_type") + "." + data.Text("action")
}

// authorise puts the credentials on a request.
func authorise(token string) func(*http.Request) {
	return func(request *http.Request) {
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("GoCardless-Version", "2015-07-06")
	}
}
