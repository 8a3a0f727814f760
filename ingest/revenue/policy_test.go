package revenue

import (
	"encoding/hex"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// subscribed draws what is said of a customer's subscriptions over forty days: some fall
// behind and recover, are cancelled and taken back, are paid by terms that one asks to end.
func subscribed() *rapid.Generator[[]Event] {
	kinds := []Kind{KindSubscription, KindSubscription, KindSubscription, KindPeriod, KindCancellation, KindMRRDelta}
	statuses := []Status{StatusActive, StatusActive, StatusPastDue, StatusPastDue, StatusTrialing, StatusCanceled}
	return rapid.Custom(func(t *rapid.T) []Event {
		events := make([]Event, 0, 12)
		for i := range rapid.IntRange(1, 12).Draw(t, "statements") {
			e := drawEvent(t, i)
			if e.Kind = rapid.SampledFrom(kinds).Draw(t, "of"); e.Kind == KindSubscription {
				e.Status = rapid.SampledFrom(statuses).Draw(t, "state")
			}
			e.OccurredAt = hours(rapid.IntRange(0, 600).Draw(t, "on"))
			e.ObjectID, e.PeriodStart, e.PeriodEnd = e.ObjectID+string(rune('a'+i)), nil, nil
			if e.Kind == KindPeriod {
				e.Status, e.PeriodStart = "", pointer(e.OccurredAt)
				e.PeriodEnd = pointer(e.OccurredAt.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "lasts")) * 2 * time.Hour))
			}
			if rapid.IntRange(0, 2).Draw(t, "requested") == 0 {
				e.CancelRequestedAt = pointer(e.OccurredAt.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "request")) * 2 * time.Hour))
				e.EndsAt = pointer(e.OccurredAt.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "end")) * 2 * time.Hour))
			}
			if (e.Kind == KindSubscription || e.Kind == KindPeriod) && rapid.IntRange(0, 2).Draw(t, "discounted") == 0 {
				e.MRRBeforeDiscounts = max(0, e.MRR) + int64(rapid.IntRange(1, 3).Draw(t, "off"))*MRRScale
			}
			events = append(events, e)
		}
		return events
	})
}

func policy() *rapid.Generator[Policy] {
	return rapid.Custom(func(t *rapid.T) Policy {
		return Policy{
			PastDueGrace:    rapid.SampledFrom([]time.Duration{0, 24 * time.Hour, 7 * 24 * time.Hour, PastDueGrace, PastDueNever}).Draw(t, "grace"),
			ChurnAtRequest:  rapid.Bool().Draw(t, "at request"),
			IgnoreDiscounts: rapid.IntRange(0, 2).Draw(t, "before discounts") == 0,
		}
	})
}

// oracleUnder says what the customer is worth at t by the policy, by asking every
// subscription, and every term.
func oracleUnder(p Policy, events []Event, t time.Time, currency string) (total int64) {
	standing := oracleStanding(events)
	for fact, e := range standing {
		if p.IgnoreDiscounts && e.MRRBeforeDiscounts > 0 {
			e.MRR = e.MRRBeforeDiscounts
			standing[fact] = e
		}
	}
	for _, e := range standing {
		if e.Kind == KindPeriod && !e.Deleted && e.Status == "" && e.MRR > 0 && e.Currency == currency &&
			!t.Before(*e.PeriodStart) && t.Before(oracleTermEnd(p, standing, e)) {
			total += e.MRR
		}
	}
	for _, subscription := range []string{"", "s1", "s2"} {
		total += oracleDeltas(standing, subscription, t, currency)
		if !p.ChurnAtRequest || !oracleAsked(standing, subscription, t) {
			total += oraclePoint(p, standing, subscription, t, currency)
		}
	}
	return total
}

// oraclePoint is what the last statement about the subscription says that it is worth.
func oraclePoint(p Policy, standing map[string]Event, subscription string, t time.Time, currency string) int64 {
	points := ordered(standing, KindSubscription, subscription, t)
	if len(points) == 0 {
		return 0
	}
	last := points[len(points)-1]
	if last.Currency != currency || last.MRR <= 0 || last.EndsAt != nil && !t.Before(*last.EndsAt) {
		return 0
	}
	if last.Status == StatusSettled || last.Status == StatusActive {
		return last.MRR
	}
	since := last.OccurredAt
	for i := len(points) - 1; i >= 0 && points[i].Status == StatusPastDue; i-- {
		since = points[i].OccurredAt
	}
	if last.Status == StatusPastDue && (p.PastDueGrace == PastDueNever || t.Sub(since) < p.PastDueGrace) {
		return last.MRR
	}
	return 0
}

