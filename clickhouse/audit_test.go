package clickhouse

import (
	"errors"
	"maps"
	"testing"
	"time"
)

// unaccounted is how many groups' ledgers are not what their statements come to.
func unaccounted(t testing.TB, store *Store) int64 {
	t.Helper()
	report, err := store.CheckLedger(t.Context(), nil)
	must(t, err)
	if cells := report.Cells[TableLedger]; cells > 0 && len(report.Differences) == 0 || len(report.Cells) > 1 {
		t.Errorf("%d groups differ, %d are listed: %v", cells, len(report.Differences), report.Cells)
	}
	return report.Cells[TableLedger]
}

// figures are the sums of every table, whatever rows they are made of.
func figures(t testing.TB, store *Store) string {
	t.Helper()
	list, _, err := Select[string](t.Context(), store, `SELECT concat(
		(SELECT toString((sum(sign), sum(sign * amount), sum(sign * mrr), sum(sign * toUnixTimestamp(occurred_at) % 1000003))) FROM ledger WHERE live),
		(SELECT toString((sum(sign), sum(sign * amount), sum(sign * mrr))) FROM entries WHERE live),
		(SELECT toString((sum(entries), sum(amount))) FROM revenue_hourly WHERE live), (SELECT toString((sum(entries), sum(amount))) FROM revenue_monthly WHERE live),
		(SELECT toString((sum(entries), sum(mrr))) FROM mrr_daily WHERE live))`)
	must(t, err)
	return list[0]
}

// TestTheLedgerIsHeldAgainstItsStatements falsifies the ledger by hand in every way:
// that is found, and mended together with what is derived from the ledger.
func TestTheLedgerIsHeldAgainstItsStatements(t *testing.T) {
	store := open(t)
	store.checkPause = time.Millisecond
	w := takeOver(t, store, 0, 1)
	must(t, w.write(t.Context(), 0, charges(1, 800)))
	must(t, w.write(t.Context(), 1, charges(2, 300)))
	if n := unaccounted(t, store); n != 0 {
		t.Fatalf("before anything happened %d groups differ", n)
	}
	right := figures(t, store)
	const done = " SETTINGS mutations_sync = 2"
	for name, damage := range map[string]struct {
		sql    string
		groups int64 // 0: some
	}{
		"rows lost":          {"ALTER TABLE ledger DELETE WHERE slice = 0 AND kind = 'refund'" + done, 0},
		"amounts changed":    {"ALTER TABLE ledger UPDATE amount = amount + 1 WHERE slice = 1 AND amount > 0" + done, 0},
		"another day":        {"ALTER TABLE ledger UPDATE occurred_at = occurred_at + INTERVAL 40 DAY WHERE slice = 1 AND amount % 2 = 0" + done, 0},
		"no money any more":  {"ALTER TABLE ledger UPDATE livemode = false, live = false WHERE slice = 1 AND family = 'cash'" + done, 0},
		"rows doubled":       {"INSERT INTO ledger SELECT * REPLACE ((SELECT any(epoch) FROM fence WHERE slice = 0) AS epoch) FROM ledger WHERE slice = 0 AND amount % 3 = 0", 0},
		"everything is gone": {"TRUNCATE TABLE ledger", int64(count(t, store, "SELECT uniqExact(workspace, fact_group) FROM ledger WHERE sign != 0"))},
	} {
		store.config.StateKeysMax = 20_000
		if name == "everything is gone" {
			store.config.StateKeysMax = 64 // more rounds than one
		}
		exec(t, store, damage.sql)
		found := unaccounted(t, store)
		if found == 0 {
			t.Errorf("%s: nothing is found", name)
		}
		repair, err := store.RebuildLedger(t.Context(), nil)
		must(t, err)
		mended := repair.Cells[TableLedger]
		if want := damage.groups; want > 0 && mended != want || want == 0 && mended != found {
			t.Errorf("%s: %d groups were mended, %d found, of %d", name, mended, found, want)
		}
		if n := unaccounted(t, store); n != 0 {
			t.Errorf("%s: after it was mended %d groups differ", name, n)
		}
		if left := differing(t, store); len(left) != 0 {
			t.Errorf("%s: after the ledger was mended %v differ from it", name, left)
		}
		if got := figures(t, store); got != right {
			t.Errorf("%s: mended to %s, want %s", name, got, right)
		}
	}
}

// Statements whose rows were never inserted are found, too, and a slice that has no
// others.
func TestStatementsWithoutRowsAreFound(t *testing.T) {
	store := open(t)
	store.checkPause = time.Millisecond
	w := takeOver(t, store, 3)
	must(t, store.InsertStatements(t.Context(), w.statements(3, charges(5, 40))))
	if unaccounted(t, store) == 0 {
		t.Error("statements without rows are taken for stored")
	}
	until, err := store.RowsUntil(t.Context(), testTopic, 3)
	must(t, err)
	_, err = store.RebuildLedger(t.Context(), nil)
	must(t, err)
	if n := unaccounted(t, store); n != 0 {
		t.Errorf("after it was mended %d groups differ", n)
	}
	if again, err := store.RowsUntil(t.Context(), testTopic, 3); err != nil || again != until {
		t.Errorf("mending moved until where the log has its rows from %d to %d, %v", until, again, err)
	}
}

// TestAGapIsAcceptedOnlyWhereTheStoreEnds notes a gap once, where it is.
func TestAGapIsAcceptedOnlyWhereTheStoreEnds(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	must(t, w.write(t.Context(), 0, charges(1, 10)))
	next := must3(t)(store.NextOffsets(t.Context(), testTopic, []int32{0}))[0]
	gap := LostRange{Topic: "t", TopicID: testTopic, Slice: 0, From: next, To: next + 70, By: "me", Note: "why", AcceptedAt: testNow}
	for _, wrong := range []LostRange{
		{TopicID: testTopic, From: next - 1, To: next + 70}, {TopicID: testTopic, From: next + 1, To: next + 70},
		{TopicID: testTopic, From: next, To: next}, {TopicID: "another", From: next, To: next + 70},
	} {
		if err := store.AcceptGap(t.Context(), wrong); !errors.Is(err, ErrGap) {
			t.Errorf("%+v: %v, want ErrGap", wrong, err)
		}
	}
	for range 2 {
		must(t, store.AcceptGap(t.Context(), gap))
	}
	gaps, err := store.Gaps(t.Context())
	if err != nil || len(gaps) != 1 || gaps[0] != gap || gaps[0].Records() != 70 {
		t.Errorf("gaps: %+v, %v", gaps, err)
	}
	taken, err := store.TakeOver(t.Context(), testTopic, []int32{0})
	if err != nil || taken[0].NextOffset != gap.To {
		t.Errorf("a writer goes on from %+v, %v", taken, err)
	}
	if n := unaccounted(t, store); n != 0 {
		t.Errorf("with a gap %d groups differ", n)
	}
}

func must3(t testing.TB) func(map[int32]int64, error) map[int32]int64 {
	return func(next map[int32]int64, err error) map[int32]int64 {
		t.Helper()
		must(t, err)
		return maps.Clone(next)
	}
}
