package reconcile

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/ingest/backfill"
	"revstream/ingest/control"
)

// Directory knows the endpoints of all workspaces.
type Directory interface {
	Workspaces() []control.Workspace
	Endpoints(workspace string) []control.Endpoint
}

// Nightly compares what providers moved with the ledger once a day. Of several processes
// one does it: whoever notes first in ClickHouse that it begins.
type Nightly struct {
	config     Config
	directory  Directory
	connectors map[string]connectors.Connector
	store      *clickhouse.Cluster
	log        *zap.Logger
	metrics    *metrics
	now        func() time.Time
	runner     string
	settle     time.Duration // see clickhouse.Claim
	// settled is the day for which an endpoint needs no further look.
	settled map[string]time.Time
}

// claimSettle is much longer than an insert takes, and nothing to a night.
const claimSettle = 5 * time.Second

// NewNightly makes one; Run starts it. The error is of the metrics.
func NewNightly(config Config, directory Directory, all []connectors.Connector, store *clickhouse.Cluster, registerer prometheus.Registerer, log *zap.Logger) (*Nightly, error) {
	m, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics of reconciliation: %w", err)
	}
	n := &Nightly{
		config: config, directory: directory, connectors: map[string]connectors.Connector{}, store: store, log: log,
		metrics: m, now: time.Now, runner: rand.Text(), settle: claimSettle, settled: map[string]time.Time{},
	}
	for _, connector := range all {
		n.connectors[connector.Provider] = connector
	}
	return n, nil
}

// Run works until ctx ends.
func (n *Nightly) Run(ctx context.Context) {
	if n.config.Hour == Never {
		return
	}
	tick := time.NewTicker(n.config.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.look(ctx)
		}
	}
}

// look compares whatever is due.
func (n *Nightly) look(ctx context.Context) {
	now := n.now().UTC()
	day := now.Truncate(24 * time.Hour)
	if now.Hour() < n.config.Hour {
		return
	}
	for _, workspace := range n.directory.Workspaces() {
		for _, endpoint := range n.directory.Endpoints(workspace.ID) {
			connector := n.connectors[endpoint.Provider]
			keyless := endpoint.Settings()["api_key"] == ""
			if keyless || !endpoint.RevokedAt.IsZero() || connector.History == nil || connector.History.Totals == nil || n.settled[endpoint.ID].Equal(day) {
				continue
			}
			if err := n.compare(ctx, connector, endpoint, now); err != nil && ctx.Err() == nil {
				n.log.Warn("reconcile", zap.String("endpoint", endpoint.ID), zap.String("provider", endpoint.Provider), zap.Error(err))
			}
		}
	}
}

// compare does one endpoint if it falls to this process. The error is of the store.
func (n *Nightly) compare(ctx context.Context, connector connectors.Connector, endpoint control.Endpoint, now time.Time) error {
	store, day := n.store.Shards()[0], now.Truncate(24*time.Hour)
	r := clickhouse.Reconciliation{
		Workspace: endpoint.Workspace, Endpoint: endpoint.ID, Day: day, At: now, Runner: n.runner,
		Since: day.AddDate(0, 0, -n.config.Days), Until: day,
	}
	mine, done, err := store.ClaimReconciliation(ctx, r, clickhouse.Claim{Term: n.config.RetryAfter, Settle: n.settle})
	if done {
		n.settled[endpoint.ID] = day
	}
	if err != nil || !mine {
		return err
	}
	outcome, err := n.run(ctx, connector, endpoint, connectors.Window{From: r.Since, Until: r.Until}, now)
	if ctx.Err() != nil {
		return nil // stopped, not failed
	}
	r.At, r.Finished, r.Totals, r.Differences = n.now().UTC(), true, outcome.Totals, outcome.Differences
	if err != nil {
		r.Failure = err.Error()
	} else {
		n.settled[endpoint.ID] = day
	}
	n.tell(endpoint, r)
	return store.RecordReconciliation(ctx, r)
}

func (n *Nightly) run(ctx context.Context, connector connectors.Connector, endpoint control.Endpoint, window connectors.Window, now time.Time) (Outcome, error) {
	patience := backfill.DefaultPatience()
	patience.PerSecond = n.config.PerSecond
	past, err := backfill.PastOf(connector, endpoint, "", patience, now)
	if err != nil {
		return Outcome{}, err
	}
	return Run(ctx, connector, past, window, n.store.Answers())
}

// loggedMax bounds how many differences are logged; all are kept.
const loggedMax = 20

// tell says in log and metrics how a comparison ended.
func (n *Nightly) tell(endpoint control.Endpoint, r clickhouse.Reconciliation) {
	log := n.log.With(zap.String("endpoint", endpoint.ID), zap.String("provider", endpoint.Provider), zap.Time("since", r.Since), zap.Time("until", r.Until))
	labels := []string{endpoint.ID, endpoint.Provider}
	if r.Failure != "" {
		n.metrics.runs.WithLabelValues(append(labels, outcomeFailed)...).Inc()
		log.Warn("the provider's totals could not be compared with the ledger", zap.String("failure", r.Failure), zap.Duration("again_after", n.config.RetryAfter))
		return
	}
	n.metrics.last.WithLabelValues(labels...).Set(float64(r.At.Unix()))
	n.metrics.differences.WithLabelValues(labels...).Set(float64(len(r.Differences)))
	if len(r.Differences) == 0 {
		n.metrics.runs.WithLabelValues(append(labels, outcomeAgree)...).Inc()
		log.Info("the provider's totals agree with the ledger", zap.Int("totals", r.Totals))
		return
	}
	n.metrics.runs.WithLabelValues(append(labels, outcomeDiffer)...).Inc()
	log.Warn("the provider's totals and the ledger differ", zap.Int("differences", len(r.Differences)))
	for _, d := range r.Differences[:min(loggedMax, len(r.Differences))] {
		log.Warn("difference", zap.String("day", d.Day.Format(time.DateOnly)), zap.String("currency", d.Currency), zap.String("flow", d.Flow),
			zap.Int64("provider_says", d.Theirs), zap.Int64("ledger_has", d.Ours))
	}
}
