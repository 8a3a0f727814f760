package analytics

import (
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// What is known to end is told apart from what is not: a request is of a subscription, and of
// a customer where no subscription is named; it has no currency of its own, and holds on
// whatever plan the subscription is since; and it is over when another term is paid for.
func TestCommittedKnowsWhatEnds(t *testing.T) {
	f := newFixture(t)
	said := func(kind revenue.Kind, group, id, when string, options ...func(*revenue.Event)) revenue.Event {
		event := charge(id, when, 0, options...)
		event.Kind, event.Group, event.Payment = kind, revenue.GroupName("stripe", "", true, group), ""
		return event
	}
	worth := func(mrr int64) func(*revenue.Event) {
		return func(e *revenue.Event) { e.MRR, e.Status = mrr*100*revenue.MRRScale, revenue.StatusActive }
	}
	of := func(subscription, plan string) func(*revenue.Event) {
		return func(e *revenue.Event) { e.Subscription, e.Plan = subscription, plan }
	}
	until := func(end string) func(*revenue.Event) {
		return func(e *revenue.Event) {
			start, ends := e.OccurredAt, at(end)
			e.Status, e.PeriodStart, e.PeriodEnd = revenue.StatusSettled, &start, &ends
		}
	}
	asked := func(when string) func(*revenue.Event) {
		return func(e *revenue.Event) {
			request, end := at(when), at("2026-07-01")
			e.CancelRequestedAt, e.EndsAt = &request, &end
		}
	}
	bare := func(e *revenue.Event) { e.Currency = "" }
	f.write(
		said(revenue.KindPeriod, "a", "a1", "2026-01-01", worth(10), of("sub_a", "gold"), until("2026-07-01")),
		said(revenue.KindCancellation, "a", "a2", "2026-01-10", of("sub_a", "gold"), bare),
		said(revenue.KindSubscription, "b", "b1", "2026-01-01", worth(20), of("", "gold")),
		said(revenue.KindCancellation, "b", "b2", "2026-01-10", bare),
		said(revenue.KindSubscription, "c", "c1", "2026-01-01", worth(40), of("", "gold")),
		said(revenue.KindSubscription, "d", "d1", "2026-01-01", worth(80), of("sub_d", "gold"), asked("2026-01-10")),
		said(revenue.KindSubscription, "d", "d2", "2026-01-20", worth(80), of("sub_d", "silver"), asked("2026-01-10")),
		said(revenue.KindPeriod, "e", "e1", "2026-01-01", worth(160), of("sub_e", "gold"), until("2026-02-01")),
		said(revenue.KindCancellation, "e", "e1", "2026-01-10", of("sub_e", "gold"), bare),
		said(revenue.KindPeriod, "e", "e2", "2026-03-01", worth(160), of("sub_e", "gold"), until("2026-04-01")),
	)
	const january, march = 0, 2
	for filter, want := range map[string]map[int][3]int64{ // MRR, cancelled, and of how many subscriptions
		"":              {january: {310_00, 270_00, 4}, march: {310_00, 110_00, 3}},
		"&currency=USD": {january: {310_00, 270_00, 4}, march: {310_00, 110_00, 3}},
		"&plan=silver":  {january: {80_00, 80_00, 1}, march: {80_00, 80_00, 1}},
		"&plan=gold":    {january: {230_00, 190_00, 3}, march: {230_00, 30_00, 2}},
	} {
		parameters := "workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=month" + filter
		series := get[CommittedSeries](f, PathCommitted, parameters).Series
		for month, figures := range want {
			bucket := series[month]
			if got := [3]int64{bucket.MRRCents, bucket.CancelledMRRCents, bucket.CancelledSubscriptions}; got != figures {
				t.Errorf("%q, %s: %v, want %v", filter, time.Month(month+1), got, figures)
			}
			for figure, n := range map[string]int64{"cancelledMrrCents": figures[1], "cancelledSubscriptions": figures[2]} {
				explained := get[Explanation](f, PathExplain, "workspaceSlug=acme&figure="+figure+filter+
					"&since="+escape(at(bucket.Start))+"&until="+escape(at(bucket.End)))
				if explained.Unit == UnitMRR {
					n *= revenue.MRRScale
				}
				if len(explained.Totals) != 1 || explained.Totals[0].Units != n {
					t.Errorf("%q, %s: %s is explained as %v, not as %d", filter, time.Month(month+1), figure, explained.Totals, n)
				}
			}
		}
	}
}
