package analytics

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// troubled are subscriptions of customers, some of several at once, that fall behind and
// recover or do not, are asked to end and asked to stay, and move between plans and get and
// lose discounts meanwhile, some down to nothing.
func troubled(random *rand.Rand, n int) []revenue.Event {
	var events []revenue.Event
	for range n {
		customer := "t" + strconv.Itoa(random.IntN(n/6+1))
		subscription := customer + "_" + strconv.Itoa(random.IntN(2))
		when := at("2026-01-01").Add(time.Duration(random.IntN(120*24*4)) * 15 * time.Minute)
		e := state(customer, when.Format(time.RFC3339), int64(100*(1+random.IntN(9))), func(e *revenue.Event) {
			e.Subscription, e.Currency = subscription, []string{"USD", "USD", "EUR"}[random.IntN(3)]
			e.Plan = []string{"gold", "silver"}[random.IntN(2)]
			e.Status = []revenue.Status{revenue.StatusActive, revenue.StatusActive, revenue.StatusPastDue, revenue.StatusPastDue, revenue.StatusCanceled}[random.IntN(5)]
			e.ReceivedAt = when.Add(time.Duration(random.IntN(240)) * time.Hour)
		})
		e.ObjectID = fmt.Sprintf("%s_%d", subscription, random.IntN(n))
		if random.IntN(3) == 0 {
			e.MRRBeforeDiscounts = e.MRR + 150*revenue.MRRScale
			if random.IntN(3) == 0 {
				e.MRR = 0
			}
		}
		if random.IntN(4) == 0 {
			asked, ending := when.Add(-time.Hour), when.Add(time.Duration(random.IntN(40*24))*time.Hour)
			e.CancelRequestedAt, e.EndsAt = &asked, &ending
		}
		events = append(events, e)
	}
	return events
}

// judgedBy are the entries of the statements known by a moment, by a policy.
func judgedBy(p revenue.Policy, events []revenue.Event, known time.Time) []revenue.LedgerRow {
	groups := map[string][]revenue.Event{}
	for _, e := range events {
		groups[e.Group] = append(groups[e.Group], e)
	}
	var rows []revenue.LedgerRow
	for _, group := range groups {
		rows = append(rows, revenue.Ledger(group)...)
		rows = append(rows, p.Restate(group)...)
	}
	return slices.DeleteFunc(rows, func(r revenue.LedgerRow) bool { return r.KnownAt.After(known) })
}

// sumOf adds up MRR of some kinds in a range, in 1/10,000 minor units.
func sumOf(rows []revenue.LedgerRow, currency string, since, until time.Time, kinds ...revenue.EntryKind) (mrr int64) {
	for _, r := range rows {
		if r.Currency == currency && !r.OccurredAt.Before(since) && r.OccurredAt.Before(until) && (len(kinds) == 0 || slices.Contains(kinds, r.Kind)) {
			mrr += int64(r.Sign) * r.MRR
		}
	}
	return mrr
}

