package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

func TestAnOlderEpochIsRefusedEverywhere(t *testing.T) {
	store := open(t)
	events := charges(1, 20)
	nobody := &writer{store, map[int32]uint64{0: 1}, map[int32]int64{}}
	if err := nobody.write(t.Context(), 0, events); !errors.Is(err, ErrFenced) {
		t.Errorf("a writer that never took over gets %v, want ErrFenced", err)
	}
	zombie := takeOver(t, store, 0, 1)
	must(t, zombie.write(t.Context(), 0, events))
	owner := takeOver(t, store, 0)
	before := snapshot(t, store)

	if err := store.InsertStatements(t.Context(), zombie.statements(0, events)); !errors.Is(err, ErrFenced) {
		t.Errorf("statements of an older epoch: %v, want ErrFenced", err)
	}
	if err := store.InsertRows(t.Context(), zombie.rows(0, ledgerOf(events))); !errors.Is(err, ErrFenced) {
		t.Errorf("rows of an older epoch: %v, want ErrFenced", err)
	}
	if after := snapshot(t, store); after != before {
		t.Errorf("a refused insert changed %s into %s", before, after)
	}
	// One row of a slice that was lost spoils the whole insert; the other slice
	// is still the zombie's.
	mixed := append(zombie.rows(1, ledgerOf(events)[:1]), zombie.rows(0, ledgerOf(events)[:1])...)
	if err := store.InsertRows(t.Context(), mixed); !errors.Is(err, ErrFenced) {
		t.Errorf("rows of two epochs: %v, want ErrFenced", err)
	}
	if after := snapshot(t, store); after != before {
		t.Errorf("a refused insert changed %s into %s", before, after)
	}
	must(t, zombie.write(t.Context(), 1, events))
	must(t, owner.write(t.Context(), 0, events))
}

// Any other epoch than the fence's is refused, a higher one too: of two takers who
// wrote the fence one after the other, the later may have the lower epoch.
func TestAnyOtherEpochIsRefused(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	w.epochs[0]++
	if err := store.InsertStatements(t.Context(), w.statements(0, charges(1, 5))); !errors.Is(err, ErrFenced) {
		t.Errorf("statements of a higher epoch: %v, want ErrFenced", err)
	}
	if err := store.InsertRows(t.Context(), w.rows(0, ledgerOf(charges(1, 5)))); !errors.Is(err, ErrFenced) {
		t.Errorf("rows of a higher epoch: %v, want ErrFenced", err)
	}
	w.epochs[0]--
	must(t, w.write(t.Context(), 0, charges(1, 5)))
}

// snapshot is a digest of what all tables come to.
func snapshot(t testing.TB, store *Store) string {
	t.Helper()
	var sums []string
	for _, query := range []string{
		"SELECT count() FROM events", "SELECT sum(sign * (amount + mrr)) FROM ledger", "SELECT count() FROM entries",
		"SELECT sum(amount) FROM revenue_hourly", "SELECT sum(amount) FROM revenue_daily", "SELECT sum(amount) FROM revenue_monthly", "SELECT sum(mrr + entries) FROM mrr_daily", "SELECT sum(mrr + entries) FROM mrr_monthly",
	} {
		sums = append(sums, fmt.Sprint(count(t, store, query)))
	}
	return strings.Join(sums, " ")
}

func TestTakeOverKnowsWhereTheSliceHasCome(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0, 7)
	if w.next[0] != 0 || w.next[7] != 0 {
		t.Errorf("empty slices begin at %v, want 0", w.next)
	}
	must(t, w.write(t.Context(), 7, charges(1, 10)))
	want := w.next[7]
	// Rows do not advance it: only what was kept as a statement was consumed.
	want -= int64(len(ledgerOf(charges(1, 10))))
	again := takeOver(t, store, 0, 7)
	if again.next[7] != want || again.next[0] != 0 {
		t.Errorf("next offsets are %v, want %d and 0", again.next, want)
	}
	if again.epochs[7] <= w.epochs[7] {
		t.Errorf("the epoch went from %d to %d", w.epochs[7], again.epochs[7])
	}
	other, err := store.TakeOver(t.Context(), "topic-b", []int32{0, 7})
	must(t, err)
	if other[7].NextOffset != 0 {
		t.Errorf("another topic begins at %d, want 0", other[7].NextOffset)
	}
	if !other[7].TopicChanged || other[0].TopicChanged {
		t.Errorf("the topic of the slice that has statements has changed, of the other it has not: %+v", other)
	}
}

// What a store that was restored from a backup is whole until: statements that were
// caught without their rows do not count.
func TestRowsUntilIsWhereTheRowsEnd(t *testing.T) {
	store := open(t)
	until := func() int64 {
		t.Helper()
		offset, err := store.RowsUntil(t.Context(), testTopic, 3)
		must(t, err)
		return offset
	}
	w := takeOver(t, store, 2, 3)
	if got := until(); got != 0 {
		t.Errorf("an empty slice has rows until %d, want 0", got)
	}
	must(t, w.write(t.Context(), 2, charges(1, 50)))
	must(t, w.write(t.Context(), 3, charges(2, 10)))
	want := w.next[3]
	must(t, store.InsertStatements(t.Context(), w.statements(3, charges(3, 5))))
	if got := until(); got != want {
		t.Errorf("rows end at %d, want %d", got, want)
	}
}

