package analytics

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// explainAll reads all pages and checks that their rows add up to the totals.
func explainAll(f *fixture, parameters string) (Explanation, []ExplainedRow) {
	f.t.Helper()
	first := get[Explanation](f, PathExplain, parameters)
	rows, page := first.Rows, first
	for page.NextCursor != "" {
		page = get[Explanation](f, PathExplain, parameters+"&cursor="+page.NextCursor)
		if !reflect.DeepEqual(page.Totals, first.Totals) {
			f.t.Fatalf("%s: totals of one page are %v, of the first %v", parameters, page.Totals, first.Totals)
		}
		rows = append(rows, page.Rows...)
	}
	sums := map[string]int64{}
	for _, row := range rows {
		sums[row.Currency] += row.Contribution
	}
	for _, total := range first.Totals {
		if sums[total.Currency] != total.Units {
			f.t.Fatalf("%s: rows in %q add up to %d, not to %d", parameters, total.Currency, sums[total.Currency], total.Units)
		}
		delete(sums, total.Currency)
	}
	for currency, units := range sums {
		if units != 0 {
			f.t.Fatalf("%s: rows in %q add up to %d, and no total has them", parameters, currency, units)
		}
	}
	return first, rows
}

// units is the total in all currencies, which is for counts and single currencies.
func (e *Explanation) units() (sum int64) {
	for _, total := range e.Totals {
		sum += total.Units
	}
	return sum
}

// figuresOf are the numbers of an answer but for its rates, by name.
func figuresOf(t *testing.T, answer any) map[string]int64 {
	t.Helper()
	figures := numbers(t, answer)
	maps.DeleteFunc(figures, func(name string, _ int64) bool {
		return strings.HasSuffix(name, "Rate") || strings.HasSuffix(name, "ByAmount")
	})
	return figures
}

// Every figure of every answer has an explanation that adds up to it, at any moment,
// in any range: of the summary, and natively of the cells of all series.
func TestExplainAddsUpToItsCell(t *testing.T) {
	const seed = 21
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 120))
	for i := range events {
		events[i].Currency = "USD"
	}
	f := newFixture(t)
	f.write(events...)
	explained := map[string]int{}
	check := func(name string, want int64, parameters string) {
		t.Helper()
		explanation, rows := explainAll(f, parameters+"&figure="+name+"&limit=200")
		if len(explanation.DerivedFrom) > 0 {
			for _, from := range explanation.DerivedFrom {
				if _, known := f.server.figures[from]; !known {
					t.Fatalf("%s is derived from %s, which is no figure", name, from)
				}
			}
			return
		}
		got := explanation.units()
		switch {
		case name == "mrrCents":
			got = revenue.RoundMRR(got)
		case name == "arrCents": // twelve times the rounded MRR
			got = 12 * revenue.RoundMRR(got/12)
		case explanation.Unit == UnitMRR:
			// Movements are rounded so that they add up: by less than one.
			if difference := got - want*revenue.MRRScale; difference > -revenue.MRRScale && difference < revenue.MRRScale {
				got = want
			}
		}
		if got != want {
			t.Fatalf("seed %d: %s of %s is %d, explained as %d", seed, name, parameters, want, got)
		}
		explained[name] += len(rows)
	}
	for n := range 2 {
		period := Period{at("2026-01-01"), at("2026-04-01")}
		if n > 0 {
			period = randomPeriod(random)
		}
		asOf := at("2026-02-01").Add(time.Duration(random.Int64N(int64(100 * dayLength)))).Truncate(time.Microsecond)
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&asOf=%s", escape(period.Since), escape(period.Until), escape(asOf))
		for name, want := range figuresOf(t, get[RevenueAnswer](f, PathRevenue, parameters).Summary) {
			check(name, want, parameters)
		}
		series := get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, parameters+"&interval=year")
		refunds := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, parameters+"&interval=year")
		mrr := get[MRRSeries](f, PathMetricsMRR, parameters+"&interval=year")
		cell := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&asOf=%s", escape(at(series.Series[0].Start)), escape(at(series.Series[0].End)), escape(asOf))
		for _, figures := range []any{series.Series[0].Converted, refunds.Series[0].Converted, mrr.Series[0]} {
			for name, want := range figuresOf(t, figures) {
				check(name, want, cell)
			}
		}
	}
	for _, name := range []string{"grossRevenueCents", "refundCents", "mrrCents", "newCents", "uniqueActiveSubs", "recurringNetCents", "disputeCents"} {
		if explained[name] == 0 {
			t.Errorf("no row was ever behind %s", name)
		}
	}
}

