package analytics

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// randomEvents is a made-up history of ninety days up to 2026-03-31: all kinds,
// three providers, corrections, deletions, test mode, and instants on the edges of
// hours and days more often than chance would have them.
func randomEvents(random *rand.Rand, groups int) []revenue.Event {
	begin := at("2026-01-01")
	instant := func() string {
		when := begin.Add(time.Duration(random.Int64N(int64(90 * dayLength))))
		switch random.IntN(4) {
		case 0:
			when = when.Truncate(time.Hour)
		case 1:
			when = when.Truncate(dayLength)
		}
		return when.Truncate(time.Microsecond).Format(time.RFC3339Nano)
	}
	var events []revenue.Event
	for n := range groups {
		id := fmt.Sprint("x", n)
		provider := from([]string{"stripe", "thrivestack", "native"}[random.IntN(3)])
		amount := random.Int64N(10_000)
		options := []func(*revenue.Event){provider}
		if random.IntN(3) == 0 {
			provider = both(provider, in("EUR"))
			options = append(options, in("EUR"))
		}
		if random.IntN(2) == 0 {
			options = append(options, recurring([]revenue.Billing{revenue.BillingFirst, revenue.BillingRenewal}[random.IntN(2)], "sub_"+id))
		}
		if random.IntN(20) == 0 {
			options = append(options, testMode)
		}
		events = append(events, charge(id, instant(), amount, options...))
		switch random.IntN(8) {
		case 0: // corrected
			events = append(events, charge(id, instant(), amount+1, append(options, version(2, "2026-04-01T00:00:00Z"))...))
		case 1: // deleted
			events = append(events, charge(id, instant(), amount, append(options, version(2, "2026-04-01T00:00:00Z"), deleted)...))
		case 2, 3:
			events = append(events, refund("re_"+id, id, instant(), 1+amount/2, provider))
		case 4:
			dispute := refund("dp_"+id, id, instant(), 1+amount/2, provider)
			dispute.Kind = revenue.KindDispute
			events = append(events, dispute)
		}
		if random.IntN(3) == 0 {
			events = append(events, randomLife(random, id, instant, provider)...)
		}
	}
	return events
}

func both(a, b func(*revenue.Event)) func(*revenue.Event) {
	return func(e *revenue.Event) { a(e); b(e) }
}

// worth is an amount in dollars, at rates that make whole cents: a euro is worth two
// dollars, and three from the middle of a month on.
func worth(amount int64, currency string, day time.Time) int64 {
	switch {
	case currency != "EUR":
		return amount
	case day.Before(at("2026-02-10")):
		return 2 * amount
	default:
		return 3 * amount
	}
}

// euroRates are what worth goes by.
func (f *fixture) euroRates() {
	f.rate("2025-01-01", "EUR", "USD", "2")
	f.rate("2026-02-10", "EUR", "USD", "3")
}

// randomLife is a customer's subscription: begun, changed, perhaps cancelled,
// perhaps taken up again.
func randomLife(random *rand.Rand, customer string, instant func() string, provider func(*revenue.Event)) []revenue.Event {
	instants := []string{instant(), instant(), instant(), instant()}
	slices.SortFunc(instants, func(a, b string) int { return at(a).Compare(at(b)) })
	var events []revenue.Event
	for i, when := range instants[:1+random.IntN(4)] {
		options := []func(*revenue.Event){provider}
		mrr := random.Int64N(5000)
		switch {
		case i == 0 && random.IntN(3) == 0:
			options = append(options, status(revenue.StatusTrialing))
		case i > 0 && random.IntN(3) == 0:
			options = append(options, cancelRequested(when), ends(at(when).Add(time.Duration(random.Int64N(int64(20*dayLength)))).Format(time.RFC3339Nano)))
		case i > 0 && random.IntN(4) == 0:
			options = append(options, status(revenue.StatusCanceled))
		}
		event := state(customer, when, mrr, options...)
		event.MRR += random.Int64N(revenue.MRRScale) // fractions of a minor unit
		events = append(events, event)
	}
	return events
}