// Of many who take over at once, exactly one can write afterwards.
func TestRacingTakersLeaveOneWriter(t *testing.T) {
	store := open(t)
	const takers = 8
	var group sync.WaitGroup
	writers := make([]*writer, takers)
	for i := range takers {
		group.Go(func() {
			taken, err := store.TakeOver(t.Context(), testTopic, []int32{0})
			if err != nil && !errors.Is(err, ErrFenced) {
				t.Errorf("taking over: %v", err)
			}
			if err == nil {
				writers[i] = &writer{store, map[int32]uint64{0: taken[0].Epoch}, map[int32]int64{}}
			}
		})
	}
	group.Wait()
	able := 0
	for _, w := range writers {
		if w == nil {
			continue
		}
		err := w.write(t.Context(), 0, charges(1, 1))
		if err == nil {
			able++
		} else if !errors.Is(err, ErrFenced) {
			t.Errorf("writing: %v", err)
		}
	}
	if able != 1 {
		t.Errorf("%d of %d takers can write, want 1", able, takers)
	}
}

// An insert that passed the fence before it was raised does not land later: it is
// ended, and TakeOver returns after it.
func TestTakeOverEndsRunningInserts(t *testing.T) {
	store := open(t)
	zombie := takeOver(t, store, 0)
	rows := zombie.rows(0, ledgerOf(charges(1, 3*blockRows)))
	// Some blocks are with the server, which has checked the epoch; the end comes
	// after the takeover.
	batch := startInsert(t, store, rows, 2*blockRows)
	running := "SELECT count() FROM system.processes WHERE startsWith(query_id, 'revstream-') AND current_database = currentDatabase()"
	if count(t, store, running) != 1 {
		t.Fatal("the zombie's insert is not running")
	}
	sent := make(chan error, 1)
	go func() {
		for {
			cancelled, _, err := Select[uint64](t.Context(), store, "SELECT count() FROM system.processes WHERE is_cancelled AND current_database = currentDatabase()")
			if err != nil || cancelled[0] > 0 {
				sent <- errors.Join(err, batch.Send())
				return
			}
		}
	}()
	takeOver(t, store, 0)
	if count(t, store, running) != 0 {
		t.Error("the zombie's insert is still running after TakeOver")
	}
	if err := <-sent; err == nil {
		t.Error("the zombie's insert was acknowledged")
	}
	if got := count(t, store, "SELECT count() FROM ledger"); got != 0 {
		t.Errorf("%d rows of the zombie landed", got)
	}
}

// A zombie that is stopped in the middle of an insert delays a takeover, but not
// for longer than the server waits for its next block.
func TestTakeOverOutlastsASilentWriter(t *testing.T) {
	store := open(t)
	store.config.InsertStallTimeout = time.Second
	zombie := takeOver(t, store, 0)
	rows := zombie.rows(0, ledgerOf(charges(1, 3*blockRows)))
	batch := startInsert(t, store, rows, 2*blockRows)
	defer func() { _ = batch.Abort() }()
	takeOver(t, store, 0)
	if got := count(t, store, "SELECT count() FROM ledger"); got != 0 {
		t.Errorf("%d rows of the zombie landed", got)
	}
}

// startInsert sends some of the rows of an insert and leaves it at that.
func startInsert(t *testing.T, store *Store, rows []Row, send int) driver.Batch {
	t.Helper()
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(store.insertSettings()),
		clickhouse.WithQueryID(store.writeID(len(rows), func(i int) Position { return rows[i].Position })))
	batch, err := store.conn.PrepareBatch(ctx, store.ledger.insert)
	must(t, err)
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	must(t, fillBatch(batch, store.ledger.columns, rows, order[:send], &scratch{}))
	must(t, batch.Flush())
	return batch
}

func TestWritersAreReadBackFromQueryIDs(t *testing.T) {
	store := &Store{process: "ab12"}
	positions := []Position{{Slice: 3, Epoch: 1 << 40}, {Slice: 3, Epoch: 1 << 40}, {Slice: 0, Epoch: 7}, {Slice: 3, Epoch: 1 << 40}}
	id := store.writeID(len(positions), func(i int) Position { return positions[i] })
	got := writers(id)
	if len(got) != 2 || got[3] != 1<<40 || got[0] != 7 {
		t.Errorf("%s is read as %v", id, got)
	}
	if writers("something-else") != nil {
		t.Error("a stranger's query is taken for a write")
	}
}

// The fence and everything else outlive a restart of the engine, in order and by
// force.
func TestRestartOfTheEngine(t *testing.T) {
	config := enginetest.Config(t.TempDir())
	start := func() *embedded.Engine {
		engine, err := embedded.Start(t.Context(), config, zap.NewNop())
		must(t, err)
		return engine
	}
	engine := start()
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engine.Stop(ctx); err != nil && !errors.Is(err, embedded.ErrKilled) {
			t.Error(err)
		}
	}
	defer func() { stop() }()
	store := openAt(t, engine, "revstream")
	must(t, store.Migrate(t.Context()))
	first := takeOver(t, store, 0)
	must(t, first.write(t.Context(), 0, charges(1, 200)))
	second := takeOver(t, store, 0)
	want := snapshot(t, store)
	must(t, store.Close())
	stop()
	engine = start()
	store = openAt(t, engine, "revstream")
	first.store, second.store = store, store
	must(t, store.Migrate(t.Context()))
	if got := snapshot(t, store); got != want {
		t.Errorf("after the restart there is %s, want %s", got, want)
	}
	if err := first.write(t.Context(), 0, charges(2, 5)); !errors.Is(err, ErrFenced) {
		t.Errorf("after the restart an older epoch gets %v, want ErrFenced", err)
	}
	must(t, second.write(t.Context(), 0, charges(2, 5)))
	third := takeOver(t, store, 0)
	if third.epochs[0] <= second.epochs[0] || third.next[0] == 0 {
		t.Errorf("taking over after the restart gives epoch %d after %d, offset %d", third.epochs[0], second.epochs[0], third.next[0])
	}
	must(t, store.Close())
}
