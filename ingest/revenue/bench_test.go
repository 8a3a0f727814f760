package revenue

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkLedger folds groups of the sizes that the sink meets: a payment of
// its own, a payment with a refund, a customer of two years.
func BenchmarkLedger(b *testing.B) {
	customer := []Event{}
	for month := range 24 {
		at := fmt.Sprintf("%d-%02d-01", 2024+month/12, month%12+1)
		customer = append(customer, fact(KindCharge, "in"+at, at, 1000, recurring), subscription(at, StatusActive, 1000))
	}
	for _, c := range []struct {
		name   string
		events []Event
	}{
		{"payment", []Event{fact(KindCharge, "pi", "2026-01-01", 5000)}},
		{"refunded", []Event{fact(KindCharge, "pi", "2026-01-01", 5000), fact(KindRefund, "re", "2026-01-02", 100, original("pi"))}},
		{"customer", customer},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(Ledger(c.events)) == 0 {
					b.Fatal("no rows")
				}
			}
		})
	}
}

// BenchmarkAdvance takes a statement into the group of a customer with 1,000 of them,
// each received by itself: one that comes in order, and one that another overtook. The
// ledger is what both would cost otherwise.
func BenchmarkAdvance(b *testing.B) {
	var known []Event
	for i := range 1000 {
		e := fact(KindCharge, fmt.Sprint("in_", i), "2026-01-01", 1000, recurring)
		e.OccurredAt = e.OccurredAt.Add(time.Duration(i) * time.Hour)
		e.ReceivedAt = e.OccurredAt
		known = append(known, e)
	}
	held := HeldOf(Ledger(known))
	for name, received := range map[string]time.Duration{"in order": time.Hour, "overtaken": -30 * time.Minute} {
		next := fact(KindCharge, "in_next", "2026-01-01", 1000, recurring)
		next.OccurredAt = known[len(known)-1].OccurredAt.Add(time.Minute)
		next.ReceivedAt = known[len(known)-1].ReceivedAt.Add(received)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if rows, _, ok := Advance(known, []Event{next}, held); !ok || len(rows) == 0 {
					b.Fatal("no rows")
				}
			}
		})
		b.Run(name+", whole ledger", func(b *testing.B) {
			for b.Loop() {
				if rows, _ := Difference(Ledger(append(known[:len(known):len(known)], next)), held); len(rows) == 0 {
					b.Fatal("no rows")
				}
			}
		})
	}
}

// BenchmarkTransfers moves a customer's subscriptions to other plans within one hour.
func BenchmarkTransfers(b *testing.B) {
	for _, subscriptions := range []int{1000, 10000} {
		var events []Event
		for i := range subscriptions {
			for hour, plan := range []string{"a", "b"} {
				e := subscription("2026-01-01", StatusActive, 1000)
				e.ObjectID, e.Subscription, e.Plan = fmt.Sprint(i, plan), fmt.Sprint("sub_", i), plan
				e.OccurredAt = e.OccurredAt.Add(time.Duration(hour) * 24 * time.Hour)
				e.MRR += int64(hour)
				events = append(events, e)
			}
		}
		b.Run(fmt.Sprint(subscriptions), func(b *testing.B) {
			for b.Loop() {
				if len(Fold(events)) == 0 {
					b.Fatal("no entries")
				}
			}
		})
	}
}
