package analytics

import (
	"io"
	"math/rand/v2"
	"testing"
)

// Asked about, test mode is answered as live mode is, to the byte; and no other answer
// has anything of it.
func TestTestModeIsAskedFor(t *testing.T) {
	const seed = 91
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 200)
	live, test := newFixture(t), newFixture(t)
	for i := range events {
		events[i].Livemode, events[i].TestClock = true, ""
	}
	live.write(events...)
	for i := range events { // some of test mode, some of that on a clock
		events[i].Livemode = false
		if i%2 == 0 {
			events[i].TestClock = "clock_1"
		}
	}
	test.write(events...)
	live.euroRates()
	test.euroRates()
	text := func(f *fixture, path, parameters string) string {
		t.Helper()
		body, err := io.ReadAll(f.ask(path, parameters).Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	const period = "workspaceSlug=acme&since=2026-01-01T03:04:05Z&until=2026-05-31"
	for path, parameters := range map[string]string{
		PathMetricsMRR: "&interval=month", PathMetricsRevenue: "&interval=week", PathMetricsRefunds: "&interval=month&refundBasis=original",
		PathRetention: "&interval=month", PathCohorts: "&interval=month&measure=revenue", PathTrials: "&interval=month",
		PathChurn: "&interval=month", PathCommitted: "&interval=month", PathTables: "&by=customer",
	} {
		want := text(live, path, period+parameters)
		if got := text(test, path, period+parameters+"&mode=test"); got != want {
			t.Errorf("seed %d, %s: in test mode\n%s\nlive\n%s", seed, path, got, want)
		}
		if got := text(test, path, period+parameters); got == want {
			t.Errorf("seed %d, %s: the same without asking for test mode: %s", seed, path, got)
		}
	}
	want := get[RevenueAnswer](live, PathRevenue, period).Summary
	got := get[RevenueAnswer](test, PathRevenue, period+"&mode=test")
	if got.Summary.GrossRevenueCents == 0 || got.Summary.MRRCents != want.MRRCents || got.Summary.GrossRevenueCents != want.GrossRevenueCents ||
		got.Summary.UniqueCancelledSubs != want.UniqueCancelledSubs || len(got.Items) == 0 {
		t.Errorf("seed %d: in test mode %+v with %d items, live %+v", seed, got.Summary, len(got.Items), want)
	}
	if other := get[RevenueAnswer](test, PathRevenue, period+"&mode=live"); other.Total != 0 || other.Summary.GrossRevenueCents != 0 {
		t.Errorf("seed %d: live %+v", seed, other.Summary)
	}
}
