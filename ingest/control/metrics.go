package control

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	denied         *prometheus.CounterVec // by reason
	misses         prometheus.Counter
	missFailures   prometheus.Counter
	changeFailures prometheus.Counter
	unreadable     prometheus.Counter
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "revstream", Subsystem: "control", Name: name, Help: help}
	}
	return &metrics{
		denied:         prometheus.NewCounterVec(opts("keys_denied_total", "API keys turned away, by reason."), []string{"reason"}),
		misses:         prometheus.NewCounter(opts("misses_total", "Lookups that waited for the control plane to be up to date.")),
		missFailures:   prometheus.NewCounter(opts("miss_failures_total", "Such lookups that could not be answered.")),
		changeFailures: prometheus.NewCounter(opts("change_failures_total", "Changes that Kafka did not take.")),
		unreadable:     prometheus.NewCounter(opts("unreadable_records_total", "Records of the control plane that could not be read and are ignored.")),
	}
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	for _, collector := range []prometheus.Collector{m.denied, m.misses, m.missFailures, m.changeFailures, m.unreadable} {
		if err := reg.Register(collector); err != nil {
			return err
		}
	}
	return nil
}
