// Package paypal translates the webhooks of PayPal into statements about facts.
//
// Payments have two forms, sales of the first version of the API, which
// subscriptions still use, and captures of the second; refunds likewise. An event is
// final for its object: a completed one does not change any more, so that versions
// are ranks.
//
//   - a sale or capture that is completed, less nothing: the fee is noted;
//   - a refund, by the rank of its status;
//   - a reversal, which is what takes disputed money away. The events of a dispute
//     itself book nothing: PayPal holds money back meanwhile and tells by refund or
//     reversal what becomes of it. It does not tell that a reversal was taken back;
//   - the terms of a subscription from each of its renderings on, and from each of
//     its payments, for there is no event of a trial's end. They do not hold the
//     price, which is the plan's, nor does a payment hold them: without credentials
//     for the API they are not known, and that is noted.
//
// A sale names its subscription but not who pays it. So a subscription and its sales
// are one group, each payment with its refunds another, and a link between them says
// whose the payment was; see connectors.Reader.EmitLinked. A payment that fails
// leaves a subscription as it is until PayPal suspends it, because there is no event
// of its recovery. Sources: developer.paypal.com/api/rest/webhooks (integration,
// event names), /docs/api/subscriptions/v1 and
// github.com/paypal/paypal-rest-api-specifications.
package paypal

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "paypal"

// Bounds of a transmission's age. PayPal tries for three days.
const (
	transmissionAgeDefault = "96h"
	transmissionAgeLeast   = time.Minute
	transmissionAgeMost    = 30 * 24 * time.Hour
)

// New returns the connector.
func New() connectors.Connector {
	keys, err := lru.New[string, certificate](certificatesMax)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return connectors.Connector{
		Provider: Provider, Title: "PayPal", Secret: "the id of the webhook, which PayPal signs along",
		CheckSecret: checkWebhookID,
		Settings: []connectors.Setting{
			{
				Name: "transmission_age_max", Default: transmissionAgeDefault,
				Check: connectors.Between(transmissionAgeLeast, transmissionAgeMost),
				About: "How far the time of the transmission may lie from that of acceptance, either way.",
			},
			{
				Name: "certificate_url", Outbound: true, Check: connectors.IsBaseURL,
				About: "Where to get PayPal's certificates from instead of paypal.com, such as a mirror. They are trusted.",
			},
			{
				Name: "api_url", Default: "https://api-m.paypal.com", Outbound: true, Check: connectors.IsBaseURL,
				About: "The API that plans are read from; the sandbox has its own.",
			},
			{Name: "client_id", About: "The client id of an app that may read plans; without it monthly worth is not known."},
			{Name: "client_secret", Secret: true, About: "The secret of that app."},
		},
		Verify: (&verifier{keys: keys}).verify,
		Decode: decode,
	}
}

var webhookID = regexp.MustCompile(`^[A-Za-z0-9]{1,50}$`)

// checkWebhookID refuses WEBHOOK_ID among others, by which PayPal signs whatever
// anybody types into its simulator.
func checkWebhookID(secret string) error {
	if !webhookID.MatchString(secret) {
		return errors.New("must be the id of a webhook, up to 50 letters and digits")
	}
	return nil
}

// readers are what is made of each type of event; what is missing books nothing.
var readers = map[string]func(*event){
	"PAYMENT.SALE.COMPLETED": (*event).sale,
	"PAYMENT.SALE.REFUNDED":  (*event).refund,
	"PAYMENT.SALE.REVERSED":  (*event).reversed,

	"PAYMENT.CAPTURE.COMPLETED": (*event).capture,
	"PAYMENT.CAPTURE.REFUNDED":  (*event).refund,
	"PAYMENT.CAPTURE.REVERSED":  (*event).reversed,
	"PAYMENT.REFUND.PENDING":    (*event).refund,
	"PAYMENT.REFUND.FAILED":     (*event).refund,

	"BILLING.SUBSCRIPTION.ACTIVATED":      (*event).subscription,
	"BILLING.SUBSCRIPTION.UPDATED":        (*event).subscription,
	"BILLING.SUBSCRIPTION.RE-ACTIVATED":   (*event).subscription,
	"BILLING.SUBSCRIPTION.SUSPENDED":      (*event).subscription,
	"BILLING.SUBSCRIPTION.CANCELLED":      (*event).subscription,
	"BILLING.SUBSCRIPTION.EXPIRED":        (*event).subscription,
	"BILLING.SUBSCRIPTION.PAYMENT.FAILED": (*event).subscription,
}

// event is one event being read.
type event struct {
	*connectors.Reader
	// data is all of it, and resource what it is about. agreement is the subscription
	// that it is or was paid for, and plan that one's, as far as they are known.
	data, resource, agreement, plan connectors.Object
}

func decode(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	data, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	e := &event{
		Reader: connectors.NewReader(Provider, &delivery, revenue.Delivery{
			ID: data.ID("id"), Type: data.Text("event_type"), APIVersion: data.Text("resource_version"),
		}),
		data: data, resource: data.Child("resource"),
	}
	e.At, _ = connectors.Happened(data, "create_time")
	if isSandbox(delivery.Header.Get("Paypal-Cert-Url")) {
		e.Livemode = false
	}
	read, known := readers[e.About.Type]
	if !known {
		return []connectors.Item{e.Item()}, nil
	}
	if err := e.lookUp(ctx); err != nil {
		return nil, err
	}
	read(e)
	return []connectors.Item{e.Item()}, nil
}

// isSandbox says that the certificate by which a delivery verified is the sandbox's.
func isSandbox(certificateURL string) bool {
	address, err := url.Parse(certificateURL)
	return err == nil && strings.HasSuffix(address.Hostname(), ".sandbox.paypal.com")
}

// createdAt is when the object came to be, or at least the event.
func (e *event) createdAt() time.Time {
	if at := e.Time(e.resource, "create_time"); !at.IsZero() {
		return at
	}
	return e.RequiredTime(e.data, "create_time")
}
