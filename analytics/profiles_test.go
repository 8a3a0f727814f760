package analytics

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// inTerms gives subscriptions billing intervals, which some change as they go along.
func inTerms(random *rand.Rand, events []revenue.Event) []revenue.Event {
	terms := []string{"day", "week", "month", "year"}
	for i := range events {
		if e := &events[i]; e.Kind == revenue.KindSubscription {
			e.Interval = terms[len(e.Customer)%len(terms)]
			if random.IntN(3) == 0 {
				e.Interval = terms[random.IntN(len(terms))]
			}
		}
	}
	return events
}

// weighed are the entries with MRR as a month of 4 weeks or 30 days says, each rounded by
// itself, and without anything but MRR.
func weighed(entries []revenue.Entry) []revenue.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		switch e.Interval {
		case "week": // 4 of 52/12
			e.MRR = quotient(big.NewInt(e.MRR), big.NewInt(12), big.NewInt(13)).Int64()
		case "day": // 30 of 365/12
			e.MRR = quotient(big.NewInt(e.MRR), big.NewInt(72), big.NewInt(73)).Int64()
		}
	}
	return entries
}

// mrrAt is the sum of MRR up to an instant, in 1/10,000 minor units of one currency.
func mrrAt(entries []revenue.Entry, currency string, at time.Time) (mrr int64) {
	for _, e := range entries {
		if e.Currency == currency && e.OccurredAt.Before(at) {
			mrr += e.MRR
		}
	}
	return mrr
}

// A profile that weighs billing intervals weighs them everywhere alike: every answer that
// has MRR has the same, to the ten-thousandth of a cent, in whatever buckets it is asked
// for, and its explanation adds up to it. Who pays is whoever pays without weights.
func TestProfilesWeighEverywhereAlike(t *testing.T) {
	const seed = 61
	random := rand.New(rand.NewPCG(seed, seed))
	events := inTerms(random, randomEvents(random, 200))
	entries := believed(events)
	weighed := weighed(entries)
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	if mrrAt(entries, "USD", at("2026-04-01")) == mrrAt(weighed, "USD", at("2026-04-01")) {
		t.Fatal("the profile makes no difference: the test shows nothing")
	}
	for _, interval := range []Interval{IntervalMonth, IntervalWeek} {
		parameters := fmt.Sprintf("workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=%s", interval)
		const profile = "&profile=revenuecat"
		mrr := get[MRRSeries](f, PathMetricsMRR, parameters+profile)
		retention := get[RetentionSeries](f, PathRetention, parameters+profile)
		house := get[RetentionSeries](f, PathRetention, parameters)
		committed := get[CommittedSeries](f, PathCommitted, parameters+profile)
		churn := get[ChurnSeries](f, PathChurn, parameters+profile)
		cohorts := get[CohortTable](f, PathCohorts, parameters+profile)
		if mrr.DefinitionVersion != DefinitionVersion+"+revenuecat-"+profilesVersion || cohorts.DefinitionVersion != mrr.DefinitionVersion {
			t.Errorf("definitions %q and %q", mrr.DefinitionVersion, cohorts.DefinitionVersion)
		}
		for i, bucket := range mrr.Series {
			for _, native := range bucket.Native {
				if want := exactly(mrrAt(weighed, native.Currency, at(bucket.End))); native.Exact.MRR != want {
					t.Fatalf("seed %d %s: MRR %s in %s at %s, want %s", seed, interval, native.Exact.MRR, native.Currency, bucket.End, want)
				}
			}
			kept := retention.Series[i]
			if kept.OpeningMRRCents != bucket.OpeningMRRCents {
				t.Fatalf("seed %d: retention opens with %d, MRR with %d", seed, kept.OpeningMRRCents, bucket.OpeningMRRCents)
			}
			if ours := house.Series[i]; kept.OpeningCustomers != ours.OpeningCustomers || kept.ChurnedCustomers != ours.ChurnedCustomers {
				t.Fatalf("seed %d: weights make %+v of %+v", seed, kept, ours)
			}
			if committed.Series[i].MRRCents != bucket.MRRCents {
				t.Fatalf("seed %d: committed of %d, MRR is %d", seed, committed.Series[i].MRRCents, bucket.MRRCents)
			}
			if difference := churn.Series[i].ChurnCents - bucket.ChurnCents; difference < -1 || difference > 1 {
				t.Fatalf("seed %d: churn %d, of MRR %d", seed, churn.Series[i].ChurnCents, bucket.ChurnCents)
			}
		}
		checkWeighedCohorts(t, cohorts, weighed)
	}
	last := get[MRRSeries](f, PathMetricsMRR, "workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=year&profile=revenuecat")
	table := get[Table](f, PathTables, "workspaceSlug=acme&by=customer&limit=1000&until=2026-03-31&profile=revenuecat")
	if *table.Total.MRRCents != last.Series[0].MRRCents || table.DefinitionVersion != last.DefinitionVersion {
		t.Errorf("customers are worth %d by %s, MRR is %d", *table.Total.MRRCents, table.DefinitionVersion, last.Series[0].MRRCents)
	}
	explained, _ := explainAll(f, "workspaceSlug=acme&figure=mrrCents&until=2026-03-31&limit=500&profile=revenuecat")
	for _, total := range explained.Totals {
		if want := mrrAt(weighed, total.Currency, at("2026-04-01")); total.Units != want {
			t.Errorf("explained as %d %s, want %d", total.Units, total.Currency, want)
		}
	}
}

