package stripe

import (
	"maps"
	"testing"
	"time"

	"revstream/connectors/connectortest"
)

// switches changes to prices of another interval, which begins a new term at once.
func (s *story) switches(at string, members map[string]any, items ...any) *story {
	s.renews(at)
	before := s.items
	for _, item := range before {
		s.pending = append(s.pending, s.line(item, -40, on(at), s.term[1], true))
	}
	s.set(items...)
	s.event("customer.subscription.updated", on(at), s.now, map[string]any{"items": map[string]any{"data": before}})
	all := map[string]any{"billing_reason": "subscription_update"}
	maps.Copy(all, members)
	s.bills(on(at), true, all)
	return s
}

// turns are subscriptions whose terms end early, or were never paid.
func turns() map[string]*story {
	yearly := begins("yearly", "2023-03-14", "price_basic", 1, "price_seats", 25).starts().renews("2023-08-20").
		switches("2023-09-02", nil, "price_year", 1).changes("2024-02-10", false, "price_year", 3).renews("2024-10-01").
		switches("2024-11-05", nil, "price_pro", 2).renews("2025-06-10").ends("2025-06-20")

	uncollected := begins("uncollected", "2024-01-10", "price_basic", 1).starts().renews("2024-05-01").changes("2024-05-20", false, "price_basic", 4)
	uncollected.bills(uncollected.term[1], true, map[string]any{"status": "uncollectible", "attempt_count": 4, "amount_paid": 0})
	uncollected.renews("2026-12-20")

	sent := begins("sent", "2024-01-10", "price_basic", 1)
	sent.event("customer.subscription.created", on("2024-01-10"), sent.now, nil)
	sent.bills(on("2024-01-10"), true, map[string]any{"billing_reason": "subscription_create", "collection_method": "send_invoice", "status": "uncollectible",
		"amount_paid": 0, "due_date": on("2024-02-09").Unix()})
	sent.changes("2024-03-20", false, "price_pro", 1).renews("2026-12-20")

	short := begins("short", "2024-03-11", "price_pro", 1, "price_basic", 1)
	short.now["status"], short.now["trial_end"] = "trialing", on("2024-03-25").Unix()
	short.event("customer.subscription.created", on("2024-03-11"), short.now, nil)
	free := map[string]any{"billing_reason": "subscription_create", "amount_paid": 0}
	free["lines"] = map[string]any{"data": []any{short.line(short.items[0], 0, on("2024-03-11"), on("2024-06-11"), false), short.line(short.items[1], 0, on("2024-03-11"), on("2024-06-11"), false)}}
	short.bills(on("2024-03-11"), true, free)
	short.set("price_pro", 1)
	short.tells("updated", on("2024-03-25"), map[string]any{"status": "active"})
	short.bills(on("2024-03-25"), true, nil)
	short.renews("2026-12-20")

	confirmed := begins("confirmed", "2024-03-31", "price_pro", 1)
	confirmed.now["status"] = "incomplete"
	confirmed.event("customer.subscription.created", on("2024-03-31"), confirmed.now, nil)
	later := on("2024-03-31").Add(20 * time.Hour)
	confirmed.bills(on("2024-03-31"), true, map[string]any{"billing_reason": "subscription_create", "attempt_count": 2,
		"status_transitions": map[string]any{"finalized_at": on("2024-03-31").Unix(), "paid_at": later.Unix()}})
	confirmed.tells("updated", later, map[string]any{"status": "active"})
	confirmed.renews("2026-12-20")

	refused := begins("refused", "2024-01-10", "price_basic", 1).starts().renews("2024-03-25")
	kept := refused.term
	refused.pending = []any{refused.line(refused.items[0], -40, on("2024-03-25"), kept[1], true)}
	refused.set("price_year", 9)
	refused.bills(on("2024-03-25"), true, map[string]any{"billing_reason": "subscription_update", "status": "void", "amount_paid": 0})
	refused.set("price_basic", 1)
	refused.term = kept
	refused.renews("2026-12-20")

	return map[string]*story{"yearly": yearly, "uncollected": uncollected, "sent": sent, "short": short, "confirmed": confirmed, "refused": refused}
}

// A discount of all makes both lines of a change come to nothing; which of them gives back
// says that it does. A first term that is cut short by the billing day is billed as a change.
// What a change to a price that was deleted since came to, the next term says.
func TestChangesThatComeToNothing(t *testing.T) {
	free := begins("free", "2024-01-10", "price_basic", 1).starts()
	back := free.line(free.items[0], 0, on("2024-02-01"), free.term[1], true).(map[string]any)
	back["parent"].(map[string]any)["subscription_item_details"].(map[string]any)["proration_details"] = map[string]any{"credited_items": map[string]any{"invoice": "in_1"}}
	free.set("price_pro", 1)
	free.pending = []any{free.line(free.items[0], 0, on("2024-02-01"), free.term[1], true), back}
	free.event("customer.subscription.updated", on("2024-02-01"), free.now, nil)
	free.bills(on("2024-02-01"), false, nil)
	free.renews("2026-12-20")

	stub := begins("stub", "2024-01-10", "price_pro", 1)
	stub.now["discounts"] = []any{forever("di_1", 20, "stub")}
	stub.pending = []any{stub.line(stub.items[0], 70, on("2024-01-10"), on("2024-02-01"), true)}
	stub.event("customer.subscription.created", on("2024-01-10"), stub.now, nil)
	stub.bills(on("2024-01-10"), false, map[string]any{"billing_reason": "subscription_create"})
	stub.bills(on("2024-02-01"), true, nil)
	stub.renews("2026-12-20")

	deleted := begins("deleted", "2024-01-10", "price_basic", 1).starts().changes("2024-01-20", false, "price_gone", 2)
	deleted.renews("2024-06-01").reprices("price_pro", 1).renews("2026-12-20")

	for _, c := range []struct {
		s    *story
		want string
	}{
		{free, "2024-01-10 presumed active 2000; 2024-02-01 presumed active 5000"},
		{stub, "2024-01-10 presumed active 4000"},
		{deleted, "2024-01-10 presumed active 2000; 2024-02-10 presumed active 1000; 2024-08-10 presumed active 5000"},
	} {
		if got := steps(t, c.s, connectortest.ReceivedAt); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.s.id, got, c.want)
		}
	}
}
