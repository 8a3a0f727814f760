// Package adyen translates the standard webhooks of Adyen into statements about
// facts.
//
// A webhook tells of steps, not of objects: each item names what was asked for by a
// pspReference of its own and the payment by its originalReference. A step that
// undoes another is a statement about the same fact with a higher rank:
//
//   - a payment or its captures, undone by a cancellation or a failed capture;
//   - a refund, undone when it fails or comes back;
//   - a chargeback, its reversal and a second chargeback, each once.
//
// All facts of a payment are in its group. Adyen knows no subscriptions; payments
// that the shop marks as such are recurring, and have no monthly worth.
//
// The signature covers eight members of an item and nothing else, see signed. What
// lies outside them never decides about an amount, with two exceptions that Adyen
// leaves no choice in: whether CANCEL_OR_REFUND was the one or the other, and which
// payments of an account that captures by hand needed no capture. An endpoint's
// basic_auth covers those.
//
// Pre-arbitration and arbitration book nothing: what moves money of a dispute is
// Chargeback, ChargebackReversed and SecondChargeback (journal types of Adyen's
// settlement detail report). Sources: docs.adyen.com/development-resources/webhooks,
// /risk-management/disputes-api/dispute-notifications and the examples of
// github.com/Adyen/adyen-openapi (Webhooks-v1).
package adyen

import (
	"context"
	"net/http"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "adyen"

// The ways in which an account captures what was authorised.
const (
	captureAutomatic = "automatic"
	captureManual    = "manual"
)

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Adyen", Secret: "the HMAC key of the standard webhook (64 hexadecimal digits)",
		CheckSecret: func(secret string) error {
			_, err := keyOf(secret)
			return err
		},
		Settings: []connectors.Setting{
			{
				Name: "capture", Default: captureAutomatic, Check: connectors.OneOf(captureAutomatic, captureManual),
				About: "Whether the account captures payments by itself, so that an authorisation is money, or by hand.",
			},
			{
				Name: "basic_auth", Secret: true, Check: isUserAndPassword,
				About: "The user:password that Adyen sends with its webhooks; asked for beside the signature, which does not cover all.",
			},
		},
		Verify:   verify,
		Decode:   decode,
		Accepted: connectors.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: "[accepted]"},
	}
}

// readers are what is made of each event code; what is missing books nothing.
var readers = map[string]func(*item){
	"AUTHORISATION":    (*item).authorisation,
	"CAPTURE":          (*item).capture,
	"CAPTURE_FAILED":   (*item).captureFailed,
	"CANCELLATION":     (*item).cancellation,
	"TECHNICAL_CANCEL": (*item).cancellation,
	"CANCEL_OR_REFUND": (*item).cancelOrRefund,

	"REFUND":            (*item).refund,
	"REFUND_WITH_DATA":  (*item).refund,
	"REFUND_FAILED":     (*item).refundFailed,
	"REFUNDED_REVERSED": (*item).refundFailed,

	"CHARGEBACK":          (*item).chargeback,
	"CHARGEBACK_REVERSED": (*item).chargebackReversed,
	"SECOND_CHARGEBACK":   (*item).secondChargeback,
}

// item is one item of a webhook being read.
type item struct {
	*connectors.Reader
	data connectors.Object
}

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	var items []connectors.Item
	for _, data := range itemsOf(envelope) {
		items = append(items, decodeItem(&delivery, envelope, data))
	}
	return items, nil
}

func decodeItem(delivery *connectors.Delivery, envelope, data connectors.Object) connectors.Item {
	i := &item{
		connectors.NewReader(Provider, delivery, revenue.Delivery{ID: data.ID("pspReference"), Type: data.Text("eventCode")}),
		data,
	}
	i.At, _ = connectors.Happened(data, "eventDate")
	// Where Adyen counts otherwise than ISO 4217:
	// docs.adyen.com/development-resources/currency-codes.
	i.Exponents = map[string]int{"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
	switch envelope.Text("live") {
	case "true":
		i.Livemode = true
	case "false":
		i.Livemode = false
	}
	if account := data.Text("merchantAccountCode"); account != "" {
		i.Account = account
	}
	// Without success nothing happened, whatever it is called.
	if read := readers[i.About.Type]; read != nil && textOf(data.Value("success")) == "true" {
		read(i)
	}
	return i.Item()
}

// itemsOf are the items of a webhook. Each is wrapped in an object of its own.
func itemsOf(envelope connectors.Object) []connectors.Object {
	var items []connectors.Object
	for _, wrapped := range envelope.List("notificationItems") {
		// One without content keeps its position, for verification refuses by it.
		items = append(items, wrapped.Child("NotificationRequestItem"))
	}
	return items
}
