package revenue

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// uncertainTold is what is uncertain, in an order of its own.
func uncertainTold(list []Uncertain) string {
	var lines []string
	for _, u := range list {
		lines = append(lines, fmt.Sprintf("%s %s %s %d %d%s", u.Note, u.Detail, u.ObjectID, u.Amount, u.MRR, u.Currency))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// Each note counts as long as it says something of what is believed.
func TestUncertainties(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	terms := func(n int, note string, change ...func(*Event)) Event {
		e := Event{Workspace: "ws", Group: "g", Provider: "stripe", Livemode: true, Kind: KindSubscription, ObjectID: fmt.Sprintf("s@%d", n),
			Version: 1, OccurredAt: day(n), ReceivedAt: day(n), Status: StatusActive, Currency: "USD", MRR: 500_0000, Dimensions: Dimensions{Subscription: "s"}}
		if note != "" {
			e.Metadata = json.RawMessage(note)
		}
		for _, apply := range change {
			apply(&e)
		}
		return e
	}
	paid := func(note string, change ...func(*Event)) Event {
		return terms(0, note, append([]func(*Event){func(e *Event) {
			e.Kind, e.ObjectID, e.Status, e.MRR, e.Amount, e.Subscription = KindCharge, "p", StatusSettled, 0, 700, ""
		}}, change...)...)
	}
	status := func(s Status) func(*Event) { return func(e *Event) { e.Status = s } }
	ends := func(at time.Time) func(*Event) { return func(e *Event) { e.EndsAt = &at } }
	presumed := func(e *Event) { e.Presumed, e.Version = true, 0 }
	const tiers, both = `{"mrr_unknown":"tiers"}`, `{"estimated":"` + DetailEstimated + `","mrr_unknown":"price"}`
	const estimated, provisional, dollars = `{"estimated":"` + DetailEstimated + `"}`, `{"provisional":"` + DetailProvisional + `"}`, `{"amount_estimated":"` + DetailAmountEstimated + `"}`
	withdrawn := terms(0, tiers, func(e *Event) { e.Withdrawn, e.Revision, e.ReceivedAt = true, 1, day(5) })
	deleted := terms(0, tiers, func(e *Event) { e.Deleted, e.Version, e.ReceivedAt = true, 2, day(5) })
	link := paid("", func(e *Event) {
		e.Kind, e.ObjectID, e.Original, e.Amount, e.ReceivedAt = KindLink, "l", "p", 700, day(5)
	})
	mark := paid(provisional, func(e *Event) { e.Kind, e.ObjectID, e.Original, e.Amount = KindAttribution, "p:provisional", "p", 0 })
	const unknown, doubt, guess = "mrr_unknown tiers s@0 0 0", "provisional " + DetailProvisional + " p 700 0USD", "estimated " + DetailEstimated + " s@0 0 5000000USD"
	for name, c := range map[string]struct {
		events []Event
		want   string
	}{
		"unknown tiers":             {[]Event{terms(0, tiers)}, unknown},
		"of a trial":                {[]Event{terms(0, tiers, status(StatusTrialing))}, unknown},
		"and its end to come":       {[]Event{terms(0, tiers, ends(day(20)))}, unknown},
		"and its end":               {[]Event{terms(0, tiers, ends(day(9)))}, ""},
		"never paid for":            {[]Event{terms(0, tiers, status(StatusUnpaid))}, ""},
		"ended":                     {[]Event{terms(0, tiers), terms(3, tiers, status(StatusCanceled))}, ""},
		"known since":               {[]Event{terms(0, tiers), terms(3, "")}, ""},
		"unknown since":             {[]Event{terms(-1, ""), terms(0, tiers)}, unknown},
		"to be known":               {[]Event{terms(0, tiers), terms(12, "")}, unknown},
		"corrected":                 {[]Event{terms(0, tiers), terms(0, "", func(e *Event) { e.Version = 2 })}, ""},
		"an older statement":        {[]Event{terms(0, tiers), terms(0, "", func(e *Event) { e.Version = 0 })}, unknown},
		"withdrawn":                 {[]Event{terms(0, tiers), withdrawn}, ""},
		"deleted":                   {[]Event{terms(0, tiers), deleted}, ""},
		"not text":                  {[]Event{terms(0, `{"mrr_unknown":true}`), paid(`["mrr_unknown"]`)}, ""},
		"provisional":               {[]Event{paid(provisional)}, doubt},
		"linked":                    {[]Event{paid(provisional), link}, ""},
		"marked beside it":          {[]Event{paid(""), mark}, doubt},
		"marked and linked":         {[]Event{paid(""), mark, link}, ""},
		"failed":                    {[]Event{paid(provisional, status(StatusFailed))}, ""},
		"a member of the sender's":  {[]Event{paid(`{"provisional":"yes"}`), terms(0, `{"estimated":"2 hours"}`)}, ""},
		"estimated":                 {[]Event{terms(0, estimated, presumed), terms(3, "")}, guess},
		"a trial is worth nothing":  {[]Event{terms(0, estimated, presumed, status(StatusTrialing))}, "estimated " + DetailEstimated + " s@0 0 0"},
		"what was told contradicts": {[]Event{terms(0, estimated, presumed), terms(-1, "")}, ""},
		"estimated and unknown":     {[]Event{terms(0, both, presumed)}, guess + "; mrr_unknown price s@0 0 0"},
		"in dollars":                {[]Event{paid(dollars)}, "amount_estimated " + DetailAmountEstimated + " p 700 0USD"},
		"of no known term":          {[]Event{paid(`{"mrr_unknown":"term"}`)}, "mrr_unknown term p 0 0"},
		"refunded": {[]Event{paid(provisional), paid("", func(e *Event) { e.Kind, e.ObjectID, e.Original, e.Amount = KindRefund, "r", "p", 100 })},
			doubt},
		"another time": {[]Event{paid(provisional, func(e *Event) { e.OccurredAt = day(10) }), terms(10, tiers)}, ""},
	} {
		for range 4 {
			rand.Shuffle(len(c.events), func(i, j int) { c.events[i], c.events[j] = c.events[j], c.events[i] })
			if got := uncertainTold(Uncertainties(append(c.events, c.events[0]), day(10))); got != c.want {
				t.Fatalf("%s: %q, want %q", name, got, c.want)
			}
		}
		if found := slices.ContainsFunc(c.events, func(e Event) bool { return e.MayBeUncertain() }); !found {
			t.Errorf("%s: no statement is found by", name)
		}
	}
	for _, certain := range []Event{paid(""), terms(0, `{"plan":"estimate"}`), paid(provisional, func(e *Event) { e.Kind = KindRefund })} {
		if certain.MayBeUncertain() {
			t.Errorf("%s %s may be uncertain", certain.Kind, certain.Metadata)
		}
	}
}
