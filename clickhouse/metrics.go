package clickhouse

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the store.
type metrics struct {
	insertSeconds *prometheus.HistogramVec
	insertRows    *prometheus.CounterVec
	insertErrors  *prometheus.CounterVec
	stateSeconds  prometheus.Histogram
	stateKeys     prometheus.Counter
	stateRows     prometheus.Counter
	querySeconds  prometheus.Histogram
	queryRowsRead prometheus.Counter
	queryErrors   *prometheus.CounterVec
	takeOvers     prometheus.Counter
	cellsMended   *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	const namespace, subsystem = "revstream", "clickhouse"
	seconds := prometheus.ExponentialBuckets(0.001, 2, 16)
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
	}
	histogram := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: seconds}
	}
	m := &metrics{
		insertSeconds: prometheus.NewHistogramVec(histogram("insert_seconds", "Time of one insert, by table."), []string{"table"}),
		insertRows:    prometheus.NewCounterVec(counter("insert_rows_total", "Rows inserted and acknowledged, by table."), []string{"table"}),
		insertErrors:  prometheus.NewCounterVec(counter("insert_errors_total", "Inserts that were not acknowledged, by table and reason."), []string{"table", "reason"}),
		stateSeconds:  prometheus.NewHistogram(histogram("state_read_seconds", "Time to read what a set of groups holds.")),
		stateKeys:     prometheus.NewCounter(counter("state_keys_total", "Groups whose state was read.")),
		stateRows:     prometheus.NewCounter(counter("state_rows_read_total", "Rows the server read to answer state reads.")),
		querySeconds:  prometheus.NewHistogram(histogram("query_seconds", "Time of one query for an answer.")),
		queryRowsRead: prometheus.NewCounter(counter("query_rows_read_total", "Rows the server read for answers.")),
		queryErrors:   prometheus.NewCounterVec(counter("query_errors_total", "Queries for answers that failed, by reason."), []string{"reason"}),
		takeOvers:     prometheus.NewCounter(counter("take_overs_total", "Slices taken over.")),
		cellsMended:   prometheus.NewCounterVec(counter("cells_mended_total", "Cells of derived tables that differed from the ledger and were mended, by table."), []string{"table"}),
	}
	for _, collector := range []prometheus.Collector{
		m.insertSeconds, m.insertRows, m.insertErrors, m.stateSeconds, m.stateKeys, m.stateRows,
		m.querySeconds, m.queryRowsRead, m.queryErrors, m.takeOvers, m.cellsMended,
	} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observeInsert(table string, rows int, began time.Time, err error) {
	if err != nil {
		m.insertErrors.WithLabelValues(table, reason(err)).Inc()
		return
	}
	m.insertSeconds.WithLabelValues(table).Observe(time.Since(began).Seconds())
	m.insertRows.WithLabelValues(table).Add(float64(rows))
}

func (m *metrics) observeQuery(stats Stats, err error) {
	m.querySeconds.Observe(stats.Elapsed.Seconds())
	m.queryRowsRead.Add(float64(stats.RowsRead))
	if err != nil {
		m.queryErrors.WithLabelValues(reason(err)).Inc()
	}
}

func reason(err error) string {
	switch {
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrTooExpensive):
		return "too_expensive"
	default:
		return "other"
	}
}
