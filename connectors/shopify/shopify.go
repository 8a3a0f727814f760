// Package shopify translates the webhooks of Shopify into statements about facts.
//
// The topic and the shop are headers, which the signature does not cover. So what is
// booked follows from the body: every topic of orders renders an order, whatever
// became of it.
//
//   - What an order has brought in, by its amount, which only grows: an order that is
//     edited may come to less later, and the difference is a refund.
//   - Transactions, for shops that subscribe to order_transactions/create. Each takes
//     its part from the order, by a link, so that both together count once. Whether
//     the order renews a subscription is known of what is left to the order only.
//   - Refunds, each by its transactions, which both topics name alike.
//   - Chargebacks of Shopify Payments, and those that are won.
//   - For makers of apps: what a shop's subscription to the app is worth, from each
//     of its renderings on. Their cash is in payouts only.
//
// All facts of an order are in its group, those of an app's subscription in the
// shop's. Amounts are those that the customer saw (presentment money), for in this
// currency transactions are. Sources: shopify.dev/docs/apps/build/webhooks and
// /docs/api/admin-rest (Order, Transaction, Refund, Dispute).
package shopify

import (
	"context"
	"regexp"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "shopify"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Shopify", Secret: "the app's client secret, or the signing secret of the shop's webhooks",
		Verify: verify,
		Decode: decode,
	}
}

// verify checks the header, which is the base64 HMAC-SHA256 of the body. It covers
// no time: that a delivery comes again, rightly or not, changes nothing.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	return connectors.HMAC{Base64: true}.Verify(delivery.Secrets, delivery.Header.Values("X-Shopify-Hmac-Sha256"), delivery.Body)
}

// readers are what is made of each topic; what is missing books nothing.
var readers = map[string]func(*event){
	"orders/create":             (*event).order,
	"orders/updated":            (*event).order,
	"orders/paid":               (*event).order,
	"orders/partially_paid":     (*event).order,
	"orders/fulfilled":          (*event).order,
	"orders/cancelled":          (*event).order,
	"order_transactions/create": (*event).transaction,
	"refunds/create":            (*event).refund,
	"disputes/create":           (*event).dispute,
	"disputes/update":           (*event).dispute,
	"app_subscriptions/update":  (*event).appSubscription,
}

// event is one delivery being read.
type event struct {
	*connectors.Reader
	data connectors.Object
}

// shopDomain is the form of a shop's own domain.
var shopDomain = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,100}\.myshopify\.com$`)

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	data, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	header := delivery.Header
	e := &event{
		connectors.NewReader(Provider, &delivery, revenue.Delivery{
			ID: header.Get("X-Shopify-Event-Id"), Type: header.Get("X-Shopify-Topic"), APIVersion: header.Get("X-Shopify-Api-Version"),
		}),
		data,
	}
	e.At, _ = connectors.Happened(connectors.Object{"at": header.Get("X-Shopify-Triggered-At")}, "at")
	// An app has one secret and many shops.
	if shop := header.Get("X-Shopify-Shop-Domain"); shopDomain.MatchString(shop) {
		e.Account = shop
	}
	if read := readers[e.About.Type]; read != nil {
		read(e)
	}
	return []connectors.Item{e.Item()}, nil
}
