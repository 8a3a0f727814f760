package revenue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// hours are multiples of two, so that no two changes fall into one
// MovementWindow unless they fall together.
func hours(n int) time.Time { return epoch.Add(time.Duration(2*n) * time.Hour) }

func pointer(t time.Time) *time.Time { return &t }

// history draws the statements of one group: charges, refunds before and after
// them, disputes, links, subscriptions that lapse and come back, paid terms,
// declared deltas, versions that tie, tombstones and their revival.
func history() *rapid.Generator[[]Event] {
	return rapid.Custom(func(t *rapid.T) []Event {
		n := rapid.IntRange(0, 14).Draw(t, "statements")
		events := make([]Event, 0, n)
		for i := range n {
			events = append(events, drawEvent(t, i))
		}
		return events
	})
}

func drawEvent(t *rapid.T, i int) Event {
	kind := rapid.SampledFrom(Kinds).Draw(t, "kind")
	e := Event{
		Workspace: "w", Provider: "p", Livemode: true, Group: "g", Kind: kind,
		ObjectID:   fmt.Sprintf("o%d", rapid.IntRange(0, 4).Draw(t, "object")),
		Version:    int64(rapid.IntRange(0, 3).Draw(t, "version")),
		Deleted:    rapid.IntRange(0, 7).Draw(t, "deleted") == 0,
		OccurredAt: hours(rapid.IntRange(0, 40).Draw(t, "occurred")),
		ReceivedAt: hours(rapid.IntRange(0, 12).Draw(t, "received")),
		Currency:   rapid.SampledFrom([]string{"USD", "EUR"}).Draw(t, "currency"),
		Amount:     int64(rapid.IntRange(0, 5).Draw(t, "amount")) * 100,
		Status:     rapid.SampledFrom([]Status{"", "", "", StatusPending, StatusFailed, StatusActive, StatusTrialing, StatusPastDue, StatusCanceled}).Draw(t, "status"),
		Original:   fmt.Sprintf("o%d", rapid.IntRange(0, 4).Draw(t, "original")),
		MRR:        int64(rapid.IntRange(-2, 5).Draw(t, "mrr")) * MRRScale,
		Recurring:  rapid.Bool().Draw(t, "recurring"),
		ClosesMRR:  rapid.IntRange(0, 5).Draw(t, "closes") == 0,
		Delivery:   Delivery{Integration: rapid.SampledFrom([]string{"", "we_1", "we_2"}).Draw(t, "integration")},
	}
	e.Subscription = rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(t, "subscription")
	if kind == KindPeriod {
		e.Status, e.PresumedEnd = "", rapid.Bool().Draw(t, "presumed")
		e.PeriodStart, e.PeriodEnd = pointer(e.OccurredAt), pointer(e.OccurredAt.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "term"))*2*time.Hour))
	}
	if kind == KindSubscription {
		e.Presumed = rapid.IntRange(0, 2).Draw(t, "presumed") == 0
	}
	if kind == KindSubscription && rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
		e.EndsAt = pointer(hours(rapid.IntRange(0, 60).Draw(t, "end")))
	}
	return e
}

// net sums signed rows by entry, leaving out what cancels.
func net(rows []LedgerRow) map[uint64]int64 {
	sums := map[uint64]int64{}
	for i := range rows {
		if sums[rows[i].RowID] += int64(rows[i].Sign); sums[rows[i].RowID] == 0 {
			delete(sums, rows[i].RowID)
		}
	}
	return sums
}

func believed(entries []Entry) map[uint64]int64 {
	sums := map[uint64]int64{}
	for i := range entries {
		sums[entries[i].RowID()]++
	}
	return sums
}

