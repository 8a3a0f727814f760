package connectors

import (
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// TestEmitLinked: a dispute that names the payment alone learns whose it was, and
// the payment counts once, be it told of without its subscription too.
func TestEmitLinked(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := NewReader("p", &Delivery{Workspace: "acme", Livemode: true, ReceivedAt: at}, revenue.Delivery{})
	charge := r.Statement(revenue.KindCharge, "t1", "t1", at)
	charge.Version, charge.Amount, charge.Currency, charge.Subscription, charge.Customer = 1, 500, "EUR", "s1", "c1"
	bare := charge
	bare.Subscription, bare.Billing = "", revenue.BillingOneTime
	r.EmitLinked(charge, "sub/s1")
	r.Emit(bare)
	dispute := r.Statement(revenue.KindDispute, "d1", "t1", at)
	dispute.Amount, dispute.Currency, dispute.Original = 200, "EUR", "t1"
	r.Emit(dispute)

	groups := map[string][]revenue.Event{}
	for _, e := range r.Item().Events {
		groups[e.Group] = append(groups[e.Group], e)
	}
	if len(groups) != 2 {
		t.Fatalf("%d groups", len(groups))
	}
	var sum int64
	for _, events := range groups {
		for _, entry := range revenue.Fold(events) {
			sum += entry.Amount
			if !entry.Recurring || entry.Subscription != "s1" || entry.Customer != "c1" {
				t.Errorf("%+v", entry)
			}
		}
	}
	if sum != 300 {
		t.Errorf("%d, want 300", sum)
	}
}
