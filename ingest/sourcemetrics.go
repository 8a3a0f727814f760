package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"revstream/connectors"
	"revstream/ingest/stream"
)

// sourceMetrics tell how each webhook endpoint does: whether it hears anything, of
// what age, in which versions, and what it refuses. What types there are is asked of
// the archive: there are hundreds.
type sourceMetrics struct {
	events   *prometheus.CounterVec // by endpoint, provider and outcome
	refusals *prometheus.CounterVec // by endpoint, provider and reason
	versions *prometheus.CounterVec // by endpoint, provider and API version
	last     *prometheus.GaugeVec   // by endpoint and provider
	lag      *prometheus.HistogramVec
}

func newSourceMetrics() *sourceMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "revstream", Subsystem: "source", Name: name, Help: help}, append([]string{"endpoint", "provider"}, labels...))
	}
	return &sourceMetrics{
		events:   counter("events_total", "Events of deliveries that verified, by endpoint, provider and outcome.", "outcome"),
		refusals: counter("refusals_total", "Deliveries that do not verify, or whose object the provider's API refuses to the endpoint's key (api_refused), by endpoint, provider and reason.", "reason"),
		versions: counter("api_versions_total", "Events, by endpoint, provider and the API version they are rendered in.", "version"),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "revstream", Subsystem: "source", Name: "last_delivery_timestamp_seconds",
			Help: "When the endpoint's last delivery that verified was accepted, in Unix seconds.",
		}, []string{"endpoint", "provider"}),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "revstream", Subsystem: "source", Name: "lag_seconds",
			Help:    "From when an event happened, as its provider says, to its acceptance.",
			Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 86400, 3 * 86400},
		}, []string{"provider"}),
	}
}

func (m *sourceMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.refusals, m.versions, m.last, m.lag}
}

// delivered counts a delivery that was accepted.
func (m *sourceMetrics) delivered(d *stream.Delivery) {
	m.last.WithLabelValues(d.Endpoint, d.Provider).Set(float64(d.ReceivedAt.UnixMilli()) / 1000)
	for _, item := range d.Items {
		m.events.WithLabelValues(d.Endpoint, d.Provider, item.Outcome).Inc()
		if item.APIVersion != "" {
			m.versions.WithLabelValues(d.Endpoint, d.Provider, item.APIVersion).Inc()
		}
		if !item.At.IsZero() {
			m.lag.WithLabelValues(d.Provider).Observe(max(0, d.ReceivedAt.Sub(item.At).Seconds()))
		}
	}
}

// refused counts a delivery that was not.
func (m *sourceMetrics) refused(delivery connectors.Delivery, provider string, reason connectors.Reason) {
	m.refusals.WithLabelValues(delivery.Integration, provider, string(reason)).Inc()
}
