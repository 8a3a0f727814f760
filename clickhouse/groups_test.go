package clickhouse

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

func TestReadGroupsGivesWhatIsThere(t *testing.T) {
	store := open(t)
	store.config.StateKeysMax = 150 // several queries
	w := takeOver(t, store, 0)
	events := charges(1, 400)
	must(t, w.write(t.Context(), 0, events))
	must(t, w.write(t.Context(), 0, events[:50])) // delivered twice, and doubled in the ledger

	byGroup := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		byGroup[event.GroupKey()] = append(byGroup[event.GroupKey()], event)
	}
	doubled := map[revenue.GroupKey]bool{}
	for _, event := range events[:50] {
		doubled[event.GroupKey()] = true
	}
	var keys []revenue.GroupKey
	for key := range byGroup {
		keys = append(keys, key, revenue.GroupKey{Workspace: key.Workspace, Group: key.Group + "-new"},
			revenue.GroupKey{Workspace: "other", Group: key.Group})
	}
	states, err := store.ReadGroups(t.Context(), keys)
	must(t, err)
	if len(states) != len(byGroup) {
		t.Errorf("%d groups are known, want %d", len(states), len(byGroup))
	}
	for key, want := range byGroup {
		state := states[key]
		if got, want := revenue.Distinct(state.Events), revenue.Distinct(want); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s has statements\n%+v\nwant\n%+v", key, got, want)
		}
		held := revenue.HeldOf(revenue.Ledger(want))
		if doubled[key] {
			for row := range held {
				if len(want) == 1 {
					held[row] *= 2
				}
			}
		}
		if len(want) == 1 && !reflect.DeepEqual(state.Held, held) {
			t.Fatalf("%s holds %v, want %v", key, state.Held, held)
		}
	}
	// What was taken back is not held.
	key := events[1].GroupKey()
	rows, err := store.ReadRows(t.Context(), []revenue.GroupKey{key})
	must(t, err)
	must(t, store.InsertRows(t.Context(), w.rows(0, revenue.Retract(rows, states[key].Held))))
	states, err = store.ReadGroups(t.Context(), []revenue.GroupKey{key})
	must(t, err)
	if len(states[key].Held) != 0 {
		t.Errorf("after its retraction %s still holds %v", key, states[key].Held)
	}
}

// The cost of reading a few groups does not grow with the table, and 20,000 keys
// go into one query.
func TestReadGroupsUsesThePrimaryKey(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	const batches, batch = 4, 20_000
	for i := range batches {
		must(t, store.InsertRows(t.Context(), w.rows(0, simpleRows(i*batch, batch))))
	}
	exec(t, store, "OPTIMIZE TABLE ledger FINAL")
	few := []revenue.GroupKey{simpleKey(7), simpleKey(40_000), simpleKey(79_999), simpleKey(1_000_000)}
	before := readRows(t, store)
	states, err := store.ReadGroups(t.Context(), few)
	must(t, err)
	if len(states) != 3 {
		t.Errorf("%d groups are known, want 3", len(states))
	}
	if read := readRows(t, store) - before; read > 10*1024 {
		t.Errorf("4 keys cost %d rows of %d", read, batches*batch)
	}
	var many []revenue.GroupKey
	for i := range 20_000 {
		many = append(many, simpleKey(4*i))
	}
	states, err = store.ReadGroups(t.Context(), many)
	must(t, err)
	if len(states) != len(many) {
		t.Errorf("%d groups are known, want %d", len(states), len(many))
	}
}

func simpleKey(i int) revenue.GroupKey {
	return revenue.GroupKey{Workspace: "ws", Group: revenue.GroupName("stripe", "acct", true, fmt.Sprintf("pi_%08d", i))}
}

func simpleRows(from, n int) []revenue.LedgerRow {
	rows := make([]revenue.LedgerRow, n)
	for i := range rows {
		key := simpleKey(from + i)
		rows[i] = revenue.LedgerRow{RowID: uint64(from + i), Sign: 1, KnownAt: testNow, Entry: revenue.Entry{
			Workspace: key.Workspace, Group: key.Group, Fact: key.Group, Kind: revenue.EntryPurchase,
			Livemode: true, Amount: 100, Currency: "USD", OccurredAt: testNow.Add(time.Duration(i%48) * time.Hour), ReceivedAt: testNow,
		}}
	}
	return rows
}

// readRows is what the state reads of the store have cost so far.
func readRows(t testing.TB, store *Store) int {
	t.Helper()
	return int(counterValue(t, store.metrics.stateRows))
}

func TestGroupHashesNamesEveryGroupOfTheSlice(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0, 1)
	mine, others := charges(1, 300), charges(2, 300)
	must(t, w.write(t.Context(), 0, mine))
	must(t, w.write(t.Context(), 0, mine))
	must(t, w.write(t.Context(), 1, others))
	var got []uint64
	must(t, store.GroupHashes(t.Context(), 0, func(hashes []uint64) error {
		got = append(got, hashes...)
		return nil
	}))
	slices.Sort(got)
	got = slices.Compact(got)
	var want []uint64
	for _, event := range mine {
		want = append(want, GroupHash(event.GroupKey()))
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d hashes, want %d others", len(got), len(want))
	}
}

func TestCompleteThroughIsTheLeastOfAllSlices(t *testing.T) {
	store := open(t)
	through := func() time.Time {
		at, err := store.CompleteThrough(t.Context(), 2)
		must(t, err)
		return at
	}
	if got := through(); !got.IsZero() {
		t.Errorf("nothing reported, yet complete through %v", got)
	}
	must(t, store.SaveProgress(t.Context(), []Progress{{Slice: 0, Epoch: 1, Offset: 5, CompleteThrough: testNow}}))
	if got := through(); !got.IsZero() {
		t.Errorf("one slice of two reported, yet complete through %v", got)
	}
	early := testNow.Add(-time.Hour)
	must(t, store.SaveProgress(t.Context(), []Progress{{Slice: 1, Epoch: 1, Offset: 5, CompleteThrough: early}, {Slice: 2, CompleteThrough: early.Add(-time.Hour)}}))
	if got := through(); !got.Equal(early) {
		t.Errorf("complete through %v, want %v", got, early)
	}
	must(t, store.SaveProgress(t.Context(), []Progress{{Slice: 1, Epoch: 1, Offset: 9, CompleteThrough: testNow.Add(time.Hour)}}))
	if got := through(); !got.Equal(testNow) {
		t.Errorf("complete through %v, want %v", got, testNow)
	}
}
