package revenue

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawStatements are statements about one charge, in the order of their acceptance: of a
// few groups and versions, some of them deletions, each of another amount.
func drawStatements(t *rapid.T, versions *rapid.Generator[int64]) []Event {
	groups := rapid.SampledFrom([]string{"own", "customer 1", "customer 2", "given"})
	list := make([]Event, rapid.IntRange(1, 12).Draw(t, "statements"))
	for i := range list {
		list[i] = Event{
			Workspace: "w", Provider: "native", Livemode: true, ObjectID: "o", Kind: KindCharge, Currency: "USD",
			Group: groups.Draw(t, "group"), Version: versions.Draw(t, "version"), Amount: int64(1 + i), ReceivedAt: hours(i), OccurredAt: hours(0),
			Deleted: rapid.IntRange(0, 4).Draw(t, "deleted") == 0,
		}
	}
	return list
}

// cashOf is what all groups come to.
func cashOf(published []Event) (total int64) {
	groups := map[string][]Event{}
	for _, e := range published {
		groups[e.Group] = append(groups[e.Group], e)
	}
	for _, events := range groups {
		for _, entry := range Fold(events) {
			total += entry.Amount
		}
	}
	return total
}

// However a fact is moved between groups, in whatever order of versions, with statements
// that were kept and not published at first: all groups together come to what the last
// version alone does.
func TestAFactIsInOneGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statements := drawStatements(t, rapid.Int64Range(-3, 8))
		var kept []byte
		var published, accepted []Event
		for len(statements) > 0 {
			e := statements[0]
			statements = statements[1:]
			place := Placement{}
			if kept != nil {
				var err error
				if place, err = ParsePlacement(kept); err != nil {
					t.Fatal(err)
				}
			}
			publish, err := place.Take(&e)
			if err != nil {
				continue // the sender was told
			}
			kept = place.Append(nil)
			if rapid.IntRange(0, 3).Draw(t, "cut off") == 0 { // not published: the sender was told, and comes again
				at := rapid.IntRange(0, len(statements)).Draw(t, "comes again")
				statements = slices.Insert(statements, at, e)
				continue
			}
			accepted = append(accepted, e)
			if publish {
				published = append(published, e)
			}
			published = append(published, place.Retractions(&e)...)
		}
		last := accepted[0]
		for i := range accepted {
			if Supersedes(&accepted[i], &last) {
				last = accepted[i]
			}
		}
		if got, want := cashOf(published), cashOf([]Event{last}); got != want {
			t.Fatalf("all groups come to %d, the last version to %d\naccepted %s", got, want, show(accepted))
		}
	})
}

func show(events []Event) (text string) {
	for _, e := range events {
		text += fmt.Sprintf("\nversion %d in %s: %d, deleted %v", e.Version, e.Group, e.Amount, e.Deleted)
	}
	return text
}

func TestPlacementRefuses(t *testing.T) {
	of := func(version int64, group string) *Event { return &Event{Version: version, Group: group} }
	var place Placement
	take := func(e *Event, publish bool, want error) {
		t.Helper()
		if got, err := place.Take(e); got != publish || !errors.Is(err, want) {
			t.Errorf("version %d in %s: %v, %v, want %v, %v", e.Version, e.Group, got, err, publish, want)
		}
	}
	take(of(1, "a"), true, nil)
	take(of(1, "a"), true, nil)
	take(of(1, "b"), false, ErrVersionTaken)
	take(of(0, "b"), false, nil)
	for i := range formerGroupsMax {
		take(of(int64(2+i), fmt.Sprint("group ", i)), true, nil)
	}
	before := place.Append(nil)
	take(of(1000, "one more"), false, ErrMovedTooOften)
	if !slices.Equal(before, place.Append(nil)) {
		t.Error("what was refused has changed the placement")
	}
	take(of(1000, "a"), true, nil) // it was there
	if slices.Contains(place.Former, "a") || len(place.Former) != formerGroupsMax {
		t.Errorf("former groups %q", place.Former)
	}
}

func TestPlacementIsReadAsWritten(t *testing.T) {
	for _, place := range []Placement{
		{Version: -1 << 63, Group: "g", Former: []string{}},
		{Version: 1<<63 - 1, Group: "native||live|cus_1", Former: []string{"", "native||live|\x00\n", "é"}},
	} {
		text := place.Append(nil)
		if got, err := ParsePlacement(text); err != nil || !reflect.DeepEqual(got, place) {
			t.Errorf("wrote %+v, read %+v, %v", place, got, err)
		}
		for n := range len(text) {
			if got, err := ParsePlacement(text[:n]); err == nil && reflect.DeepEqual(got, place) {
				t.Errorf("%d of %d bytes read as the whole", n, len(text))
			}
		}
	}
	for _, text := range []string{"", "\x02", "\x80", "\x02\x05ab", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a"} {
		if got, err := ParsePlacement([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
