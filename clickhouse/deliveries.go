package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cespare/xxhash/v2"
)

// Delivery is a row of `deliveries`: a webhook delivery and by what to find it.
type Delivery struct {
	ID         string    `ch:"id"`
	Workspace  string    `ch:"workspace"`
	Endpoint   string    `ch:"endpoint"`
	Provider   string    `ch:"provider"`
	ReceivedAt time.Time `ch:"received_at"`
	// Revision is 0, or that of the replay which read it last; the highest stands.
	Revision int64  `ch:"revision"`
	Refusal  string `ch:"refusal"`
	// EventIDs, Types, Versions, Outcomes and HappenedAt have an element for each
	// event of the delivery. A time of 1970 is not known.
	EventIDs   []string    `ch:"event_ids"`
	Types      []string    `ch:"types"`
	Versions   []string    `ch:"versions"`
	Outcomes   []string    `ch:"outcomes"`
	HappenedAt []time.Time `ch:"happened_at"`
	// Names are the ids that its statements mention.
	Names      []string `ch:"names"`
	Statements uint32   `ch:"statements"`
	Bytes      uint32   `ch:"bytes"` // of the body
	// Record is the delivery as Kafka had it.
	Record string `ch:"record"`
}

// InsertDeliveries is Store.InsertDeliveries, on whichever shard a delivery belongs to.
func (c *Cluster) InsertDeliveries(ctx context.Context, deliveries []Delivery) error {
	perShard := make([][]Delivery, len(c.shards))
	for _, d := range deliveries {
		// The same shard each time, or a delivery that comes again would be two.
		shard := int(xxhash.Sum64String(d.ID) % uint64(len(c.shards)))
		perShard[shard] = append(perShard[shard], d)
	}
	for i, shard := range c.shards {
		if err := shard.InsertDeliveries(ctx, perShard[i]); err != nil {
			return err
		}
	}
	return nil
}

// InsertDeliveries appends deliveries. To insert one again replaces it.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "log_queries": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO deliveries (id, workspace, endpoint, provider, received_at, revision, refusal, "+
		"event_ids, types, versions, outcomes, happened_at, names, statements, bytes, record)")
	if err != nil {
		return fmt.Errorf("inserting into deliveries: %w", classify(err))
	}
	for i := range deliveries {
		d := &deliveries[i]
		if err := batch.Append(d.ID, d.Workspace, d.Endpoint, d.Provider, storable(d.ReceivedAt), d.Revision, d.Refusal,
			d.EventIDs, d.Types, d.Versions, d.Outcomes, d.HappenedAt, d.Names, d.Statements, d.Bytes, d.Record); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("inserting delivery %s: %w", d.ID, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting %d deliveries: %w", len(deliveries), classify(err))
	}
	return nil
}

// DeliveryFilter chooses deliveries of one workspace. What is empty does not narrow.
type DeliveryFilter struct {
	Workspace, Endpoint, Provider string
	// Type and Outcome are those of any of a delivery's events.
	Type, Outcome string
	// Name is the id of the delivery, of an event of it, or of an object, payment,
	// invoice, subscription or customer that its statements mention.
	Name string
	// Since and Until bound when it was received, half open.
	Since, Until time.Time
}

// Page of deliveries: at most Limit, newest first, or with OldestFirst those after
// the one at AfterTime with AfterID.
type Page struct {
	Limit       int
	OldestFirst bool
	AfterTime   time.Time
	AfterID     string
}

// Deliveries are those that the filter chooses.
func (s *Store) Deliveries(ctx context.Context, filter DeliveryFilter, page Page) ([]Delivery, error) {
	if filter.Since.IsZero() {
		filter.Since = time.Unix(0, 0)
	}
	if filter.Until.IsZero() {
		filter.Until = latestTime
	}
	if page.AfterTime.IsZero() {
		page.AfterTime = time.Unix(0, 0)
	}
	sql := s.sql.deliveriesNewest
	if page.OldestFirst {
		sql = s.sql.deliveriesOldest
	}
	rows, _, err := Select[Delivery](ctx, s, sql,
		Named{"workspace", filter.Workspace}, Named{"endpoint", filter.Endpoint}, Named{"provider", filter.Provider},
		Named{"type", filter.Type}, Named{"outcome", filter.Outcome}, Named{"name", filter.Name},
		Named{"since", filter.Since}, Named{"until", filter.Until}, Named{"limit", page.Limit},
		Named{"after_time", page.AfterTime}, Named{"after_id", page.AfterID})
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	return rows, nil
}

// latestTime is the last that any filter needs, and that a DateTime can name.
var latestTime = time.Date(2105, 12, 31, 0, 0, 0, 0, time.UTC)

// keepDeliveriesFor sets how long deliveries are kept, unless the table says so.
func (s *Store) keepDeliveriesFor(ctx context.Context) error {
	term := fmt.Sprintf("toDateTime(received_at) + toIntervalHour(%d)", int(s.config.DeliveriesRetention.Hours()))
	created, err := selectRows[string](ctx, s, s.sql.deliveriesTable)
	if err != nil || len(created) == 1 && strings.Contains(created[0], "TTL "+term) {
		return err
	}
	// Numbers in a TTL cannot be bound. What is old goes with the next merges.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"materialize_ttl_after_modify": 0}))
	if err := s.conn.Exec(ctx, "ALTER TABLE deliveries MODIFY TTL "+term); err != nil {
		return fmt.Errorf("setting how long deliveries are kept: %w", classify(err))
	}
	return nil
}
