package clickhouse

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// differing runs Check and returns how many cells of each table differ.
func differing(t testing.TB, store *Store) map[string]int64 {
	t.Helper()
	report, err := store.Check(t.Context())
	must(t, err)
	if len(report.Cells) > 0 && len(report.Differences) == 0 {
		t.Error("cells differ, but none is listed")
	}
	return report.Cells
}

func TestEqualiseMendsWhatViewsMissedOrDoubled(t *testing.T) {
	store := open(t)
	store.checkPause = time.Millisecond
	w := takeOver(t, store, 0, 1)
	must(t, w.write(t.Context(), 0, charges(1, 1500)))
	must(t, w.write(t.Context(), 1, charges(2, 300)))
	if got := differing(t, store); len(got) != 0 {
		t.Fatalf("before anything happened %v differ", got)
	}
	if repair, err := store.Equalise(t.Context(), Scope{Slices: []int32{0, 1}, Epochs: w.epochs}); err != nil || repair.Total() != 0 {
		t.Fatalf("nothing is wrong, yet: %v, %v", repair, err)
	}
	right := snapshot(t, store)
	damages := map[string][]string{
		"revenue_daily lost a part":  {"ALTER TABLE revenue_daily DELETE WHERE slice = 0 AND kind = 'refund' SETTINGS mutations_sync = 2"},
		"revenue_hourly was doubled": {"INSERT INTO revenue_hourly SELECT * FROM revenue_hourly WHERE slice = 1"},
		"mrr_daily has a stranger":   {"INSERT INTO mrr_daily VALUES ('nobody', true, '2026-01-01', 'USD', 'new', 'stripe', 1, 5, 5, 5, 5)"},
		"mrr_monthly was halved":     {"ALTER TABLE mrr_monthly UPDATE mrr = intDiv(mrr, 2) WHERE slice = 0 SETTINGS mutations_sync = 2"},
		"revenue_monthly is late":    {"ALTER TABLE revenue_monthly DELETE WHERE slice = 1 AND month = '2026-03-01' SETTINGS mutations_sync = 2"},
		"entries lost and doubled":   {"ALTER TABLE entries DELETE WHERE slice = 0 AND amount % 3 = 0 SETTINGS mutations_sync = 2", "INSERT INTO entries SELECT * FROM entries WHERE slice = 1 AND amount % 2 = 0"},
		"entries were changed":       {"ALTER TABLE entries UPDATE amount = amount + 1 WHERE slice = 1 AND amount > 5000 SETTINGS mutations_sync = 2"},
		"everything is gone":         {"TRUNCATE TABLE entries", "TRUNCATE TABLE revenue_hourly", "TRUNCATE TABLE revenue_daily", "TRUNCATE TABLE revenue_monthly", "TRUNCATE TABLE mrr_daily", "TRUNCATE TABLE mrr_monthly"},
	}
	for name, statements := range damages {
		store.config.RepairRowsMax = 1_000_000
		if name == "entries lost and doubled" || name == "everything is gone" {
			store.config.RepairRowsMax = 1500 // several chunks, and portions of workspaces
		}
		for _, statement := range statements {
			exec(t, store, statement)
		}
		found := differing(t, store)
		if len(found) == 0 {
			t.Errorf("%s: Check finds nothing", name)
		}
		repair, err := store.Equalise(t.Context(), Scope{Slices: []int32{0, 1}, Epochs: w.epochs})
		must(t, err)
		if !maps.Equal(repair.Cells, found) {
			t.Errorf("%s: Equalise mended %v, but Check found %v", name, repair.Cells, found)
		}
		if left := differing(t, store); len(left) != 0 {
			t.Errorf("%s: after Equalise %v still differ", name, left)
		}
		if name == "everything is gone" {
			if got := snapshot(t, store); got != right {
				t.Errorf("%s: mended to %s, want %s", name, got, right)
			}
		}
	}
}

// Two slices that have the same hour, currency and kind have a cell each, which
// merging keeps apart: else neither writer could make its own equal to its ledger.
func TestEverySliceHasItsOwnCells(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 1, 2)
	events := charges(4, 30)
	for _, slice := range []int32{1, 2} {
		must(t, w.write(t.Context(), slice, events))
	}
	for _, table := range rollupTables() {
		exec(t, store, "OPTIMIZE TABLE "+table+" FINAL")
		if got := count(t, store, "SELECT uniqExact(slice) FROM "+table); got != 2 {
			t.Errorf("%s has rows of %d slices, want 2", table, got)
		}
	}
	if cells := differing(t, store); len(cells) > 0 {
		t.Errorf("after merging, cells differ from the ledger: %v", cells)
	}
}

