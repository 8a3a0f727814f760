package analytics

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"revstream/ingest/revenue"
)

// twoMonths is a workspace's January and February of 2026, small enough to be
// worked out by hand.
func twoMonths() []revenue.Event {
	return []revenue.Event{
		// Two one-time purchases of January: 10.00 and 25.50, one refunded by 5.50 in
		// January and by 3.00 in February.
		charge("ch_1", "2026-01-05T10:00:00Z", 1000),
		charge("ch_2", "2026-01-06T11:30:00Z", 2550, metadata(`{"productId":"prod_123"}`)),
		refund("re_1", "ch_2", "2026-01-10T09:00:00Z", 550),
		refund("re_2", "ch_2", "2026-02-03T09:00:00Z", 300),
		// Customer a subscribes for 20.00 a month on January 7th, pays again on
		// February 7th, and has that renewal refunded by 4.00.
		charge("in_1", "2026-01-07T00:00:00Z", 2000, recurring(revenue.BillingFirst, "sub_a")),
		charge("in_2", "2026-02-07T00:00:00Z", 2000, recurring(revenue.BillingRenewal, "sub_a")),
		refund("re_3", "in_2", "2026-02-08T00:00:00Z", 400),
		state("a", "2026-01-07T00:00:00Z", 2000),
		// Customer b tries from January 8th, converts on the 22nd at 30.00, asks on
		// February 10th to end on February 22nd.
		state("b", "2026-01-08T00:00:00Z", 0, status(revenue.StatusTrialing)),
		state("b", "2026-01-22T00:00:00Z", 3000),
		marker(revenue.KindTrialConversion, "conv_b", "2026-01-22T00:00:00Z"),
		charge("in_3", "2026-01-22T00:00:00Z", 3000, recurring(revenue.BillingFirst, "sub_b")),
		state("b", "2026-02-10T00:00:00Z", 3000, cancelRequested("2026-02-10T00:00:00Z"), ends("2026-02-22T00:00:00Z")),
		// Customer c tries and does not convert; cancels on January 20th.
		state("c", "2026-01-09T00:00:00Z", 0, status(revenue.StatusTrialing)),
		state("c", "2026-01-20T00:00:00Z", 0, status(revenue.StatusTrialing), cancelRequested("2026-01-20T00:00:00Z"), ends("2026-01-23T00:00:00Z")),
		// Customer d pays 1,200.00 a year from January 15th, asks to end on the 16th
		// and takes that back on the 17th.
		charge("in_4", "2026-01-15T00:00:00Z", 120000, recurring(revenue.BillingFirst, "sub_d")),
		state("d", "2026-01-15T00:00:00Z", 10000),
		state("d", "2026-01-16T00:00:00Z", 10000, cancelRequested("2026-01-16T00:00:00Z"), ends("2027-01-15T00:00:00Z")),
		state("d", "2026-01-17T00:00:00Z", 10000),
		// A dispute is no refund, test mode is no money, and what was deleted never was.
		{Workspace: "ws_1", Provider: "stripe", Livemode: true, ObjectID: "dp_1", Kind: revenue.KindDispute, Group: "stripe||live|ch_1",
			Version: 1, OccurredAt: at("2026-01-12"), ReceivedAt: at("2026-01-12"), Amount: 1000, Currency: "USD", Original: "ch_1"},
		charge("ch_test", "2026-01-05T10:00:00Z", 777700, testMode),
		charge("ch_gone", "2026-01-05T10:00:00Z", 888800),
		charge("ch_gone", "2026-01-05T10:00:00Z", 888800, version(2, "2026-01-25T00:00:00Z"), deleted),
		// What was first said of ch_2 was wrong.
		charge("ch_2", "2026-01-06T11:30:00Z", 9999, version(0, "2026-01-06T11:30:01Z")),
	}
}