// Whatever the policy, every answer about what subscriptions are worth says what the
// statements come to that are folded by it: balances, movements of every kind, parts, and the
// rows behind them, now and as of a moment.
func TestAnswersFollowThePolicy(t *testing.T) {
	const seed = 17
	random := rand.New(rand.NewPCG(seed, seed))
	events := troubled(random, 240)
	f := newFixture(t)
	f.write(events...)
	f.say(events...)
	f.complete(testNow)
	f.euroRates()
	for _, p := range []policy{
		{"0", churnAtEnd, discountsDeducted}, {"7", churnAtEnd, discountsDeducted}, {"90", churnAtEnd, discountsIgnored}, {"never", churnAtEnd, discountsDeducted},
		{"30", churnAtRequest, discountsDeducted}, {"14", churnAtRequest, discountsIgnored}, {"30", churnAtEnd, discountsIgnored},
	} {
		asked := fmt.Sprintf("workspaceSlug=acme&pastDueDays=%s&churnTiming=%s&discounts=%s", p.pastDueDays, p.churnTiming, p.discounts)
		for _, known := range []time.Time{testNow, at("2026-03-10")} {
			asked, rows := asked, judgedBy(p.folds(), events, known)
			if known != testNow {
				asked += "&asOf=" + escape(known)
			}
			mrr := get[MRRSeries](f, PathMetricsMRR, asked+"&since=2026-01-01&until=2026-06-30&interval=month&breakdown=plan")
			if len(mrr.Series) != 6 {
				t.Fatalf("%d buckets", len(mrr.Series))
			}
			for _, bucket := range mrr.Series {
				checkJudged(t, asked, rows, bucket)
			}
			checkJudgedParts(t, asked, rows, &mrr)
			churn := get[ChurnSeries](f, PathChurn, asked+"&since=2026-01-01&until=2026-06-30&interval=month")
			retention := get[RetentionSeries](f, PathRetention, asked+"&since=2026-01-01&until=2026-06-30&interval=month")
			for i, bucket := range mrr.Series {
				if difference := churn.Series[i].ChurnCents - bucket.ChurnCents; difference < -1 || difference > 1 || churn.Series[i].LostCustomers != bucket.LostCustomers {
					t.Fatalf("%s: churn %+v, of MRR %d of %d", asked, churn.Series[i].LossFigures, bucket.ChurnCents, bucket.LostCustomers)
				}
				if retention.Series[i].OpeningMRRCents != bucket.OpeningMRRCents {
					t.Fatalf("%s: retention opens with %d, MRR with %d", asked, retention.Series[i].OpeningMRRCents, bucket.OpeningMRRCents)
				}
			}
			last := mrr.Series[5]
			table := get[Table](f, PathTables, asked+"&by=customer&limit=1000&until=2026-06-30")
			if *table.Total.MRRCents != last.MRRCents || table.Total.Customers == nil || *table.Total.Customers != last.Customers {
				t.Fatalf("%s: customers are worth %+v, MRR is %+v", asked, table.Total, last)
			}
			cohorts := get[CohortTable](f, PathCohorts, asked+"&since=2026-01-01&until=2026-06-30&interval=month")
			committed := get[CommittedSeries](f, PathCommitted, asked+"&since=2026-01-01&until=2026-06-30&interval=month")
			for i, cohort := range cohorts.Series {
				if committed.Series[i].MRRCents != mrr.Series[i].MRRCents || p.churnTiming == churnAtRequest && committed.Series[i].CancelledMRRCents != 0 {
					t.Fatalf("%s: committed %+v of %d", asked, committed.Series[i], mrr.Series[i].MRRCents)
				}
				began := map[string]bool{}
				for _, r := range rows {
					if r.Kind == revenue.EntryNew && !r.OccurredAt.Before(at(cohort.Start)) && r.OccurredAt.Before(at(cohort.End)) && standsIn(rows, r) {
						began[r.Group] = true
					}
				}
				if int(cohort.CohortCustomers) != len(began) {
					t.Fatalf("%s: %d began in %s, want %d", asked, cohort.CohortCustomers, cohort.Start, len(began))
				}
			}
			gone, _ := explainAll(f, asked+"&figure=churnedCustomers&since=2026-03-01&until=2026-03-31&limit=500")
			if got := unitsOf(gone); got != retention.Series[2].ChurnedCustomers {
				t.Fatalf("%s: %d who left are explained, of %d", asked, got, retention.Series[2].ChurnedCustomers)
			}
			for _, figure := range []string{"mrrCents", "churnCents", "reactivationCents"} {
				explained, list := explainAll(f, asked+"&figure="+figure+"&since=2026-02-01&until=2026-04-30&limit=500")
				sums := map[string]int64{}
				for _, row := range list {
					sums[row.Currency] += row.Contribution
				}
				for _, total := range explained.Totals {
					want := sumOf(rows, total.Currency, at("2026-02-01"), at("2026-05-01"), map[string]revenue.EntryKind{
						"churnCents": revenue.EntryChurn, "reactivationCents": revenue.EntryReactivation}[figure])
					if figure == "mrrCents" {
						want = sumOf(rows, total.Currency, timeMin, at("2026-05-01"))
					}
					if figure == "churnCents" {
						want = -want
					}
					if total.Units != want || sums[total.Currency] != want {
						t.Fatalf("%s: %s is explained as %d by rows of %d in %s, want %d", asked, figure, total.Units, sums[total.Currency], total.Currency, want)
					}
				}
			}
		}
	}
}

