// Package paddle translates the webhooks of Paddle Billing into statements about
// facts.
//
// Every event carries its object whole, as it was at updated_at, so that the time
// of a rendering is the version of what it says. Paddle is the merchant of record:
// what a customer paid includes tax, and the seller gets it less tax and fee.
//
//   - a transaction that is paid or completed, by its total (charge);
//   - an adjustment, by the rank of its status (refund, dispute, its reversal);
//   - the terms of a subscription from each of its renderings on;
//   - which subscription a first payment began, which it does not know itself.
//
// All facts of a customer are in one group, because adjustments name the customer
// too. Sources: developer.paddle.com/webhooks and /api-reference.
package paddle

import (
	"context"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "paddle"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Paddle Billing", Secret: "the secret key of the notification destination (pdl_ntfset_...)",
		Settings: []connectors.Setting{
			connectors.SignatureAgeMax(),
			{Name: "api_key", Secret: true, About: "A key that may read notifications, transactions, adjustments and subscriptions, to read the past with."},
			{Name: "api_url", Default: "https://api.paddle.com", Outbound: true, Check: connectors.IsBaseURL, About: "Where Paddle's API is; that of the sandbox is another."},
		},
		Verify:  verify,
		Decode:  decode,
		History: history(),
	}
}

// verify checks the header "ts=<Unix seconds>;h1=<hex>", with one h1 for each
// secret while they are rotated. Signed is the time, a colon and the body.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	var signedAt string
	var signatures []string
	for part := range strings.SplitSeq(delivery.Header.Get("Paddle-Signature"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "ts":
			signedAt = value
		case "h1":
			signatures = append(signatures, value)
		}
	}
	if len(signatures) == 0 {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no Paddle-Signature header with an h1")
	}
	at, err := connectors.SignedAt(signedAt)
	if err != nil {
		return connectors.Verification{}, err
	}
	if err := connectors.Fresh(at, delivery.ReceivedAt, delivery.Settings.Duration("signature_age_max")); err != nil {
		return connectors.Verification{}, err
	}
	return connectors.HMAC{}.Verify(delivery.Secrets, signatures, []byte(signedAt), []byte(":"), delivery.Body)
}

// readers are what is made of each type of event; what is missing books nothing.
// Whatever an event is called, it renders its object, so that one that got lost is
// made up for by the next.
var readers = map[string]func(*event){
	"transaction.paid":      (*event).transaction,
	"transaction.completed": (*event).transaction,
	"transaction.revised":   (*event).transaction,
	"transaction.updated":   (*event).transaction,

	"adjustment.created": (*event).adjustment,
	"adjustment.updated": (*event).adjustment,

	"subscription.created":   (*event).subscription,
	"subscription.activated": (*event).subscription,
	"subscription.trialing":  (*event).subscription,
	"subscription.updated":   (*event).subscription,
	"subscription.past_due":  (*event).subscription,
	"subscription.paused":    (*event).subscription,
	"subscription.resumed":   (*event).subscription,
	"subscription.canceled":  (*event).subscription,
	"subscription.imported":  (*event).subscription,
}

// event is one event being read.
type event struct {
	*connectors.Reader
	data connectors.Object
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
	e := &event{
		Reader: connectors.NewReader(Provider, delivery, revenue.Delivery{ID: envelope.Text("event_id"), Type: envelope.Text("event_type")}),
		data:   envelope.Child("data"),
	}
	e.At, _ = connectors.Happened(envelope, "occurred_at")
	if read := readers[e.About.Type]; read != nil {
		read(e)
	}
	return e.Item()
}

// customer is whose group the object belongs to.
func (e *event) customer(fallback string) string {
	if customer := e.data.ID("customer_id"); customer != "" {
		return customer
	}
	return fallback
}