func same[K comparable, V comparable](a, b map[K]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// Order, repetition and late copies of the same statements change no row.
func TestLedgerIsAFunctionOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		want := HeldOf(Ledger(events))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		shuffled := slices.Clone(events)
		for range rapid.IntRange(0, 10).Draw(t, "repeats") {
			if len(events) > 0 {
				again := events[random.IntN(len(events))]
				again.ReceivedAt = again.ReceivedAt.Add(time.Duration(random.IntN(100)) * time.Hour)
				again.Delivery = Delivery{ID: "again", Integration: again.Delivery.Integration + "z"}
				shuffled = append(shuffled, again)
			}
		}
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := HeldOf(Ledger(shuffled)); !same(got, want) {
			t.Fatalf("ledger of shuffled and repeated statements differs: %v, want %v", got, want)
		}
	})
}

// Every row shows the integration of the statement that stands, and of several
// deliveries of it that of the first; of two at once, the same whatever their order.
func TestEntriesNameTheIntegrationOfTheirStatement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		for range rapid.IntRange(0, 5).Draw(t, "repeats") {
			if len(events) > 0 {
				again := rapid.SampledFrom(events).Draw(t, "repeated")
				again.ReceivedAt = hours(rapid.IntRange(0, 12).Draw(t, "received again"))
				again.Delivery.Integration = rapid.SampledFrom([]string{"", "we_1", "we_3"}).Draw(t, "by another")
				events = append(events, again)
			}
		}
		standing := oracleStanding(events)
		for _, entry := range Fold(rapid.Permutation(events).Draw(t, "order")) {
			stands := standing[entry.Fact]
			first := stands
			for _, e := range events {
				if e.FactID() == entry.Fact && e.Digest() == stands.Digest() && (e.ReceivedAt.Before(first.ReceivedAt) ||
					e.ReceivedAt.Equal(first.ReceivedAt) && e.Delivery.Integration < first.Delivery.Integration) {
					first = e
				}
			}
			if entry.Integration != first.Delivery.Integration || !entry.ReceivedAt.Equal(first.ReceivedAt) {
				t.Fatalf("%s of %s came in by %q at %v, want %q at %v", entry.Kind, entry.Fact, entry.Integration, entry.ReceivedAt,
					first.Delivery.Integration, first.ReceivedAt)
			}
		}
	})
}

// What the ledger says was known at any moment is the fold of what was received
// by then.
func TestLedgerAsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		asOf := hours(rapid.IntRange(-1, 13).Draw(t, "asOf"))
		received := slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.ReceivedAt.After(asOf) })
		known := slices.DeleteFunc(Ledger(events), func(r LedgerRow) bool { return r.KnownAt.After(asOf) })
		if got, want := net(known), believed(Fold(received)); !same(got, want) {
			t.Fatalf("known at %v: %v, want %v", asOf, got, want)
		}
	})
}

// Advance either declines or adds exactly what the whole ledger has beyond that
// of the known statements.
func TestAdvanceAgreesWithLedger(t *testing.T) {
	applied, rewritten := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		known, fresh := history().Draw(t, "known"), history().Draw(t, "fresh")
		for i := range fresh {
			fresh[i].ReceivedAt = fresh[i].ReceivedAt.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "late")) * 48 * time.Hour)
		}
		if len(known) > 0 && rapid.Bool().Draw(t, "repeat") {
			again := known[0]
			again.ReceivedAt = hours(60)
			fresh = append(fresh, again)
		}
		held := HeldOf(Ledger(known))
		read := known
		if rapid.Bool().Draw(t, "stored beside the fold") { // and read before its rows are there
			read = slices.Concat(known, fresh)
		}
		rows, surplus, ok := Advance(read, fresh, held)
		if !ok {
			return
		}
		applied++
		want, foreign := Difference(Ledger(append(slices.Clone(known), fresh...)), held)
		if got := HeldOf(rows); !same(surplus, foreign) || !same(got, HeldOf(want)) {
			t.Fatalf("advance adds %v and takes back %v, the ledger %v and %v", got, surplus, HeldOf(want), foreign)
		}
		if len(foreign) > 0 {
			rewritten++
		}
	})
	if applied == 0 || rewritten == 0 {
		t.Errorf("Advance applied %d times and rewrote %d histories: the test shows nothing", applied, rewritten)
	}
}

