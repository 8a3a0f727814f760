package sink

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	batches     *prometheus.CounterVec // by outcome: stored, failed, fenced
	statements  prometheus.Counter
	rows        prometheus.Counter
	groups      *prometheus.CounterVec // by source of prior state: new, cache, read
	quarantined *prometheus.CounterVec // by reason
	takeovers   *prometheus.CounterVec // by outcome
	repaired    prometheus.Counter
	foreign     prometheus.Counter
	recreations prometheus.Counter
	cuts        prometheus.Counter
	commits     *prometheus.CounterVec // by outcome
	batchRows   prometheus.Histogram
	seconds     *prometheus.HistogramVec // by stage: read, fold, statements, rows, equalise, commit
	lag         *prometheus.GaugeVec     // by slice
	groupMax    prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	const namespace, subsystem = "revstream", "sink"
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
		registry.MustRegister(c)
		return c
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, []string{label})
		registry.MustRegister(c)
		return c
	}
	m := &metrics{
		batches:     vector("batches_total", "Batches by outcome: stored, failed or fenced.", "outcome"),
		statements:  counter("statements_total", "Statements inserted, repeated deliveries included."),
		rows:        counter("ledger_rows_total", "Ledger rows inserted."),
		groups:      vector("groups_total", "Groups folded, by where their prior state came from: new, cache or read.", "source"),
		quarantined: vector("quarantined_total", "Records sent to the dead-letter topic, by reason.", "reason"),
		takeovers:   vector("takeovers_total", "Takeovers of slices by outcome: done or failed.", "outcome"),
		repaired:    counter("repaired_cells_total", "Cells of derived tables that a takeover made equal to the ledger."),
		foreign:     counter("foreign_rows_total", "Ledger rows taken back because no statement accounts for them."),
		recreations: counter("topic_recreations_total", "Times that the topic was found deleted and made anew, and was read from its beginning."),
		cuts:        counter("log_cuts_total", "Times that a slice's log was found shorter than what is stored of it, and was read from its beginning."),
		commits:     vector("commits_total", "Offset commits by outcome: done, refused or failed.", "outcome"),
		batchRows: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: "batch_statements",
			Help: "Statements of a batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 10)}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: "stage_seconds",
			Help: "Time of each stage of a batch.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}, []string{"stage"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "lag_records",
			Help: "Records of a slice that are accepted and not yet stored."}, []string{"slice"}),
		groupMax: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "group_statements_max",
			Help: "Statements of the largest group folded so far; folding costs grow with it."}),
	}
	registry.MustRegister(m.batchRows, m.seconds, m.lag, m.groupMax)
	return m
}
