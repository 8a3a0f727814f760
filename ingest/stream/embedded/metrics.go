package embedded

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	syncSeconds      prometheus.Histogram
	failures         prometheus.Counter
	logBytes         *prometheus.GaugeVec
	trimmedRecords   prometheus.Counter
	compactionsTotal prometheus.Counter
}

// newMetrics registers the broker's figures; a nil registerer keeps them to
// itself.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "revstream_broker_sync_seconds",
			Help:    "Time of one sync of the embedded broker's log, which all acknowledgements of that moment share.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_broker_failures_total",
			Help: "Failures after which the embedded broker acknowledges nothing any more: 0 or 1.",
		}),
		logBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "revstream_broker_log_bytes",
			Help: "Size of the topics of the embedded broker.",
		}, []string{"topic"}),
		trimmedRecords: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_broker_trimmed_records_total",
			Help: "Consumed records that were deleted because the log had outgrown its budget.",
		}),
		compactionsTotal: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_broker_compactions_total",
			Help: "Compactions of the compacted topics.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m.syncSeconds, m.failures, m.logBytes, m.trimmedRecords, m.compactionsTotal} {
		if err := reg.Register(collector); err != nil {
			return nil, fmt.Errorf("registering the broker's metrics: %w", err)
		}
	}
	return m, nil
}
