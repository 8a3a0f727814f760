package simulation

import (
	"testing"
	"time"
)

// day is a moment of the first months of 2025.
func day(month time.Month, day int) time.Time {
	return time.Date(2025, month, day, 12, 0, 0, 0, time.UTC)
}

// check compares the figures that are named, and wants all others to be zero.
func check(t *testing.T, got Figures, want map[figure]int64) {
	t.Helper()
	for f := range figureCount {
		if got[f] != want[f] {
			t.Errorf("%s is %d, want %d", figureNames[f], got[f], want[f])
		}
	}
}

// A customer tries, converts, renews with more seats, is refunded in part, cancels
// at the end of the period, and buys something once. Worked out by hand.
func workedHistory() *Truth {
	b := &book{door: DoorStripe}
	s := b.customer().subscribe("sub")
	b.add(flow{what: trialStart, at: day(1, 1)})
	b.add(flow{what: trialConversion, at: day(1, 15), amount: 1000, tax: 100, recurring: true})
	s.from(day(1, 15), 900*mrrUnits, true)
	b.add(flow{what: renewal, at: day(2, 15), amount: 3000, tax: 300, fee: 50, recurring: true})
	s.from(day(2, 15), 2700*mrrUnits, true)
	b.add(flow{what: refund, at: day(2, 20), amount: 500, recurring: true})
	b.add(flow{what: purchase, at: day(2, 21), amount: 700, discount: 70})
	b.add(flow{what: cancellation, at: day(3, 1), subscription: "sub"})
	s.from(day(3, 1), 2700*mrrUnits, false)
	b.add(flow{what: expiration, at: day(3, 15)})
	s.from(day(3, 15), 0, false)
	truth := &Truth{}
	truth.add(b)
	return truth
}

func TestFiguresOfAWholeHistory(t *testing.T) {
	check(t, workedHistory().Figures(Range{Since: day(1, 1), Until: day(4, 1)}), map[figure]int64{
		figureGross: 4700, figureRefunds: 500, figureNet: 4200, figureRecurringNet: 3500, figurePurchases: 1,
		figureSubscriptionPurchases: 1, figureRenewals: 1, figureRefundCount: 1, figureCancellations: 1, figurePositiveCharges: 3,
		figureTrials: 1, figureTrialConversions: 1, figureCancelledSubscriptions: 1, figureItems: 7,
		figureTax: 400, figureFees: 50, figureDiscounts: 70,
		figureNew: 900 * mrrUnits, figureExpansion: 1800 * mrrUnits, figureChurn: -2700 * mrrUnits,
	})
}

// Ranges are half open: what happens at their end is not in them, nor is what
// changes then in the balance.
func TestFiguresAtTheEdges(t *testing.T) {
	truth := workedHistory()
	check(t, truth.Figures(Range{Since: day(2, 15), Until: day(3, 15)}), map[figure]int64{
		figureGross: 3700, figureRefunds: 500, figureNet: 3200, figureRecurringNet: 2500, figurePurchases: 1, figureRenewals: 1,
		figureRefundCount: 1, figureCancellations: 1, figurePositiveCharges: 2, figureCancelledSubscriptions: 1, figureItems: 4,
		figureTax: 300, figureFees: 50, figureDiscounts: 70, figureExpansion: 1800 * mrrUnits,
		figureMRR: 2700 * mrrUnits, figureCustomers: 1,
	})
	check(t, truth.Figures(Range{Since: day(1, 2), Until: day(2, 1)}), map[figure]int64{
		figureGross: 1000, figureNet: 1000, figureRecurringNet: 1000, figureSubscriptionPurchases: 1, figurePositiveCharges: 1,
		figureTrialConversions: 1, figureItems: 1, figureTax: 100, figureNew: 900 * mrrUnits,
		figureMRR: 900 * mrrUnits, figureActiveSubscriptions: 1, figureCustomers: 1,
	})
	check(t, truth.Figures(Range{Since: day(1, 1), Until: day(4, 1), Door: DoorPulsora}), map[figure]int64{})
}

