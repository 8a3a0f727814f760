package clickhouse

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

// clusterConfig is that of the engines' revenue.
func clusterConfig(engines *enginetest.Shards) Config {
	config := DefaultConfig()
	config.Addresses, config.Shards, config.Cluster = nil, engines.Addresses(), enginetest.ClusterName
	config.User, config.Password, config.Durable = embedded.AdminUser, enginetest.ClusterPassword, false
	return config
}

func openCluster(t testing.TB, config Config) *Cluster {
	t.Helper()
	cluster, err := OpenCluster(t.Context(), config, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), prometheus.NewRegistry())
	must(t, err)
	t.Cleanup(func() { _ = cluster.Close() })
	for _, shard := range cluster.Shards() {
		shard.checkPause = time.Millisecond
	}
	return cluster
}

const clusterSlices = 4

// spread writes each event to the slice of its group, on its shard, as the sink would.
func spread(ctx context.Context, writers []*writer, events []revenue.Event) error {
	for slice := range int32(clusterSlices) {
		var own []revenue.Event
		for i := range events {
			if GroupHash(events[i].GroupKey())%clusterSlices == uint64(slice) {
				own = append(own, events[i])
			}
		}
		if err := writers[ShardOf(slice, len(writers))].write(ctx, slice, own); err != nil {
			return err
		}
	}
	return nil
}

// takeOverAll takes over every slice at its shard.
func takeOverAll(t testing.TB, cluster *Cluster) []*writer {
	t.Helper()
	writers := make([]*writer, len(cluster.Shards()))
	for i, shard := range cluster.Shards() {
		var own []int32
		for slice := range int32(clusterSlices) {
			if ShardOf(slice, len(writers)) == i {
				own = append(own, slice)
			}
		}
		writers[i] = takeOver(t, shard, own...)
	}
	return writers
}

// sumsOf are what ledger, entries and rollups come to, which must be one figure.
func sumsOf(t testing.TB, store *Store) int64 {
	t.Helper()
	ledger := count(t, store, "SELECT sum(sign * amount) FROM ledger")
	for _, sql := range []string{"SELECT sum(sign * amount) FROM entries", "SELECT sum(amount) FROM revenue_daily", "SELECT sum(amount) FROM revenue_hourly"} {
		if sum := count(t, store, sql); sum != ledger {
			t.Errorf("%s: %d, the ledger says %d", sql, sum, ledger)
		}
	}
	return ledger
}

func amountOf(events []revenue.Event) int64 {
	var sum int64
	for _, row := range ledgerOf(events) {
		sum += int64(row.Sign) * row.Amount
	}
	return sum
}

// One test for all that shards do, for their start costs as much as the rest.
func TestShards(t *testing.T) {
	engines := enginetest.StartShards(t, 2)
	config := clusterConfig(engines)
	cluster := openCluster(t, config)
	must(t, cluster.Migrate(t.Context()))
	must(t, cluster.Migrate(t.Context()))
	writers := takeOverAll(t, cluster)
	events := charges(1, 600)
	must(t, spread(t.Context(), writers, events))

	t.Run("answers are of all shards", func(t *testing.T) {
		if got, want := sumsOf(t, cluster.Answers()), amountOf(events); got != want {
			t.Errorf("the whole is %d, want %d", got, want)
		}
		for i, shard := range cluster.Shards() {
			if part := sumsOf(t, shard); part == 0 || part == amountOf(events) {
				t.Errorf("shard %d has %d of %d", i+1, part, amountOf(events))
			}
		}
		next, err := cluster.NextOffsets(t.Context(), testTopic, []int32{0, 1, 2, 3})
		must(t, err)
		for _, w := range writers {
			for slice := range w.next {
				if next[slice] == 0 {
					t.Errorf("slice %d: nothing is stored, says NextOffsets", slice)
				}
			}
		}
	})
	t.Run("a row that belongs nowhere is not taken", func(t *testing.T) {
		if err := cluster.Answers().conn.Exec(t.Context(), "INSERT INTO layout VALUES (9, 9)"); err == nil {
			t.Error("a row was inserted into the whole of a table")
		}
	})
	t.Run("every table is published", func(t *testing.T) { checkPublished(t, cluster.Shards()[0]) })
	t.Run("check and rebuild", func(t *testing.T) { checkShardsMended(t, cluster, events) })
	t.Run("progress is of all slices", func(t *testing.T) { checkClusterProgress(t, cluster, takeOverAll(t, cluster)) })
	t.Run("wrong layouts are refused", func(t *testing.T) { checkLayouts(t, config) })
	t.Run("a shard is down", func(t *testing.T) { checkShardDown(t, engines, cluster, events) })
}