// No entry lies outside the spans of its group's statements: what a repair looks at
// is enough.
func TestEntriesLieWithinTheSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		for i := range events {
			if rapid.IntRange(0, 3).Draw(t, "requested") == 0 {
				events[i].CancelRequestedAt = pointer(hours(rapid.IntRange(0, 60).Draw(t, "request")))
			}
		}
		var from, to time.Time
		for i := range events {
			first, last := events[i].Span()
			if i == 0 || first.Before(from) {
				from = first
			}
			if i == 0 || last.After(to) {
				to = last
			}
		}
		for _, row := range Ledger(events) {
			if row.OccurredAt.Before(from) || row.OccurredAt.After(to) {
				t.Fatalf("%s at %v, the statements span %v to %v", row.Kind, row.OccurredAt, from, to)
			}
		}
	})
}

// Whatever an earlier attempt left behind, any part of it any number of times,
// appending the difference makes the store hold the ledger.
func TestDifferenceConvergesFromAnyLeftovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := history().Draw(t, "before"), history().Draw(t, "after")
		var store []LedgerRow
		for _, row := range append(Ledger(before), Ledger(after)...) {
			for range rapid.IntRange(0, 2).Draw(t, "copies") {
				store = append(store, row)
			}
		}
		desired := Ledger(after)
		missing, foreign := Difference(desired, HeldOf(store))
		store = append(store, append(missing, Retract(store, foreign)...)...)
		if got, want := HeldOf(store), HeldOf(desired); !same(got, want) {
			t.Fatalf("store holds %v, want %v", got, want)
		}
		if again, foreign := Difference(desired, HeldOf(store)); len(again)+len(foreign) != 0 {
			t.Fatalf("a second difference is not empty: %d rows, %d foreign", len(again), len(foreign))
		}
	})
}

// oracleStanding applies the version rule the slow way.
func oracleStanding(events []Event) map[string]Event {
	standing := map[string]Event{}
	for _, e := range events {
		held, ok := standing[e.FactID()]
		if !ok || Supersedes(&e, &held) {
			standing[e.FactID()] = e
		}
	}
	return standing
}

// oracleMRR says what the customer is worth at t by asking every subscription.
func oracleMRR(events []Event, t time.Time, currency string) (total int64) {
	standing := oracleStanding(events)
	subscriptions := map[string]bool{}
	for _, e := range standing {
		subscriptions[e.Subscription] = true
		if e.Kind == KindPeriod && !e.Deleted && e.Status == "" && e.MRR > 0 && e.Currency == currency &&
			!t.Before(*e.PeriodStart) && t.Before(oracleEnd(standing, e)) {
			total += e.MRR
		}
	}
	for subscription := range subscriptions {
		total += oracleSubscription(standing, subscription, t, currency) + oracleDeltas(standing, subscription, t, currency)
	}
	return total
}

// oracleEnd is when a paid term ends: a presumed end gives way to the earliest
// later term of the subscription, if that begins in time.
func oracleEnd(standing map[string]Event, term Event) time.Time {
	end := *term.PeriodEnd
	if !term.PresumedEnd {
		return end
	}
	var next time.Time
	for _, e := range standing {
		if e.Kind == KindPeriod && !e.Deleted && e.Status == "" && e.MRR > 0 && e.Subscription == term.Subscription &&
			e.PeriodStart.After(*term.PeriodStart) && (next.IsZero() || e.PeriodStart.Before(next)) {
			next = *e.PeriodStart
		}
	}
	if grace := min(72*time.Hour, end.Sub(*term.PeriodStart)/9); !next.IsZero() && next.Sub(end) <= grace {
		return next
	}
	return end
}