func TestSummary(t *testing.T) {
	f := newFixture(t)
	f.write(twoMonths()...)
	answer := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&since=2026-02-01&until=2026-02-28&prevSince=2026-01-01&prevUntil=2026-01-31")

	// January: 10.00 + 25.50 one-time, 20.00 + 30.00 + 1,200.00 first payments.
	gross := int64(1000 + 2550 + 2000 + 3000 + 120000)
	january := Summary{
		Currency: "USD", GrossRevenueCents: gross, RefundCents: 550, NetRevenueCents: gross - 550,
		// The refund was of a one-time purchase.
		RecurringNetCents: 2000 + 3000 + 120000,
		PurchaseCount:     2, SubscriptionPurchaseCount: 3, RenewalCount: 0, RefundCount: 1, PositiveChargeCount: 5,
		// d's request, which was taken back, and c's.
		CancellationCount: 2, UniqueCancelledSubs: 1,
		TrialCount: 2, TrialConversionCount: 1, TrialConversionRate: 500,
		RefundRate: 200, // 1 of 5
		// a and b and d; c never paid.
		UniqueActiveSubs: 3, CancellationRate: 250, // 1 of 1 + 3
		MRRCents:               2000 + 3000 + 10000,
		AverageOrderValueCents: 25600, // 128,000 / 5
	}
	// February: one renewal of 20.00; refunds of 3.00 (one-time) and 4.00.
	february := Summary{
		Currency: "USD", GrossRevenueCents: 2000, RefundCents: 700, NetRevenueCents: 1300, RecurringNetCents: 1600,
		RenewalCount: 1, RefundCount: 2, PositiveChargeCount: 1, RefundRate: 2000,
		CancellationCount: 1, UniqueCancelledSubs: 1, // b
		UniqueActiveSubs: 2, CancellationRate: 333, // 1 of 1 + 2
		MRRCents: 2000 + 10000, AverageOrderValueCents: 1300,
	}
	if answer.PreviousSummary == nil || !reflect.DeepEqual(*answer.PreviousSummary, january) {
		t.Errorf("january:\n%+v\nwant\n%+v", answer.PreviousSummary, january)
	}
	if !reflect.DeepEqual(answer.Summary, february) {
		t.Errorf("february:\n%+v\nwant\n%+v", answer.Summary, february)
	}
	// On February 15th b still pays but does not count as active.
	middle := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&until=2026-02-15T06:30:00Z").Summary
	if middle.MRRCents != 15000 || middle.UniqueActiveSubs != 2 {
		t.Errorf("in the middle: %+v", middle)
	}
	// Another provider has nothing.
	none := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&provider=paddle")
	if !reflect.DeepEqual(none.Summary, Summary{Currency: "USD"}) || none.Total != 0 || none.TotalPages != 0 || none.HasNext {
		t.Errorf("paddle: %+v", none)
	}
	// Nor has another workspace.
	if other := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=globex"); !reflect.DeepEqual(other.Summary, Summary{Currency: "EUR"}) {
		t.Errorf("globex: %+v", other)
	}
}

func TestSummarySeries(t *testing.T) {
	f := newFixture(t)
	f.write(twoMonths()...)
	parameters := "workspaceSlug=acme&since=2026-01-06T11:30:00Z&until=2026-01-10&includeSeries=true"
	answer := get[RevenueAnswer](f, PathRevenue, parameters)
	want := []SeriesBucket{
		{Currency: "USD", RevenueCents: 2550, PurchasesCents: 2550, Date: "2026-01-06"},
		{Currency: "USD", RevenueCents: 2000, SubscriptionsCents: 2000, Date: "2026-01-07"},
		{Currency: "USD", RefundsCents: 550, Date: "2026-01-10"},
	}
	if answer.Series == nil || !reflect.DeepEqual(*answer.Series, want) {
		t.Errorf("series: %+v", answer.Series)
	}
	// A microsecond later the purchase is not in the range.
	answer = get[RevenueAnswer](f, PathRevenue, strings.Replace(parameters, "11:30:00Z", "11:30:00.000001Z", 1))
	if len(*answer.Series) != 2 || answer.Summary.PurchaseCount != 0 {
		t.Errorf("series: %+v", answer.Series)
	}
	if answer = get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme"); answer.Series != nil || answer.PreviousSummary != nil {
		t.Error("there is a series or a previous summary that was not asked for")
	}
}

