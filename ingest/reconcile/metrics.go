package reconcile

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell how the comparisons of this process ended.
type metrics struct {
	runs        *prometheus.CounterVec // by endpoint, provider and outcome
	differences *prometheus.GaugeVec   // by endpoint and provider
	last        *prometheus.GaugeVec
}

// Outcomes of a comparison.
const (
	outcomeAgree  = "agree"
	outcomeDiffer = "differ"
	outcomeFailed = "failed"
)

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	labels := []string{"endpoint", "provider"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "revstream", Subsystem: "reconcile", Name: name, Help: help}, labels)
	}
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "revstream", Subsystem: "reconcile", Name: "runs_total",
			Help: "Comparisons of what a provider says it moved with the ledger, by endpoint, provider and outcome: agree, differ or failed.",
		}, append(labels, "outcome")),
		differences: gauge("differences", "Days, currencies and flows about which the provider and the ledger disagreed when they were last compared."),
		last:        gauge("last_timestamp_seconds", "When the provider and the ledger were last compared, in Unix seconds."),
	}
	return m, errors.Join(registerer.Register(m.runs), registerer.Register(m.differences), registerer.Register(m.last))
}
