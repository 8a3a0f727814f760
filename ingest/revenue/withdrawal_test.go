package revenue

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// withdraw takes a statement back at a revision.
func withdraw(e Event, revision int64, at time.Time) Event {
	e.Withdrawn, e.Revision, e.ReceivedAt = true, revision, at
	return e
}

// drawRevisions adds withdrawals of some of the statements, and some said again.
func drawRevisions(t *rapid.T, events []Event) []Event {
	records := slices.Clone(events)
	for range rapid.IntRange(1, 6).Draw(t, "revisions") {
		if len(events) == 0 {
			break
		}
		e := rapid.SampledFrom(events).Draw(t, "revised")
		e.Revision = int64(rapid.IntRange(1, 4).Draw(t, "revision"))
		e.ReceivedAt = hours(12 + int(e.Revision))
		e.Withdrawn = rapid.IntRange(0, 2).Draw(t, "withdrawn") > 0
		records = append(records, e)
	}
	return records
}

// oracleSaid asks of every statement, the slow way, whether its last word is that
// it was said.
func oracleSaid(records []Event) []Event {
	var list []Event
	for _, e := range records {
		stands := !e.Withdrawn
		for _, other := range records {
			sameStatement := e.FactID() == other.FactID() && e.Digest() == other.Digest()
			if sameStatement && other.Withdrawn && other.Revision >= e.Revision {
				stands = false
			}
		}
		if stands {
			list = append(list, e)
		}
	}
	return list
}

// What is believed with withdrawals is what would be, had the withdrawn statements
// never been made.
func TestWithdrawnStatementsAreNotBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRevisions(t, history().Draw(t, "events"))
		want := believed(Fold(oracleSaid(records)))
		if got := believed(Fold(records)); !same(got, want) {
			t.Fatalf("believed %v, want %v", got, want)
		}
		if got := net(Ledger(records)); !same(got, want) {
			t.Fatalf("the ledger comes to %v, want %v", got, want)
		}
	})
}

// Order and repetition of withdrawals change no row either, and what is remembered
// of a group is enough to go on from.
func TestWithdrawalsAreAFunctionOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRevisions(t, history().Draw(t, "events"))
		want := HeldOf(Ledger(records))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		shuffled := slices.Concat(records, records[:random.IntN(len(records)+1)])
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := HeldOf(Ledger(shuffled)); !same(got, want) {
			t.Fatalf("ledger of shuffled and repeated records differs: %v, want %v", got, want)
		}
		known := Distinct(shuffled[:len(shuffled)/2])
		if got := HeldOf(Ledger(append(known, shuffled[len(shuffled)/2:]...))); !same(got, want) {
			t.Fatalf("ledger of what is remembered differs: %v, want %v", got, want)
		}
	})
}

// A corrected reading restates what changed and nothing else, also where the wrong
// statement has the higher version, and going back brings the first one back.
func TestACorrectedReadingReplacesTheWrongOne(t *testing.T) {
	wrong := Event{Workspace: "w", Provider: "p", Livemode: true, Group: "g", Kind: KindCharge, ObjectID: "in_1",
		Version: 10_000, Amount: 10_000, Currency: "USD", OccurredAt: hours(0), ReceivedAt: hours(0)}
	right := wrong
	right.Version, right.Amount, right.Revision, right.ReceivedAt = 100, 100, 1, hours(1)
	untouched := wrong
	untouched.ObjectID, untouched.Amount = "in_2", 7
	records := []Event{wrong, untouched, withdraw(wrong, 1, hours(1)), right}

	rows := Ledger(records)
	if len(rows) != 4 || rows[2].Sign != -1 || rows[2].Amount != 10_000 || rows[3].Amount != 100 || !rows[2].KnownAt.Equal(hours(1)) {
		t.Fatalf("%+v", rows)
	}
	if again := append(slices.Clone(records), right, withdraw(wrong, 1, hours(2))); len(Ledger(again)) != len(rows) {
		t.Errorf("a repeated correction adds %d rows", len(Ledger(again))-len(rows))
	}
	restored := wrong
	restored.Revision, restored.ReceivedAt = 3, hours(3)
	records = append(records, withdraw(right, 3, hours(3)), restored)
	if entries := Fold(records); len(entries) != 2 || entries[0].Amount+entries[1].Amount != 10_007 {
		t.Errorf("after going back: %+v", entries)
	}
	if got := Said(records); len(got) != 2 {
		t.Errorf("said %+v", got)
	}
}

// With a withdrawal on either side there is no short cut.
func TestAdvanceLeavesWithdrawalsToTheLedger(t *testing.T) {
	e := Event{Workspace: "w", Provider: "p", Livemode: true, Group: "g", Kind: KindCharge, ObjectID: "in_1",
		Version: 1, Amount: 100, Currency: "USD", OccurredAt: hours(0), ReceivedAt: hours(0)}
	known := []Event{e}
	if rows, _, ok := Advance(known, []Event{withdraw(e, 1, hours(1))}, HeldOf(Ledger(known))); ok {
		t.Errorf("a withdrawal was taken for %+v", rows)
	}
	known = append(known, withdraw(e, 1, hours(1)))
	again := e
	again.ReceivedAt = hours(2)
	if rows, _, ok := Advance(known, []Event{again}, HeldOf(Ledger(known))); ok {
		t.Errorf("what was withdrawn came back as %+v", rows)
	}
}
