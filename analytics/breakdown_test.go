package analytics

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// ofPlans gives events of a history plans, countries, campaigns and metadata at random,
// so that customers pass from one to another.
func ofPlans(random *rand.Rand, events []revenue.Event) []revenue.Event {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	for i := range events {
		e := &events[i]
		e.Plan, e.Product, e.Country = pick("gold", "silver", "bronze"), pick("app", "shop"), pick("DE", "FR")
		e.Interval = pick("month", "week")
		e.Campaign, e.AttributionType = pick("", "spring", "fall"), pick("sale", "click")
		e.Metadata = json.RawMessage(fmt.Sprintf(`{"tier":%d}`, random.IntN(3)))
	}
	return events
}

// numbers are the members of a value that are whole numbers, by path, those of lists left
// out.
func numbers(t *testing.T, value any) map[string]int64 {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, raw := range members {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			found[name] = n
		}
	}
	return found
}

// isSum says of which figures those of parts add up to those of the whole.
func isSum(name string) bool {
	return !strings.HasPrefix(name, "average") && !strings.Contains(strings.ToLower(name), "rate") && name != "others" && name != "arpaCents"
}

// Parts add up to the whole, amounts to the cent, in every dimension, with every filter,
// as of any moment; and each part is what the filter by its value says.
func TestBreakdownsAddUp(t *testing.T) {
	const seed = 41
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, ofPlans(random, randomEvents(random, 250)))
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	parts := 0
	names := slices.Sorted(maps.Keys(dimensions)) // the seed says all
	for _, name := range append(names, names...) {
		if name == reasonDimension {
			continue
		}
		by := name
		if name == metadataDimension {
			by = "metadata.tier"
		}
		period := randomPeriod(random)
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&interval=month&top=%d&breakdown=%s",
			escape(period.Since), escape(period.Until), []int{1, 500}[random.IntN(2)], by) +
			[]string{"", "&provider=stripe", "&country=DE", "&asOf=2026-02-15"}[random.IntN(4)]
		flows := get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, parameters)
		sums := map[string]int64{}
		for _, part := range flows.Breakdown {
			parts++
			for figure, n := range numbers(t, part.Total) {
				sums[figure] += n
			}
		}
		for figure, n := range numbers(t, flows.Total.Converted) {
			if isSum(figure) && sums[figure] != n {
				t.Fatalf("seed %d %s: parts of %s come to %d, not to %d", seed, parameters, figure, sums[figure], n)
			}
		}
		if dimensions[name].ofMRR {
			checkMRRParts(t, f, parameters)
		} else if response := f.ask(PathMetricsMRR, parameters); response.StatusCode != http.StatusBadRequest {
			t.Errorf("MRR by %s: %d", name, response.StatusCode)
		}
		checkTable(t, f, by, period)
	}
	if parts < 30 {
		t.Errorf("%d parts only: the test shows little", parts)
	}
}

// exactSum adds up exact decimals.
func exactSum(t *testing.T, sum *big.Rat, exact ExactMRR) *big.Rat {
	t.Helper()
	value, ok := new(big.Rat).SetString(exact.MRR)
	if !ok {
		t.Fatalf("%q is no decimal", exact.MRR)
	}
	return sum.Add(sum, value)
}