// exactly writes 1/10,000 minor units as minor units.
func exactly(mrr int64) string { return decimalText(new(big.Int).Mul(big.NewInt(mrr), exactScale)) }

// checkWeighedCohorts holds the last balance of all cohorts against that of all customers,
// all of whom are in one: rates are those of the cohort's month, so in dollars only.
func checkWeighedCohorts(t *testing.T, cohorts CohortTable, entries []revenue.Entry) {
	t.Helper()
	n := len(cohorts.Series)
	for i, cohort := range cohorts.Series {
		if len(cohort.Periods) > 0 && len(cohort.Periods) != n-i {
			t.Fatalf("cohort %d has %d periods", i, len(cohort.Periods))
		}
		began := map[string]bool{}
		for _, e := range entries {
			if e.Kind == revenue.EntryNew && !e.OccurredAt.Before(at(cohort.Start)) && e.OccurredAt.Before(at(cohort.End)) {
				began[e.Group] = true
			}
		}
		for _, period := range cohort.Periods {
			var want int64
			for who, mrr := range balancesAt(entries, at(cohorts.Series[i+int(period.Period)].End)) {
				if began[who.group] {
					want += worth(mrr, who.currency, at(cohort.End).Add(-time.Microsecond))
				}
			}
			if period.MRRCents != revenue.RoundMRR(want) {
				t.Fatalf("cohort of %s after %d: %d, want %d", cohort.Start, period.Period, period.MRRCents, revenue.RoundMRR(want))
			}
		}
	}
}

