// Package registry is the one place that names every connector: a new provider is
// a folder beside this one and a line here.
package registry

import (
	"github.com/prometheus/client_golang/prometheus"

	"revstream/connectors"
	"revstream/connectors/adyen"
	"revstream/connectors/braintree"
	"revstream/connectors/chargebee"
	"revstream/connectors/generic"
	"revstream/connectors/gocardless"
	"revstream/connectors/lemonsqueezy"
	"revstream/connectors/native"
	"revstream/connectors/paddle"
	"revstream/connectors/paypal"
	"revstream/connectors/polar"
	"revstream/connectors/pulsora"
	"revstream/connectors/recurly"
	"revstream/connectors/revenuecat"
	"revstream/connectors/shopify"
	"revstream/connectors/stripe"
	"revstream/connectors/thrivestack"
	"revstream/connectors/trackly"
)

// New returns the connectors of every provider. The registerer takes their
// counters; nil leaves them unregistered.
func New(stripeConfig stripe.Config, registerer prometheus.Registerer) []connectors.Connector {
	return []connectors.Connector{
		stripe.New(stripeConfig, registerer),
		adyen.New(),
		braintree.New(),
		chargebee.New(),
		gocardless.New(),
		generic.New(),
		lemonsqueezy.New(),
		paddle.New(),
		paypal.New(),
		polar.New(),
		recurly.New(),
		revenuecat.New(),
		shopify.New(),
	}
}

// APIs returns the APIs that senders call themselves.
func APIs() []connectors.API {
	return []connectors.API{
		native.New(),
		pulsora.New(),
		thrivestack.New(),
		trackly.New(),
	}
}
