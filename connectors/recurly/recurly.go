// Package recurly translates the webhooks of Recurly into statements about facts.
//
// A JSON webhook names an object and says nothing about it; the object is read from
// the API, as it is by then, and its updated_at is the version of what it says. So a
// webhook that got lost is made up for by the next one of the object.
//
//   - a transaction is a charge or a refund, and a chargeback is a dispute; the
//     webhooks of invoices bring the transactions of theirs;
//   - a subscription is worth its recurring items from each rendering on.
//
// All facts of an account are in one group, because transactions name the account.
// Sites are for test or for real, so that the endpoint says what they are. XML
// webhooks are not signed, and refused.
//
// Sources: docs.recurly.com/recurly-subscriptions/docs/signature-verification and
// /payment-notifications; recurly.com/developers/api (v2021-02-25).
package recurly

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "recurly"

// apiVersion is the version of the API that objects are read in.
const apiVersion = "v2021-02-25"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Recurly", Secret: "the secret key of the webhook endpoint",
		Settings: []connectors.Setting{
			{
				Name: "api_key", Required: true, Secret: true,
				About: "A private API key that may read; webhooks of Recurly only name what they are about.",
			},
			{
				Name: "api_url", Default: "https://v3.recurly.com", Outbound: true, Check: connectors.IsBaseURL,
				About: "The address of Recurly's API; https://v3.eu.recurly.com for sites in the EU.",
			},
			connectors.SignatureAgeMax(),
		},
		Verify: verify,
		Decode: decode,
	}
}

// verify checks the header "<Unix milliseconds>,<hex>", with one signature for each
// key for a day after a new one was made. Signed is the time, a dot and the body.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	signedAt, rest, signed := strings.Cut(delivery.Header.Get("Recurly-Signature"), ",")
	if !signed {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no recurly-signature header with a signature")
	}
	signedAt = strings.TrimSpace(signedAt)
	at, err := connectors.SignedAt(signedAt)
	if err != nil {
		return connectors.Verification{}, err
	}
	if err := connectors.Fresh(at, delivery.ReceivedAt, delivery.Settings.Duration("signature_age_max")); err != nil {
		return connectors.Verification{}, err
	}
	return connectors.HMAC{}.Verify(delivery.Secrets, strings.Split(rest, ","), []byte(signedAt), []byte("."), delivery.Body)
}

// event is one event being read.
type event struct {
	*connectors.Reader
	named connectors.Object
}

// readers are what is made of each type of object, whatever happened to it.
var readers = map[string]func(*event, context.Context) error{
	"payment":        (*event).readPayment,
	"charge_invoice": (*event).readInvoice,
	"credit_invoice": (*event).readInvoice,
	"invoice":        (*event).readInvoice,
	"subscription":   (*event).readSubscription,
}

func decode(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	named, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	e := &event{connectors.NewReader(Provider, &delivery, revenue.Delivery{
		ID: named.Text("id"), Type: named.Text("object_type") + "." + named.Text("event_type"), APIVersion: apiVersion,
	}), named}
	e.At, _ = connectors.Happened(named, "event_time")
	var fault error
	if read := readers[named.Text("object_type")]; read != nil {
		fault = read(e, ctx)
	}
	item := e.Item()
	switch {
	case errors.Is(fault, connectors.ErrMalformed): // what is named is not there
		item.Events, item.Err = nil, fault
	case fault != nil:
		return nil, fault
	}
	return []connectors.Item{item}, nil
}

// fetch reads an object of the API.
func (e *event) fetch(ctx context.Context, collection, id string) (connectors.Object, error) {
	if id == "" {
		return nil, &connectors.InvalidError{Field: "id", Code: "missing_id", Detail: "is required"}
	}
	settings := e.Delivery.Settings
	return e.Delivery.Client().Fetch(ctx, settings["api_url"], "/"+collection+"/"+url.PathEscape(id), func(r *http.Request) {
		r.SetBasicAuth(settings["api_key"], "")
		r.Header.Set("Accept", "application/vnd.recurly."+apiVersion)
	})
}

// id is what the API knows the object by that the webhook names: its UUID, or its id.
func (e *event) id() string {
	if uuid := e.named.Text("uuid"); uuid != "" {
		return "uuid-" + strings.TrimPrefix(uuid, "uuid-")
	}
	return e.named.ID("id")
}

// account is whose group an object belongs to.
func (e *event) account(o connectors.Object) string { return e.RequiredID(o, "account.id", "account") }

// updatedAt is the moment of which an object is the rendering. Recurly counts seconds.
func (e *event) updatedAt(o connectors.Object) time.Time {
	return e.RequiredTime(o, "updated_at", "created_at").Truncate(time.Second)
}