// What has become known of an answer by another policy since a moment is its change.
func TestChangesByPolicyAreExplained(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	events := troubled(random, 120)
	f := newFixture(t)
	f.write(events...)
	f.say(events...)
	f.complete(testNow)
	p := policy{"7", churnAtRequest, discountsIgnored}
	then, now := judgedBy(p.folds(), events, at("2026-03-10")), judgedBy(p.folds(), events, testNow)
	explained, _ := explainAll(f, "workspaceSlug=acme&figure=mrrCents&until=2026-04-30&changedSince=2026-03-10&limit=500&pastDueDays=7&churnTiming=request&discounts=ignored")
	changed := false
	for _, total := range explained.Totals {
		before, after := sumOf(then, total.Currency, timeMin, at("2026-05-01")), sumOf(now, total.Currency, timeMin, at("2026-05-01"))
		if total.Units != after-before {
			t.Errorf("a change of %d %s is explained, want %d", total.Units, total.Currency, after-before)
		}
		changed = changed || after != before
	}
	if !changed {
		t.Error("nothing changed: the test shows nothing")
	}
}

// unitsOf adds up counts, which have no currency of their own.
func unitsOf(e Explanation) (units int64) {
	for _, total := range e.Totals {
		units += total.Units
	}
	return units
}

// standsIn reports whether rows of an entry add up to it.
func standsIn(rows []revenue.LedgerRow, of revenue.LedgerRow) bool {
	n := 0
	for _, r := range rows {
		if r.RowID == of.RowID {
			n += int(r.Sign)
		}
	}
	return n > 0
}

// checkJudged holds a bucket's native figures against the rows, exactly.
func checkJudged(t *testing.T, asked string, rows []revenue.LedgerRow, bucket MRRBucket) {
	t.Helper()
	for _, native := range bucket.Native {
		for kind, got := range map[revenue.EntryKind]string{
			revenue.EntryNew: native.Exact.New, revenue.EntryReactivation: native.Exact.Reactivation, revenue.EntryExpansion: native.Exact.Expansion,
			revenue.EntryContraction: native.Exact.Contraction, revenue.EntryChurn: native.Exact.Churn,
		} {
			want := sumOf(rows, native.Currency, at(bucket.Start), at(bucket.End), kind)
			if kind == revenue.EntryContraction || kind == revenue.EntryChurn {
				want = -want
			}
			if got != exactly(want) {
				t.Fatalf("%s: %s in %s from %s is %s, want %s", asked, kind, native.Currency, bucket.Start, got, exactly(want))
			}
		}
		if want := exactly(sumOf(rows, native.Currency, timeMin, at(bucket.End))); native.Exact.MRR != want {
			t.Fatalf("%s: MRR in %s at %s is %s, want %s", asked, native.Currency, bucket.End, native.Exact.MRR, want)
		}
	}
}

// checkJudgedParts holds the last balances by plan against those of the rows of the plan.
func checkJudgedParts(t *testing.T, asked string, rows []revenue.LedgerRow, mrr *MRRSeries) {
	t.Helper()
	for _, part := range mrr.Breakdown {
		own := slices.DeleteFunc(slices.Clone(rows), func(r revenue.LedgerRow) bool { return r.Plan != part.Value })
		last := part.Series[len(part.Series)-1]
		until := at(mrr.Series[len(mrr.Series)-1].End)
		want := worth(sumOf(own, "USD", timeMin, until), "USD", until) + worth(sumOf(own, "EUR", timeMin, until), "EUR", until.Add(-time.Microsecond))
		if last.MRRCents != revenue.RoundMRR(want) {
			t.Fatalf("%s: %s is worth %d, want %d", asked, part.Value, last.MRRCents, revenue.RoundMRR(want))
		}
	}
}

