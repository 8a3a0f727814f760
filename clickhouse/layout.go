package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/template"
	"time"
)

// ErrLayout: the servers are not the shards that the configuration says. Nothing
// was written, and no figure is told, because it would lack revenue or count it
// twice. It needs people.
var ErrLayout = errors.New("the shards are not as configured")

// ShardOf tells where a slice is kept, counted from 0. A group is in one slice, so
// it is on one shard; all that is promised of a slice (one writer, one fence, what
// is derived equal to the ledger) is then a matter of that shard alone.
func ShardOf(slice int32, shards int) int { return int(slice) % shards }

// place is which of the shards a server is, counted from 1; the zero place is a
// server of its own.
type place struct{ shard, shards int }

func (p place) alone() bool { return p.shards == 0 }

func (p place) keeps(slice int32) bool { return p.alone() || ShardOf(slice, p.shards) == p.shard-1 }

func (p place) String() string { return fmt.Sprintf("shard %d of %d", p.shard, p.shards) }

// publishedTables are those that the shards' Distributed tables show: all that
// people and answers ask for.
var publishedTables = slices.Concat([]string{"events", "ledger", "progress", "fx_rates", "layout", "deliveries", "reconciliations", "notifications", "alert_progress"}, derivedTables)

// confirmPlace fails with ErrLayout unless the server says that it is the shard it
// is taken for, and the slices belong there. Two shards that change their places in
// a configuration must not go on as if nothing had happened.
func (s *Store) confirmPlace(ctx context.Context, slices []int32) error {
	if s.place.alone() {
		return nil
	}
	for _, slice := range slices {
		if !s.place.keeps(slice) {
			return fmt.Errorf("%w: slice %d does not belong to %v", ErrLayout, slice, s.place)
		}
	}
	claimed, err := s.claimed(ctx)
	if err != nil {
		return err
	}
	if claimed != s.place {
		return fmt.Errorf("%w: %s is %v, not %v", ErrLayout, s.config.Addresses[0], claimed, s.place)
	}
	return nil
}

// layoutRow is a server's word of which shard it is.
type layoutRow struct {
	Shard  uint16 `ch:"shard"`
	Shards uint16 `ch:"shards"`
}

// claimed is the place that was given to the server, or the zero one.
func (s *Store) claimed(ctx context.Context) (place, error) {
	rows, err := selectRows[layoutRow](ctx, s, s.sql.layout)
	switch {
	case err != nil:
		return place{}, fmt.Errorf("asking which shard %s is: %w", s.config.Addresses[0], err)
	case len(rows) == 0:
		return place{}, nil
	case len(rows) > 1:
		return place{}, fmt.Errorf("%w: %s is several shards: %v", ErrLayout, s.config.Addresses[0], rows)
	}
	return place{int(rows[0].Shard), int(rows[0].Shards)}, nil
}

// claim gives the server its place, unless it has another one.
func (s *Store) claim(ctx context.Context) error {
	claimed, err := s.claimed(ctx)
	if err != nil || claimed == s.place {
		return err
	}
	if claimed != (place{}) {
		return fmt.Errorf("%w: %s is %v, not %v", ErrLayout, s.config.Addresses[0], claimed, s.place)
	}
	err = s.conn.Exec(ctx, s.sql.claimLayout, bind([]Named{{"shard", s.place.shard}, {"shards", s.place.shards}})...)
	if err != nil {
		return fmt.Errorf("making %s %v: %w", s.config.Addresses[0], s.place, classify(err))
	}
	return nil
}

// distribute makes the Distributed tables of a database on this shard. Whatever
// has their names and is something else stays, and is an ErrLayout: it is the
// revenue of a server that was on its own.
func (s *Store) distribute(ctx context.Context, database, cluster string) error {
	if err := s.createDatabase(ctx, database); err != nil {
		return err
	}
	own, err := selectRows[string](ctx, s, s.sql.ownTables, Named{"database", database}, Named{"names", publishedTables})
	if err != nil {
		return fmt.Errorf("looking for tables of a single server: %w", err)
	}
	if len(own) > 0 {
		return fmt.Errorf("%w: database %s of %s has tables of a single server: %v", ErrLayout, database, s.config.Addresses[0], own)
	}
	text, err := template.ParseFS(queryFiles, "sql/distribute.sql")
	if err != nil {
		return fmt.Errorf("parsing the embedded queries: %w", err)
	}
	for _, table := range publishedTables {
		var statement bytes.Buffer
		names := struct{ Database, Table, Parts, Cluster string }{database, table, s.config.Database, cluster}
		if err := text.Execute(&statement, names); err != nil {
			return fmt.Errorf("rendering the Distributed table %s: %w", table, err)
		}
		if err := s.conn.Exec(ctx, statement.String()); err != nil {
			return fmt.Errorf("making the Distributed table %s: %w", table, classify(err))
		}
	}
	return nil
}

// layoutTerm is for how long a look at what the Distributed tables reach is good:
// remote_servers may be changed under a running server.
const layoutTerm = 10 * time.Second

// confirmReach fails unless the Distributed tables reach every shard once. Without
// it a line that is missing in remote_servers, or there twice, would be a figure
// that is wrong without a word.
func (c *Cluster) confirmReach(ctx context.Context) error {
	c.reached.Lock()
	defer c.reached.Unlock()
	if time.Since(c.reached.at) < layoutTerm {
		return nil
	}
	type row struct {
		layoutRow
		Place    uint32 `ch:"place"`
		Replicas uint32 `ch:"replicas"`
	}
	rows, err := selectRows[row](ctx, c.answers, c.answers.sql.layoutSeen, Named{"cluster", c.config.Cluster})
	if err != nil {
		return fmt.Errorf("asking which shards the cluster %s has: %w", c.config.Cluster, err)
	}
	seen := map[uint16]bool{}
	for _, r := range rows {
		seen[r.Shard] = true
		if int(r.Shards) != len(c.shards) || r.Replicas != 1 {
			return fmt.Errorf("%w: the cluster %s has a shard of %d, and up to %d replicas of one; want %d shards of one replica",
				ErrLayout, c.config.Cluster, r.Shards, r.Replicas, len(c.shards))
		}
	}
	if len(rows) != len(c.shards) || len(seen) != len(c.shards) {
		return fmt.Errorf("%w: the cluster %s reaches %d servers that are %d different shards, want each of %d once",
			ErrLayout, c.config.Cluster, len(rows), len(seen), len(c.shards))
	}
	c.reached.at = time.Now()
	return nil
}
