package analytics

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
)

// With compare, every series has the answer to the same question about the other period,
// and is otherwise what it is without.
func TestEverySeriesIsCompared(t *testing.T) {
	const seed = 31
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t)
	f.write(received(random, randomEvents(random, 150))...)
	f.euroRates()
	f.complete(testNow)
	const common, now, before = "workspaceSlug=acme&interval=month", "&since=2026-02-01&until=2026-03-31", "&since=2025-12-01&until=2026-01-31"
	type body = map[string]any
	for _, path := range []string{PathMetricsMRR, PathMetricsRevenue, PathMetricsRefunds, PathRetention, PathChurn, PathCommitted, PathCohorts, PathTrials} {
		compared, plain, other := get[body](f, path, common+now+"&compare=previous"), get[body](f, path, common+now), get[body](f, path, common+before)
		previous, there := compared["previous"].(body)
		if !there || !reflect.DeepEqual(previous, other) {
			t.Errorf("%s is compared with\n%v, want\n%v", path, previous, other)
		}
		delete(compared, "previous")
		if !reflect.DeepEqual(compared, plain) {
			t.Errorf("%s is another for being compared:\n%v, want\n%v", path, compared, plain)
		}
		maps.DeleteFunc(other, func(name string, _ any) bool { return name != "series" })
		if reflect.DeepEqual(other["series"], plain["series"]) {
			t.Errorf("%s: both periods are alike, so the test shows nothing", path)
		}
		year := get[body](f, path, common+now+"&compare=year")
		if previous, there := year["previous"].(body); !there || previous["since"] != "2025-02-01T00:00:00Z" {
			t.Errorf("%s a year before: %v", path, previous["since"])
		}
	}
}
