package ingest

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what came in at each door and what became of it.
type metrics struct {
	requests   *prometheus.CounterVec // by door and status
	seconds    *prometheus.HistogramVec
	records    *prometheus.CounterVec // by door and outcome: accepted, rejected, replayed
	statements *prometheus.CounterVec // published, by door
	lookups    *prometheus.CounterVec // of registered things, by outcome: hit, miss
	// hits and misses are the two series of lookups: bulk requests count thousands.
	hits, misses prometheus.Counter

	items    *prometheus.CounterVec // of webhook deliveries, by provider and outcome
	refusals *prometheus.CounterVec // of webhook deliveries, by provider and reason
	sources  *sourceMetrics
	panics   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, inFlight func() int64, ahead func() time.Duration) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "revstream", Subsystem: "ingest", Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests:   counter("requests_total", "Requests answered, by door and HTTP status.", "door", "status"),
		records:    counter("records_total", "Records of requests, by door and outcome.", "door", "outcome"),
		statements: counter("statements_total", "Statements acknowledged by Kafka, by door.", "door"),
		lookups:    counter("lookups_total", "Lookups of messages, contacts, offers and short links, by outcome.", "outcome"),
		items:      counter("webhook_events_total", "Events of webhook deliveries that verified, by provider and outcome: booked, incomplete (booked without what the provider's API refuses to the endpoint's key), ignored (unknown, or books nothing), other_mode, quarantined, refused.", "provider", "outcome"),
		refusals:   counter("webhook_refusals_total", "Webhook deliveries that do not verify, by provider and reason.", "provider", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "revstream", Subsystem: "ingest", Name: "request_seconds",
			Help: "Time to answer, Kafka's acknowledgement included, by door.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"door"}),
		sources: newSourceMetrics(),
		panics:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: "revstream", Subsystem: "ingest", Name: "panics_total", Help: "Requests whose handler panicked."}),
	}
	m.hits, m.misses = m.lookups.WithLabelValues("hit"), m.lookups.WithLabelValues("miss")
	inside := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "revstream", Subsystem: "ingest", Name: "requests_in_flight", Help: "Requests being served."},
		func() float64 { return float64(inFlight()) })
	early := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "revstream", Subsystem: "ingest", Name: "clock_ahead_seconds",
		Help: "By how much times of acceptance are ahead of the wall clock, because that was set back."}, func() float64 { return ahead().Seconds() })
	var faults []error
	collectors := []prometheus.Collector{m.requests, m.seconds, m.records, m.statements, m.lookups, m.items, m.refusals, m.panics, inside, early}
	for _, collector := range append(collectors, m.sources.collectors()...) {
		faults = append(faults, registerer.Register(collector))
	}
	return m, errors.Join(faults...)
}

func (m *metrics) observe(door string, a answer, took time.Duration) {
	m.requests.WithLabelValues(door, strconv.Itoa(a.status)).Inc()
	m.seconds.WithLabelValues(door).Observe(took.Seconds())
	if a.replayed {
		m.records.WithLabelValues(door, "replayed").Inc()
		return
	}
	m.records.WithLabelValues(door, "accepted").Add(float64(a.accepted))
	m.records.WithLabelValues(door, "rejected").Add(float64(a.rejected))
	m.statements.WithLabelValues(door).Add(float64(a.statements))
}

func (m *metrics) lookup(found bool) {
	if found {
		m.hits.Inc()
	} else {
		m.misses.Inc()
	}
}