// The explanation of a change is what lies between two explanations, row by row.
func TestExplainedChangeIsTheDifference(t *testing.T) {
	const seed = 22
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 150))
	f := newFixture(t)
	f.write(events...)
	changed := 0
	for range 6 {
		moments := []time.Time{at("2026-01-10"), at("2026-01-10")}
		for i := range moments {
			moments[i] = moments[i].Add(time.Duration(random.Int64N(int64(120 * dayLength)))).Truncate(time.Microsecond)
		}
		slices.SortFunc(moments, time.Time.Compare)
		for _, name := range []string{"netRevenueCents", "mrrCents", "refundCount", "customers"} {
			common := "workspaceSlug=acme&since=2026-01-05&until=2026-03-20&limit=100&figure=" + name
			before, rowsBefore := explainAll(f, common+"&asOf="+escape(moments[0]))
			after, rowsAfter := explainAll(f, common+"&asOf="+escape(moments[1]))
			change, rows := explainAll(f, common+"&asOf="+escape(moments[1])+"&changedSince="+escape(moments[0]))
			for _, currency := range []string{"USD", "EUR"} {
				of := func(e *Explanation) (units int64) {
					for _, total := range e.Totals {
						if total.Currency == currency {
							units += total.Units
						}
					}
					return units
				}
				if of(&change) != of(&after)-of(&before) {
					t.Fatalf("seed %d: %s in %s changed by %d, explained is %d", seed, name, currency, of(&after)-of(&before), of(&change))
				}
			}
			if len(rows)+len(rowsBefore) != len(rowsAfter) {
				t.Fatalf("seed %d: %s: %d rows and %d of change are not %d", seed, name, len(rowsBefore), len(rows), len(rowsAfter))
			}
			for _, row := range rows {
				if at(row.KnownAt).After(moments[1]) || !at(row.KnownAt).After(moments[0]) {
					t.Fatalf("a row known at %s is no change between %v", row.KnownAt, moments)
				}
			}
			changed += len(rows)
		}
	}
	if changed == 0 {
		t.Error("nothing changed: the test shows nothing")
	}
}

// An explanation, to read: a payment of 10.00 that was corrected to 12.00, refunded by
// 2.00, each with who said so.
func TestExplainByHand(t *testing.T) {
	f := newFixture(t)
	delivered := func(id, integration string) func(*revenue.Event) {
		return func(e *revenue.Event) {
			e.Delivery = revenue.Delivery{ID: id, Type: "payment", APIVersion: "7", Integration: integration}
		}
	}
	events := []revenue.Event{
		charge("a", "2026-03-01T10:00:00Z", 1000, delivered("evt_1", "we_1")),
		charge("a", "2026-03-01T10:00:00Z", 1200, version(2, "2026-03-05T00:00:00Z"), delivered("evt_2", "key_1")),
		refund("r", "a", "2026-03-06T00:00:00Z", 200, delivered("evt_3", "we_1")),
	}
	f.write(events...)
	f.say(events...)
	_, rows := explainAll(f, "workspaceSlug=acme&figure=netRevenueCents&limit=2")
	var got []string
	for _, row := range rows {
		line := fmt.Sprint(row.KnownAt[5:10], " ", row.Kind, " ", row.Contribution, " v", row.Version, " by ", *row.IntegrationID, ":")
		for _, v := range row.Versions {
			line += fmt.Sprint(" v", v.Version, " ", v.DeliveryID, " ", v.DeliveryType, "/", v.APIVersion, " ", *v.IntegrationID)
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{
		"03-01 purchase 1000 v1 by we_1: v1 evt_1 payment/7 we_1 v2 evt_2 payment/7 key_1",
		"03-05 purchase -1000 v1 by we_1: v1 evt_1 payment/7 we_1 v2 evt_2 payment/7 key_1",
		"03-05 purchase 1200 v2 by key_1: v1 evt_1 payment/7 we_1 v2 evt_2 payment/7 key_1",
		"03-06 refund -200 v1 by we_1: v1 evt_3 payment/7 we_1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("explained as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// On the 4th nobody knew of the correction.
	_, rows = explainAll(f, "workspaceSlug=acme&figure=netRevenueCents&asOf=2026-03-04")
	if len(rows) != 1 || rows[0].Contribution != 1000 || len(rows[0].Versions) != 1 {
		t.Errorf("on the 4th: %+v", rows)
	}
	for _, parameters := range []string{"", "&figure=luck", "&figure=mrrCents&cursor=x", "&figure=mrrCents&cursor=1.2.3.4",
		"&figure=mrrCents&limit=501", "&figure=mrrCents&page=2", "&figure=mrrCents&changedSince=2027-01-01",
		"&figure=mrrCents&asOf=2026-01-01&changedSince=2026-02-01"} {
		if response := f.ask(PathExplain, "workspaceSlug=acme"+parameters); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", parameters, response.StatusCode)
		}
	}
}