func ordered(standing map[string]Event, kind Kind, subscription string, until time.Time) []Event {
	var list []Event
	for _, e := range standing {
		if e.Kind == kind && !e.Deleted && e.Subscription == subscription && !e.OccurredAt.After(until) {
			list = append(list, e)
		}
	}
	// Whatever is presumed of a time when terms had been stated says nothing.
	list = slices.DeleteFunc(slices.Clone(list), func(e Event) bool {
		return e.Presumed && slices.ContainsFunc(list, func(told Event) bool { return !told.Presumed && !told.OccurredAt.After(e.OccurredAt) })
	})
	slices.SortFunc(list, func(a, b Event) int {
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		if a.FactID() < b.FactID() {
			return -1
		}
		return 1
	})
	return list
}

func oracleSubscription(standing map[string]Event, subscription string, t time.Time, currency string) int64 {
	points := ordered(standing, KindSubscription, subscription, t)
	if len(points) == 0 {
		return 0
	}
	last := points[len(points)-1]
	if last.Currency != currency || last.MRR <= 0 || last.EndsAt != nil && !t.Before(*last.EndsAt) {
		return 0
	}
	switch last.Status {
	case StatusSettled, StatusActive:
		return last.MRR
	case StatusPastDue:
		since := last.OccurredAt
		for i := len(points) - 1; i >= 0 && points[i].Status == StatusPastDue; i-- {
			since = points[i].OccurredAt
		}
		if t.Before(since.Add(PastDueGrace)) {
			return last.MRR
		}
	}
	return 0
}

func oracleDeltas(standing map[string]Event, subscription string, t time.Time, currency string) int64 {
	worth, in := int64(0), ""
	for _, e := range ordered(standing, KindMRRDelta, subscription, t) {
		switch {
		case e.ClosesMRR:
			worth = 0
		case worth > 0 && in != e.Currency:
			worth, in = max(0, e.MRR), e.Currency
		default:
			worth, in = max(0, worth+e.MRR), e.Currency
		}
	}
	if in != currency {
		return 0
	}
	return worth
}

// MRR(t) is the sum of the movements until t, at every moment and in every
// currency, and is never negative.
func TestMovementsAddUpToMRR(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		entries := Fold(events)
		for n := range 110 {
			at := hours(n).Add(time.Hour)
			for _, currency := range []string{"USD", "EUR"} {
				var got int64
				for _, e := range entries {
					if e.Currency == currency && !e.OccurredAt.After(at) {
						got += e.MRR
					}
				}
				if want := oracleMRR(events, at, currency); got != want {
					t.Fatalf("MRR in %s at %v is %d, want %d", currency, at, got, want)
				}
			}
		}
	})
}

// Whatever is presumed of a subscription, in any order of arrival: from the moment on of
// which terms were stated first, it is worth what it is worth without.
func TestStatedTermsWin(t *testing.T) {
	yielded := 0
	rapid.Check(t, func(t *rapid.T) {
		var events, stated []Event
		for i := range rapid.IntRange(1, 10).Draw(t, "statements") {
			e := drawEvent(t, i)
			e.ObjectID, e.Kind, e.Subscription, e.Currency, e.EndsAt = fmt.Sprintf("o%d", i), KindSubscription, "s1", "USD", nil
			if e.Status == StatusPastDue { // how long it has been so is known by what is presumed, too
				e.Status = StatusPaused
			}
			e.Presumed = rapid.Bool().Draw(t, "presumed")
			if events = append(events, e); !e.Presumed && !e.Deleted {
				stated = append(stated, e)
			}
		}
		if len(stated) == 0 {
			return
		}
		first := slices.MinFunc(stated, func(a, b Event) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt
		worth := func(entries []Entry, at time.Time) (mrr int64) {
			for _, e := range entries {
				if !e.OccurredAt.After(at) {
					mrr += e.MRR
				}
			}
			return mrr
		}
		with, without := Fold(rapid.Permutation(events).Draw(t, "order")), Fold(stated)
		for n := range 50 {
			at := hours(n)
			if got, want := worth(with, at), worth(without, at); !at.Before(first) && got != want {
				t.Fatalf("worth %d at %v, by what was stated %d", got, at, want)
			}
		}
		if len(events) > len(stated) {
			yielded++
		}
	})
	if yielded == 0 {
		t.Error("nothing was presumed: the test shows nothing")
	}
}

// Cash is the sum over the standing facts, each by its own rule.
func TestCashAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history().Draw(t, "events")
		want, got := map[string]int64{}, map[string]int64{}
		standing := oracleStanding(events)
		for _, e := range standing {
			if !e.Deleted {
				want[e.Currency] += oracleFlow(standing, e)
			}
		}
		for _, e := range Fold(events) {
			got[e.Currency] += e.Amount
		}
		for _, currency := range []string{"USD", "EUR"} {
			if got[currency] != want[currency] {
				t.Fatalf("cash in %s is %d, want %d", currency, got[currency], want[currency])
			}
		}
	})
}

