package archive

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the archive stores.
type metrics struct {
	stored   prometheus.Counter
	failures prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "revstream", Subsystem: "archive", Name: name, Help: help})
	}
	m := &metrics{
		stored:   counter("deliveries_stored_total", "Webhook deliveries stored in ClickHouse, repeated ones too."),
		failures: counter("failures_total", "Attempts to store webhook deliveries that failed; they are tried again."),
	}
	return m, errors.Join(registerer.Register(m.stored), registerer.Register(m.failures))
}
