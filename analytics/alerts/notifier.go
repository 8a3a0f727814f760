// Package alerts tells subscribers what happens: it finds in the ledger what they want
// to know of and have not been told, keeps that in ClickHouse, and posts it to them,
// signed as Standard Webhooks says, until they have taken it or it is given up.
//
// It works as the sink does: what should have been told, less what was, is what is
// missing. So it may stop and start anywhere, and a correction is told as one. What is
// told was believed as of a moment before which everything is in the ledger; what was
// believed only between two looks is not told at all.
package alerts

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/analytics"
	"revstream/clickhouse"
	"revstream/ingest/control"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// Directory has the alerts and whose they are; *control.Directory is one.
type Directory interface {
	ActiveAlerts() []control.Alert
	FindAlert(id string) (control.Alert, error)
	RevokeAlert(ctx context.Context, by control.Actor, id, reason string) (control.Alert, error)
	AlertOrders() []control.AlertOrder
	CloseAlertOrder(ctx context.Context, id string) error
	Workspace(slug string) (control.Workspace, bool)
	Endpoints(workspace string) []control.Endpoint
}

// Figures answers what thresholds are held against; *analytics.Server does.
type Figures interface {
	Figures(ctx context.Context, workspace control.Workspace, period, previous analytics.Period, asOf time.Time) (now, before analytics.Summary, err error)
}

// Dependencies are what a Notifier works with.
type Dependencies struct {
	Store     *clickhouse.Cluster
	Directory Directory
	Figures   Figures
	// Slices is how many slices have to say how far they are: kafka.partitions.
	Slices     int
	Registerer prometheus.Registerer
	Log        *zap.Logger
	// Now is time.Now unless a test needs another clock.
	Now func() time.Time
}

// Notifier tells subscribers. Run one at a time (see stream.Leader); two do no harm but
// that subscribers are told some things twice, under the same id.
type Notifier struct {
	Dependencies
	config  Config
	metrics *metrics
	client  *http.Client
	sql     struct{ changed, facts string }

	// through is until when facts were looked at in this term of leadership; zero before
	// the first look. judged is when thresholds were.
	through, saved, judged time.Time

	mu      sync.Mutex
	busy    map[string]bool // alerts that are being sent to
	senders sync.WaitGroup
}

// New prepares a Notifier. The error is of the configuration or of metrics that are
// registered already.
func New(config Config, dependencies Dependencies) (*Notifier, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(dependencies.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics of alerts: %w", err)
	}
	n := &Notifier{Dependencies: dependencies, config: config, metrics: m, client: newClient(config), busy: map[string]bool{}}
	if n.Now == nil {
		n.Now = time.Now
	}
	for name, into := range map[string]*string{"changed": &n.sql.changed, "facts": &n.sql.facts} {
		text, err := sqlFiles.ReadFile("sql/" + name + ".sql")
		if err != nil {
			return nil, err
		}
		*into = string(text)
	}
	return n, nil
}

// now is in the resolution of the store.
func (n *Notifier) now() time.Time { return n.Now().UTC().Truncate(time.Microsecond) }

// Run tells until ctx ends. It retries everything.
func (n *Notifier) Run(ctx context.Context) {
	n.through, n.saved, n.judged = time.Time{}, time.Time{}, time.Time{}
	n.metrics.leads.Set(1)
	defer n.metrics.leads.Set(0)
	var loops sync.WaitGroup
	loops.Go(func() { n.repeat(ctx, "looking for what to tell", n.look) })
	loops.Go(func() { n.repeat(ctx, "looking for what to send", n.send) })
	loops.Wait()
	n.senders.Wait()
}

// repeat does something at each interval, and tells once when it begins to fail.
func (n *Notifier) repeat(ctx context.Context, what string, do func(context.Context) error) {
	ticker := time.NewTicker(n.config.LookInterval)
	defer ticker.Stop()
	failed := false
	for ctx.Err() == nil {
		err := do(ctx)
		if err != nil && ctx.Err() == nil {
			n.metrics.failures.Inc()
			if !failed {
				n.Log.Warn(what+" fails; it goes on trying", zap.Error(err))
			}
		}
		failed = err != nil
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// look finds what is to be told and puts it into the outbox.
func (n *Notifier) look(ctx context.Context) error {
	orders := n.carryOut(ctx)
	// What is complete is asked first, so that it is true of all that is read after.
	complete, err := n.Store.Answers().CompleteThrough(ctx, n.Slices)
	if err != nil {
		return errors.Join(orders, err)
	}
	var facts error
	if !complete.IsZero() {
		facts = n.lookAtFacts(ctx, complete)
	}
	return errors.Join(orders, facts, n.judge(ctx, complete))
}

// keep puts notifications into the outbox.
func (n *Notifier) keep(ctx context.Context, list []clickhouse.Notification) error {
	if err := n.Store.InsertNotifications(ctx, list); err != nil {
		return err
	}
	for i := range list {
		n.metrics.made.WithLabelValues(list[i].Type).Inc()
	}
	return nil
}