func TestEqualiseStaysWithinItsScope(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0, 1)
	must(t, w.write(t.Context(), 0, charges(1, 300)))
	must(t, w.write(t.Context(), 1, charges(2, 300)))
	exec(t, store, "TRUNCATE TABLE revenue_daily")
	from, to := testNow.Add(-10*24*time.Hour), testNow.Add(-9*24*time.Hour)
	must2(t)(store.Equalise(t.Context(), Scope{Slices: []int32{0}, Epochs: w.epochs, Workspaces: []string{"ws_1"}, From: from, To: to}))
	outside := count(t, store, "SELECT countIf(slice != 0 OR workspace != 'ws_1' OR day NOT IN ('2026-03-05', '2026-03-06')) FROM revenue_daily")
	inside := count(t, store, "SELECT count() FROM revenue_daily")
	if outside != 0 || inside == 0 {
		t.Errorf("%d cells were mended, %d of them outside the scope", inside, outside)
	}
	// Two days of a month are no reason to doubt the rest of it.
	if got := differing(t, store); got["revenue_daily"] == 0 || len(got) != 1 {
		t.Errorf("after a repair of two days %v differ, want some of revenue_daily", got)
	}
}

func must2(t testing.TB) func(Repair, error) {
	return func(_ Repair, err error) {
		t.Helper()
		must(t, err)
	}
}

func TestARepairIsFencedToo(t *testing.T) {
	store := open(t)
	zombie := takeOver(t, store, 0)
	must(t, zombie.write(t.Context(), 0, charges(1, 50)))
	exec(t, store, "TRUNCATE TABLE mrr_daily")
	owner := takeOver(t, store, 0)
	if _, err := store.Equalise(t.Context(), Scope{Slices: []int32{0}, Epochs: zombie.epochs}); !errors.Is(err, ErrFenced) {
		t.Errorf("a repair under an older epoch gives %v, want ErrFenced", err)
	}
	if got := count(t, store, "SELECT count() FROM mrr_daily"); got != 0 {
		t.Errorf("a refused repair wrote %d cells", got)
	}
	must2(t)(store.Equalise(t.Context(), Scope{Slices: []int32{0}, Epochs: owner.epochs}))
	if got := differing(t, store); len(got) != 0 {
		t.Errorf("after the owner's repair %v differ", got)
	}
}

// A table is rebuilt while a writer goes on, who takes over again by himself.
func TestRebuildWhileOthersWrite(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0, 1)
	must(t, w.write(t.Context(), 0, charges(1, 2000)))
	must(t, w.write(t.Context(), 1, charges(2, 2000)))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var batches, takeovers atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- writeOn(ctx, w, &batches, &takeovers) }()

	for _, table := range derivedTables {
		exec(t, store, "ALTER TABLE "+table+" DELETE WHERE workspace = 'ws_1' SETTINGS mutations_sync = 2")
		calls := 0
		repair, err := store.Rebuild(t.Context(), table, func(RebuildProgress) { calls++ })
		must(t, err)
		if repair.Cells[table] == 0 || calls == 0 {
			t.Errorf("rebuilding %s mended %d cells with %d reports", table, repair.Cells[table], calls)
		}
	}
	waitFor(t, "the writer to go on", func() bool { return takeovers.Load() > 0 && batches.Load() > 3 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the writer gave up: %v", err)
	}
	if got := differing(t, store); len(got) != 0 {
		t.Errorf("after rebuilding %v differ", got)
	}
	if _, err := store.Rebuild(t.Context(), "ledger", nil); err == nil {
		t.Error("the ledger itself was rebuilt")
	}
}

// writeOn inserts rows until the context ends, as a sink does: after any error it
// takes over, makes equal what it may have left half done, and tries again.
func writeOn(ctx context.Context, w *writer, batches, takeovers *atomic.Int64) error {
	for seed := uint64(10); ctx.Err() == nil; seed++ {
		slice := int32(seed % 2)
		rows := ledgerOf(charges(seed, 40))
		for {
			// An attempt is not cut off by the end of the test: what it leaves is
			// for the next takeover to mend, which would not come.
			err := w.store.InsertRows(context.WithoutCancel(ctx), w.rows(slice, rows))
			if err == nil {
				batches.Add(1)
				break
			}
			if !Retryable(err) {
				return err
			}
			if err := takeBack(context.WithoutCancel(ctx), w, slice); err != nil {
				return err
			}
			takeovers.Add(1)
			rows = missing(ctx, w.store, rows)
		}
	}
	return nil
}

func takeBack(ctx context.Context, w *writer, slice int32) error {
	for {
		taken, err := w.store.TakeOver(ctx, testTopic, []int32{slice})
		if err == nil {
			w.epochs[slice] = taken[slice].Epoch
			_, err = w.store.Equalise(ctx, Scope{Slices: []int32{slice}, Epochs: w.epochs})
		}
		if err == nil || !Retryable(err) {
			return err
		}
	}
}

// missing is what of the rows the store does not hold.
func missing(ctx context.Context, store *Store, rows []revenue.LedgerRow) []revenue.LedgerRow {
	var keys []revenue.GroupKey
	byGroup := map[revenue.GroupKey][]revenue.LedgerRow{}
	for _, row := range rows {
		key := revenue.GroupKey{Workspace: row.Workspace, Group: row.Group}
		if byGroup[key] == nil {
			keys = append(keys, key)
		}
		byGroup[key] = append(byGroup[key], row)
	}
	states, err := store.ReadGroups(context.WithoutCancel(ctx), keys)
	if err != nil {
		panic(err)
	}
	var list []revenue.LedgerRow
	for _, key := range keys {
		add, _ := revenue.Difference(byGroup[key], states[key].Held)
		list = append(list, add...)
	}
	return list
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
