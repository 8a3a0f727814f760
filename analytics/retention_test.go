package analytics

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// payer is whom movements are judged for.
type payer struct{ group, currency string }

// balancesAt is what each payer is worth at an instant, in 1/10,000 minor units.
func balancesAt(entries []revenue.Entry, at time.Time) map[payer]int64 {
	balances := map[payer]int64{}
	for _, e := range entries {
		if e.Kind.Family() == revenue.FamilyState && e.OccurredAt.Before(at) {
			balances[payer{e.Group, e.Currency}] += e.MRR
		}
	}
	return balances
}

// Retention is what a list of all customers says, in every zone, interval and range, and
// opens where MRR does.
func TestRandomRetention(t *testing.T) {
	const seed = 31
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 250)
	entries := believed(events)
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	lost := 0
	for n := range 8 {
		period, name := randomPeriod(random), zones[n%len(zones)]
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&interval=%s&timeZone=%s", escape(period.Since), escape(period.Until),
			[]Interval{IntervalDay, IntervalWeek, IntervalMonth, IntervalQuarter}[random.IntN(4)], url.QueryEscape(name))
		retention := get[RetentionSeries](f, PathRetention, parameters)
		mrr := get[MRRSeries](f, PathMetricsMRR, parameters)
		for i, bucket := range retention.Series {
			if bucket.Bucket != mrr.Series[i].Bucket || bucket.OpeningMRRCents != mrr.Series[i].OpeningMRRCents {
				t.Fatalf("seed %d %s: retention %+v opens elsewhere than MRR %+v", seed, parameters, bucket, mrr.Series[i])
			}
			for _, native := range bucket.Native {
				checkRetention(t, entries, native, at(bucket.Start), at(bucket.End))
			}
			lost += int(bucket.ChurnedCustomers)
		}
	}
	if lost == 0 {
		t.Error("nobody left: the test shows little")
	}
	for _, parameters := range []string{"&campaign=spring", "&breakdown=plan", "&interval=day&since=2026-01-01&until=2026-06-01"} {
		if response := f.ask(PathRetention, "workspaceSlug=acme"+parameters); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", parameters, response.StatusCode)
		}
	}
	for path, parameters := range map[string]string{PathMetricsMRR: "campaign=spring", PathExplain: "figure=mrrCents&metadata=tier:gold", PathCommitted: "breakdown=plan"} {
		if response := f.ask(path, "workspaceSlug=acme&"+parameters); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s?%s: %d", path, parameters, response.StatusCode)
		}
	}
}

func checkRetention(t *testing.T, entries []revenue.Entry, got NativeRetention, start, end time.Time) {
	t.Helper()
	before, after := balancesAt(entries, start), balancesAt(entries, end)
	var opening, retained, closing, customers, churned int64
	for who, was := range before {
		if who.currency != got.Currency || was <= 0 {
			continue
		}
		is := after[who]
		opening, retained, closing, customers = opening+was, retained+min(was, is), closing+is, customers+1
		if is == 0 {
			churned++
		}
	}
	if got.OpeningMRRCents != revenue.RoundMRR(opening) || got.RetainedMRRCents != revenue.RoundMRR(retained) ||
		got.ClosingMRRCents != revenue.RoundMRR(closing) || got.OpeningCustomers != customers || got.ChurnedCustomers != churned {
		t.Fatalf("from %v to %v: %+v, want %d %d %d of %d customers, %d churned", start, end, got, opening, retained, closing, customers, churned)
	}
}
