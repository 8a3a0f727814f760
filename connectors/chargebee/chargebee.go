// Package chargebee translates the webhooks of Chargebee into statements about
// facts.
//
// Nothing signs a webhook of Chargebee: a user and a password, of Basic
// authorization, say who sends it. So the address has to be reached by TLS, and what
// it is told is believed as far as the password is kept.
//
// An event carries its objects as they were, each with a resource version in
// milliseconds, which is the version of what it says. Whatever an event is called,
// it renders its transaction and its subscription, so that one that got lost is made
// up for by the next:
//
//   - a transaction is a charge, a refund or a reversal (money that a bank took
//     back); invoices and credit notes are promises, and no money;
//   - a subscription is worth what Chargebee itself says, from each rendering on.
//
// Chargebee has no word for a subscription whose payment is due: it stays active
// until it is cancelled, and counts so long. All facts of a customer are in one
// group, because transactions name the customer. Test sites are sites of their own,
// so that the endpoint says what they are.
//
// Sources: apidocs.chargebee.com/docs/api/events, /transactions, /subscriptions;
// chargebee.com/docs/webhook_settings.html.
package chargebee

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "chargebee"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Chargebee",
		Secret:      `"user:password" of the webhook's Basic authentication`,
		CheckSecret: checkSecret,
		Settings: []connectors.Setting{{
			Name: currencySetting, Check: checkCurrency,
			About: "The site's currency, for sites of the first API, whose objects do not name it.",
		}, {
			Name: keySetting, Secret: true,
			About: "A key that may read events, transactions, invoices, customers and subscriptions, to read the past with.",
		}, {
			Name: addressSetting, Outbound: true, Check: connectors.IsBaseURL,
			About: "Where the site's API is, like https://acme.chargebee.com/api/v2; to read the past from.",
		}},
		Verify:  connectors.BasicAuth,
		Decode:  decode,
		History: history(),
	}
}

func checkSecret(secret string) error {
	if user, password, both := strings.Cut(secret, ":"); !both || user == "" || password == "" {
		return errors.New("must be the user, a colon and the password")
	}
	return nil
}

// The names of settings.
const (
	currencySetting = "currency"
	keySetting      = "api_key"
	addressSetting  = "api_url"
)

func checkCurrency(code string) error {
	if _, known := revenue.Exponent(code); !known {
		return fmt.Errorf("%q is not an ISO 4217 currency", code)
	}
	return nil
}

// event is one event being read.
type event struct {
	*connectors.Reader
	content    connectors.Object
	occurredAt time.Time
	// heard is since when events tell of changes; zero within an event.
	heard time.Time
}

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	return []connectors.Item{readEvent(&delivery, envelope)}, nil
}

// readEvent reads an event, of a delivery or of the list of events.
func readEvent(delivery *connectors.Delivery, envelope connectors.Object) connectors.Item {
	reader := connectors.NewReader(Provider, delivery, revenue.Delivery{
		ID: envelope.Text("id"), Type: envelope.Text("event_type"), APIVersion: envelope.Text("api_version"),
	})
	reader.At, _ = connectors.Happened(envelope, "occurred_at")
	e := &event{Reader: reader, content: envelope.Child("content")}
	if transaction := e.content.Child("transaction"); transaction != nil {
		e.occurredAt = e.RequiredTime(envelope, "occurred_at")
		e.transaction(transaction)
	}
	if subscription := e.content.Child("subscription"); subscription != nil {
		e.occurredAt = e.RequiredTime(envelope, "occurred_at")
		e.subscription(subscription)
	}
	return e.Item()
}

// customer is whose group an object belongs to.
func (e *event) customer(o connectors.Object) string {
	if customer := o.ID("customer_id"); customer != "" {
		return customer
	}
	return e.RequiredID(e.content, "customer.id")
}

// renderedAt is the moment of which an object is the rendering. Sites of the first
// API say nothing but when the event was.
func (e *event) renderedAt(o connectors.Object) time.Time {
	if at := e.Time(o, "resource_version", "updated_at"); !at.IsZero() {
		return at
	}
	return e.occurredAt
}