// A profile is followed or refused, never ignored.
func TestProfilesAreFollowedOrRefused(t *testing.T) {
	f := newFixture(t)
	f.complete(testNow)
	for _, test := range []struct {
		path, parameters string
		status           int
	}{
		{PathMetricsMRR, "profile=recurly", http.StatusOK}, {PathChurn, "profile=recurly", http.StatusOK},
		{PathRetention, "profile=recurly", http.StatusOK}, {PathCommitted, "profile=recurly", http.StatusOK},
		{PathCohorts, "profile=recurly&interval=month", http.StatusOK},
		{PathCohorts, "profile=recurly&interval=month&basis=relative", http.StatusOK},
		{PathTables, "profile=recurly&by=plan", http.StatusOK},
		{PathExplain, "profile=recurly&figure=mrrCents", http.StatusOK}, {PathExplain, "profile=recurly&figure=quickRatio", http.StatusOK},
		{PathMetricsRefunds, "profile=revenuecat", http.StatusOK}, {PathMetricsRevenue, "profile=house", http.StatusOK},
		{PathTrials, "profile=stripe", http.StatusOK}, {PathTrials, "profile=house", http.StatusOK},

		{PathRevenue, "profile=stripe", http.StatusBadRequest}, {PathMetricsRevenue, "profile=stripe", http.StatusBadRequest},
		{PathMetricsRefunds, "profile=stripe", http.StatusBadRequest}, {PathTrials, "profile=recurly", http.StatusBadRequest},
		{PathTables, "profile=stripe&by=campaign", http.StatusBadRequest}, {PathTables, "profile=stripe&by=plan&campaign=x", http.StatusBadRequest},
		{PathExplain, "profile=stripe&figure=refundCents", http.StatusBadRequest}, {PathExplain, "profile=stripe&figure=refundRate", http.StatusBadRequest},
		{PathExport, "profile=stripe", http.StatusBadRequest}, {PathStream, "profile=stripe", http.StatusBadRequest},
		{PathMetricsMRR, "profile=nobody", http.StatusBadRequest},

		{PathMetricsMRR, "pastDueDays=0", http.StatusOK}, {PathChurn, "pastDueDays=90", http.StatusOK},
		{PathRetention, "churnTiming=request", http.StatusOK}, {PathCommitted, "churnTiming=end&pastDueDays=never", http.StatusOK},
		{PathCohorts, "pastDueDays=7&interval=month", http.StatusOK}, {PathTables, "pastDueDays=7&by=plan", http.StatusOK},
		{PathExplain, "pastDueDays=7&figure=quickRatio", http.StatusOK},
		{PathMetricsMRR, "discounts=ignored", http.StatusOK}, {PathTables, "discounts=deducted&by=plan", http.StatusOK},
		{PathExplain, "discounts=ignored&figure=mrrCents", http.StatusOK},
		{PathMetricsMRR, "discounts=none", http.StatusBadRequest}, {PathRevenue, "discounts=ignored", http.StatusBadRequest},
		{PathMetricsRevenue, "discounts=ignored", http.StatusBadRequest}, {PathExplain, "discounts=ignored&figure=refundCents", http.StatusBadRequest},
		{PathTables, "discounts=ignored&by=campaign", http.StatusBadRequest}, {PathTrials, "discounts=ignored", http.StatusBadRequest},
		{PathMetricsMRR, "pastDueDays=91", http.StatusBadRequest}, {PathMetricsMRR, "pastDueDays=-1", http.StatusBadRequest},
		{PathMetricsMRR, "pastDueDays=07", http.StatusBadRequest}, {PathMetricsMRR, "pastDueDays=always", http.StatusBadRequest},
		{PathMetricsMRR, "churnTiming=soon", http.StatusBadRequest}, {PathMetricsMRR, "pastDueDays=", http.StatusBadRequest},
		{PathRevenue, "pastDueDays=7", http.StatusBadRequest}, {PathRevenue, "churnTiming=request", http.StatusBadRequest},
		{PathMetricsRevenue, "pastDueDays=7", http.StatusBadRequest}, {PathMetricsRefunds, "churnTiming=request", http.StatusBadRequest},
		{PathTrials, "pastDueDays=7", http.StatusBadRequest}, {PathCohorts, "pastDueDays=7&interval=month&measure=revenue", http.StatusBadRequest},
		{PathTables, "pastDueDays=7&by=campaign", http.StatusBadRequest}, {PathExplain, "pastDueDays=7&figure=refundCents", http.StatusBadRequest},
		{PathExport, "pastDueDays=7", http.StatusBadRequest}, {PathStream, "churnTiming=request", http.StatusBadRequest},
	} {
		if response := f.ask(test.path, "workspaceSlug=acme&"+test.parameters); response.StatusCode != test.status {
			t.Errorf("%s?%s: %d, want %d", test.path, test.parameters, response.StatusCode, test.status)
		}
	}
}

// An answer's version names the profile and what the question said itself, where that is not
// the profile's anyway.
func TestDefinitionsNameThePolicy(t *testing.T) {
	f := newFixture(t)
	f.complete(testNow)
	stripe := DefinitionVersion + "+stripe-" + profilesVersion
	for parameters, want := range map[string]string{
		"": DefinitionVersion, "&pastDueDays=30&churnTiming=end": DefinitionVersion,
		"&pastDueDays=7": DefinitionVersion + "+pastDueDays-7", "&churnTiming=request": DefinitionVersion + "+churnTiming-request",
		"&discounts=deducted": DefinitionVersion, "&discounts=ignored": DefinitionVersion + "+discounts-ignored",
		"&pastDueDays=7&discounts=ignored": DefinitionVersion + "+pastDueDays-7+discounts-ignored",
		"&profile=lago&discounts=deducted": DefinitionVersion + "+lago-" + profilesVersion + "+discounts-deducted",
		"&profile=stripe":                  stripe, "&profile=stripe&pastDueDays=never": stripe,
		"&profile=stripe&pastDueDays=30&churnTiming=end": stripe + "+pastDueDays-30+churnTiming-end",
	} {
		asked := "workspaceSlug=acme" + parameters
		if got := get[MRRSeries](f, PathMetricsMRR, asked).DefinitionVersion; got != want {
			t.Errorf("%s: %s, want %s", parameters, got, want)
		}
		if got := get[Explanation](f, PathExplain, asked+"&figure=mrrCents").DefinitionVersion; got != want {
			t.Errorf("%s: explained by %s, want %s", parameters, got, want)
		}
		if got := get[Table](f, PathTables, asked+"&by=plan").DefinitionVersion; got != want {
			t.Errorf("%s: a table by %s, want %s", parameters, got, want)
		}
	}
}