// oracleAsked reports whether at t a cancellation of the subscription had been asked for
// and not been taken back.
func oracleAsked(standing map[string]Event, subscription string, t time.Time) bool {
	points := ordered(standing, KindSubscription, subscription, hours(1000))
	var asked *time.Time
	for i, p := range points {
		end, ends := time.Time{}, false
		switch {
		case p.EndsAt != nil:
			end, ends = *p.EndsAt, true
		case p.Status == StatusCanceled:
			end, ends = p.OccurredAt, true
		}
		if ends && i+1 < len(points) && points[i+1].OccurredAt.Before(end) {
			ends = false
		}
		goesOn := p.CancelRequestedAt == nil && !ends && slices.Contains([]Status{StatusSettled, StatusActive, StatusTrialing}, p.Status)
		switch {
		case asked != nil && goesOn:
			if !t.Before(*asked) && t.Before(p.OccurredAt) {
				return true
			}
			asked = nil
		case asked == nil && p.CancelRequestedAt != nil:
			asked = p.CancelRequestedAt
		case asked == nil && ends:
			asked = &end
		}
	}
	return asked != nil && !t.Before(*asked)
}

// oracleTermEnd is when a paid term ends, which a request in its course may do.
func oracleTermEnd(p Policy, standing map[string]Event, term Event) time.Time {
	end := oracleEnd(standing, term)
	for _, e := range standing {
		if p.ChurnAtRequest && e.Kind == KindCancellation && !e.Deleted && e.Subscription == term.Subscription &&
			!e.OccurredAt.Before(*term.PeriodStart) && e.OccurredAt.Before(end) {
			end = e.OccurredAt
		}
	}
	return end
}

// The ledger and what a policy restates of it come to what a naive reading of the policy
// says, at every moment, in every currency, and as of any moment of knowledge.
func TestRestatedLedgerFollowsThePolicy(t *testing.T) {
	var byGrace, byRequest, byDiscounts bool // some history was restated for it
	rapid.Check(t, func(t *rapid.T) {
		events := subscribed().Draw(t, "events")
		p := policy().Draw(t, "policy")
		restated := p.Restate(events)
		if p == HousePolicy() && len(restated) > 0 {
			t.Fatalf("the house restates its own ledger: %v", restated)
		}
		differs := len(restated) > 0
		byGrace = byGrace || differs && !p.ChurnAtRequest && !p.IgnoreDiscounts
		byRequest, byDiscounts = byRequest || differs && p.ChurnAtRequest, byDiscounts || differs && p.IgnoreDiscounts
		rows := append(Ledger(events), restated...)
		asOf := hours(rapid.IntRange(0, 13).Draw(t, "asOf"))
		received := slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.ReceivedAt.After(asOf) })
		for n := range 900 {
			at := hours(n).Add(time.Hour)
			for _, currency := range []string{"USD", "EUR"} {
				var got int64
				for _, row := range rows {
					if row.Currency == currency && !row.OccurredAt.After(at) && !row.KnownAt.After(asOf) {
						got += int64(row.Sign) * row.MRR
					}
				}
				if want := oracleUnder(p, received, at, currency); got != want {
					t.Fatalf("%+v: MRR in %s at %v as of %v is %d, want %d", p, currency, at, asOf, got, want)
				}
			}
		}
	})
	if !byGrace || !byRequest || !byDiscounts {
		t.Error("no policy made a difference: the test shows nothing")
	}
}

// What is restated is of movements and activity, and adds up: every entry is believed once
// or not at all, customers are there or not, and an order or a repetition changes nothing.
func TestRestatedLedgerIsALedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := subscribed().Draw(t, "events")
		p := policy().Draw(t, "policy")
		rows := p.Restate(events)
		for _, row := range rows {
			if row.Kind.Family() != FamilyState {
				t.Fatalf("a %s is restated", row.Kind)
			}
		}
		again := append(rapid.Permutation(events).Draw(t, "order"), events...)
		if got, want := HeldOf(p.Restate(again)), HeldOf(rows); !same(got, want) {
			t.Fatalf("restated in another order: %v, want %v", got, want)
		}
		for id, n := range net(append(Ledger(events), rows...)) {
			if n < 0 {
				t.Fatalf("entry %x is believed %d times", id, n)
			}
		}
	})
}

// Without discounts subscriptions are worth what they would be if their statements said so:
// the ledger and what is restated are that of statements at list prices.
func TestListPricesAreThoseOfTheStatements(t *testing.T) {
	discounted := false
	rapid.Check(t, func(t *rapid.T) {
		events := subscribed().Draw(t, "events")
		p := HousePolicy()
		p.IgnoreDiscounts = true
		listed := slices.Clone(events)
		for i := range listed {
			if e := &listed[i]; e.MRRBeforeDiscounts > 0 {
				e.MRR, e.MRRBeforeDiscounts = e.MRRBeforeDiscounts, 0
				discounted = true
			}
		}
		ofState := func(rows []LedgerRow) map[uint64]int64 {
			return net(slices.DeleteFunc(rows, func(r LedgerRow) bool { return r.Kind.Family() != FamilyState }))
		}
		if got, want := ofState(append(Ledger(events), p.Restate(events)...)), ofState(Ledger(listed)); !maps.Equal(got, want) {
			t.Fatalf("without discounts %v, at list prices %v", got, want)
		}
	})
	if !discounted {
		t.Error("nothing was discounted: the test shows nothing")
	}
}

