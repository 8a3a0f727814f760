package analytics

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// zones have whole, half and quarter hours, and changes of the clock in March.
var zones = []string{"UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Europe/London", "Pacific/Apia"}

// Buckets of revenue and refunds are exact in every time zone, interval and range.
func TestRandomFlowSeries(t *testing.T) {
	const seed = 4
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 300)
	entries := believed(events)
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	for n := range 24 {
		period, name := randomPeriod(random), zones[n%len(zones)]
		interval := []Interval{IntervalDay, IntervalWeek, IntervalMonth, IntervalQuarter, IntervalYear}[random.IntN(5)]
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&interval=%s&timeZone=%s",
			escape(period.Since), escape(period.Until), interval, url.QueryEscape(name))
		revenues := get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, parameters)
		refunds := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, parameters)
		checkBuckets(t, zone(t, name), interval, period, revenues.Series)
		for i, bucket := range revenues.Series {
			within := Period{at(bucket.Start), at(bucket.End)}
			want := naiveSummary(entries, within, "")
			got := bucket.Converted
			if got.GrossRevenueCents != want.GrossRevenueCents || got.NetRevenueCents != want.NetRevenueCents ||
				got.RecurringNetCents != want.RecurringNetCents || got.PositiveChargeCount != want.PositiveChargeCount ||
				got.RenewalCount != want.RenewalCount || got.PurchaseCount != want.PurchaseCount ||
				got.PurchasesCents+got.SubscriptionsCents+got.RenewalsCents != want.GrossRevenueCents {
				t.Fatalf("seed %d %s bucket %v\n%+v\nwant\n%+v", seed, parameters, within, got, want)
			}
			for _, native := range bucket.Native {
				want := naiveSummary(nativeOf(entries, native.Currency), within, "")
				if native.Figures.GrossRevenueCents != want.GrossRevenueCents || native.Figures.RefundCents != want.RefundCents ||
					native.Figures.PositiveChargeCount != want.PositiveChargeCount {
					t.Fatalf("%s: native %+v\nwant\n%+v", parameters, native, want)
				}
			}
			refund := refunds.Series[i].Converted
			if refund.RefundCents != want.RefundCents || refund.RefundCount != want.RefundCount ||
				refund.PositiveChargeCount != want.PositiveChargeCount || refund.GrossRevenueCents != want.GrossRevenueCents ||
				(refund.RefundRate == nil) != (want.PositiveChargeCount == 0) ||
				refund.RefundRate != nil && *refund.RefundRate != want.RefundRate {
				t.Fatalf("seed %d %s bucket %v: refunds\n%+v\nwant\n%+v", seed, parameters, within, refund, want)
			}
		}
		if want := naiveSummary(entries, period, ""); revenues.Total.Converted.GrossRevenueCents != want.GrossRevenueCents {
			t.Fatalf("%s: total %+v", parameters, revenues.Total.Converted)
		}
	}
}

// nativeOf are the entries of a currency, unconverted.
func nativeOf(entries []revenue.Entry, currency string) []revenue.Entry {
	var native []revenue.Entry
	for _, e := range entries {
		if e.Currency == currency {
			e.Currency = "USD"
			native = append(native, e)
		}
	}
	return native
}

// checkBuckets: they lie side by side, cover the range, and begin where the
// interval does in the zone.
func checkBuckets(t *testing.T, zone *time.Location, interval Interval, period Period, buckets []FlowBucket[RevenueFigures]) {
	t.Helper()
	next := period.Since
	for i, bucket := range buckets {
		start, end := at(bucket.Start), at(bucket.End)
		if !start.Equal(next) || !start.Before(end) {
			t.Fatalf("bucket %d: %+v does not follow %v", i, bucket.Bucket, next)
		}
		local := start.In(zone)
		begins := local.Hour() == 0 && local.Minute() == 0 && local.Second() == 0 && local.Nanosecond() == 0 &&
			(interval == IntervalDay || interval == IntervalWeek || local.Day() == 1) && (interval != IntervalWeek || local.Weekday() == time.Monday)
		if i > 0 && !begins || i == 0 && !begins && !bucket.Partial {
			t.Fatalf("bucket %d begins at %v", i, local)
		}
		next = end
	}
	if !next.Equal(period.Until) {
		t.Fatalf("the last bucket ends at %v, not %v", next, period.Until)
	}
}

func (m MRRFigures) addsUp() bool {
	return m.MRRCents == m.OpeningMRRCents+m.NewCents+m.ReactivationCents+m.ExpansionCents-m.ContractionCents-m.ChurnCents+m.FXCents
}

