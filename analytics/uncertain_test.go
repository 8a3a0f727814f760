package analytics

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// doubtful are subscriptions and payments, numbered, of which something is not known:
// tiers of every second subscription, and the past of the others, whose present is known.
func doubtful(from, n int) []revenue.Event {
	var events []revenue.Event
	for i := from; i < from+n; i++ {
		id := fmt.Sprintf("d%03d", i)
		if i%2 == 0 {
			events = append(events, state(id, "2026-02-01T00:00:00Z", 0, metadata(`{"mrr_unknown":"tiers"}`)))
		} else {
			events = append(events, state(id, "2026-02-01T00:00:00Z", 1500, in("EUR"), metadata(`{"estimated":"`+revenue.DetailEstimated+`"}`),
				func(e *revenue.Event) { e.Presumed, e.Version = true, 0 }), state(id, "2026-05-01T00:00:00Z", 2000, in("EUR")))
		}
		events = append(events, charge("pay_"+id, "2026-02-03T00:00:00Z", 700, metadata(`{"provisional":"`+revenue.DetailProvisional+`"}`),
			func(e *revenue.Event) { e.Customer = id }))
	}
	return events
}

// told is an answer in a line for each row, but for the examples.
func (u *Uncertain) told() string {
	var lines []string
	for _, row := range u.Rows {
		amounts := "unknown"
		if row.Amounts != nil {
			amounts = fmt.Sprint(row.Amounts)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %d %s", row.Note, row.Provider, row.Facts, row.FactCount, amounts))
	}
	return strings.Join(lines, "; ")
}

// What is not known is shown with how much it is about, and gone as soon as it is known;
// as of a moment before, it is there still.
func TestUncertainIsShownAndGoes(t *testing.T) {
	f := newFixture(t)
	f.complete(testNow)
	const asked = "workspaceSlug=acme"
	if got := get[Uncertain](f, PathUncertain, asked); len(got.Rows) != 0 || got.Rows == nil {
		t.Errorf("of nothing: %+v", got)
	}
	f.say(doubtful(0, 30)...)
	f.say(state("trial", "2026-02-01T00:00:00Z", 0, metadata(`{"mrr_unknown":"price,discount"}`), status(revenue.StatusTrialing), from("polar")))
	f.say(charge("elsewhere", "2026-02-01T00:00:00Z", 100, metadata(`{"provisional":"`+revenue.DetailProvisional+`"}`), testMode))
	const polar = "; mrr_unknown polar subscriptions 1 unknown"
	const notes = "mrr_unknown stripe subscriptions 15 unknown; provisional stripe payments 30 [{USD 21000}]; estimated stripe subscriptions 15 [{EUR 22500}]"
	first := get[Uncertain](f, PathUncertain, asked)
	if got, want := first.told(), strings.TrimPrefix(polar, "; ")+"; "+notes; got != want {
		t.Fatalf("%s, want\n%s", got, want)
	}
	if first.DefinitionVersion != DefinitionVersion || first.CompleteThrough == nil || first.Until != exactInstant(testNow) {
		t.Errorf("%+v", first)
	}
	unknown, payments := first.Rows[1], first.Rows[2]
	if unknown.Detail != "tiers" || len(unknown.Examples) != uncertainExamplesMax || unknown.Examples[1] != (UncertainFact{"sub_d002@2026-02-01T00:00:00Z", "sub_d002", "d002"}) {
		t.Errorf("unknown tiers: %+v", unknown)
	}
	if !slices.IsSortedFunc(payments.Examples, UncertainFact.compare) || payments.Examples[9].ObjectID != "pay_d009" {
		t.Errorf("provisional payments: %+v", payments)
	}
	for parameters, want := range map[string]string{
		"&provider=stripe": notes, "&provider=polar": strings.TrimPrefix(polar, "; "), "&provider=paddle": "", "&asOf=2026-01-31": "", "&until=2026-01-31": "",
		"&mode=test":                        "provisional stripe payments 1 [{USD 100}]",
		"&until=2026-02-01&provider=stripe": "mrr_unknown stripe subscriptions 15 unknown; estimated stripe subscriptions 15 [{EUR 22500}]",
	} {
		answer := get[Uncertain](f, PathUncertain, asked+parameters)
		if got := answer.told(); got != want {
			t.Errorf("%s: %s, want %s", parameters, got, want)
		}
	}
	if other := get[Uncertain](f, PathUncertain, "workspaceSlug=globex"); len(other.Rows) != 0 {
		t.Errorf("another workspace: %s", other.told())
	}

	later := func(e *revenue.Event) { e.ReceivedAt, e.Version = at("2026-06-01"), 2 }
	link := charge("link", "2026-06-01T00:00:00Z", 700, later, func(e *revenue.Event) {
		e.Kind, e.Original, e.Group = revenue.KindLink, "pay_d000", revenue.GroupName("stripe", "", true, "pay_d000")
	})
	f.say(link, state("d000", "2026-02-01T00:00:00Z", 900, later), state("d002", "2026-06-01T00:00:00Z", 900, later),
		state("d004", "2026-02-01T00:00:00Z", 0, later, deleted), state("d006", "2026-06-01T00:00:00Z", 0, later, status(revenue.StatusCanceled)),
		state("d001", "2026-01-31T00:00:00Z", 900, later, in("EUR")), charge("pay_d001", "2026-02-03T00:00:00Z", 700, later))
	now := get[Uncertain](f, PathUncertain, asked+"&provider=stripe")
	if got, want := now.told(), "mrr_unknown stripe subscriptions 11 unknown; provisional stripe payments 28 [{USD 19600}]; estimated stripe subscriptions 14 [{EUR 21000}]"; got != want {
		t.Errorf("after some became known: %s, want\n%s", got, want)
	}
	response := f.ask(PathUncertain, asked+"&provider=stripe&asOf=2026-05-31")
	if final := response.Header.Get(HeaderFinal); final != "true" {
		t.Errorf("an answer that can never be another is final: %q", final)
	}
	before := get[Uncertain](f, PathUncertain, asked+"&provider=stripe&asOf=2026-05-31")
	if got := before.told(); got != notes {
		t.Errorf("as of before: %s, want\n%s", got, notes)
	}
	if past := get[Uncertain](f, PathUncertain, asked+"&provider=stripe&until=2026-05-31"); !strings.HasPrefix(past.told(), "mrr_unknown stripe subscriptions 13 ") {
		t.Errorf("by the terms in force in May: %s", past.told())
	}
}

// Of a workspace of which nearly everything is known, little is read to find the rest.
func TestUncertainReadsLittle(t *testing.T) {
	f := newFixture(t)
	var events []revenue.Event
	for i := range 40_000 {
		events = append(events, charge(fmt.Sprintf("c%05d", i), "2026-02-01T00:00:00Z", 100, metadata(`{"order":"5"}`)))
	}
	f.say(append(events, doubtful(0, 3)...)...)
	f.exec("OPTIMIZE TABLE %s.events FINAL", f.database)
	response := f.ask(PathUncertain, "workspaceSlug=acme")
	read, err := strconv.Atoi(response.Header.Get(HeaderRowsRead))
	if err != nil || response.StatusCode != http.StatusOK || read == 0 || read > 8_000 {
		t.Errorf("%d: %d rows were read of %d, %v", response.StatusCode, read, len(events), err)
	}
	if got := get[Uncertain](f, PathUncertain, "workspaceSlug=acme"); len(got.Rows) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestUncertainRefusesWhatItDoesNotKnow(t *testing.T) {
	f := newFixture(t)
	for parameters, names := range map[string]string{
		"workspaceSlug=acme&plan=x": "plan", "workspaceSlug=acme&asOf=moon": "asOf", "workspaceSlug=acme&until=": "until", "": "workspaceSlug",
		"workspaceSlug=acme&asOf=" + escape(testNow.Add(time.Hour)): "asOf", "workspaceSlug=acme&provider=a&provider=b": "provider", "workspaceSlug=acme&mode=both": "mode",
		"workspaceSlug=acme&profile=stripe": "profile", "workspaceSlug=acme&timeZone=Moon": "timeZone",
	} {
		response := f.ask(PathUncertain, parameters)
		if problem := problemOf(t, response); response.StatusCode != http.StatusBadRequest || !strings.Contains(problem.Detail, names) {
			t.Errorf("%s: %d %q", parameters, response.StatusCode, problem.Detail)
		}
	}
}