// Of two statements of one version the same stands whether or not discounts count: which
// one is a matter of what was said, not of what somebody takes it to be worth.
func TestListPricesLetTheSameStand(t *testing.T) {
	p := HousePolicy()
	p.IgnoreDiscounts = true
	for list := range int64(50) {
		discounted, other := subscription("2026-01-01", StatusActive, 15), subscription("2026-01-01", StatusActive, 30)
		discounted.MRRBeforeDiscounts = (20 + list) * MRRScale
		want := other.MRR
		if Supersedes(&discounted, &other) {
			want = discounted.MRRBeforeDiscounts
		}
		events := []Event{discounted, other}
		var got int64
		for _, row := range append(Ledger(events), p.Restate(events)...) {
			got += int64(row.Sign) * row.MRR
		}
		if got != want {
			t.Fatalf("before discounts of %d: worth %d, want %d", discounted.MRRBeforeDiscounts, got, want)
		}
	}
}

// A discount of all that a subscription costs is a churn by the house, and nothing without
// discounts; one of a part is a contraction.
func TestDiscountsByPolicies(t *testing.T) {
	events := []Event{subscription("2026-01-01", StatusActive, 20), subscription("2026-02-01", StatusActive, 15), subscription("2026-03-01", StatusActive, 0)}
	for i := range events[1:] {
		events[i+1].MRRBeforeDiscounts = 20 * MRRScale
	}
	worth := func(rows []LedgerRow) (kinds []EntryKind) {
		slices.SortStableFunc(rows, func(a, b LedgerRow) int { return a.OccurredAt.Compare(b.OccurredAt) })
		sums := net(rows)
		for _, row := range rows {
			if row.MRR != 0 && sums[row.RowID] > 0 {
				kinds = append(kinds, row.Kind)
			}
		}
		return kinds
	}
	if got := worth(Ledger(events)); !slices.Equal(got, []EntryKind{EntryNew, EntryContraction, EntryChurn}) {
		t.Errorf("by the house %v", got)
	}
	p := HousePolicy()
	p.IgnoreDiscounts = true
	if got := worth(append(Ledger(events), p.Restate(events)...)); !slices.Equal(got, []EntryKind{EntryNew}) {
		t.Errorf("without discounts %v", got)
	}
}

// A past due subscription leaves when the policy says, and comes back when it pays; the
// customer's other subscription makes a contraction and an expansion of that.
func TestPastDueByPolicies(t *testing.T) {
	alone := []Event{
		subscription("2026-01-01", StatusActive, 20), subscription("2026-02-01", StatusPastDue, 20), subscription("2026-02-11", StatusActive, 20),
	}
	other := fact(KindSubscription, "other", "2026-01-05", 0, func(e *Event) { e.Subscription, e.Status, e.MRR = "other", StatusActive, 5*MRRScale })
	for _, c := range []struct {
		name   string
		policy Policy
		events []Event
		want   []EntryKind
	}{
		{"the house waits for 30 days", HousePolicy(), alone, []EntryKind{EntryNew}},
		{"who waits for a week does not", Policy{PastDueGrace: 7 * 24 * time.Hour}, alone, []EntryKind{EntryNew, EntryChurn, EntryReactivation}},
		{"beside another it is a contraction", Policy{}, append(slices.Clone(alone), other),
			[]EntryKind{EntryNew, EntryExpansion, EntryContraction, EntryExpansion}},
	} {
		rows := append(Ledger(c.events), c.policy.Restate(c.events)...)
		var got []EntryKind
		slices.SortStableFunc(rows, func(a, b LedgerRow) int { return a.OccurredAt.Compare(b.OccurredAt) })
		for id, n := range net(rows) {
			if i := slices.IndexFunc(rows, func(r LedgerRow) bool { return r.RowID == id }); n > 0 && rows[i].MRR != 0 {
				rows[i].Sign = 0 // marks what is believed
			}
		}
		for _, row := range rows {
			if row.Sign == 0 {
				got = append(got, row.Kind)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The digest of a statement that says nothing of discounts is what it was before any could,
// so that what is delivered again is known for the same.
func TestDigestsOfUndiscounted(t *testing.T) {
	e := subscription("2026-01-01", StatusActive, 20)
	before := e.Digest()
	if got := hex.EncodeToString(before[:]); got != "845295bb97db7828cd4955ae87c6801d" {
		t.Errorf("the digest is %s", got)
	}
	e.MRRBeforeDiscounts = 25 * MRRScale
	if e.Digest() == before {
		t.Error("a list price makes no other statement")
	}
}