// exactlyAddsUp is the same in unrounded values.
func (m MRRFigures) exactlyAddsUp(t *testing.T) bool {
	t.Helper()
	sum := new(big.Rat)
	for _, part := range []struct {
		sign int64
		text string
	}{{1, m.Exact.OpeningMRR}, {1, m.Exact.New}, {1, m.Exact.Reactivation}, {1, m.Exact.Expansion}, {-1, m.Exact.Contraction},
		{-1, m.Exact.Churn}, {1, m.Exact.FX}, {-1, m.Exact.MRR}} {
		value, ok := new(big.Rat).SetString(part.text)
		if !ok {
			t.Fatalf("%q is not a number", part.text)
		}
		sum.Add(sum, value.Mul(value, big.NewRat(part.sign, 1)))
	}
	return sum.Sign() == 0
}

// MRR is exact at every edge, and its movements explain every change of it, to the
// cent and exactly, in one currency and in several.
func TestRandomMRRSeries(t *testing.T) {
	const seed = 5
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 300)
	for i := range events {
		// Every third customer pays in euros.
		if events[i].Kind == revenue.KindSubscription && len(events[i].Customer)%3 == 0 {
			events[i].Currency = "EUR"
		}
	}
	entries := believed(events)
	f := newFixture(t)
	f.write(events...)
	for day := range 130 {
		f.rate(at("2025-12-01").AddDate(0, 0, day).Format(time.DateOnly), "EUR", "USD", fmt.Sprintf("1.%04d", 500+random.IntN(1000)))
	}
	movements := 0
	for n := range 24 {
		period, name := randomPeriod(random), zones[n%len(zones)]
		interval := []Interval{IntervalDay, IntervalWeek, IntervalMonth, IntervalQuarter, IntervalYear}[random.IntN(5)]
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&interval=%s&timeZone=%s",
			escape(period.Since), escape(period.Until), interval, url.QueryEscape(name))
		series := get[MRRSeries](f, PathMetricsMRR, parameters)
		if len(series.Unconverted) > 0 {
			t.Fatalf("%s: unconverted %+v", parameters, series.Unconverted)
		}
		for i, bucket := range series.Series {
			if !bucket.addsUp() || !bucket.exactlyAddsUp(t) {
				t.Fatalf("seed %d %s bucket %d does not add up: %+v", seed, parameters, i, bucket)
			}
			if i > 0 && bucket.OpeningMRRCents != series.Series[i-1].MRRCents {
				t.Fatalf("%s bucket %d does not open where the one before closed", parameters, i)
			}
			movements += int(bucket.NewCents)
			for _, native := range bucket.Native {
				checkNativeMRR(t, entries, native, Period{at(bucket.Start), at(bucket.End)})
			}
		}
	}
	if movements == 0 {
		t.Error("nothing moved")
	}
}

func checkNativeMRR(t *testing.T, entries []revenue.Entry, native NativeMRR, period Period) {
	t.Helper()
	var opening, closing, churn int64
	for _, e := range entries {
		if e.Currency != native.Currency || !e.OccurredAt.Before(period.Until) {
			continue
		}
		closing += e.MRR
		if e.OccurredAt.Before(period.Since) {
			opening += e.MRR
		} else if e.Kind == revenue.EntryChurn {
			churn -= e.MRR
		}
	}
	if native.MRRCents != revenue.RoundMRR(closing) || native.OpeningMRRCents != revenue.RoundMRR(opening) ||
		native.Exact.MRR != exactText(closing) || native.Exact.Churn != exactText(churn) {
		t.Fatalf("%v %s: %+v, want opening %d closing %d churn %d", period, native.Currency, native.MRRFigures, opening, closing, churn)
	}
	if !native.addsUp() || !native.exactlyAddsUp(t) || native.FXCents != 0 && native.Exact.FX != "0" {
		t.Fatalf("%v %s does not add up: %+v", period, native.Currency, native.MRRFigures)
	}
}

func exactText(mrr int64) string {
	return decimalText(new(big.Int).Mul(big.NewInt(mrr), exactScale))
}

