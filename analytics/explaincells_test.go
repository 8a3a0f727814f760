package analytics

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// shownCell is a cell of some answer: how to ask for its explanation, and its figures.
type shownCell struct {
	question string
	figures  map[string]int64
}

// shownCells asks for every sort of answer and returns cells of each, by its name.
func shownCells(t *testing.T, f *fixture, random *rand.Rand, common string) map[string][]shownCell {
	t.Helper()
	cells := map[string][]shownCell{}
	show := func(answer, question string, figures any, names ...string) {
		shown := numbers(t, figures)
		maps.DeleteFunc(shown, func(name string, _ int64) bool {
			return len(names) > 0 && !slices.Contains(names, name) || name == "period" || name == "others"
		})
		cells[answer] = append(cells[answer], shownCell{question, shown})
	}
	within := func(b Bucket) string {
		return common + "&since=" + url.QueryEscape(b.Start) + "&until=" + url.QueryEscape(b.End)
	}
	table := common + "&since=2026-01-01&until=2026-03-31&interval=month"
	for _, bucket := range get[RetentionSeries](f, PathRetention, table).Series {
		show("retention", within(bucket.Bucket), bucket.RetentionFigures)
	}
	for _, bucket := range get[TrialSeries](f, PathTrials, table).Series {
		show("trials", within(bucket.Bucket), bucket, "cohortTrials", "cohortConversions", "endedTrials", "endedConversions")
	}
	for _, bucket := range get[CommittedSeries](f, PathCommitted, table).Series {
		show("committed", within(bucket.Bucket), bucket)
	}
	for _, bucket := range get[ChurnSeries](f, PathChurn, table).Series {
		for _, reason := range bucket.Reasons {
			show("churn", within(bucket.Bucket)+"&breakdown=reason&part="+url.QueryEscape(reason.Reason), reason)
		}
	}
	original := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, table+"&refundBasis=original")
	for _, bucket := range original.Series {
		show("refunds by their charges", within(bucket.Bucket)+"&refundBasis=original", bucket.Converted, "refundCents", "refundCount")
	}
	for _, lone := range original.WithoutOriginal {
		show("refunds without a charge", common+"&since=2026-01-01&until=2026-03-31&refundBasis=withoutOriginal", lone)
	}
	for _, bucket := range get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, table+"&refundBasis=original").Series {
		show("revenue with refunds by their charges", within(bucket.Bucket)+"&refundBasis=original", bucket.Converted, "netRevenueCents", "recurringNetCents", "feeCents")
	}
	for _, basis := range []string{cohortsByCalendar, cohortsRelative} {
		question := table + "&basis=" + basis
		for _, cohort := range get[CohortTable](f, PathCohorts, question).Series {
			at := question + "&cohort=" + url.QueryEscape(cohort.Start)
			show("cohorts "+basis, at, cohort, "cohortCustomers")
			for _, period := range cohort.Periods {
				show("cohorts "+basis, fmt.Sprint(at, "&period=", period.Period), period, "mrrCents", "customers", "eligible")
			}
		}
		question += "&measure=revenue"
		ofRevenue := get[RevenueCohortTable](f, PathCohorts, question)
		for _, cohort := range ofRevenue.Series {
			at := question + "&cohort=" + url.QueryEscape(cohort.Start)
			show("cohorts of revenue "+basis, at, cohort, "cohortCustomers")
			for _, period := range cohort.Periods {
				at := fmt.Sprint(at, "&period=", period.Period)
				show("cohorts of revenue "+basis, at, period, "customers", "eligible")
				show("money of cohorts "+basis, at, period.Converted)
			}
		}
		show("outside cohorts "+basis, question+"&cohort=earlier", ofRevenue.Outside.EarlierCustomers.Converted)
		show("outside cohorts "+basis, question+"&cohort=unassigned", ofRevenue.Outside.Unassigned.Converted)
	}
	for _, by := range []string{"plan", "billingInterval"} {
		series := get[MRRSeries](f, PathMetricsMRR, table+"&breakdown="+by+"&top=500")
		for _, part := range series.Breakdown {
			n := random.IntN(len(part.Series))
			one, in := part.Series[n], within(series.Series[n].Bucket)
			show("MRR by "+by, in+"&breakdown="+by+"&part="+url.QueryEscape(part.Value), one, "mrrCents", "expansionCents", "customers")
			if by == "plan" && part.Value != "" {
				show("MRR of a plan", in+"&plan="+url.QueryEscape(part.Value), one, "customers")
			}
		}
	}
	for _, by := range []string{"plan", "kind", "campaign", "metadata.tier"} {
		rows := get[Table](f, PathTables, common+"&since=2026-01-10&until=2026-03-20&limit=500&by="+by).Rows
		for _, row := range rows {
			question := common + "&since=2026-01-10&until=2026-03-20&breakdown=" + by + "&part=" + url.QueryEscape(row.Value)
			if row.AttributionType != "" {
				question += "&attributionType=" + row.AttributionType
			}
			show("table by "+by, question, row, "mrrCents", "customers", "netRevenueCents", "grossRevenueCents")
		}
	}
	return cells
}

