package analytics

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// What the store said of itself stands for a while, and for no longer.
func TestTheHorizonStandsForAWhile(t *testing.T) {
	f := newFixture(t, func(config *Config) { config.HorizonAgeMax = time.Hour })
	said := func(through string) {
		f.exec(`INSERT INTO %s.progress SELECT number, 1, 10, toDateTime64('%s', 6, 'UTC'), now64(6) FROM numbers(%d)`,
			f.database, through, slicesCount)
	}
	complete := func() string { return f.ask(PathRevenue, "workspaceSlug=acme").Header.Get(HeaderCompleteThrough) }
	said("2026-06-01 10:00:00")
	first := complete()
	said("2026-06-01 11:00:00")
	if again := complete(); first == "" || again != first {
		t.Errorf("complete through %q, then %q within an hour", first, again)
	}
	f.server.horizons.readAt = f.server.horizons.readAt.Add(-time.Hour)
	if later := complete(); later <= first {
		t.Errorf("complete through %q, and an hour later %q", first, later)
	}
}

// Rates are read once, until there are others.
func TestRatesAreReadAgainWhenThereAreOthers(t *testing.T) {
	f := newFixture(t)
	f.rate("2026-01-01", "EUR", "USD", "2")
	f.write(charge("1", "2026-01-05", 100, func(e *revenue.Event) { e.Currency = "EUR" }))
	ask := func() (gross int64, rowsRead int) {
		t.Helper()
		response := f.ask(PathRevenue, "workspaceSlug=acme&since=2026-01-01&until=2026-01-31")
		var answer RevenueAnswer
		rowsRead, err := strconv.Atoi(response.Header.Get(HeaderRowsRead))
		if err = errors.Join(err, json.NewDecoder(response.Body).Decode(&answer)); err != nil {
			t.Fatal(err)
		}
		return answer.Summary.GrossRevenueCents, rowsRead
	}
	gross, rowsFirst := ask()
	again, rowsAgain := ask()
	if gross != 200 || again != 200 || rowsAgain >= rowsFirst {
		t.Errorf("%d with %d rows, then %d with %d", gross, rowsFirst, again, rowsAgain)
	}
	f.rate("2026-01-02", "EUR", "USD", "3")
	if changed, _ := ask(); changed != 300 {
		t.Errorf("%d after another rate, want 300", changed)
	}
}
