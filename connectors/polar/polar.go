// Package polar translates the webhooks of Polar into statements about facts.
//
// Every event carries its object whole, as it was at modified_at, so that the time of
// a rendering is the version of what it says. Polar is the merchant of record: what a
// customer paid includes tax, and the seller gets it less tax and fee.
//
//   - an order that is paid is a charge, less what the customer's balance paid;
//   - a refund that succeeded, and what an order says was refunded of it in all, for
//     refunds of which no event came;
//   - a subscription counts from each of its renderings on.
//
// All facts of a customer are in one group, because every object names the customer.
// The sandbox is a host of its own, so that the endpoint says what it is. There are no
// webhooks of disputes.
//
// Sources: polar.sh/docs/integrate/webhooks; the models of github.com/polarsource/polar-python.
package polar

import (
	"context"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "polar"

// standard is how Polar signs: the text of the secret, prefix included, is the key.
// (Its own libraries encode it in base64 before they give it to those of the standard.)
var standard = connectors.StandardWebhooks{Key: func(secret string) ([]byte, error) { return []byte(secret), nil }}

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Polar", Secret: "the secret of the webhook endpoint",
		Settings: []connectors.Setting{connectors.SignatureAgeMax()},
		Verify:   standard.Verify,
		Decode:   decode,
	}
}

// readers are what is made of each type of event; what is missing books nothing.
// Whatever an event is called, it renders its object, so that one that got lost is
// made up for by the next.
var readers = map[string]func(*event){
	"order.created":  (*event).order,
	"order.updated":  (*event).order,
	"order.paid":     (*event).order,
	"order.refunded": (*event).order,

	"refund.created": (*event).refund,
	"refund.updated": (*event).refund,

	"subscription.created":    (*event).subscription,
	"subscription.updated":    (*event).subscription,
	"subscription.active":     (*event).subscription,
	"subscription.canceled":   (*event).subscription,
	"subscription.uncanceled": (*event).subscription,
	"subscription.revoked":    (*event).subscription,
	"subscription.past_due":   (*event).subscription,
	"subscription.paused":     (*event).subscription,
	"subscription.resumed":    (*event).subscription,
}

// event is one event being read.
type event struct {
	*connectors.Reader
	o connectors.Object
}

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	id := delivery.Header.Get("Webhook-Id")
	if id == "" {
		id = delivery.Header.Get("Svix-Id")
	}
	e := &event{
		connectors.NewReader(Provider, &delivery, revenue.Delivery{ID: id, Type: envelope.Text("type")}),
		envelope.Child("data"),
	}
	e.At, _ = connectors.Happened(envelope, "timestamp")
	if read := readers[e.About.Type]; read != nil {
		read(e)
	}
	return []connectors.Item{e.Item()}, nil
}

func (e *event) customer() string { return e.RequiredID(e.o, "customer_id", "customer") }

// modifiedAt is the moment of which an object is the rendering; one that was never
// changed says null.
func (e *event) modifiedAt() time.Time { return e.RequiredTime(e.o, "modified_at", "created_at") }

// note takes the metadata of an object, over those of its customer.
func (e *event) note(to *revenue.Dimensions) {
	connectors.Note(to, e.o, "customer.metadata", "metadata")
}
