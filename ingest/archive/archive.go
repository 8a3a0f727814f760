// Package archive keeps webhook deliveries as they came in: it brings them from their
// topic into ClickHouse, finds them again, and has them read once more when a mapping
// was corrected. Nothing that is asked about revenue waits for it.
package archive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// Config bounds the archive.
type Config struct {
	// Group is the consumer group that reads the deliveries topic.
	Group string `koanf:"group"`
	// BatchRowsMax and BatchWaitMax end a batch, whichever comes first.
	BatchRowsMax int           `koanf:"batch_rows_max"`
	BatchWaitMax time.Duration `koanf:"batch_wait_max"`
	// BackoffMin and BackoffMax bound the wait between attempts while ClickHouse or
	// Kafka is down.
	BackoffMin time.Duration `koanf:"backoff_min"`
	BackoffMax time.Duration `koanf:"backoff_max"`
}

// DefaultConfig suits any installation: deliveries may be found a second later.
func DefaultConfig() Config {
	return Config{
		Group: "revstream-archive", BatchRowsMax: 2000, BatchWaitMax: time.Second,
		BackoffMin: 200 * time.Millisecond, BackoffMax: 10 * time.Second,
	}
}

// Validate says which limit is wrong.
func (c Config) Validate() error {
	switch {
	case c.Group == "":
		return fmt.Errorf("archive.group is empty")
	case c.BatchRowsMax < 1:
		return fmt.Errorf("archive.batch_rows_max %d is not positive", c.BatchRowsMax)
	case c.BatchWaitMax <= 0 || c.BatchWaitMax > time.Minute:
		return fmt.Errorf("archive.batch_wait_max %v is not within 0 and 1m", c.BatchWaitMax)
	case c.BackoffMin <= 0 || c.BackoffMax < c.BackoffMin:
		return fmt.Errorf("archive.backoff_min %v and archive.backoff_max %v are not a range", c.BackoffMin, c.BackoffMax)
	}
	return nil
}

// Archive brings deliveries into ClickHouse.
type Archive struct {
	config     Config
	kafka      stream.Config
	store      *clickhouse.Cluster
	quarantine func(context.Context, stream.DeadLetter) error
	registerer prometheus.Registerer
	metrics    *metrics
	log        *zap.Logger
}

// New makes an archive; Run starts it. What is no delivery goes to quarantine. The
// error is a fault of the configuration, or of the metrics.
func New(config Config, kafka stream.Config, store *clickhouse.Cluster, quarantine func(context.Context, stream.DeadLetter) error, registerer prometheus.Registerer, log *zap.Logger) (*Archive, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics of the archive: %w", err)
	}
	return &Archive{config: config, kafka: kafka, store: store, quarantine: quarantine, registerer: registerer, metrics: m, log: log}, nil
}

// Run works until ctx ends. It retries everything but faults of the configuration.
func (a *Archive) Run(ctx context.Context) error {
	reader := stream.DeliveryReader{
		Group: a.config.Group, RowsMax: a.config.BatchRowsMax, WaitMax: a.config.BatchWaitMax,
		BackoffMin: a.config.BackoffMin, BackoffMax: a.config.BackoffMax,
		Store: a.insert, Quarantine: a.quarantine,
	}
	return reader.Read(ctx, a.kafka, a.log, a.registerer)
}

// insert stores a batch. Once more is harmless.
func (a *Archive) insert(ctx context.Context, deliveries []stream.Delivery) error {
	rows := make([]clickhouse.Delivery, len(deliveries))
	var err error
	for i := range deliveries {
		if rows[i], err = rowOf(&deliveries[i]); err != nil {
			return err
		}
	}
	if err := a.store.InsertDeliveries(ctx, rows); err != nil {
		a.metrics.failures.Inc()
		a.log.Warn("store deliveries", zap.Int("deliveries", len(rows)), zap.Error(err))
		return err
	}
	a.metrics.stored.Add(float64(len(rows)))
	return nil
}

// rowOf is the row of a delivery, with what it can be found by.
func rowOf(d *stream.Delivery) (clickhouse.Delivery, error) {
	record, err := stream.EncodeDelivery(d)
	if err != nil {
		return clickhouse.Delivery{}, fmt.Errorf("row of delivery %s: %w", d.ID, err)
	}
	row := clickhouse.Delivery{
		ID: d.ID, Workspace: d.Workspace, Endpoint: d.Endpoint, Provider: d.Provider, ReceivedAt: d.ReceivedAt,
		Revision: d.Revision, Refusal: d.Refusal, Names: namesIn(d.Statements),
		Statements: uint32(len(d.Statements)), Bytes: uint32(len(d.Body)), Record: string(record),
		EventIDs: []string{}, Types: []string{}, Versions: []string{}, Outcomes: []string{}, HappenedAt: []time.Time{},
	}
	for _, item := range d.Items {
		row.EventIDs = append(row.EventIDs, item.ID)
		row.Types = append(row.Types, item.Type)
		row.Versions = append(row.Versions, item.APIVersion)
		row.Outcomes = append(row.Outcomes, item.Outcome)
		at := item.At
		if at.IsZero() {
			at = time.Unix(0, 0).UTC()
		}
		row.HappenedAt = append(row.HappenedAt, at)
	}
	return row, nil
}

// namesIn are the ids that statements mention, each once.
func namesIn(statements []revenue.Event) []string {
	names := []string{}
	for i := range statements {
		e := &statements[i]
		for _, name := range [...]string{e.ObjectID, e.ExternalID, e.Original, e.Payment, e.Invoice, e.Subscription, e.Customer} {
			if name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
