package analytics

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

func TestParseQueryDefaults(t *testing.T) {
	query, err := ParseQuery("workspaceSlug=acme", testNow, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if query.Period != (Period{beginning, testNow}) || query.Previous != nil || query.Provider != "" || query.Page != 1 ||
		query.PageSize != 20 || query.IncludeSeries || query.SortBy != SortOccurredAt || !query.Descending ||
		!slices.Equal(query.Kinds, contractKinds) {
		t.Errorf("defaults: %+v", query)
	}
}

// The contract's own example, which gives an alias beside the name.
func TestParseQueryOfContract(t *testing.T) {
	query, err := ParseQuery("workspaceSlug=my-workspace&since=2024-01-01&until=2024-12-31&prevSince=2023-12-01&prevUntil=2023-12-31"+
		"&provider=stripe&eventTypes=purchase%2Crenewal&page=1&pageSize=20&limit=20&includeSeries=false&sortBy=occurredAt&sortOrder=desc",
		testNow, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if query.Period != (Period{at("2024-01-01"), at("2025-01-01")}) {
		t.Errorf("dates are inclusive: %v", query.Period)
	}
	if *query.Previous != (Period{at("2023-12-01"), at("2024-01-01")}) {
		t.Errorf("previous: %v", query.Previous)
	}
	if query.Provider != "stripe" || !slices.Equal(query.Kinds, []revenue.EntryKind{"purchase", "renewal"}) {
		t.Errorf("filters: %q %v", query.Provider, query.Kinds)
	}
}

func TestParseQueryForms(t *testing.T) {
	for _, test := range []struct {
		parameters string
		check      func(Query) bool
	}{
		{"provider=all", func(q Query) bool { return q.Provider == "" }},
		{"eventTypes=purchase&eventTypes=refund", func(q Query) bool { return slices.Equal(texts(q.Kinds), []string{"purchase", "refund"}) }},
		{"eventTypes[]=purchase&eventTypes%5B%5D=refund,renewal", func(q Query) bool {
			return slices.Equal(texts(q.Kinds), []string{"purchase", "refund", "renewal"})
		}},
		{"eventTypes=purchase,purchase", func(q Query) bool { return slices.Equal(texts(q.Kinds), []string{"purchase"}) }},
		{"eventTypes=dispute,dispute_reversal,fee", func(q Query) bool { return len(q.Kinds) == 3 }},
		{"eventTypes=trial_conversion,subscription_purchase,cancellation,expiration,trial_start", func(q Query) bool { return len(q.Kinds) == 5 }},
		{"limit=7", func(q Query) bool { return q.PageSize == 7 }},
		{"pageSize=7", func(q Query) bool { return q.PageSize == 7 }},
		{"pageSize=1000", func(q Query) bool { return q.PageSize == 1000 }},
		{"page=500000", func(q Query) bool { return q.Page == 500_000 }},
		{"includeSeries=true", func(q Query) bool { return q.IncludeSeries }},
		{"includeSeries=1", func(q Query) bool { return q.IncludeSeries }},
		{"includeSeries=0", func(q Query) bool { return !q.IncludeSeries }},
		{"sortBy=amountCents&sortOrder=asc", func(q Query) bool { return q.SortBy == SortAmountCents && !q.Descending }},
		{"unknown=1&_=42", func(q Query) bool { return true }},
		{"since=2024-02-29T10:00:00Z&until=2024-02-29T10:00:00.5Z", func(q Query) bool {
			return q.Period == Period{at("2024-02-29T10:00:00Z"), at("2024-02-29T10:00:00.5Z")}
		}},
		{"since=2024-01-01T00:00:00%2B02:00", func(q Query) bool { return q.Period.Since.Equal(at("2023-12-31T22:00:00Z")) }},
		{"since=2024-01-01T00:00:00+02:00", func(q Query) bool { return q.Period.Since.Equal(at("2023-12-31T22:00:00Z")) }},
		{"since=2024-01-01T00:00:00", func(q Query) bool { return q.Period.Since.Equal(at("2024-01-01")) }},
		{"until=2024-01-01T12:30", func(q Query) bool { return q.Period.Until.Equal(at("2024-01-01T12:30:00Z")) }},
		{"since=2024-01-01&until=2024-01-01", func(q Query) bool { return q.Period == Period{at("2024-01-01"), at("2024-01-02")} }},
		{"since=2099-01-01", func(q Query) bool { return q.Period.Since.Equal(q.Period.Until) }},
	} {
		query, err := ParseQuery("workspaceSlug=acme&"+test.parameters, testNow, DefaultConfig())
		if err != nil {
			t.Errorf("%s: %v", test.parameters, err)
		} else if !test.check(query) {
			t.Errorf("%s: %+v", test.parameters, query)
		}
	}
}

// badParameters are refused by GET /revenue with a message that names the
// parameter.
var badParameters = []struct{ parameters, names string }{
	{"", "workspaceSlug"},
	{"workspaceSlug=", "workspaceSlug"},
	{"workspaceSlug=acme&workspaceSlug=acme", "workspaceSlug"},
	{"workspaceSlug=" + strings.Repeat("x", 129), "workspaceSlug"},
	{"workspaceSlug=acme&since=yesterday", "since"},
	{"workspaceSlug=acme&since=2024-02-30", "since"},
	{"workspaceSlug=acme&since=2024-1-1", "since"},
	{"workspaceSlug=acme&since=20240101", "since"},
	{"workspaceSlug=acme&since=1704067200", "since"},
	{"workspaceSlug=acme&since=", "since"},
	{"workspaceSlug=acme&since=1969-12-31", "since"},
	{"workspaceSlug=acme&since=2024-01-01T25:00:00Z", "since"},
	{"workspaceSlug=acme&since=2024-01-01%2010:00:00", "since"},
	{"workspaceSlug=acme&until=2106-01-01", "until"},
	{"workspaceSlug=acme&until=9999-12-31", "until"},
	{"workspaceSlug=acme&until=2024-13-01", "until"},
	{"workspaceSlug=acme&since=2024-01-02&until=2024-01-01", "since"},
	{"workspaceSlug=acme&since=2024-01-02T00:00:00Z&until=2024-01-02T00:00:00Z", "since"},
	{"workspaceSlug=acme&since=1970-01-01&until=2105-01-01", "until"},
	{"workspaceSlug=acme&prevSince=2024-01-01", "prevSince"},
	{"workspaceSlug=acme&prevUntil=2024-01-01", "prevSince"},
	{"workspaceSlug=acme&prevSince=2024-01-02&prevUntil=2024-01-01", "prevSince"},
	{"workspaceSlug=acme&prevSince=x&prevUntil=2024-01-01", "prevSince"},
	{"workspaceSlug=acme&prevSince=2024-01-01&prevUntil=", "prevUntil"},
	{"workspaceSlug=acme&provider=", "provider"},
	{"workspaceSlug=acme&provider=%00", "provider"},
	{"workspaceSlug=acme&provider=%ff", "provider"},
	{"workspaceSlug=acme&provider=" + strings.Repeat("x", 129), "provider"},
	{"workspaceSlug=acme&eventTypes=", "eventTypes"},
	{"workspaceSlug=acme&eventTypes=purchases", "eventTypes"},
	{"workspaceSlug=acme&eventTypes=purchase,", "eventTypes"},
	{"workspaceSlug=acme&eventTypes=new", "eventTypes"},
	{"workspaceSlug=acme&eventTypes[]=PURCHASE", "eventTypes"},
	{"workspaceSlug=acme&page=0", "page"},
	{"workspaceSlug=acme&page=-1", "page"},
	{"workspaceSlug=acme&page=1.5", "page"},
	{"workspaceSlug=acme&page=01", "page"},
	{"workspaceSlug=acme&page=99999999999999999999", "page"},
	{"workspaceSlug=acme&page=1&page=2", "page"},
	{"workspaceSlug=acme&pageSize=0", "pageSize"},
	{"workspaceSlug=acme&pageSize=1001", "pageSize"},
	{"workspaceSlug=acme&limit=1001", "limit"},
	{"workspaceSlug=acme&limit=x", "limit"},
	{"workspaceSlug=acme&pageSize=20&limit=30", "limit"},
	{"workspaceSlug=acme&includeSeries=yes", "includeSeries"},
	{"workspaceSlug=acme&includeSeries=", "includeSeries"},
	{"workspaceSlug=acme&sortBy=metadata", "sortBy"},
	{"workspaceSlug=acme&sortBy=amount;drop", "parameters"},
	{"workspaceSlug=acme&sortOrder=up", "sortOrder"},
	{"workspaceSlug=acme&sortOrder=DESC", "sortOrder"},
	{"workspaceSlug=acme&since=%zz", "parameters"},
	{"workspaceSlug=acme&x=" + strings.Repeat("y", 9000), "parameters"},
}

func TestParseQueryRefuses(t *testing.T) {
	for _, test := range badParameters {
		if query, err := ParseQuery(test.parameters, testNow, DefaultConfig()); err == nil {
			t.Errorf("%q was accepted: %+v", clip(test.parameters), query)
		} else if !strings.Contains(err.Error(), test.names) || len(err.Error()) > 1000 {
			t.Errorf("%q: %q does not name %q", clip(test.parameters), err, test.names)
		}
	}
}

func TestParseSeriesQuery(t *testing.T) {
	// Without since there are 12 months up to the one that is not over.
	query, err := ParseSeriesQuery("workspaceSlug=acme&interval=month", testNow, time.UTC, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if len(query.Edges) != 13 || !query.Edges[0].Equal(at("2025-08-01")) || !query.Edges[12].Equal(testNow) {
		t.Errorf("default edges: %v", query.Edges)
	}
	for _, parameters := range []string{
		"", "workspaceSlug=acme&interval=fortnight", "workspaceSlug=acme&plan=", "workspaceSlug=acme&asOf=2026-07-02", "workspaceSlug=acme&timezone=UTC", "workspaceSlug=acme&timeZone=Local",
		"workspaceSlug=acme&timeZone=Mars/Olympus", "workspaceSlug=acme&timeZone=", "workspaceSlug=acme&timeZone=../etc/passwd",
		"workspaceSlug=acme&currency=usd", "workspaceSlug=acme&currency=XXX", "workspaceSlug=acme&since=2020-01-01&until=2026-01-01",
		"workspaceSlug=acme&since=2026-01-02&until=2026-01-01", "workspaceSlug=acme&since=2027-01-01", "workspaceSlug=acme&providr=x",
		"workspaceSlug=acme&page=1",
	} {
		if _, err := ParseSeriesQuery(parameters, testNow, time.UTC, DefaultConfig()); err == nil {
			t.Errorf("%q was accepted", parameters)
		}
	}
}

// FuzzParseQuery: whatever is sent, there is a question within the limits or an
// error, never a panic.
func FuzzParseQuery(f *testing.F) {
	for _, test := range badParameters {
		f.Add(test.parameters)
	}
	f.Add("workspaceSlug=acme&since=2024-01-01&until=2024-12-31T00:00:00.123456789+05:30&eventTypes[]=refund&limit=5")
	f.Add("workspaceSlug=acme&interval=week&timeZone=America/St_Johns&since=2006-10-01&until=2006-12-01")
	config := DefaultConfig()
	f.Fuzz(func(t *testing.T, raw string) {
		if query, err := ParseQuery(raw, testNow, config); err == nil {
			if query.WorkspaceSlug == "" || query.Page < 1 || query.PageSize < 1 || query.PageSize > config.PageSizeMax ||
				len(query.Kinds) == 0 || query.Period.Until.Before(query.Period.Since) || query.Period.Since.Before(beginning) {
				t.Errorf("%q: %+v", raw, query)
			}
			checkCuts(t, []time.Time{query.Period.Since, query.Period.Until})
		}
		if query, err := ParseSeriesQuery(raw, testNow, time.UTC, config); err == nil {
			if len(query.Edges) < 2 || len(query.Edges) > config.SeriesBucketsMax+1 {
				t.Errorf("%q: %d edges", raw, len(query.Edges))
			}
			checkCuts(t, query.Edges)
		}
	})
}

// checkCuts holds a division against its definition.
func checkCuts(t *testing.T, edges []time.Time) {
	t.Helper()
	for i := range edges[1:] {
		if edges[i+1].Before(edges[i]) {
			t.Fatalf("edges %v and %v are not in order", edges[i], edges[i+1])
		}
	}
	c := cutsOf(edges)
	days, hours := map[time.Time]bool{}, map[time.Time]bool{}
	for _, edge := range edges {
		if day := edge.Truncate(dayLength); !edge.Equal(day) {
			days[day] = true
		}
		if hour := edge.Truncate(time.Hour); !edge.Equal(hour) {
			hours[hour] = true
		}
	}
	held := func(instants []time.Time, in map[time.Time]bool) bool {
		return len(instants) == len(in) && !slices.ContainsFunc(instants, func(at time.Time) bool { return !in[at] })
	}
	if !held(c.days, days) || !held(c.hours, hours) {
		t.Fatalf("edges %v divide days %v and hours %v, not %v and %v", edges, days, hours, c.days, c.hours)
	}
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("é", 100)); len(got) > 70 || !strings.HasPrefix(url.QueryEscape(got), "%C3%A9") {
		t.Errorf("clip: %q", got)
	}
}
