package main

import "github.com/prometheus/client_golang/prometheus"

// httpMetrics measure requests by route, whatever role answers them.
type httpMetrics struct {
	requests *prometheus.HistogramVec
}

func newHTTPMetrics(registerer prometheus.Registerer) *httpMetrics {
	m := &httpMetrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "revstream_http_request_seconds",
			Help:    "Time from a request's arrival to its answer, by route and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route", "status"}),
	}
	registerer.MustRegister(m.requests)
	return m
}

// engineMetrics tell how the embedded ClickHouse is doing.
type engineMetrics struct {
	up       prometheus.Gauge
	restarts prometheus.Counter
}

func newEngineMetrics(registerer prometheus.Registerer) *engineMetrics {
	m := &engineMetrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "revstream_clickhouse_engine_up",
			Help: "1 while the embedded ClickHouse engine runs.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "revstream_clickhouse_engine_restarts_total",
			Help: "Restarts of the embedded ClickHouse engine after it ended by itself.",
		}),
	}
	registerer.MustRegister(m.up, m.restarts)
	return m
}