func checkMRRParts(t *testing.T, f *fixture, parameters string) {
	t.Helper()
	series := get[MRRSeries](f, PathMetricsMRR, parameters)
	for i, bucket := range series.Series {
		sum, transfers, subscriptions := new(big.Rat), new(big.Rat), int64(0)
		for _, part := range series.Breakdown {
			sum = exactSum(t, sum, part.Series[i].Exact)
			transfer, _ := new(big.Rat).SetString(part.Series[i].Exact.Transfer)
			transfers.Add(transfers, transfer)
			subscriptions += part.Series[i].ActiveSubscriptions
			figures := part.Series[i]
			if figures.MRRCents != figures.OpeningMRRCents+figures.NewCents+figures.ReactivationCents+figures.ExpansionCents-
				figures.ContractionCents-figures.ChurnCents+figures.TransferCents+figures.FXCents {
				t.Fatalf("%s: movements of part %q do not add up: %+v", parameters, part.Value, figures)
			}
		}
		whole := exactSum(t, new(big.Rat), bucket.Exact)
		transfer, _ := new(big.Rat).SetString(bucket.Exact.Transfer)
		if sum.Cmp(whole) != 0 || transfers.Cmp(transfer) != 0 || subscriptions != bucket.ActiveSubscriptions {
			t.Fatalf("%s: parts of MRR come to %s and %d subscriptions, not to %s and %d", parameters,
				sum.FloatString(6), subscriptions, whole.FloatString(6), bucket.ActiveSubscriptions)
		}
	}
	// A part is what the filter by its value says.
	value := series.Breakdown[0].Value
	filter := map[string]string{"plan": "plan", "product": "product", "country": "country", "currency": "currency"}[series.SeriesHead.Breakdown]
	if filter == "" || value == "" || strings.Contains(parameters, "&"+filter+"=") {
		return
	}
	filtered := get[MRRSeries](f, PathMetricsMRR, strings.Replace(parameters, "&breakdown="+filter, "&"+filter+"="+value, 1))
	for i, bucket := range filtered.Series {
		part := series.Breakdown[0].Series[i]
		if bucket.MRRCents != part.MRRCents || bucket.Customers != part.Customers || bucket.ActiveSubscriptions != part.ActiveSubscriptions {
			t.Fatalf("%s: %s=%s is %+v, its part %+v", parameters, filter, value, bucket, part)
		}
	}
}

// checkTable holds all pages of a table against its total, and that against the series.
func checkTable(t *testing.T, f *fixture, by string, period Period) {
	t.Helper()
	parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&by=%s&limit=7", escape(period.Since), escape(period.Until), by)
	page := get[Table](f, PathTables, parameters)
	rows, total := page.Rows, numbers(t, page.Total)
	for page.NextCursor != "" {
		page = get[Table](f, PathTables, parameters+"&cursor="+page.NextCursor)
		rows = append(rows, page.Rows...)
	}
	if len(rows) != page.RowCount {
		t.Fatalf("%s: %d rows on all pages, want %d", parameters, len(rows), page.RowCount)
	}
	sums := map[string]int64{}
	for _, row := range rows {
		for figure, n := range numbers(t, row) {
			sums[figure] += n
		}
	}
	for figure, n := range total {
		// Who has two plans is a customer of both.
		if isSum(figure) && sums[figure] != n && (figure != "customers" || sums[figure] < n) {
			t.Fatalf("%s: rows of %s come to %d, not to %d", parameters, figure, sums[figure], n)
		}
	}
	summary := get[RevenueAnswer](f, PathRevenue, fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s", escape(period.Since), escape(period.Until))).Summary
	if total["grossRevenueCents"] != summary.GrossRevenueCents || total["netRevenueCents"] != summary.NetRevenueCents ||
		dimensions[by].ofMRR && total["mrrCents"] != summary.MRRCents {
		t.Fatalf("%s: the total is %v, the summary %+v", parameters, total, summary)
	}
	if !dimensions[by].ofMRR {
		return
	}
	for _, filter := range []string{"&plan=gold", "&product=app", "&country=FR"} {
		asked := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s", escape(period.Since), escape(period.Until)) + filter
		series := get[MRRSeries](f, PathMetricsMRR, asked+"&interval=month").Series
		last := series[len(series)-1]
		if total := get[Table](f, PathTables, asked+"&by="+by).Total; *total.Customers != last.Customers || *total.MRRCents != last.MRRCents {
			t.Fatalf("%s: the total of a table by %s is %d of %d customers, MRR is %d of %d", asked, by,
				*total.MRRCents, *total.Customers, last.MRRCents, last.Customers)
		}
	}
}

// As of now is now, for every question.
func TestAsOfNowIsNow(t *testing.T) {
	const seed = 43
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t)
	f.write(ofPlans(random, randomEvents(random, 150))...)
	f.euroRates()
	for _, question := range [][2]string{
		{PathMetricsMRR, "interval=week&breakdown=plan"}, {PathMetricsRevenue, "interval=day&breakdown=campaign"},
		{PathMetricsRefunds, "interval=month"}, {PathMetricsRefunds, "interval=day"}, {PathMetricsMRR, "interval=day"},
		{PathRetention, "interval=month"}, {PathCohorts, "interval=month"}, {PathTrials, "interval=month"}, {PathChurn, "interval=month"},
		{PathCommitted, "interval=month"}, {PathTables, "by=product"},
	} {
		path, parameters := question[0], question[1]
		period := randomPeriod(random)
		parameters = fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&", escape(period.Since), escape(period.Until)) + parameters
		answers := [2]map[string]any{get[map[string]any](f, path, parameters), get[map[string]any](f, path, parameters+"&asOf="+escape(testNow))}
		delete(answers[1], "asOf")
		delete(answers[1], "final")
		texts := [2]string{}
		for i := range answers {
			text, err := json.Marshal(answers[i])
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(text)
		}
		if texts[0] != texts[1] {
			t.Errorf("%s?%s\n%s\nas of now\n%s", path, parameters, texts[0], texts[1])
		}
	}
}