func checkPublished(t *testing.T, shard *Store) {
	internal := []string{"fence", "reservations", versionTable}
	tables, _, err := Select[string](t.Context(), shard,
		"SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT IN ('MaterializedView', 'View', 'Null')")
	must(t, err)
	for _, table := range tables {
		if slices.Contains(internal, table) == slices.Contains(publishedTables, table) {
			t.Errorf("say of table %s whether the Distributed tables show it (publishedTables) or nobody asks for it (this test)", table)
		}
	}
}

func checkShardsMended(t *testing.T, cluster *Cluster, events []revenue.Event) {
	for i, statement := range []string{"TRUNCATE TABLE revenue_daily", "INSERT INTO revenue_daily SELECT * FROM revenue_daily"} {
		exec(t, cluster.Shards()[i], statement)
	}
	report, err := cluster.Check(t.Context())
	must(t, err)
	if report.Slices != clusterSlices || report.Cells["revenue_daily"] == 0 || len(report.Cells) != 1 {
		t.Errorf("after a rollup was falsified on both shards: %d slices, differing %v", report.Slices, report.Cells)
	}
	var seen []int32
	repair, err := cluster.Rebuild(t.Context(), "revenue_daily", func(p RebuildProgress) { seen = append(seen, p.Slice) })
	must(t, err)
	if repair.Cells["revenue_daily"] != report.Cells["revenue_daily"] {
		t.Errorf("rebuilt %v, differing were %v", repair.Cells, report.Cells)
	}
	slices.Sort(seen)
	if !slices.Equal(slices.Compact(seen), []int32{0, 1, 2, 3}) {
		t.Errorf("rebuilt the slices %v", seen)
	}
	if report, err := cluster.Check(t.Context()); err != nil || !report.OK() {
		t.Errorf("after the rebuild: differing %v, %v", report.Cells, err)
	}
	if got, want := sumsOf(t, cluster.Answers()), amountOf(events); got != want {
		t.Errorf("after the rebuild the whole is %d, want %d", got, want)
	}
}

func checkClusterProgress(t *testing.T, cluster *Cluster, writers []*writer) {
	at := testNow
	for i, w := range writers {
		if got, err := cluster.Answers().CompleteThrough(t.Context(), clusterSlices); err != nil || !got.IsZero() {
			t.Errorf("complete through %v, %v before shard %d has reported", got, err, i+1)
		}
		at = at.Add(-time.Minute)
		var progress []Progress
		for slice, epoch := range w.epochs {
			progress = append(progress, Progress{Slice: slice, Epoch: epoch, CompleteThrough: at})
		}
		must(t, w.store.SaveProgress(t.Context(), progress))
	}
	if got, err := cluster.Answers().CompleteThrough(t.Context(), clusterSlices); err != nil || !got.Equal(at) {
		t.Errorf("complete through %v, %v, want the least of the shards, %v", got, err, at)
	}
}

