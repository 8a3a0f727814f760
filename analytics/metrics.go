package analytics

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds  *prometheus.HistogramVec
	rowsRead *prometheus.HistogramVec
	refused  prometheus.Counter
	streams  prometheus.Gauge
	// streamRowsRead is what streams cost the store: about what is new.
	streamRowsRead prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "revstream_analytics_answer_seconds", Help: "Time to answer a question, by endpoint and status.",
			Buckets: []float64{.005, .01, .02, .03, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"endpoint", "status"}),
		rowsRead: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "revstream_analytics_answer_rows_read", Help: "Rows that the store read for an answer, by endpoint.",
			Buckets: prometheus.ExponentialBuckets(100, 10, 7),
		}, []string{"endpoint"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_analytics_busy_total", Help: "Questions, exports and streams refused because too many were in flight.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "revstream_analytics_streams", Help: "Streams that are open.",
		}),
		streamRowsRead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_analytics_stream_rows_read_total", Help: "Rows that the store read for looks at what is new to streams.",
		}),
	}
	var errs []error
	for _, collector := range []prometheus.Collector{m.seconds, m.rowsRead, m.refused, m.streams, m.streamRowsRead} {
		errs = append(errs, registerer.Register(collector))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering metrics of analytics: %w", err)
	}
	return m, nil
}

func (m *metrics) observe(endpoint string, status int, took time.Duration, rowsRead uint64) {
	m.seconds.WithLabelValues(endpoint, strconv.Itoa(status)).Observe(took.Seconds())
	m.rowsRead.WithLabelValues(endpoint).Observe(float64(rowsRead))
}
