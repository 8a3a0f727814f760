package analytics

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// ofCustomers gives payments to customers, most of whom pay several times, and some to
// nobody.
func ofCustomers(random *rand.Rand, events []revenue.Event) []revenue.Event {
	for i := range events {
		if e := &events[i]; e.Kind == revenue.KindCharge && random.IntN(6) > 0 {
			e.Customer = fmt.Sprint("c", random.IntN(60))
		}
	}
	return events
}

// theirs is what tells customers apart: their source and its id of them.
type theirs struct{ provider, customer string }

// firstPayments are when customers first paid.
func firstPayments(entries []revenue.Entry) map[theirs]time.Time {
	first := map[theirs]time.Time{}
	for _, e := range entries {
		who := theirs{e.Provider, e.Customer}
		if at, paid := first[who]; e.Customer != "" && isCharge(&e) && e.Amount > 0 && (!paid || e.OccurredAt.Before(at)) {
			first[who] = e.OccurredAt
		}
	}
	return first
}

func isCharge(e *revenue.Entry) bool {
	return e.Kind.Family() == revenue.FamilyCash && e.Kind != revenue.EntryRefund && e.Kind != revenue.EntryDispute &&
		e.Kind != revenue.EntryDisputeReversal && e.Kind != revenue.EntryFee
}

// naiveRevenue adds up, in dollars, what moved in a range of those who are asked for, and
// counts who of them paid.
func naiveRevenue(entries []revenue.Entry, period func(*revenue.Entry) Period, of func(*revenue.Entry) bool) (sum CohortRevenue, payers int64) {
	paid := map[theirs]bool{}
	for _, e := range entries {
		if !of(&e) {
			continue
		}
		in := period(&e)
		if e.OccurredAt.Before(in.Since) || !e.OccurredAt.Before(in.Until) {
			continue
		}
		amount := worth(e.Amount, e.Currency, e.OccurredAt)
		switch {
		case e.Kind == revenue.EntryRefund:
			sum.RefundCents -= amount
		case isCharge(&e):
			sum.GrossRevenueCents += amount
			if e.Amount > 0 {
				paid[theirs{e.Provider, e.Customer}] = true
			}
		}
	}
	sum.NetRevenueCents = sum.GrossRevenueCents - sum.RefundCents
	return sum, int64(len(paid))
}

// Every cell of cohorts of revenue is what a list of all payments says. By the calendar, the
// cohorts of a bucket add up to the net revenue in it of those who first paid in the range,
// and with what is outside to that of the range.
func TestRandomRevenueCohorts(t *testing.T) {
	const seed = 71
	random := rand.New(rand.NewPCG(seed, seed))
	events := ofCustomers(random, randomEvents(random, 300))
	entries := believed(events)
	first := firstPayments(entries)
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	for _, question := range []string{"since=2026-01-01&interval=month", "since=2026-01-20T05:30:00Z&interval=week", "since=2026-02-15&interval=month"} {
		parameters := "workspaceSlug=acme&until=2026-03-31&" + question
		table := get[RevenueCohortTable](f, PathCohorts, parameters+"&measure=revenue")
		series := get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, parameters)
		begin := at(table.Since)
		known := func(e *revenue.Entry) bool {
			at, paid := first[theirs{e.Provider, e.Customer}]
			return e.Customer != "" && paid && !at.Before(begin) && !e.OccurredAt.Before(bucketOf(table, at))
		}
		outside := table.Outside.EarlierCustomers.Converted.NetRevenueCents + table.Outside.Unassigned.Converted.NetRevenueCents
		sum := outside
		for b, bucket := range series.Series {
			whole := Period{at(bucket.Start), at(bucket.End)}
			var got int64
			for i := range b + 1 {
				cohort := table.Series[i]
				if len(cohort.Periods) == 0 {
					continue
				}
				period := cohort.Periods[b-i]
				want, payers := naiveRevenue(entries, func(*revenue.Entry) Period { return whole }, func(e *revenue.Entry) bool {
					began, paid := first[theirs{e.Provider, e.Customer}]
					return e.Customer != "" && paid && !began.Before(at(cohort.Start)) && began.Before(at(cohort.End))
				})
				if period.Converted != want || period.Customers != payers || period.Eligible != cohort.CohortCustomers {
					t.Fatalf("seed %d %s: cohort of %s after %d: %+v, want %+v of %d", seed, question, cohort.Start, b-i, period, want, payers)
				}
				got += period.Converted.NetRevenueCents
			}
			if want, _ := naiveRevenue(entries, func(*revenue.Entry) Period { return whole }, known); got != want.NetRevenueCents {
				t.Fatalf("seed %d %s: cohorts of %s add up to %d, known customers to %d", seed, question, bucket.Start, got, want.NetRevenueCents)
			}
			sum += got
		}
		if sum != series.Total.Converted.NetRevenueCents || outside == 0 {
			t.Fatalf("seed %d %s: cohorts and %d outside add up to %d, revenue is %d", seed, question, outside, sum, series.Total.Converted.NetRevenueCents)
		}
	}
	checkRelativeRevenue(t, f, entries, first)
	for _, wrong := range []string{"measure=luck", "measure=revenue&breakdown=plan", "measure=revenue&profile=stripe",
		"measure=revenue&basis=relative&interval=hour&since=2026-03-30", "campaign=spring"} {
		if response := f.ask(PathCohorts, "workspaceSlug=acme&interval=month&"+wrong); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, response.StatusCode)
		}
	}
}

// bucketOf is where the bucket begins that has the instant.
func bucketOf(table RevenueCohortTable, when time.Time) time.Time {
	for _, cohort := range table.Series {
		if !when.Before(at(cohort.Start)) && when.Before(at(cohort.End)) {
			return at(cohort.Start)
		}
	}
	return when
}

// checkRelativeRevenue holds weeks of customers' own time against a list of payments.
func checkRelativeRevenue(t *testing.T, f *fixture, entries []revenue.Entry, first map[theirs]time.Time) {
	t.Helper()
	const week = 7 * dayLength
	table := get[RevenueCohortTable](f, PathCohorts, "workspaceSlug=acme&since=2026-01-05&until=2026-03-29&interval=week&measure=revenue&basis=relative")
	until := at(table.Until)
	later := 0
	for _, cohort := range table.Series {
		for _, period := range cohort.Periods {
			n := time.Duration(period.Period)
			over := func(e *revenue.Entry) bool {
				began, paid := first[theirs{e.Provider, e.Customer}]
				return e.Customer != "" && paid && !began.Before(at(cohort.Start)) && began.Before(at(cohort.End)) && !began.Add((n+1)*week).After(until)
			}
			want, payers := naiveRevenue(entries, func(e *revenue.Entry) Period {
				began := first[theirs{e.Provider, e.Customer}]
				return Period{began.Add(n * week), began.Add((n + 1) * week)}
			}, over)
			if period.Converted != want || period.Customers != payers {
				t.Fatalf("cohort of %s in its week %d: %+v, want %+v of %d", cohort.Start, n, period, want, payers)
			}
			if n > 0 && payers > 0 {
				later++
			}
		}
	}
	if later == 0 {
		t.Error("nobody paid again: the test shows little")
	}
}