// A subscription's life, worked out by hand: 20.00 from January 7th, 30.00 from
// the 20th, 10.00 from February 3rd, ended on the 10th, 15.00 again from March 1st.
func TestMRRMovements(t *testing.T) {
	f := newFixture(t)
	f.write(
		state("a", "2026-01-07T00:00:00Z", 2000), state("a", "2026-01-20T12:00:00Z", 3000),
		state("a", "2026-02-03T00:00:00Z", 1000), state("a", "2026-02-10T00:00:00Z", 0, status(revenue.StatusCanceled)),
		state("a", "2026-03-01T00:00:00Z", 1500),
		// A third of a cent a month in euros.
		with(state("b", "2026-01-31T00:00:00Z", 0, in("EUR")), func(e *revenue.Event) { e.MRR = 3333 }),
		// Dinars have no rate.
		state("c", "2026-01-31T00:00:00Z", 77, in("KWD")),
	)
	f.rate("2026-01-01", "EUR", "USD", "2")
	f.rate("2026-02-15", "EUR", "USD", "6")
	series := get[MRRSeries](f, PathMetricsMRR, "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-03-31")
	want := []MRRFigures{
		// The third of a cent is two thirds of a dollar's, and rounded up with the balance.
		{NewCents: 2001, ExpansionCents: 1000, MRRCents: 3001, ARRCents: 36012,
			Exact: ExactMRR{"0", "2000.6666", "0", "1000", "0", "0", "0", "0", "3000.6666"}},
		// From two thirds to two cents by the rate alone.
		{OpeningMRRCents: 3001, ContractionCents: 2000, ChurnCents: 1000, FXCents: 1, MRRCents: 2, ARRCents: 24,
			Exact: ExactMRR{"3000.6666", "0", "0", "0", "2000", "1000", "0", "1.3332", "1.9998"},
			// 3000 of 3000.6666 were lost, and nothing was won.
			Rates: MRRRates{thousandths(1000), thousandths(1000), thousandths(0)}},
		{OpeningMRRCents: 2, ReactivationCents: 1500, MRRCents: 1502, ARRCents: 18024,
			Exact: ExactMRR{"1.9998", "0", "1500", "0", "0", "0", "0", "0", "1501.9998"},
			// 1500 came back, of 1.9998.
			Rates: MRRRates{thousandths(0), thousandths(-750075), nil}},
	}
	var got []MRRFigures
	for _, bucket := range series.Series {
		got = append(got, bucket.MRRFigures)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if !slices.Equal(series.Unconverted, []UnconvertedMRR{{"KWD", 77}}) {
		t.Errorf("unconverted: %+v", series.Unconverted)
	}
	if last := series.Series[2]; last.ActiveSubscriptions != 3 || last.Customers != 3 || len(last.Native) != 3 || last.Partial {
		t.Errorf("last: %+v", last)
	}
	// Only euros: in dollars still, as the workspace's currency is, and natively.
	euros := get[MRRSeries](f, PathMetricsMRR, "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-03-31&currency=EUR&provider=stripe")
	if last := euros.Series[2]; last.MRRCents != 2 || len(last.Native) != 1 || last.Native[0].Exact.MRR != "0.3333" || euros.Currency != "USD" {
		t.Errorf("euros: %+v", last)
	}
}

func TestFlowSeriesOfCurrencies(t *testing.T) {
	f := newFixture(t)
	f.write(charge("usd", "2026-01-10T10:00:00Z", 1000), charge("eur", "2026-01-31T23:30:00Z", 1000, in("EUR")),
		refund("re", "eur", "2026-02-01T00:30:00Z", 300, in("EUR")), charge("kwd", "2026-02-01T00:00:00Z", 5, in("KWD")))
	f.rate("2026-01-01", "EUR", "USD", "1.5")
	// In London the month ends with UTC's in winter.
	series := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-02-28&timeZone=Europe/London")
	january, february := series.Series[0], series.Series[1]
	if january.Converted.GrossRevenueCents != 2500 || january.Converted.RefundCents != 0 || *january.Converted.RefundRate != 0 || len(january.Native) != 2 {
		t.Errorf("january: %+v", january)
	}
	if february.Converted.RefundCents != 450 || february.Converted.GrossRevenueCents != 0 || february.Converted.RefundRateByAmount != nil {
		t.Errorf("february: %+v", february)
	}
	if *series.Total.Converted.RefundRate != 333 || *series.Total.Converted.RefundRateByAmount != 180 {
		t.Errorf("total: %+v", series.Total.Converted)
	}
	want := []Unconverted{{Currency: "KWD", GrossRevenueCents: 5, NetRevenueCents: 5}}
	if !slices.Equal(series.Unconverted, want) {
		t.Errorf("unconverted: %+v", series.Unconverted)
	}
	// In Berlin the refund and the charge are of one month, February.
	series = get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-02-28&timeZone=Europe/Berlin")
	if got := series.Series[1].Converted; got.GrossRevenueCents != 1500 || got.RefundCents != 450 || *got.RefundRateByAmount != 300 {
		t.Errorf("february in Berlin: %+v", got)
	}
}

func thousandths(n Thousandths) *Thousandths { return &n }
