package analytics

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// naiveOriginals is when the charge of each refund was made, by the refund's fact, if the
// charge is believed; what a refund names is in its statement alone.
func naiveOriginals(events []revenue.Event, entries []revenue.Entry) map[string]time.Time {
	charges := map[string]time.Time{}
	for _, e := range entries {
		if isCharge(&e) {
			charges[e.Provider+" "+e.ObjectID] = e.OccurredAt
		}
	}
	originals := map[string]time.Time{}
	for _, e := range events {
		if made, believed := charges[e.Provider+" "+e.Original]; e.Kind == revenue.KindRefund && believed {
			originals[e.FactID()] = made
		}
	}
	return originals
}

// By the original's date, a refund counts when its charge was made, at that day's rate, in
// any range and as of any moment; one whose charge is not known counts on its own, and is
// said to. In all they are the same refunds.
func TestRandomRefundsByOriginal(t *testing.T) {
	const seed = 81
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 300))
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	moved, unknown := 0, int64(0)
	for n := range 8 {
		period, asOf := randomPeriod(random), at("2026-02-01").Add(time.Duration(random.Int64N(int64(100*dayLength)))).Truncate(time.Microsecond)
		known := knownAt(events, asOf)
		entries := believed(known)
		originals := naiveOriginals(known, entries)
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&asOf=%s&interval=%s&refundBasis=original", escape(period.Since), escape(period.Until),
			escape(asOf), []Interval{IntervalDay, IntervalMonth, IntervalYear}[n%3])
		series := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, parameters)
		gross := get[FlowSeries[RevenueFigures]](f, PathMetricsRevenue, parameters)
		var lost int64
		for i, bucket := range series.Series {
			var cents, count int64
			for _, e := range entries {
				made, found := originals[e.Fact]
				if !found {
					made = e.OccurredAt
				}
				if e.Kind != revenue.EntryRefund || made.Before(at(bucket.Start)) || !made.Before(at(bucket.End)) {
					continue
				}
				cents, count = cents-worth(e.Amount, e.Currency, made), count+1
				if !found {
					lost++
				} else if e.OccurredAt.Before(at(bucket.Start)) || !e.OccurredAt.Before(at(bucket.End)) {
					moved++
				}
			}
			if got := bucket.Converted; got.RefundCents != cents || got.RefundCount != count {
				t.Fatalf("seed %d %s: %+v at %s, want %d refunds of %d", seed, parameters, got, bucket.Start, count, cents)
			}
			if got := gross.Series[i].Converted; got.RefundCents != cents || got.NetRevenueCents != got.GrossRevenueCents-cents {
				t.Fatalf("seed %d %s: revenue %+v at %s, want refunds of %d", seed, parameters, got, bucket.Start, cents)
			}
		}
		for _, without := range series.WithoutOriginal {
			lost -= without.RefundCount
			unknown += without.RefundCount
		}
		if lost != 0 || series.RefundBasis != "original" {
			t.Fatalf("seed %d %s: %v are said to be without an original by basis %q, %d too few", seed, parameters, series.WithoutOriginal, series.RefundBasis, lost)
		}
	}
	if moved == 0 || unknown == 0 {
		t.Errorf("%d refunds moved and %d were of unknown charges: the test shows little", moved, unknown)
	}
	for _, wrong := range []string{"refundBasis=luck", "refundBasis="} {
		if response := f.ask(PathMetricsRefunds, "workspaceSlug=acme&"+wrong); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, response.StatusCode)
		}
	}
	if response := f.ask(PathMetricsMRR, "workspaceSlug=acme&refundBasis=original"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("refundBasis of MRR: %d", response.StatusCode)
	}
}

// A payment for a subscription is counted by its invoice, which is in the customer's group
// and not the refund's: it is found by the ids that the refund's payment has.
func TestRefundOfAnInvoiceByOriginal(t *testing.T) {
	f := newFixture(t)
	invoice := charge("in_1", "2026-01-10T12:00:00Z", 2000, recurring(revenue.BillingFirst, "sub_ann"))
	invoice.Invoice, invoice.Payment = "in_1", ""
	invoice.Group = revenue.GroupName("stripe", "", true, "ann")
	payment := charge("pi_1", "2026-01-10T12:00:05Z", 2000)
	link := charge("pi_1", "2026-01-10T12:00:05Z", 2000)
	link.Kind, link.Original, link.Invoice, link.ObjectID = revenue.KindLink, "pi_1", "in_1", "link_1"
	f.write(invoice, payment, link, refund("re_1", "pi_1", "2026-03-01T12:00:00Z", 500))
	series := get[FlowSeries[RefundFigures]](f, PathMetricsRefunds, "workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=month&refundBasis=original")
	if got := series.Series[0].Converted; got.RefundCents != 500 || got.GrossRevenueCents != 2000 || len(series.WithoutOriginal) != 0 {
		t.Errorf("January: %+v, without original %v", got, series.WithoutOriginal)
	}
}