func oracleFlow(standing map[string]Event, e Event) int64 {
	moved := e.Status == StatusSettled
	reversed := moved || e.Status == StatusPending
	switch {
	case e.Kind == KindCharge && moved:
		rest := e.Amount
		for _, other := range standing {
			if other.Kind == KindLink && !other.Deleted && other.Original == e.ObjectID {
				rest -= other.Amount
			}
		}
		return max(0, rest)
	case e.Kind == KindRefundTotal && reversed:
		rest := e.Amount
		for _, other := range standing {
			if other.Kind == KindRefund && !other.Deleted && other.Original == e.Original {
				rest -= other.Amount
			}
		}
		return -max(0, rest)
	case (e.Kind == KindRefund || e.Kind == KindDispute || e.Kind == KindFee) && reversed:
		return -e.Amount
	case e.Kind == KindDisputeReversal && reversed:
		return e.Amount
	}
	return 0
}

// Whatever the parts hold, two identities never come to one fact.
func TestFactIDIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringOf(rapid.SampledFrom([]rune("a|%7C5")))
		draw := func(name string) Event {
			return Event{Provider: part.Draw(t, name+" provider"), Account: part.Draw(t, name+" account"),
				Livemode: rapid.Bool().Draw(t, name+" live"), ObjectID: part.Draw(t, name+" object"), Kind: Kind(part.Draw(t, name+" kind"))}
		}
		a, b := draw("a"), draw("b")
		alike := a.Provider == b.Provider && a.Account == b.Account && a.Livemode == b.Livemode && a.ObjectID == b.ObjectID && a.Kind == b.Kind
		if (a.FactID() == b.FactID()) != alike {
			t.Fatalf("%+v is %q, %+v is %q", a, a.FactID(), b, b.FactID())
		}
	})
}

// The sink reads what is known while it stores what is fresh, so what is known may have
// the fresh statements already, and their rows are still to come: here of a charge that
// was deleted, which adds up to what is held, nothing.
func TestAdvanceTellsFreshFromKnown(t *testing.T) {
	charge := Event{Workspace: "w", Provider: "p", Livemode: true, Group: "g", Kind: KindCharge, ObjectID: "in_1",
		Version: 1, Amount: 100, Currency: "USD", OccurredAt: hours(0), ReceivedAt: hours(0)}
	deleted := charge
	deleted.Version, deleted.ReceivedAt, deleted.Deleted = 2, hours(1), true
	fresh := []Event{charge, deleted}
	want := HeldOf(Ledger(fresh))
	if len(want) != 2 {
		t.Fatalf("the ledger has %d rows, want one and its retraction", len(want))
	}
	if rows, _, ok := Advance(fresh, fresh, Held{}); ok && !same(HeldOf(rows), want) {
		t.Errorf("it adds %d rows, want %d", len(rows), len(want))
	}
}
