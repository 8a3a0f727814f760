package stripe

import "github.com/prometheus/client_golang/prometheus"

// metrics count what a reader of the figures has to know about: what was taken
// for granted because Stripe did not say.
type metrics struct {
	thin        prometheus.Counter
	unlinked    prometheus.Counter
	presumed    prometheus.Counter
	feesUnknown prometheus.Counter
	unknown     *prometheus.CounterVec
}

const (
	feesUnknownName = "revstream_stripe_fees_unknown_total"
	feesUnknownHelp = "Payments and refunds whose fee the API did not tell when they were heard of. A backfill has it. If it always grows, the key may not read balance transactions or charges."
)

// newMetrics registers the counters; a nil registerer leaves them unregistered.
func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		thin: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_stripe_thin_events_total",
			Help: "API v2 thin events received. They carry no object and are ignored: send snapshot events to the endpoint.",
		}),
		unlinked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_stripe_provisional_payments_total",
			Help: "Payments of which Stripe does not say whether they were for an invoice. Each counts as a one-time sale until an invoice_payment.paid event says otherwise.",
		}),
		presumed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_stripe_presumed_links_total",
			Help: "Statements that a payment was for an invoice which is not named, by its description or its receipt. The payment counts nothing beside its invoice.",
		}),
		feesUnknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: feesUnknownName, Help: feesUnknownHelp,
		}),
		unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "revstream_stripe_mrr_unknown_total",
			Help: "Subscription statements whose MRR is incomplete, by what their body left out.",
		}, []string{"reason"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.thin, m.unlinked, m.presumed, m.feesUnknown, m.unknown)
	}
	return m
}
