package analytics

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return location
}

func TestStartOfDay(t *testing.T) {
	for _, test := range []struct{ zone, date, start string }{
		{"UTC", "2026-03-29", "2026-03-29T00:00:00Z"},
		{"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"},
		{"Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00Z"},
		{"Asia/Kolkata", "2026-01-01", "2025-12-31T18:30:00Z"},
		{"Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00Z"},
		// Clocks were put forward at midnight: the day began at one.
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"},
		// Clocks were put back at one, so midnight came twice: the first counts.
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"},
		// Clocks were put back at one past midnight, to 23:01 of the day before.
		{"America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z"},
		// A day that was skipped begins with the next.
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"},
	} {
		if got := startOfDay(at(test.date), zone(t, test.zone)); !got.Equal(at(test.start)) {
			t.Errorf("%s in %s begins at %v, want %s", test.date, test.zone, got, test.start)
		}
	}
}

func TestEdges(t *testing.T) {
	newYork := zone(t, "America/New_York")
	// Two changes of the clock in a year: days of 23 and 25 hours.
	edges, err := edgesOf(at("2026-01-01T05:00:00Z"), at("2027-01-01T05:00:00Z"), IntervalDay, newYork, 400)
	if err != nil || len(edges) != 366 {
		t.Fatalf("%d edges, %v", len(edges), err)
	}
	lengths := map[time.Duration]int{}
	for i := range edges[1:] {
		lengths[edges[i+1].Sub(edges[i])]++
	}
	if lengths[23*time.Hour] != 1 || lengths[25*time.Hour] != 1 || lengths[24*time.Hour] != 363 {
		t.Errorf("lengths of days: %v", lengths)
	}
	// ISO weeks begin on Monday; 2026-01-01 is a Thursday.
	edges, err = edgesOf(at("2026-01-01"), at("2026-01-13"), IntervalWeek, time.UTC, 400)
	if err != nil || len(edges) != 4 || !edges[1].Equal(at("2026-01-05")) || !edges[2].Equal(at("2026-01-12")) {
		t.Errorf("weeks: %v %v", edges, err)
	}
	edges, err = edgesOf(at("2026-01-31"), at("2026-03-01"), IntervalMonth, time.UTC, 400)
	if err != nil || len(edges) != 3 || !edges[1].Equal(at("2026-02-01")) {
		t.Errorf("months: %v %v", edges, err)
	}
	edges, err = edgesOf(at("2025-11-15"), at("2026-04-02"), IntervalQuarter, time.UTC, 400)
	if err != nil || len(edges) != 4 || !edges[1].Equal(at("2026-01-01")) || !edges[2].Equal(at("2026-04-01")) {
		t.Errorf("quarters: %v %v", edges, err)
	}
	edges, err = edgesOf(at("2024-05-06"), at("2026-01-01T00:00:01Z"), IntervalYear, time.UTC, 400)
	if err != nil || len(edges) != 4 || !edges[1].Equal(at("2025-01-01")) || !edges[2].Equal(at("2026-01-01")) {
		t.Errorf("years: %v %v", edges, err)
	}
	// Hours of Kolkata begin at half past in UTC.
	edges, err = edgesOf(at("2026-01-01T10:00:00Z"), at("2026-01-01T12:00:00Z"), IntervalHour, zone(t, "Asia/Kolkata"), 400)
	if err != nil || len(edges) != 4 || !edges[1].Equal(at("2026-01-01T10:30:00Z")) || !edges[2].Equal(at("2026-01-01T11:30:00Z")) {
		t.Errorf("hours of Kolkata: %v %v", edges, err)
	}
	// The day on which clocks are put forward has 23 hours, whatever they are called.
	edges, err = edgesOf(at("2026-03-08T05:00:00Z"), at("2026-03-09T04:00:00Z"), IntervalHour, newYork, 400)
	if err != nil || len(edges) != 24 {
		t.Errorf("hours of a short day: %d %v", len(edges), err)
	}
	// The skipped day has no bucket.
	edges, err = edgesOf(at("2011-12-29T10:00:00Z"), at("2012-01-01T10:00:00Z"), IntervalDay, zone(t, "Pacific/Apia"), 400)
	if err != nil || len(edges) != 4 {
		t.Errorf("Samoa: %v %v", edges, err)
	}
	if _, err = edgesOf(at("2026-01-01"), at("2027-01-01"), IntervalDay, time.UTC, 364); err == nil {
		t.Error("too many buckets were accepted")
	}
	if edges, err = edgesOf(at("2026-01-01"), at("2027-01-01"), IntervalDay, time.UTC, 365); err != nil || len(edges) != 366 {
		t.Errorf("%d edges, %v", len(edges), err)
	}
}