// believed is what the ledger comes to, by the fold alone and in memory.
func believed(events []revenue.Event) []revenue.Entry {
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	var entries []revenue.Entry
	for _, group := range groups {
		for _, entry := range revenue.Fold(group) {
			if entry.Live() {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}

// naiveSummary follows the definitions of reference/metrics.md section 3 over a
// list, in dollars.
func naiveSummary(entries []revenue.Entry, period Period, provider string) Summary {
	s := Summary{Currency: "USD"}
	var mrr int64
	cancelled := map[string]bool{}
	for _, e := range entries {
		if provider != "" && e.Provider != provider || !e.OccurredAt.Before(period.Until) {
			continue
		}
		mrr += worth(e.MRR, e.Currency, period.Until.Add(-time.Microsecond))
		amount := worth(e.Amount, e.Currency, e.OccurredAt)
		s.UniqueActiveSubs += e.Subscriptions
		if e.OccurredAt.Before(period.Since) {
			continue
		}
		isCharge := false
		switch e.Kind {
		case "purchase":
			s.PurchaseCount++
			isCharge = true
		case "subscription_purchase", "trial_conversion":
			if e.Amount > 0 {
				s.SubscriptionPurchaseCount++
			}
			if e.Kind == "trial_conversion" {
				s.TrialConversionCount++
			}
			isCharge = true
		case "renewal":
			s.RenewalCount++
			isCharge = true
		case "refund":
			s.RefundCount++
			s.RefundCents -= amount
			if e.Recurring {
				s.RecurringNetCents += amount
			}
		case "trial_start":
			s.TrialCount++
		case "cancellation":
			s.CancellationCount++
			if e.EndsAt.IsZero() || e.EndsAt.After(period.Until) {
				cancelled[e.Provider+"|"+e.Subscription] = true
			}
		}
		if isCharge {
			s.GrossRevenueCents += amount
			if e.Kind != "purchase" {
				s.RecurringNetCents += amount
			}
			if e.Amount > 0 {
				s.PositiveChargeCount++
			}
		}
	}
	s.UniqueCancelledSubs = int64(len(cancelled))
	s.MRRCents = revenue.RoundMRR(mrr)
	return s.withRatios()
}

// withRatios fills in what follows from other fields.
func (s Summary) withRatios() Summary {
	s.NetRevenueCents = s.GrossRevenueCents - s.RefundCents
	thousandths := func(part, whole int64) Thousandths {
		if whole <= 0 {
			return 0
		}
		return Thousandths((2000*part + whole) / (2 * whole))
	}
	s.TrialConversionRate = thousandths(s.TrialConversionCount, s.TrialCount)
	s.RefundRate = thousandths(s.RefundCount, s.PositiveChargeCount)
	s.CancellationRate = thousandths(s.UniqueCancelledSubs, s.UniqueActiveSubs+s.UniqueCancelledSubs)
	if s.PositiveChargeCount > 0 {
		n, d := 2*s.NetRevenueCents, s.PositiveChargeCount
		if n < 0 {
			s.AverageOrderValueCents = (n - d) / (2 * d)
		} else {
			s.AverageOrderValueCents = (n + d) / (2 * d)
		}
	}
	return s
}

// randomPeriod has ends that are ragged, whole hours or whole days.
func randomPeriod(random *rand.Rand) Period {
	instant := func() time.Time {
		when := at("2025-12-30").Add(time.Duration(random.Int64N(int64(95 * dayLength)))).Truncate(time.Microsecond)
		switch random.IntN(4) {
		case 0:
			return when.Truncate(time.Hour)
		case 1:
			return when.Truncate(dayLength)
		}
		return when
	}
	period := Period{instant(), instant()}
	if random.IntN(5) == 0 { // within one hour
		period.Until = period.Since.Add(time.Duration(1 + random.Int64N(int64(time.Hour)))).Truncate(time.Microsecond)
	}
	if period.Until.Before(period.Since) {
		period.Since, period.Until = period.Until, period.Since
	}
	if !period.Since.Before(period.Until) {
		period.Until = period.Since.Add(time.Microsecond)
	}
	return period
}

// Every range is exact, however ragged, with every filter: rollups and edges add
// up to what a list of all entries does.
func TestRandomRanges(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 400)
	entries := believed(events)
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	for n := range 60 {
		period, previous := randomPeriod(random), randomPeriod(random)
		provider := []string{"", "stripe", "native"}[random.IntN(3)]
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&prevSince=%s&prevUntil=%s&pageSize=1000&sortOrder=asc&eventTypes=%s",
			escape(period.Since), escape(period.Until), escape(previous.Since), escape(previous.Until), allKinds)
		if provider != "" {
			parameters += "&provider=" + provider
		}
		answer := get[RevenueAnswer](f, PathRevenue, parameters)
		if want := naiveSummary(entries, period, provider); !reflect.DeepEqual(answer.Summary, want) {
			t.Fatalf("seed %d range %d %s\n%+v\nwant\n%+v", seed, n, parameters, answer.Summary, want)
		}
		if want := naiveSummary(entries, previous, provider); !reflect.DeepEqual(*answer.PreviousSummary, want) {
			t.Fatalf("seed %d range %d %s: previous\n%+v\nwant\n%+v", seed, n, parameters, *answer.PreviousSummary, want)
		}
		want := naiveItems(entries, period, provider, listedKinds[:])
		if answer.Total != int64(len(want)) || !slices.Equal(itemsOf(answer.Items), want) {
			t.Fatalf("seed %d range %d %s: %d items of %d, want %d", seed, n, parameters, len(answer.Items), answer.Total, len(want))
		}
	}
}

const allKinds = "purchase,subscription_purchase,trial_conversion,renewal,refund,cancellation,expiration,trial_start,dispute,dispute_reversal,fee"

// listed is what tells one item from another here, as text.
func listed(kind, externalID string, amount int64, occurredAt time.Time) string {
	return fmt.Sprint(kind, " ", externalID, " ", amount, " ", occurredAt.UTC().Format(instantLayout))
}

func itemsOf(items []Item) []string {
	var texts []string
	for _, item := range items {
		texts = append(texts, fmt.Sprint(item.EventType, " ", item.ExternalID, " ", item.AmountCents, " ", item.OccurredAt))
	}
	return texts
}

// naiveItems are the items of a range in the order of their time and row.
func naiveItems(entries []revenue.Entry, period Period, provider string, kinds []revenue.EntryKind) []string {
	var in []revenue.Entry
	for _, e := range entries {
		if !e.OccurredAt.Before(period.Since) && e.OccurredAt.Before(period.Until) && (provider == "" || e.Provider == provider) &&
			slices.Contains(kinds, e.Kind) {
			in = append(in, e)
		}
	}
	slices.SortFunc(in, func(a, b revenue.Entry) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.RowID(), b.RowID()))
	})
	var texts []string
	for _, e := range in {
		texts = append(texts, listed(string(e.Kind), e.ObjectID, e.Amount, e.OccurredAt))
	}
	return texts
}
