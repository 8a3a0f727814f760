// Package lemonsqueezy translates the webhooks of Lemon Squeezy into statements about
// facts.
//
// Every event carries its object whole, as it was at updated_at, so that the time of
// a rendering is the version of what it says. The events have no id.
//
//   - an order is a charge, and so is each invoice of a subscription that is paid;
//   - what was refunded of either is a total that grows;
//   - a subscription counts from each of its renderings on. It does not name its
//     price, which is read from the API if there is a key.
//
// The first payment of a subscription is told of twice, by its order and by its first
// invoice. Neither names the other; but the subscription names the order, and takes it
// back: the invoice counts. So a webhook has to be told of the events of orders, of
// subscriptions and of their payments alike. Discounts are no part of a subscription,
// and so not of its monthly worth.
//
// All facts of a customer are in one group, because every object names the customer.
// Lemon Squeezy gives up after three retries, within three minutes.
//
// Sources: docs.lemonsqueezy.com/help/webhooks (event-types, signing-requests) and
// /api (the order, subscription invoice, subscription, price and store objects).
package lemonsqueezy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "lemonsqueezy"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Lemon Squeezy", Secret: "the signing secret of the webhook",
		CheckSecret: checkSecret,
		Settings: []connectors.Setting{
			{
				Name: "api_key", Secret: true,
				About: "An API key, to read what subscriptions cost; without one their monthly worth is not known.",
			},
			{
				Name: "api_url", Default: "https://api.lemonsqueezy.com", Outbound: true, Check: connectors.IsBaseURL,
				About: "The address of Lemon Squeezy's API.",
			},
		},
		Verify: verify,
		Decode: decode,
	}
}

func checkSecret(secret string) error {
	if len(secret) < 6 || len(secret) > 40 {
		return errors.New("must have between 6 and 40 characters")
	}
	return nil
}

// verify checks the header: the signature of the body in hexadecimal. It does not
// cover a time, so that a delivery can be replayed; it says the same again.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	return connectors.HMAC{}.Verify(delivery.Secrets, delivery.Header.Values("X-Signature"), delivery.Body)
}

// event is one event being read: an object's id and attributes.
type event struct {
	*connectors.Reader
	envelope, o connectors.Object
	id          string
}

// readers are what is made of each type of object, whatever happened to it.
var readers = map[string]func(*event, context.Context) error{
	"orders":                (*event).order,
	"subscription-invoices": (*event).invoice,
	"subscriptions":         (*event).subscription,
}

func decode(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	reader := connectors.NewReader(Provider, &delivery, revenue.Delivery{
		ID: envelope.Text("meta.webhook_id"), Type: envelope.Text("meta.event_name"),
	})
	e := &event{Reader: reader, envelope: envelope, o: envelope.Child("data.attributes"), id: envelope.ID("data")}
	if isTest, given := e.o.Value("test_mode").(bool); given {
		e.Livemode = !isTest
	}
	if read := readers[envelope.Text("data.type")]; read != nil {
		if e.id == "" {
			e.Invalid("data.id", "is required")
		}
		if err := read(e, ctx); err != nil {
			return nil, err
		}
	}
	return []connectors.Item{e.Item()}, nil
}

// fetch reads the attributes of an object of the API, and without a key what was fetched
// when there was one.
func (e *event) fetch(ctx context.Context, collection, id string) (connectors.Object, error) {
	settings, path := e.Delivery.Settings, "/v1/"+collection+"/"+url.PathEscape(id)
	if settings["api_key"] == "" {
		o, err := e.Delivery.Client().Recall(path)
		return o.Child("data.attributes"), err
	}
	o, err := e.Delivery.Client().Fetch(ctx, settings["api_url"], path, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+settings["api_key"])
		r.Header.Set("Accept", "application/vnd.api+json")
	})
	return o.Child("data.attributes"), err
}

// note takes what the shop put into the checkout.
func (e *event) note(to *revenue.Dimensions) { connectors.Note(to, e.envelope, "meta.custom_data") }

func (e *event) customer() string { return e.RequiredID(e.o, "customer_id") }

func (e *event) updatedAt() time.Time { return e.RequiredTime(e.o, "updated_at", "created_at") }

// Ids are numbers of their own for each type of object.
func orderID(id string) string   { return "order_" + id }
func invoiceID(id string) string { return "invoice_" + id }
