package stream

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// producerMetrics count publishing. Outcomes are ok, busy, invalid, too_large.
type producerMetrics struct {
	published    *prometheus.CounterVec // records, by outcome
	seconds      prometheus.Histogram
	records      prometheus.GaugeFunc // in flight
	bytes        prometheus.GaugeFunc
	quarantined  *prometheus.CounterVec // dead letters written, by reason
	retried      prometheus.Counter
	deadFailures prometheus.Counter // dead letters that could not be written
}

func newProducerMetrics(f *flight) *producerMetrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "revstream", Subsystem: "stream", Name: name, Help: help}
	}
	gauge := func(name, help string, value func() int) prometheus.GaugeFunc {
		opts := prometheus.GaugeOpts{Namespace: "revstream", Subsystem: "stream", Name: name, Help: help}
		return prometheus.NewGaugeFunc(opts, func() float64 { return float64(value()) })
	}
	return &producerMetrics{
		published: prometheus.NewCounterVec(counter("published_records_total", "Statements handed to Publish, by outcome."), []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "revstream", Subsystem: "stream", Name: "publish_seconds",
			Help:    "Time until all records of a Publish were acknowledged.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		records:      gauge("in_flight_records", "Records handed to Kafka and not yet acknowledged.", func() int { records, _ := f.load(); return records }),
		bytes:        gauge("in_flight_bytes", "Bytes handed to Kafka and not yet acknowledged.", func() int { _, bytes := f.load(); return bytes }),
		quarantined:  prometheus.NewCounterVec(counter("dead_letters_total", "Dead letters written, by reason."), []string{"reason"}),
		retried:      prometheus.NewCounter(counter("dead_letters_retried_total", "Dead letters published again.")),
		deadFailures: prometheus.NewCounter(counter("dead_letter_errors_total", "Dead letters that could not be written, retried or discarded.")),
	}
}

func (m *producerMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.published, m.seconds, m.records, m.bytes, m.quarantined, m.retried, m.deadFailures}
}

// outcome is the label of an error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	}
	return "busy"
}

// tableMetrics count what a table does; the topic is a label of the registerer.
type tableMetrics struct {
	applied        prometheus.Counter     // records read and stored
	puts           *prometheus.CounterVec // by outcome
	barriers       *prometheus.CounterVec // by outcome
	barrierSeconds prometheus.Histogram
	rebuilds       *prometheus.CounterVec // by reason
	storeErrors    prometheus.Counter
	fetchErrors    prometheus.Counter
}

func newTableMetrics() *tableMetrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "revstream", Subsystem: "table", Name: name, Help: help}
	}
	return &tableMetrics{
		applied:  prometheus.NewCounter(counter("applied_records_total", "Records read from the topic into the table.")),
		puts:     prometheus.NewCounterVec(counter("puts_total", "Changes written, by outcome."), []string{"outcome"}),
		barriers: prometheus.NewCounterVec(counter("barriers_total", "Questions to Kafka where the topic ends, by outcome."), []string{"outcome"}),
		barrierSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "revstream", Subsystem: "table", Name: "latest_seconds",
			Help:    "Time until a reader knew the latest.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		rebuilds:    prometheus.NewCounterVec(counter("rebuilds_total", "Times that the local copy was thrown away, by reason."), []string{"reason"}),
		storeErrors: prometheus.NewCounter(counter("store_errors_total", "Failed reads or writes of the local copy.")),
		fetchErrors: prometheus.NewCounter(counter("fetch_errors_total", "Errors of reading the topic.")),
	}
}

func (m *tableMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.applied, m.puts, m.barriers, m.barrierSeconds, m.rebuilds, m.storeErrors, m.fetchErrors}
}

// register registers all or none, and returns how to take them back.
func register(reg prometheus.Registerer, collectors []prometheus.Collector) (unregister func(), err error) {
	if reg == nil {
		return func() {}, nil
	}
	done := 0
	unregister = func() {
		for _, collector := range collectors[:done] {
			reg.Unregister(collector)
		}
	}
	for _, collector := range collectors {
		if err := reg.Register(collector); err != nil {
			unregister()
			return nil, err
		}
		done++
	}
	return unregister, nil
}
