package revenue

import (
	"fmt"
	"testing"
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