// checkLayouts tries what an operator could get wrong.
func checkLayouts(t *testing.T, config Config) {
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %v, want ErrLayout", what, err)
		}
	}
	swapped := config
	swapped.Shards = []string{config.Shards[1], config.Shards[0]}
	wrong := openCluster(t, swapped)
	_, err := wrong.Shards()[0].TakeOver(t.Context(), testTopic, []int32{0})
	refused("taking over at swapped shards", err)
	_, err = wrong.Check(t.Context())
	refused("checking swapped shards", err)
	_, err = wrong.Rebuild(t.Context(), "entries", nil)
	refused("rebuilding swapped shards", err)
	refused("migrating swapped shards", wrong.Migrate(t.Context()))

	right := openCluster(t, config)
	_, err = right.Shards()[0].TakeOver(t.Context(), testTopic, []int32{0, 1})
	refused("taking over a slice of another shard", err)

	for _, name := range []string{enginetest.ClusterShort, enginetest.ClusterDoubled} {
		misnamed := config
		misnamed.Cluster = name
		cluster := openCluster(t, misnamed)
		refused("migrating with the cluster "+name, cluster.Migrate(t.Context()))
		_, _, err := Select[int64](t.Context(), cluster.Answers(), "SELECT sum(amount)::Int64 FROM revenue_daily")
		refused("asking with the cluster "+name, err)
	}
	must(t, right.Migrate(t.Context())) // the Distributed tables are right again

	single := config
	single.Database = "alone"
	single.Addresses, single.Shards, single.Cluster = config.Shards[:1], nil, ""
	must(t, openCluster(t, single).Migrate(t.Context()))
	grown := config
	grown.Database = "alone"
	refused("shards where a single server was", openCluster(t, grown).Migrate(t.Context()))
	if rows, _, err := Select[int64](t.Context(), openCluster(t, single).Answers(), "SELECT count()::Int64 FROM ledger"); err != nil || len(rows) != 1 {
		t.Errorf("the single server's ledger: %v, %v", rows, err)
	}
}

func checkShardDown(t *testing.T, engines *enginetest.Shards, cluster *Cluster, events []revenue.Event) {
	writers := takeOverAll(t, cluster)
	engines.Kill(t, 1)
	_, _, err := Select[int64](t.Context(), cluster.Answers(), "SELECT sum(amount)::Int64 FROM revenue_daily")
	var missing *MissingShardsError
	if !errors.As(err, &missing) || !slices.Equal(missing.Missing, []int{2}) || missing.Shards != 2 || !errors.Is(err, ErrUnavailable) {
		t.Errorf("asked with shard 2 down: %v", err)
	}
	if err := cluster.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "shard 2 of 2") || strings.Contains(err.Error(), "shard 1 of 2") {
		t.Errorf("ping with shard 2 down: %v", err)
	}
	more := charges(2, 300)
	var own []revenue.Event // for shard 1
	for i := range more {
		if ShardOf(int32(GroupHash(more[i].GroupKey())%clusterSlices), 2) == 0 {
			own = append(own, more[i])
		}
	}
	must(t, writers[0].write(t.Context(), 0, own))
	engines.Start(t, 1)
	var sum []int64
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		sum, _, err = Select[int64](t.Context(), cluster.Answers(), "SELECT sum(amount)::Int64 FROM revenue_daily")
		if err == nil || time.Now().After(deadline) {
			break
		}
	}
	if want := amountOf(events) + amountOf(own); err != nil || sum[0] != want {
		t.Errorf("after shard 2 is back: %v, %v, want %d", sum, err, want)
	}
}

func TestConfigOfShards(t *testing.T) {
	good := DefaultConfig()
	good.Addresses, good.Shards, good.Cluster = nil, []string{"a:1", "b:1"}, "c"
	must(t, good.Validate())
	replicated := good
	replicated.Engine, replicated.Shards = EngineReplicated, []string{"a:1|a:2", "b:1|b:2"}
	must(t, replicated.Validate())
	for what, change := range map[string]func(*Config){
		"one shard":           func(c *Config) { c.Shards = c.Shards[:1] },
		"a shard twice":       func(c *Config) { c.Shards = []string{"a:1", "a:1"} },
		"an empty shard":      func(c *Config) { c.Shards = []string{"a:1", ""} },
		"no cluster":          func(c *Config) { c.Cluster = "" },
		"addresses as well":   func(c *Config) { c.Addresses = []string{"a:1"} },
		"plain with replicas": func(c *Config) { c.Shards = []string{"a:1|a:2", "b:1"} },
		"nothing at all":      func(c *Config) { c.Shards, c.Cluster = nil, "" },
		"cluster of a single": func(c *Config) { c.Addresses, c.Shards = c.Shards[:1], nil },
	} {
		config := good
		change(&config)
		if config.Validate() == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