// cellEvents is a random history in dollars, of plans and customers, with claims and tiers.
func cellEvents(random *rand.Rand) []revenue.Event {
	events := ofCustomers(random, ofPlans(random, randomEvents(random, 160)))
	for i := range events {
		events[i].Currency = "USD"
	}
	return received(random, events)
}

// summed are the answers whose cells are sums of all rows in a range, whose changes
// TestExplainedChangeIsTheDifference is about.
func summed(answer string) bool {
	return strings.HasPrefix(answer, "table by") || strings.HasPrefix(answer, "MRR by") || answer == "churn"
}

// Cells of every sort of answer have an explanation that adds up to them, and the
// explanation of their change between two moments is the difference of two.
func TestExplainAddsUpToEveryCell(t *testing.T) {
	const seed = 23
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t)
	f.write(cellEvents(random)...)
	before, now := at("2026-02-20T10:00:00Z"), at("2026-04-20T10:00:00Z")
	asOf := func(question string, moment time.Time) string { return question + "&asOf=" + escape(moment) }
	explainable := map[string]bool{}
	cells := shownCells(t, f, random, "workspaceSlug=acme&asOf="+escape(now))
	for _, answer := range slices.Sorted(maps.Keys(cells)) {
		found, changed := map[string]bool{}, 0
		for _, n := range random.Perm(len(cells[answer])) {
			cell := cells[answer][n]
			question := strings.Replace(cell.question, "&asOf="+escape(now), "", 1)
			for _, name := range slices.Sorted(maps.Keys(cell.figures)) {
				if found[name] || cell.figures[name] == 0 {
					continue
				}
				found[name] = true
				explanation, rows := explainAll(f, asOf(question, now)+"&figure="+name+"&limit=500")
				if len(explanation.DerivedFrom) > 0 {
					continue
				}
				explainable[answer+" "+name] = true
				got, want := explanation.units(), cell.figures[name]
				if explanation.Unit == UnitMRR && name == "arrCents" {
					want, got = 0, 0 // twelve times the rounded MRR, which is checked
				}
				if explanation.Unit == UnitMRR {
					want *= revenue.MRRScale
					if difference := got - want; difference > -revenue.MRRScale && difference < revenue.MRRScale {
						got = want // rounded so that the parts add up
					}
				}
				if got != want || want != 0 && len(rows) == 0 {
					t.Fatalf("seed %d: %s of %s is %d, explained as %d by %d rows: %s", seed, name, answer, want, got, len(rows), question)
				}
				if summed(answer) {
					continue
				}
				then, _ := explainAll(f, asOf(question, before)+"&figure="+name+"&limit=500")
				change, _ := explainAll(f, asOf(question, now)+"&changedSince="+escape(before)+"&figure="+name+"&limit=500")
				if change.units() != explanation.units()-then.units() {
					t.Fatalf("seed %d: %s of %s changed by %d, explained as %d: %s", seed, name, answer, explanation.units()-then.units(), change.units(), question)
				}
				if change.units() != 0 {
					changed++
				}
			}
		}
		if changed == 0 && !summed(answer) {
			t.Errorf("seed %d: no cell of %s has changed: the test shows little", seed, answer)
		}
	}
	for _, name := range []string{"retention retainedMrrCents", "retention closingMrrCents", "retention openingMrrCents", "retention churnedCustomers",
		"retention openingCustomers", "trials cohortConversions", "trials endedTrials", "committed cancelledMrrCents", "committed cancelledSubscriptions",
		"churn lostCustomers", "refunds by their charges refundCents", "refunds without a charge refundCount", "cohorts calendar mrrCents",
		"cohorts relative customers", "cohorts relative eligible", "cohorts of revenue relative customers", "cohorts of revenue calendar cohortCustomers",
		"money of cohorts relative netRevenueCents", "money of cohorts calendar refundCents", "outside cohorts calendar netRevenueCents",
		"MRR by plan customers", "MRR of a plan customers", "table by campaign netRevenueCents", "table by metadata.tier grossRevenueCents"} {
		if !explainable[name] {
			t.Errorf("seed %d: nothing but zero was ever explained of %s", seed, name)
		}
	}
	for _, wrong := range []string{
		"figure=netRevenueCents&measure=revenue", "figure=eligible", "figure=mrrCents&cohort=2026-01-02&since=2026-01-01&interval=month",
		"figure=mrrCents&cohort=2026-01-01&since=2026-01-01&until=2026-03-31&interval=month&period=3", "figure=mrrCents&cohort=earlier&since=2026-01-01",
		"figure=netRevenueCents&cohort=2026-01-01&since=2026-01-01&interval=month", "figure=mrrCents&breakdown=plan", "figure=mrrCents&part=a",
		"figure=mrrCents&breakdown=campaign&part=a", "figure=mrrCents&refundBasis=original", "figure=refundCents&refundBasis=luck",
		"figure=customers&measure=revenue&cohort=earlier&since=2026-01-01&interval=month", "figure=mrrCents&breakdown=plan&part=a&part=b",
	} {
		if response := f.ask(PathExplain, "workspaceSlug=acme&"+wrong); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, response.StatusCode)
		}
	}
}
