package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/stream"
)

// refusals is a Store that remembers why it refused to insert.
type refusals struct {
	*clickhouse.Store
	reasons chan string
}

func watchRefusals(store *clickhouse.Store) *refusals {
	return &refusals{store, make(chan string, 1000)}
}

func (s *refusals) note(err error) error {
	if err != nil {
		s.reasons <- err.Error()
	}
	return err
}

func (s *refusals) InsertStatements(ctx context.Context, statements []clickhouse.Statement) error {
	return s.note(s.Store.InsertStatements(ctx, statements))
}

func (s *refusals) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	return s.note(s.Store.InsertRows(ctx, rows))
}

// await wants a refusal for the reason, and an error that says to try again.
func (s *refusals) await(t *testing.T, reason string) {
	t.Helper()
	for {
		select {
		case text := <-s.reasons:
			if strings.Contains(text, reason) {
				if !strings.Contains(text, clickhouse.ErrUnavailable.Error()) {
					t.Errorf("not an error to try again after: %s", text)
				}
				return
			}
			t.Logf("refused: %s", text)
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing was refused because of %s", reason)
		}
	}
}

// ownEngine is one that a test may starve, stop and start again on its ports.
func ownEngine(t *testing.T, change func(*embedded.Config)) (*embedded.Engine, embedded.Config) {
	t.Helper()
	config := enginetest.Config(filepath.Join(t.TempDir(), "engine"))
	if change != nil {
		change(&config)
	}
	engine, err := embedded.Start(t.Context(), config, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	config.NativePort, config.HTTPPort = portOf(t, engine.Addr()), portOf(t, engine.HTTPAddr())
	return engine, config
}

func stopEngine(t *testing.T, engine *embedded.Engine) {
	t.Helper()
	if err := engine.Stop(context.Background()); err != nil && !errors.Is(err, embedded.ErrKilled) {
		t.Fatal(err)
	}
}

// TestOutOfMemory gives ClickHouse less memory for a query than a full batch needs:
// the batch is refused, and smaller ones get everything in.
func TestOutOfMemory(t *testing.T) {
	engine, _ := ownEngine(t, func(config *embedded.Config) { config.QueryMemoryBytesMax = 12 << 20 })
	t.Cleanup(func() { stopEngine(t, engine) })
	r := newRig(t, engine, "memory")
	store := watchRefusals(r.store)
	events := scenario(21, 8000)
	r.publish(t, events)
	r.startWith(t, quick(), store)
	store.await(t, "memory limit")
	r.await(t)
	r.holds(t, events)
}

// TestTooManyParts has ClickHouse refuse inserts until merges have caught up.
func TestTooManyParts(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	engine := enginetest.Start(t)
	database := r.databaseName(t)
	enginetest.Exec(t, engine, "SYSTEM STOP MERGES "+database+".ledger")
	enginetest.Exec(t, engine, "ALTER TABLE "+database+".ledger MODIFY SETTING parts_to_delay_insert = 2, parts_to_throw_insert = 3, max_delay_to_insert = 1")
	store := watchRefusals(r.store)
	events := scenario(22, 600)
	small := quick()
	small.BatchRowsMax = 50
	r.startWith(t, small, store)
	r.publish(t, events)
	store.await(t, "Too many parts")
	enginetest.Exec(t, engine, "SYSTEM START MERGES "+database+".ledger")
	enginetest.Exec(t, engine, "ALTER TABLE "+database+".ledger MODIFY SETTING parts_to_delay_insert = 1000, parts_to_throw_insert = 3000")
	r.await(t)
	r.holds(t, events)
}

func (r *rig) databaseName(t *testing.T) string {
	t.Helper()
	rows, _, err := clickhouse.Select[struct {
		Name string `ch:"name"`
	}](t.Context(), r.store, "SELECT currentDatabase() AS name")
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	return rows[0].Name
}

// TestOlderBackup puts a store back to what it was a while ago, under a sink that
// is stopped and under one that runs on: the log is read again from where the store
// ends.
func TestOlderBackup(t *testing.T) {
	for name, running := range map[string]bool{"sink stopped": false, "sink running": true} {
		t.Run(name, func(t *testing.T) {
			engine, config := ownEngine(t, nil)
			t.Cleanup(func() { stopEngine(t, engine) })
			r := newRig(t, engine, "backup")
			events := scenario(23, 900)
			stop := r.start(t, quick())
			r.publish(t, events[:300])
			r.await(t)
			restart := func(between func()) {
				kill(t, engine) // an orderly end waits for the sink's connections
				between()
				var err error
				if engine, err = embedded.Start(t.Context(), config, zap.NewNop()); err != nil {
					t.Fatal(err)
				}
			}
			backup := filepath.Join(t.TempDir(), "backup")
			restart(func() { copyFolder(t, config.Dir, backup) })
			r.publish(t, events[300:600])
			r.await(t)
			if !running {
				stop()
			}
			restart(func() {
				if err := os.RemoveAll(config.Dir); err != nil {
					t.Fatal(err)
				}
				copyFolder(t, backup, config.Dir)
			})
			if !running {
				r.start(t, quick())
			}
			// Nothing new need come for the gap to be noticed.
			r.await(t)
			r.holds(t, events[:600])
			r.publish(t, events[600:])
			r.await(t)
			r.holds(t, events)
		})
	}
}

// TestATornBackupIsReadAgain leaves a store as a backup does that was taken within a
// batch: statements that have no rows, and derived tables that know more than the
// ledger. It is read again from where the rows end, not the statements.
func TestATornBackupIsReadAgain(t *testing.T) {
	engine := enginetest.Start(t)
	r := newRig(t, engine, enginetest.DatabaseName(t))
	events := scenario(24, 900)
	stop := r.start(t, quick())
	r.publish(t, events[:300])
	r.await(t)
	whole := r.ends(t)
	r.publish(t, events[300:600])
	r.await(t)
	stop()
	database := r.databaseName(t)
	for slice, end := range r.ends(t) {
		if end <= whole[slice]+1 {
			t.Fatalf("slice %d got %d records: too few to be torn", slice, end-whole[slice])
		}
		for _, lost := range []string{
			fmt.Sprintf("events DELETE WHERE slice = %d AND offset >= %d", slice, end-1),
			fmt.Sprintf("ledger DELETE WHERE slice = %d AND offset >= %d", slice, whole[slice]),
			fmt.Sprintf("entries DELETE WHERE slice = %d AND offset >= %d", slice, whole[slice]),
		} {
			enginetest.Exec(t, engine, "ALTER TABLE "+database+"."+lost+" SETTINGS mutations_sync = 1")
		}
	}
	r.start(t, quick())
	r.await(t)
	r.holds(t, events[:600])
	r.publish(t, events[600:])
	r.await(t)
	r.holds(t, events)
}

// ends are the offsets after the last record of each slice.
func (r *rig) ends(t *testing.T) map[int32]int64 {
	t.Helper()
	listed, err := r.admin(t).ListEndOffsets(t.Context(), r.config.EventsTopic)
	if err = errors.Join(err, listed.Error()); err != nil {
		t.Fatal(err)
	}
	ends := map[int32]int64{}
	listed.Each(func(end kadm.ListedOffset) { ends[end.Partition] = end.Offset })
	return ends
}

// TestLogIsGone deletes records that were never stored: the sink says so and ends,
// and stores nothing of what comes after them.
func TestLogIsGone(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	events := scenario(25, 2000)
	stop := r.start(t, quick())
	r.publish(t, events[:1000])
	r.await(t)
	stop()
	r.publish(t, events[1000:1900])
	for i := range events[1900:] { // each in a batch of its own, before which the log can begin
		r.publish(t, events[1900+i:1901+i])
	}
	admin := r.admin(t)
	ends, err := admin.ListEndOffsets(t.Context(), r.config.EventsTopic)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) { end.Offset--; ends[end.Topic][end.Partition] = end })
	if _, err := admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	opts, err := stream.ConsumerOpts(r.config, "sink", r.log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(quick(), r.config.EventsTopic, opts, r.store, r.producer.Quarantine, prometheus.NewRegistry(), r.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Run(ctx); !errors.Is(err, ErrLogLost) {
		t.Errorf("the sink ended with %v", err)
	}
	r.holds(t, events[:1000])
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestTopicRecreated deletes the topic and makes it anew, under a sink that is
// stopped and under one that runs on. What is sent again and what is new is counted
// once, though its offsets are those of other records before.
func TestTopicRecreated(t *testing.T) {
	for name, running := range map[string]bool{"sink stopped": false, "sink running": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
			events := scenario(24, 900)
			stop := r.start(t, quick())
			r.publish(t, events[:600])
			r.await(t)
			if !running {
				stop()
			}
			if _, err := r.admin(t).DeleteTopic(t.Context(), r.config.EventsTopic); err != nil {
				t.Fatal(err)
			}
			if err := stream.EnsureTopics(t.Context(), r.config); err != nil {
				t.Fatal(err)
			}
			// A producer that had the old topic is of no use any more.
			var err error
			if r.producer, err = stream.NewProducer(r.config, prometheus.NewRegistry(), r.log); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.producer.Close(context.Background()) })
			if !running {
				r.start(t, quick())
			}
			r.publish(t, events[450:])
			r.await(t)
			r.holds(t, events)
		})
	}
}
