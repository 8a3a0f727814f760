package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cespare/xxhash/v2"
)

// The states of a notification.
const (
	NotificationPending   = "pending"
	NotificationDelivered = "delivered"
	NotificationDead      = "dead"    // given up
	NotificationDropped   = "dropped" // nobody wants it any more
)

// Notification is a row of `notifications`: something that a subscriber is told, and
// how far that has come.
type Notification struct {
	ID        string `ch:"id"`
	Workspace string `ch:"workspace"`
	Alert     string `ch:"alert"`
	// Subject is what it is about, Group the ledger's group of that, if it has one.
	Subject string `ch:"subject"`
	Group   string `ch:"fact_group"`
	// Previous is the one before it about the same subject.
	Previous string `ch:"previous"`
	Type     string `ch:"type"`
	// Stands and Amount are what is believed of the subject, as the ledger counts.
	Stands bool  `ch:"stands"`
	Amount int64 `ch:"amount"`

	CreatedAt time.Time `ch:"created_at"`
	// Revision rises with each change; the highest stands.
	Revision int64     `ch:"revision"`
	State    string    `ch:"state"`
	NextAt   time.Time `ch:"next_at"`
	// TriedAt, Statuses and Errors have an element for each attempt to send it.
	TriedAt  []time.Time `ch:"tried_at"`
	Statuses []uint16    `ch:"statuses"`
	Errors   []string    `ch:"errors"`
	// Counted is how many of the attempts count against those that there may be.
	Counted uint16 `ch:"counted"`
	Body    string `ch:"body"`
}

// Told is the last that a subscriber was told of a subject.
type Told struct {
	Workspace string `ch:"workspace"`
	Alert     string `ch:"alert"`
	Subject   string `ch:"subject"`
	Group     string `ch:"fact_group"`
	ID        string `ch:"id"`
	Type      string `ch:"type"`
	Stands    bool   `ch:"stands"`
	Amount    int64  `ch:"amount"`
	Body      string `ch:"body"`
}

// InsertNotifications appends rows of notifications, each on the shard of its id. To
// insert one again replaces it.
func (c *Cluster) InsertNotifications(ctx context.Context, list []Notification) error {
	perShard := make([][]Notification, len(c.shards))
	for i := range list {
		shard := int(xxhash.Sum64String(list[i].ID) % uint64(len(c.shards)))
		perShard[shard] = append(perShard[shard], list[i])
	}
	for i, shard := range c.shards {
		if err := shard.insertNotifications(ctx, perShard[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) insertNotifications(ctx context.Context, list []Notification) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "log_queries": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO notifications (id, workspace, alert, subject, fact_group, previous, type, "+
		"stands, amount, created_at, revision, state, next_at, tried_at, statuses, errors, counted, body)")
	if err != nil {
		return fmt.Errorf("inserting into notifications: %w", classify(err))
	}
	for i := range list {
		n := &list[i]
		if err := batch.Append(n.ID, n.Workspace, n.Alert, n.Subject, n.Group, n.Previous, n.Type, n.Stands, n.Amount, storable(n.CreatedAt),
			n.Revision, n.State, storable(n.NextAt), n.TriedAt, n.Statuses, n.Errors, n.Counted, n.Body); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("inserting notification %s: %w", n.ID, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting %d notifications: %w", len(list), classify(err))
	}
	return nil
}

// Told is what subscribers of a workspace were told last of each subject in the groups.
func (s *Store) Told(ctx context.Context, workspace string, groups []string) ([]Told, error) {
	rows, _, err := Select[Told](ctx, s, s.sql.notificationsTold, Named{"workspace", workspace}, Named{"groups", groups})
	if err != nil {
		return nil, fmt.Errorf("reading what subscribers were told: %w", err)
	}
	return rows, nil
}

// DueNotifications are those to be sent by now, the oldest first: at most limit, of one
// alert at most batch, of the busy alerts none.
func (s *Store) DueNotifications(ctx context.Context, now time.Time, busy []string, batch, limit int) ([]Notification, error) {
	rows, _, err := Select[Notification](ctx, s, s.sql.notificationsDue,
		Named{"now", now}, Named{"busy", busy}, Named{"batch", batch}, Named{"limit", limit})
	if err != nil {
		return nil, fmt.Errorf("reading notifications to send: %w", err)
	}
	return rows, nil
}

// NotificationFilter chooses notifications of one workspace, newest first. What is
// empty does not narrow.
type NotificationFilter struct {
	Workspace, Alert, ID, State string
	Since                       time.Time
	// Before and BeforeID are those of the last one seen.
	Before   time.Time
	BeforeID string
	Limit    int
}

// Notifications are those that the filter chooses.
func (s *Store) Notifications(ctx context.Context, f NotificationFilter) ([]Notification, error) {
	if f.Since.IsZero() {
		f.Since = time.Unix(0, 0)
	}
	if f.Before.IsZero() {
		f.Before = latestTime
	}
	rows, _, err := Select[Notification](ctx, s, s.sql.notificationsLog,
		Named{"workspace", f.Workspace}, Named{"alert", f.Alert}, Named{"id", f.ID}, Named{"state", f.State},
		Named{"since", f.Since}, Named{"before", f.Before}, Named{"before_id", f.BeforeID}, Named{"limit", f.Limit})
	if err != nil {
		return nil, fmt.Errorf("reading the log of notifications: %w", err)
	}
	return rows, nil
}

// AlertProgress is until when everything was looked at for alerts; the zero time if
// nothing was.
func (s *Store) AlertProgress(ctx context.Context) (time.Time, error) {
	rows, _, err := Select[int64](ctx, s, s.sql.alertProgress)
	if err != nil || len(rows) == 0 || rows[0] == 0 {
		if err != nil {
			err = fmt.Errorf("reading the progress of alerts: %w", err)
		}
		return time.Time{}, err
	}
	return time.UnixMicro(rows[0]).UTC(), nil
}

// SaveAlertProgress says that everything until then was looked at for alerts.
func (c *Cluster) SaveAlertProgress(ctx context.Context, through, now time.Time) error {
	s := c.shards[0]
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "log_queries": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO alert_progress (id, through, written_at)")
	if err == nil {
		if err = batch.Append(uint8(0), storable(through), storable(now)); err == nil {
			err = batch.Send()
		}
	}
	if err != nil {
		return fmt.Errorf("saving the progress of alerts: %w", classify(err))
	}
	return nil
}