// The sample of the contract, under the definitions of reference/metrics.md
// section 3. All fields can be reproduced but mrrCents, which in the sample is net
// revenue. recurringNetCents needs amounts chosen to fit: 50 recurring charges of
// 900 here, and refunds of one-time purchases.
func TestSummaryOfContract(t *testing.T) {
	f := newFixture(t)
	var events []revenue.Event
	day := func(n int) string { return fmt.Sprintf("2026-03-%02dT12:%02d:00Z", 1+n%28, n%60) }
	for n := range 50 {
		// 50 purchases come to 54,900, so that all charges come to 99,900.
		events = append(events, charge(fmt.Sprint("ch_", n), day(n), 1098))
	}
	for n := range 5 {
		events = append(events, refund(fmt.Sprint("re_", n), fmt.Sprint("ch_", n), day(n+5), 1000))
	}
	for n := range 30 {
		customer := fmt.Sprint("c", n)
		events = append(events, charge("first_"+customer, day(n), 900, recurring(revenue.BillingFirst, "sub_"+customer)),
			state(customer, day(n), 900))
	}
	for n := range 20 {
		// Renewed, so subscribed before March.
		customer := fmt.Sprint("r", n)
		options := []func(*revenue.Event){}
		events = append(events, charge("renewal_"+customer, day(n), 900, recurring(revenue.BillingRenewal, "sub_"+customer)),
			state(customer, "2026-01-15T00:00:00Z", 900, options...))
		if n < 2 {
			events = append(events, state(customer, day(n+10), 900, cancelRequested(day(n+10)), ends("2026-06-01T00:00:00Z")))
		}
	}
	for n := range 10 {
		events = append(events, marker(revenue.KindTrialStart, fmt.Sprint("trial_", n), day(n)))
	}
	for n := range 8 {
		events = append(events, marker(revenue.KindTrialConversion, fmt.Sprint("conversion_", n), day(n+1)))
	}
	f.write(events...)
	got := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&since=2026-03-01&until=2026-03-31&provider=stripe").Summary
	want := Summary{
		Currency: "USD", GrossRevenueCents: 99900, NetRevenueCents: 94900, RefundCents: 5000, RecurringNetCents: 45000,
		PurchaseCount: 50, SubscriptionPurchaseCount: 30, RenewalCount: 20, RefundCount: 5, CancellationCount: 2,
		PositiveChargeCount: 100, TrialCount: 10, TrialConversionCount: 8, TrialConversionRate: 800, CancellationRate: 40,
		RefundRate: 50, AverageOrderValueCents: 949, UniqueCancelledSubs: 2, UniqueActiveSubs: 48,
		// Not 94,900: 50 subscriptions of 9.00, of which 2 have yet to end.
		MRRCents: 45000,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestSummaryOfCurrencies(t *testing.T) {
	f := newFixture(t)
	f.write(
		charge("usd", "2026-01-10T10:00:00Z", 1000),
		// At 1.1 and, from the 12th on, 1.2; the 11th has the rate of the 10th.
		charge("eur_1", "2026-01-10T23:59:59.999999Z", 1001, in("EUR")),
		charge("eur_2", "2026-01-11T10:00:00Z", 1001, in("EUR")),
		charge("eur_3", "2026-01-12T00:00:00Z", 1001, in("EUR")),
		refund("eur_4", "eur_1", "2026-01-12T00:00:00Z", 101, in("EUR")),
		// 1,000 yen have no decimals: at 160 to the euro and 1.1, 6.875 dollars.
		charge("jpy", "2026-01-10T10:00:00Z", 1000, in("JPY")),
		// Pounds have a rate from the 12th on only.
		charge("gbp_1", "2026-01-11T10:00:00Z", 5000, in("GBP"), recurring(revenue.BillingFirst, "sub_g")),
		charge("gbp_2", "2026-01-12T10:00:00Z", 100, in("GBP")),
		// Nobody says what a dinar is worth.
		charge("kwd", "2026-01-11T10:00:00Z", 12345, in("KWD")),
		state("e", "2026-01-10T00:00:00Z", 2000, in("EUR")),
		state("k", "2026-01-10T00:00:00Z", 333, in("KWD")),
	)
	f.rate("2026-01-02", "EUR", "USD", "9") // before the last one that counts
	f.rate("2026-01-10", "EUR", "USD", "1.1")
	f.rate("2026-01-03", "EUR", "USD", "8")
	f.rate("2026-01-12", "EUR", "USD", "1.3")
	f.rate("2026-01-12", "EUR", "USD", "1.2") // corrected
	f.rate("2025-12-01", "EUR", "JPY", "160")
	f.rate("2026-01-12", "GBP", "USD", "1.35")

	summary := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary
	want := Summary{
		Currency: "USD",
		// 1000 + 1001*1.1 + 1001*1.1 + 1001*1.2 + 687.5 + 135 = 5225.9, rounded once.
		GrossRevenueCents: 5226,
		RefundCents:       121, // 101*1.2 = 121.2
		NetRevenueCents:   5105, PositiveChargeCount: 8, PurchaseCount: 7, SubscriptionPurchaseCount: 1, RefundCount: 1,
		RefundRate: 125,
		// 5105 over the six charges that are in it.
		AverageOrderValueCents: 851,
		// 20.00 EUR at the rate of the last day.
		MRRCents: 2400, UniqueActiveSubs: 2,
		Unconverted: []Unconverted{
			{Currency: "GBP", GrossRevenueCents: 5000, NetRevenueCents: 5000, RecurringNetCents: 5000},
			{Currency: "KWD", GrossRevenueCents: 12345, NetRevenueCents: 12345, MRRCents: 333},
		},
	}
	if !reflect.DeepEqual(summary, want) {
		t.Errorf("got\n%+v\nwant\n%+v", summary, want)
	}
	// A rate that comes late changes no stored row.
	f.rate("2026-01-01", "EUR", "KWD", "0.36") // 12.345 KWD are 34.2916… EUR and 37.7208… USD
	summary = get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary
	if len(summary.Unconverted) != 1 || summary.GrossRevenueCents != 8998 {
		t.Errorf("after the rate: %+v", summary)
	}
}

// rate stores an exchange rate, later than all before it.
func (f *fixture) rate(day, base, quote, rate string) {
	f.t.Helper()
	f.offset++
	f.exec("INSERT INTO %s.fx_rates SELECT '%s', '%s', '%s', toDecimal128('%s', 18), 'test', toDateTime64(%d, 6, 'UTC')",
		f.database, day, base, quote, rate, f.offset)
}

// Cancellations of subscriptions without a name are told apart by their customers,
// and those without either by themselves.
func TestUnnamedCancellations(t *testing.T) {
	f := newFixture(t)
	cancel := func(id, subscription, customer string) revenue.Event {
		event := marker(revenue.KindCancellation, id, "2026-01-10T00:00:00Z")
		event.Subscription, event.Customer = subscription, customer
		return event
	}
	f.write(cancel("1", "sub", "a"), cancel("2", "sub", "a"), cancel("3", "", "a"), cancel("4", "", "a"), cancel("5", "", "b"),
		cancel("6", "", ""), cancel("7", "", ""))
	// sub; customers a and b; two that stand for themselves.
	if got := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary; got.UniqueCancelledSubs != 5 || got.CancellationCount != 7 {
		t.Errorf("unique %d of %d", got.UniqueCancelledSubs, got.CancellationCount)
	}
}

func TestCompleteThrough(t *testing.T) {
	f := newFixture(t)
	if got := f.ask(PathRevenue, "workspaceSlug=acme").Header.Get(HeaderCompleteThrough); got != "" {
		t.Errorf("before anything was stored: %q", got)
	}
	f.exec(`INSERT INTO %s.progress SELECT 0, 1, 10, toDateTime64('2026-06-01 10:00:00.123456', 6, 'UTC'), now64(6)`, f.database)
	f.exec(`INSERT INTO %s.progress SELECT 1, 1, 10, toDateTime64('2026-05-01 10:00:00', 6, 'UTC'), now64(6)`, f.database)
	f.exec(`INSERT INTO %s.progress SELECT 1, 1, 11, toDateTime64('2026-07-01 10:00:00', 6, 'UTC'), now64(6) + 1`, f.database)
	f.exec(`INSERT INTO %s.progress SELECT 2, 1, 10, toDateTime64('2026-08-01 10:00:00', 6, 'UTC'), now64(6)`, f.database)
	if got := f.ask(PathRevenue, "workspaceSlug=acme").Header.Get(HeaderCompleteThrough); got != "" {
		t.Errorf("while a slice has said nothing: %q", got)
	}
	f.exec(`INSERT INTO %s.progress SELECT 3, 1, 10, toDateTime64('2026-08-01 10:00:00', 6, 'UTC'), now64(6)`, f.database)
	// What a writer that was taken over says later does not count.
	f.exec(`INSERT INTO %s.progress SELECT 3, 0, 10, toDateTime64('2026-04-01 10:00:00', 6, 'UTC'), now64(6) + 1`, f.database)
	f.exec("OPTIMIZE TABLE %s.progress FINAL", f.database)
	response := f.ask(PathRevenue, "workspaceSlug=acme")
	if got := response.Header.Get(HeaderCompleteThrough); got != "2026-06-01T10:00:00.123456Z" {
		t.Errorf("complete through %q", got)
	}
	if response.Header.Get(HeaderRowsRead) == "" || response.Header.Get(HeaderDefinitionVersion) != DefinitionVersion {
		t.Errorf("headers: %v", response.Header)
	}
	series := get[MRRSeries](f, PathMetricsMRR, "workspaceSlug=acme")
	if series.CompleteThrough == nil || *series.CompleteThrough != "2026-06-01T10:00:00.123456Z" {
		t.Errorf("series: %+v", series.SeriesHead)
	}
}
