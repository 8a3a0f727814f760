package analytics

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// with sends a question with a header more.
func (f *fixture) with(target, header, value string) *http.Response {
	f.t.Helper()
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.Header.Set("X-Api-Key", readKey)
	request.Header.Set(header, value)
	return f.send(request)
}

// table reads an answer as CSV: the columns, and each line by them.
func (f *fixture) table(target string) ([]string, []map[string]string) {
	f.t.Helper()
	response := f.with(target, "Accept", "text/csv")
	lines, err := csv.NewReader(response.Body).ReadAll()
	if err != nil || response.StatusCode != http.StatusOK || len(lines) == 0 {
		f.t.Fatalf("%s: %d %v %v", target, response.StatusCode, lines, err)
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return lines[0], rows
}

func TestAnswersAsCSV(t *testing.T) {
	f := newFixture(t)
	formula := charge("=cmd()", "2026-01-10T00:00:00Z", 500, func(e *revenue.Event) { e.Plan = "=cmd()" })
	f.write(formula, charge("b", "2026-02-10T00:00:00Z", 700, in("EUR"), func(e *revenue.Event) { e.Plan = "gold" }),
		refund("c", "b", "2026-02-11T00:00:00Z", 200, in("EUR")))
	f.euroRates()
	const months = "?workspaceSlug=acme&since=2026-01-01&until=2026-02-28&interval=month"
	columns, rows := f.table(PathMetricsRevenue + months)
	if len(rows) != 2 || columns[0] != "start" || rows[0]["converted.grossRevenueCents"] != "500" ||
		rows[1]["native.EUR.figures.netRevenueCents"] != "500" || rows[0]["native.EUR.figures.netRevenueCents"] != "" || rows[0]["start"] != "2026-01-01T00:00:00Z" {
		t.Errorf("%v %v", columns, rows)
	}
	// A line for each bucket of each part, and no formula of a sender's making.
	columns, rows = f.table(PathMetricsRevenue + months + "&breakdown=plan")
	if len(rows) != 4 || !slices.Contains(columns, "value") || rows[0]["value"] != "gold" || rows[1]["netRevenueCents"] != "1500" || rows[2]["value"] != "'=cmd()" {
		t.Errorf("%v %v", columns, rows)
	}
	if _, rows = f.table(PathTables + "?workspaceSlug=acme&by=plan"); len(rows) != 2 || rows[1]["value"] != "gold" {
		t.Errorf("%v", rows)
	}
	if _, rows = f.table(PathRevenue + "?workspaceSlug=acme"); len(rows) != 3 || rows[0]["amountCents"] != "-200" {
		t.Errorf("%v", rows)
	}
	if response := f.with(PathRevenue+"?workspaceSlug=acme", "Accept", "application/pdf"); response.StatusCode != http.StatusNotAcceptable {
		t.Errorf("as PDF: %d", response.StatusCode)
	}
}

// What the caller has is not sent again: at once if it can never be another, else if the
// figures are the same, whatever the watermark says.
func TestEntityTags(t *testing.T) {
	f := newFixture(t)
	f.write(charge("a", "2026-01-10T00:00:00Z", 500))
	complete := func(day string, offset int64) {
		t.Helper()
		var progress []clickhouse.Progress
		for slice, taken := range f.epochs {
			progress = append(progress, clickhouse.Progress{Slice: slice, Epoch: taken.Epoch, Offset: offset, CompleteThrough: at(day)})
		}
		if err := f.store.SaveProgress(t.Context(), progress); err != nil {
			t.Fatal(err)
		}
	}
	complete("2026-02-01", 1)
	const now = PathMetricsRevenue + "?workspaceSlug=acme&since=2026-01-01&until=2026-02-28&interval=month"
	const final = now + "&asOf=2026-01-20"
	tags := map[string]string{}
	for _, target := range []string{now, final} {
		tags[target] = f.with(target, "Accept", "application/json").Header.Get("ETag")
		if tags[target] == "" {
			t.Fatalf("%s has no tag", target)
		}
		if response := f.with(target, "If-None-Match", `"other", `+tags[target]); response.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %d", target, response.StatusCode)
		}
	}
	complete("2026-03-01", 2)
	if response := f.with(now, "If-None-Match", tags[now]); response.StatusCode != http.StatusNotModified {
		t.Errorf("the same figures at a later watermark: %d", response.StatusCode)
	}
	f.write(charge("b", "2026-02-10T00:00:00Z", 700))
	if response := f.with(now, "If-None-Match", tags[now]); response.StatusCode != http.StatusOK || response.Header.Get("ETag") == tags[now] {
		t.Errorf("other figures: %d", response.StatusCode)
	}
	response := f.with(final, "If-None-Match", tags[final])
	if response.StatusCode != http.StatusNotModified || response.Header.Get(HeaderRowsRead) != "" {
		t.Errorf("a final answer: %d, %s rows read", response.StatusCode, response.Header.Get(HeaderRowsRead))
	}
	// Another workspace's key, and another form, are other answers.
	request := httptest.NewRequest(http.MethodGet, final, nil)
	request.Header.Set("X-Api-Key", otherKey)
	request.Header.Set("If-None-Match", tags[final])
	if response := f.send(request); response.StatusCode != http.StatusForbidden {
		t.Errorf("with another workspace's key: %d", response.StatusCode)
	}
	request.Header.Set("X-Api-Key", readKey)
	request.Header.Set("Accept", "text/csv")
	if response := f.send(request); response.StatusCode != http.StatusOK {
		t.Errorf("as CSV: %d", response.StatusCode)
	}
}
