package alerts

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"revstream/clickhouse"
)

type metrics struct {
	made     *prometheus.CounterVec // by type
	attempts *prometheus.CounterVec // by status
	ended    *prometheus.CounterVec // by state
	failures prometheus.Counter
	leads    prometheus.Gauge
	through  prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "revstream", Subsystem: "alerts", Name: name, Help: help}
	}
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	m := &metrics{
		made:     counter("notifications_total", "Notifications made, by type.", "type"),
		attempts: counter("attempts_total", "Attempts to send a notification, by the receiver's status; 0 without an answer.", "status"),
		ended:    counter("notifications_ended_total", "Notifications that are not sent any more, by state: delivered, dead, dropped.", "state"),
		failures: prometheus.NewCounter(prometheus.CounterOpts(opts("failures_total", "Looks at the ledger or the outbox that failed; they are tried again."))),
		leads:    prometheus.NewGauge(prometheus.GaugeOpts(opts("leader", "Whether this process is the one that tells subscribers."))),
		through:  prometheus.NewGauge(prometheus.GaugeOpts(opts("looked_through_seconds", "Unix time until when the ledger was looked at for what to tell."))),
	}
	return m, errors.Join(registerer.Register(m.made), registerer.Register(m.attempts), registerer.Register(m.ended),
		registerer.Register(m.failures), registerer.Register(m.leads), registerer.Register(m.through))
}

// tried counts an attempt, and the end of the notification if it was one.
func (m *metrics) tried(result outcome, state string) {
	m.attempts.WithLabelValues(strconv.Itoa(int(result.status))).Inc()
	if state != clickhouse.NotificationPending {
		m.ended.WithLabelValues(state).Inc()
	}
}