// The house's answers read what they always did, and another policy says what it reads.
func TestPoliciesCostWhoAsksForThem(t *testing.T) {
	f := newFixture(t)
	events := troubled(rand.New(rand.NewPCG(3, 3)), 60)
	f.write(events...)
	f.say(events...)
	f.complete(testNow)
	const asked = "workspaceSlug=acme&since=2026-01-01&until=2026-06-30&interval=month"
	rowsRead := func(parameters string) int {
		n, err := strconv.Atoi(f.ask(PathMetricsMRR, asked+parameters).Header.Get(HeaderRowsRead))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	house := rowsRead("")
	if same := rowsRead("&pastDueDays=30&churnTiming=end&discounts=deducted"); same != house {
		t.Errorf("the house's own policy reads %d rows, without a word of it %d", same, house)
	}
	if other := rowsRead("&pastDueDays=7"); other <= house {
		t.Errorf("another policy reads %d rows, the house's %d", other, house)
	}
	f.server.config.RestatedGroupsMax = 3
	if response := f.ask(PathMetricsMRR, asked+"&pastDueDays=7"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("more customers than may be judged: %d", response.StatusCode)
	}
}

// Of a workspace of which few subscriptions have discounts, little is read to find them.
func TestFewDiscountsAreFoundReadingLittle(t *testing.T) {
	f := newFixture(t)
	var events []revenue.Event
	for i := range 40_000 {
		events = append(events, state(fmt.Sprintf("c%05d", i), "2026-02-01T00:00:00Z", 2000))
	}
	for i := range 3 {
		events[i*10_000].MRR, events[i*10_000].MRRBeforeDiscounts = 1500*revenue.MRRScale, 2000*revenue.MRRScale
	}
	f.write(events[0], events[10_000], events[20_000])
	f.say(events...)
	f.exec("OPTIMIZE TABLE %s.events FINAL", f.database)
	f.complete(testNow)
	const asked = "workspaceSlug=acme&since=2026-02-01&until=2026-02-28&interval=month&discounts=ignored"
	response := f.ask(PathMetricsMRR, asked)
	read, err := strconv.Atoi(response.Header.Get(HeaderRowsRead))
	if err != nil || response.StatusCode != http.StatusOK || read == 0 || read > 8_000 {
		t.Errorf("%d: %d rows were read of %d, %v", response.StatusCode, read, len(events), err)
	}
	if got := get[MRRSeries](f, PathMetricsMRR, asked).Series[0].MRRCents; got != 6000 {
		t.Errorf("%d cents", got)
	}
}

// Before it is known how far the store is there is no answer by another policy.
func TestPoliciesWaitForTheStore(t *testing.T) {
	f := newFixture(t)
	if response := f.ask(PathMetricsMRR, "workspaceSlug=acme&pastDueDays=7"); response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("an answer of a store that has not said how far it is: %d", response.StatusCode)
	}
}

// BenchmarkDiscountsIgnored is what it costs to judge 5,000 customers of three statements
// each, whose subscriptions all have a discount, one by one, beside the house's answer.
func BenchmarkDiscountsIgnored(b *testing.B) {
	f := newFixture(b)
	var events []revenue.Event
	for i := range 5_000 {
		for month, day := range []string{"2026-01-05", "2026-02-05", "2026-03-05"} {
			events = append(events, state(fmt.Sprintf("c%04d", i), day+"T00:00:00Z", int64(1000+month), func(e *revenue.Event) {
				e.MRRBeforeDiscounts = 2000 * revenue.MRRScale
			}))
		}
	}
	f.write(events...)
	f.say(events...)
	f.complete(testNow)
	for _, discounts := range []string{discountsDeducted, discountsIgnored} {
		b.Run(discounts, func(b *testing.B) {
			for b.Loop() {
				f.ask(PathMetricsMRR, "workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=month&discounts="+discounts)
			}
		})
	}
}