// Cohorts, trials, churn and committed MRR are what a list of all entries says.
func TestRandomLives(t *testing.T) {
	const seed = 47
	random := rand.New(rand.NewPCG(seed, seed))
	events := ofPlans(random, randomEvents(random, 250))
	for i := range events {
		events[i].Currency = "USD"
	}
	entries := believed(events)
	f := newFixture(t)
	f.write(events...)
	parameters := "workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=month"
	edges := []time.Time{at("2026-01-01"), at("2026-02-01"), at("2026-03-01"), at("2026-04-01")}
	cohorts := get[CohortTable](f, PathCohorts, parameters)
	for i, cohort := range cohorts.Series {
		began := map[string]bool{}
		for _, e := range entries {
			if e.Kind == revenue.EntryNew && !e.OccurredAt.Before(edges[i]) && e.OccurredAt.Before(edges[i+1]) {
				began[e.Group] = true
			}
		}
		for _, period := range cohort.Periods {
			var customers, mrr int64
			for who, worth := range balancesAt(entries, edges[i+1+int(period.Period)]) {
				if began[who.group] && worth > 0 {
					customers, mrr = customers+1, mrr+worth
				}
			}
			if period.Customers != customers || period.MRRCents != revenue.RoundMRR(mrr) || cohort.CohortCustomers != int64(len(began)) {
				t.Fatalf("cohort of %v: %+v of %d, want %d of %d, worth %d", edges[i], period, cohort.CohortCustomers, customers, len(began), mrr)
			}
		}
	}
	churn, committed, mrr := get[ChurnSeries](f, PathChurn, parameters), get[CommittedSeries](f, PathCommitted, parameters), get[MRRSeries](f, PathMetricsMRR, parameters)
	cancelled := int64(0)
	for i := range mrr.Series {
		var reasons int64
		for _, reason := range churn.Series[i].Reasons {
			reasons += reason.ChurnCents
		}
		if reasons != churn.Series[i].ChurnCents || churn.Series[i].LostCustomers != mrr.Series[i].LostCustomers {
			t.Fatalf("churn %+v, of MRR %+v", churn.Series[i], mrr.Series[i])
		}
		want := cancelledAt(entries, edges[i+1])
		if got := committed.Series[i]; got.MRRCents != mrr.Series[i].MRRCents || got.CancelledMRRCents != revenue.RoundMRR(want) {
			t.Fatalf("committed %+v, want %d cancelled of %d", got, want, mrr.Series[i].MRRCents)
		}
		cancelled += committed.Series[i].CancelledSubscriptions
	}
	if cancelled == 0 || len(cohorts.Series[0].Periods) != 3 {
		t.Error("nothing was cancelled, or no cohort is there: the test shows little")
	}
}

// cancelledAt is the MRR of the subscriptions that are asked to end at an instant.
func cancelledAt(entries []revenue.Entry, at time.Time) (mrr int64) {
	standing := map[string]bool{}
	for _, e := range entries {
		if e.Kind == revenue.EntryCancellation && e.OccurredAt.Before(at) && (e.EndsAt.IsZero() || !e.EndsAt.Before(at)) {
			standing[e.Provider+e.Subscription] = true
		}
	}
	for _, e := range entries {
		if e.OccurredAt.Before(at) && standing[e.Provider+e.Subscription] {
			mrr += e.MRR
		}
	}
	return mrr
}