// Two subscriptions of one customer: the second is no new customer, the end of
// one of two is a contraction, a return after both ended is a reactivation.
func TestMovementsAreJudgedPerCustomer(t *testing.T) {
	b := &book{}
	c := b.customer()
	first, second := c.subscribe("a"), c.subscribe("b")
	first.from(day(1, 1), 10, true)
	second.from(day(1, 2), 5, true)
	first.from(day(1, 3), 0, false)
	second.from(day(1, 4), 0, false)
	first.from(day(1, 5), 7, true)
	// A swap at one moment is what it comes to.
	first.from(day(1, 6), 0, false)
	second.from(day(1, 6), 8, true)
	truth := &Truth{books: []*book{b}}
	check(t, truth.Figures(Range{Since: day(1, 1), Until: day(1, 7)}), map[figure]int64{
		figureNew: 10, figureExpansion: 5 + 1, figureContraction: -10, figureChurn: -5, figureReactivation: 7,
		figureMRR: 8, figureActiveSubscriptions: 1, figureCustomers: 1,
	})
}

func TestCancellationTakenBack(t *testing.T) {
	b := &book{flows: []flow{{what: cancellation, at: day(1, 1), subscription: "s", takenBack: day(1, 10)}}}
	truth := &Truth{books: []*book{b}}
	if got := truth.Figures(Range{Since: day(1, 1), Until: day(1, 5)})[figureCancelledSubscriptions]; got != 1 {
		t.Errorf("before it was taken back %d subscriptions are cancelled, want 1", got)
	}
	if got := truth.Figures(Range{Since: day(1, 1), Until: day(1, 11)})[figureCancelledSubscriptions]; got != 0 {
		t.Errorf("after it was taken back %d subscriptions are cancelled, want 0", got)
	}
}

// Terms with a gap and an overlap, worked out by hand.
func TestTermsCoverTime(t *testing.T) {
	b := &book{}
	b.cover(b.customer(), "s", []term{
		{day(1, 1), day(2, 1), 10}, {day(2, 1), day(3, 1), 10}, // without a gap
		{day(4, 1), day(5, 1), 20}, {day(4, 15), day(5, 15), 5}, // overlapping, after one
	})
	want := []worth{{day(1, 1), 10, true}, {day(2, 1), 10, true}, {day(3, 1), 0, false}, {day(4, 1), 20, true},
		{day(4, 15), 25, true}, {day(5, 1), 5, true}, {day(5, 15), 0, false}}
	got := b.customers[0].subscriptions[0].levels
	if len(got) != len(want) {
		t.Fatalf("%d levels, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("level %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(b.flows) != 2 || !b.flows[0].at.Equal(day(3, 1)) || !b.flows[1].at.Equal(day(5, 15)) {
		t.Errorf("it expired %v, want on March 1st and May 15th", b.flows)
	}
}

func TestMonthlyWorth(t *testing.T) {
	for _, c := range []struct {
		plan     plan
		quantity int64
		want     int64
	}{
		{plan{net: 999, interval: "month", count: 1}, 1, 9_990_000},
		{plan{net: 999, interval: "month", count: 1}, 3, 29_970_000},
		{plan{net: 10_000, interval: "year", count: 1}, 1, 8_333_333}, // 8333333.3
		{plan{net: 10_001, interval: "year", count: 1}, 1, 8_334_167}, // 8334166.7
		{plan{net: 700, interval: "week", count: 1}, 1, 30_333_333},   // 30333333.3
		{plan{net: 100, interval: "month", count: 3}, 1, 333_333},     // 333333.3
		{plan{net: 3, interval: "year", count: 1}, 1, 2_500},          // exact
		{plan{net: 1, interval: "month", count: 3}, 2, 6_667},         // 6666.7
		{plan{net: 12, interval: "day", count: 1}, 1, 365 * mrrUnits}, // exact
		{plan{net: 1, interval: "month", count: 16}, 1, 625},          // exact
		{plan{net: 1, interval: "month", count: 32_000}, 1, 0},        // 0.3125
		{plan{net: 1, interval: "month", count: 20_000}, 1, 1},        // a half, up
	} {
		if got := c.plan.monthly(c.quantity); got != c.want {
			t.Errorf("%d of %+v are worth %d a month, want %d", c.quantity, c.plan, got, c.want)
		}
	}
}
