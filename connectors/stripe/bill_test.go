package stripe

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// catalogue are the prices of the stories; the last was deleted since, and is not found.
var catalogue = map[string]map[string]any{
	"price_basic":  price("price_basic", 2000, "month", 1),
	"price_pro":    price("price_pro", 5000, "month", 1),
	"price_pro_26": price("price_pro_26", 6000, "month", 1),
	"price_year":   price("price_year", 48000, "year", 1),
	"price_seats": {"id": "price_seats", "currency": "usd", "product": "prod_seats", "billing_scheme": "tiered", "tiers_mode": "graduated",
		"recurring": map[string]any{"interval": "month", "interval_count": 1, "usage_type": "licensed"},
		"tiers":     []any{map[string]any{"up_to": 10, "unit_amount": 1000, "flat_amount": 900}, map[string]any{"up_to": nil, "unit_amount": 500}}},
	"price_use": {"id": "price_use", "currency": "usd", "product": "prod_use", "unit_amount": 10,
		"recurring": map[string]any{"interval": "month", "interval_count": 1, "usage_type": "metered"}},
	"price_gone": price("price_gone", 1500, "month", 3),
}

func price(id string, amount int, interval string, count int) map[string]any {
	return map[string]any{"id": id, "currency": "usd", "product": "prod_" + id, "unit_amount": amount, "unit_amount_decimal": fmt.Sprint(amount),
		"recurring": map[string]any{"interval": interval, "interval_count": count, "usage_type": "licensed"}}
}

// story is what happens to a subscription in Stripe: the events of it, with the
// subscription and its invoices as they were shown at each, in the version in which lists
// are asked for.
type story struct {
	id       string
	events   []map[string]any
	now      map[string]any // the subscription
	items    []any
	pending  []any // lines for the next invoice
	term     [2]time.Time
	invoices int
}

func on(text string) time.Time {
	at, err := time.Parse("2006-01-02", text)
	if err != nil {
		panic(err)
	}
	return at.Add(10 * time.Hour)
}

// begins opens a subscription, of which each item is a price and how many of it.
func begins(id, at string, items ...any) *story {
	s := &story{id: id, now: map[string]any{"id": id, "object": "subscription", "customer": "cus_" + id, "currency": "usd",
		"status": "active", "created": on(at).Unix(), "discounts": []any{}}}
	s.set(items...)
	return s
}

func (s *story) set(items ...any) {
	s.items, s.now = nil, maps.Clone(s.now)
	for i := 0; i < len(items); i += 2 {
		s.items = append(s.items, map[string]any{"id": fmt.Sprintf("si_%s_%d", s.id, i), "price": catalogue[items[i].(string)], "quantity": items[i+1]})
	}
	s.now["items"] = map[string]any{"data": s.items}
}

// tells adds an event about the subscription, which changed the members given.
func (s *story) tells(kind string, at time.Time, change map[string]any) {
	was := map[string]any{}
	s.now = maps.Clone(s.now)
	for name, value := range change {
		was[name] = s.now[name]
		s.now[name] = value
	}
	s.event("customer.subscription."+kind, at, s.now, was)
}

func (s *story) event(kind string, at time.Time, o, previous map[string]any) {
	s.events = append(s.events, map[string]any{"id": fmt.Sprintf("evt_%s_%d", s.id, len(s.events)), "object": "event", "type": kind, "livemode": true,
		"api_version": apiVersion, "created": at.Unix(), "data": map[string]any{"object": o, "previous_attributes": previous}})
}

func (s *story) line(item any, amount int64, from, until time.Time, proration bool) any {
	of := object(item.(map[string]any))
	return map[string]any{"amount": amount, "currency": "usd", "quantity": of["quantity"], "period": map[string]any{"start": from.Unix(), "end": until.Unix()},
		"parent":  map[string]any{"subscription_item_details": map[string]any{"subscription": s.id, "subscription_item": of["id"], "proration": proration}},
		"pricing": map[string]any{"price_details": map[string]any{"price": of.ID("price"), "product": of.ID("price.product")}, "unit_amount_decimal": of.Value("price.unit_amount_decimal")},
		"taxes":   []any{}, "discounts": []any{}}
}

// termLines bill an item for a term: of a price with tiers each tier has a line, and what
// is flat in it another, of no quantity.
func (s *story) termLines(item any) []any {
	of := object(item.(map[string]any))
	tiers := elements(of, "price.tiers")
	if len(tiers) == 0 {
		return []any{s.line(item, 100, s.term[0], s.term[1], false)}
	}
	var lines []any
	left := of["quantity"].(int)
	for _, tier := range tiers {
		within := left
		if top, bounded := object(tier.(map[string]any))["up_to"].(int); bounded {
			within = min(top, left)
		}
		for _, quantity := range []int{within, 0} {
			part := maps.Clone(of)
			part["quantity"] = quantity
			lines = append(lines, s.line(map[string]any(part), 100, s.term[0], s.term[1], false))
		}
		left -= within
	}
	return lines
}

// bills makes the invoice of the term that begins then, or of what is pending alone.
func (s *story) bills(at time.Time, term bool, members map[string]any) {
	lines := s.pending
	s.pending = nil
	if term {
		of := object(s.items[0].(map[string]any)).Child("price.recurring")
		months := map[string]int{"month": 1, "year": 12}[of.Text("interval")] * of["interval_count"].(int)
		s.term = [2]time.Time{at, at.AddDate(0, months, 0)}
		for i := range s.items {
			lines = append(lines, s.termLines(s.items[i])...)
		}
	}
	s.invoices++
	o := map[string]any{"id": fmt.Sprintf("in_%s_%d", s.id, s.invoices), "object": "invoice", "customer": "cus_" + s.id, "currency": "usd", "created": at.Unix(),
		"status": "paid", "amount_paid": 100, "attempted": true, "attempt_count": 1, "collection_method": "charge_automatically", "billing_reason": "subscription_cycle",
		"discounts": s.now["discounts"], "lines": map[string]any{"data": lines}, "parent": map[string]any{"subscription_details": map[string]any{"subscription": s.id}},
		"status_transitions": map[string]any{"finalized_at": at.Unix() + 3600, "paid_at": at.Unix() + 3605}}
	maps.Copy(o, members)
	s.event("invoice.listed_only", at, o, nil)
}

// starts is the first event and the first bill.
func (s *story) starts() *story {
	at := time.Unix(s.now["created"].(int64), 0).UTC()
	s.event("customer.subscription.created", at, s.now, nil)
	s.bills(at, true, map[string]any{"billing_reason": "subscription_create"})
	return s
}

// renews bills one term after the other until a day.
func (s *story) renews(until string) *story {
	for s.term[1].Before(on(until)) {
		s.bills(s.term[1], true, nil)
	}
	return s
}

// changes the items, in proration: billed at once or with the next bill.
func (s *story) changes(at string, atOnce bool, items ...any) *story {
	s.renews(at)
	before := s.items
	for _, item := range before {
		s.pending = append(s.pending, s.line(item, -40, on(at), s.term[1], true))
	}
	s.set(items...)
	for _, item := range s.items {
		s.pending = append(s.pending, s.line(item, 70, on(at), s.term[1], true))
	}
	s.event("customer.subscription.updated", on(at), s.now, map[string]any{"items": map[string]any{"data": before}})
	if atOnce {
		s.bills(on(at), false, map[string]any{"billing_reason": "subscription_update"})
	}
	return s
}

// reprices changes the items for the next term on.
func (s *story) reprices(items ...any) *story {
	before := s.items
	s.set(items...)
	s.event("customer.subscription.updated", s.term[1], s.now, map[string]any{"items": map[string]any{"data": before}})
	s.bills(s.term[1], true, nil)
	return s
}

func (s *story) ends(requested string) *story {
	at := on(requested)
	s.tells("updated", at, map[string]any{"cancel_at_period_end": true, "canceled_at": at.Unix(), "cancel_at": s.term[1].Unix()})
	s.tells("deleted", s.term[1], map[string]any{"status": "canceled", "ended_at": s.term[1].Unix()})
	return s
}

func forever(id string, percent int, subscription any) map[string]any {
	return map[string]any{"id": id, "subscription": subscription, "coupon": map[string]any{"id": "co", "duration": "forever", "percent_off": percent}}
}

// stories are subscriptions that began and changed years ago.
func stories() map[string]*story {
	changing := begins("changing", "2023-02-20", "price_basic", 1).starts().renews("2023-06-10").
		changes("2023-07-03", true, "price_pro", 1).renews("2024-01-25").
		changes("2024-02-09", false, "price_pro", 3).renews("2024-07-22").
		changes("2024-08-11", false, "price_basic", 2).renews("2025-01-02").
		reprices("price_pro_26", 1).renews("2025-06-01").ends("2025-06-05")

	trial := begins("trial", "2024-03-11", "price_pro", 1)
	trial.now["status"], trial.now["trial_end"] = "trialing", on("2024-04-15").Unix()
	trial.event("customer.subscription.created", on("2024-03-11"), trial.now, nil)
	trial.bills(on("2024-03-11"), true, map[string]any{"billing_reason": "subscription_create", "amount_paid": 0,
		"lines": map[string]any{"data": []any{trial.line(trial.items[0], 0, on("2024-03-11"), on("2024-04-15"), false)}}})
	trial.tells("updated", on("2024-04-15"), map[string]any{"status": "active"})
	trial.bills(on("2024-04-15"), true, nil)
	trial.renews("2026-12-20")

	annual := begins("annual", "2023-05-05", "price_year", 2).starts().changes("2023-11-20", false, "price_year", 5).renews("2026-12-20")

	paused := begins("paused", "2024-01-08", "price_basic", 2).starts().renews("2024-04-20")
	paused.tells("updated", paused.term[1], map[string]any{"pause_collection": map[string]any{"behavior": "void"}})
	for range 3 {
		paused.bills(paused.term[1], true, map[string]any{"status": "void", "attempted": false, "attempt_count": 0, "amount_paid": 0})
	}
	paused.tells("updated", paused.term[1], map[string]any{"pause_collection": nil})
	paused.renews("2026-12-20")

	failing := begins("failing", "2024-02-01", "price_pro", 1).starts().renews("2024-05-20")
	failed := failing.term[1]
	failing.tells("updated", failed.Add(time.Hour), map[string]any{"status": "past_due"})
	failing.bills(failed, true, map[string]any{"attempt_count": 4, "status_transitions": map[string]any{"finalized_at": failed.Unix() + 3600, "paid_at": failed.AddDate(0, 0, 12).Unix()}})
	failing.tells("updated", failed.AddDate(0, 0, 12), map[string]any{"status": "active"})
	failing.renews("2025-02-20")
	lost := failing.term[1]
	failing.tells("updated", lost.Add(time.Hour), map[string]any{"status": "past_due"})
	failing.bills(lost, true, map[string]any{"status": "uncollectible", "attempt_count": 4, "amount_paid": 0, "status_transitions": map[string]any{"finalized_at": lost.Unix() + 3600}})
	failing.tells("deleted", lost.AddDate(0, 0, 21), map[string]any{"status": "canceled", "canceled_at": lost.AddDate(0, 0, 21).Unix(), "ended_at": lost.AddDate(0, 0, 21).Unix()})

	discounted := begins("discounted", "2023-09-30", "price_pro", 2, "price_seats", 25, "price_use", nil)
	discounted.now["discounts"] = []any{forever("di_1", 20, "discounted")}
	discounted.starts().renews("2024-03-30").changes("2024-04-04", false, "price_pro", 2, "price_seats", 40, "price_use", nil).renews("2026-12-20")
	for _, e := range discounted.events { // the customer's own is off all that they buy, and no matter of this subscription
		if o := object(e["data"].(map[string]any)["object"].(map[string]any)); o.Text("object") == "invoice" {
			o["discounts"] = append(slices.Clone(o["discounts"].([]any)), forever("di_2", 50, nil))
		}
	}
	gone := begins("gone", "2023-03-15", "price_gone", 2).starts().renews("2024-06-01").reprices("price_basic", 1).renews("2026-12-20")

	return map[string]*story{"changing": changing, "trial": trial, "annual": annual, "paused": paused, "failing": failing, "discounted": discounted, "gone": gone}
}

// stripeOf is the API of the stories' account.
func stripeOf(t testing.TB, told ...*story) http.Handler {
	t.Helper()
	var events []map[string]any
	for _, s := range told {
		events = append(events, s.events...)
	}
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	events = nil
	if err := decoder.Decode(&events); err != nil {
		t.Fatal(err)
	}
	lists := newFakeStripe(events, false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, isPrice := strings.CutPrefix(r.URL.Path, "/v1/prices/")
		switch {
		case isPrice && catalogue[id] != nil && id != "price_gone":
			_ = json.NewEncoder(w).Encode(catalogue[id])
		case isPrice:
			http.NotFound(w, r)
		default:
			lists.ServeHTTP(w, r)
		}
	})
}

// told are the statements of the events about the subscription, and when each happened.
func (s *story) told(t testing.TB, past connectors.Past) (statements [][]revenue.Event, at []time.Time) {
	t.Helper()
	connector := New(DefaultConfig(), nil)
	for _, e := range s.events {
		if e["type"] == "invoice.listed_only" {
			continue
		}
		d := past.Delivery
		d.Body, _ = json.Marshal(e)
		items, err := connector.Decode(t.Context(), d)
		if err != nil || items[0].Err != nil {
			t.Fatal(err, items[0].Err)
		}
		statements, at = append(statements, items[0].Events), append(at, time.Unix(e["created"].(int64), 0))
	}
	return statements, at
}

// monthEnds are what statements come to at the end of each month, by plan, by us and then
// at list prices.
func monthEnds(statements [][]revenue.Event, order []int) string {
	rows, _ := connectortest.Arrive(statements, order)
	return worthByMonth(rows) + worthByMonth(slices.Concat(rows, connectortest.AtListPrices(statements, order)))
}

func worthByMonth(rows []revenue.LedgerRow) string {
	var text strings.Builder
	for month := time.Date(2023, 2, 1, 0, 0, 0, 0, time.UTC); month.Before(connectortest.ReceivedAt); month = month.AddDate(0, 1, 0) {
		worth, active := map[string]int64{}, int64(0)
		for _, row := range rows {
			if row.OccurredAt.Before(month) {
				worth[row.Plan] += int64(row.Sign) * row.MRR
				active += int64(row.Sign) * row.Subscriptions
			}
		}
		maps.DeleteFunc(worth, func(_ string, mrr int64) bool { return mrr == 0 })
		fmt.Fprintf(&text, "%s %v %d\n", month.Format("2006-01"), worth, active)
	}
	return text.String()
}

// steps are when a subscription's worth changed by what is listed of it, how it was known.
func steps(t *testing.T, s *story, heard time.Time) string {
	t.Helper()
	connector := New(DefaultConfig(), nil)
	past := pastOf(t, connector, stripeOf(t, s), nil, heard)
	var text []string
	for _, e := range slices.Concat(connectortest.ReadPast(t, connector, past, isSubscriptions, nil)...) {
		how := "stated"
		if e.Presumed {
			how = "presumed"
		}
		if connectors.IsEstimated(&e) {
			how = "estimated"
		}
		text = append(text, fmt.Sprintf("%s %s %s %d", e.OccurredAt.Format("2006-01-02"), how, e.Status, e.MRR/revenue.MRRScale))
	}
	slices.Sort(text)
	return strings.Join(text, "; ")
}

// Where bills do not tell when something changed, the next one does; where there is none,
// what is known later is taken, marked; and what is so today and no bill says, is so today.
func TestWhatBillsLeaveOpen(t *testing.T) {
	unprorated := begins("unprorated", "2024-01-10", "price_basic", 1).starts().renews("2024-03-01")
	unprorated.set("price_pro", 1)
	unprorated.event("customer.subscription.updated", on("2024-02-20"), unprorated.now, nil)
	unprorated.renews("2026-12-20")

	twice := begins("twice", "2024-01-10", "price_basic", 1).starts().changes("2024-02-20", false, "price_pro", 1)
	twice.changes("2024-02-20", false, "price_pro", 2).renews("2026-12-20")

	unbilled := begins("unbilled", "2024-01-10", "price_basic", 1)
	unbilled.event("customer.subscription.created", on("2024-01-10"), unbilled.now, nil)
	unbilled.bills(on("2024-05-10"), true, nil)
	unbilled.renews("2026-12-20")

	silent := begins("silent", "2026-05-10", "price_year", 1).starts()
	silent.set("price_year", 3)
	silent.event("customer.subscription.updated", on("2026-08-20"), silent.now, nil)

	ending := begins("ending", "2024-01-10", "price_basic", 1).starts().renews("2026-12-20")
	ending.tells("updated", on("2026-12-22"), map[string]any{"cancel_at_period_end": true, "canceled_at": on("2026-12-22").Unix(), "cancel_at": ending.term[1].Unix()})

	sent := begins("sent", "2026-05-10", "price_basic", 1).starts()
	due := sent.term[1].AddDate(0, 0, 14)
	sent.bills(sent.term[1], true, map[string]any{"collection_method": "send_invoice", "due_date": due.Unix(),
		"status_transitions": map[string]any{"paid_at": due.AddDate(0, 0, 3).Unix()}})

	drafts := begins("drafts", "2026-08-10", "price_basic", 1).starts()
	drafts.bills(drafts.term[1], true, map[string]any{"status": "draft", "auto_advance": false, "attempted": false, "attempt_count": 0})

	unpaid := begins("unpaid", "2026-08-10", "price_basic", 1).starts()
	unpaid.bills(unpaid.term[1], true, map[string]any{"status": "open", "attempt_count": 4})
	for range 3 {
		unpaid.bills(unpaid.term[1], true, map[string]any{"status": "draft", "attempted": false, "attempt_count": 0})
	}
	unpaid.now["status"] = "unpaid"

	never := begins("never", "2026-05-10", "price_basic", 1)
	never.now["status"] = "incomplete_expired"
	never.event("customer.subscription.created", on("2026-05-10"), never.now, nil)
	never.bills(on("2026-05-10"), true, map[string]any{"status": "void", "billing_reason": "subscription_create"})

	for _, c := range []struct {
		s    *story
		want string
	}{
		{unprorated, "2024-01-10 presumed active 2000; 2024-03-10 presumed active 5000"},
		{twice, "2024-01-10 presumed active 2000; 2024-03-10 presumed active 10000"},
		{unbilled, "2024-01-10 estimated active 2000; 2024-05-10 presumed active 2000"},
		{silent, "2026-05-10 presumed active 4000; 2027-01-01 stated active 12000"},
		{ending, "2024-01-10 presumed active 2000; 2026-12-22 stated active 2000"},
		{sent, "2026-05-10 presumed active 2000; 2026-06-24 presumed past_due 2000; 2026-06-27 presumed active 2000; 2026-07-10 presumed paused 2000; 2027-01-01 stated active 2000"},
		{drafts, "2026-08-10 presumed active 2000; 2026-10-10 presumed paused 2000; 2027-01-01 stated active 2000"},
		{unpaid, "2026-08-10 presumed active 2000; 2026-09-10 presumed past_due 2000; 2026-10-10 presumed unpaid 2000"},
		{never, "2026-05-10 stated unpaid 2000"},
	} {
		if got := steps(t, c.s, connectortest.ReceivedAt); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.s.id, got, c.want)
		}
	}
}

func isSubscriptions(s connectors.Stream) bool { return s.Name == "subscriptions" }

func ascending(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// What a subscription was worth at the end of each month of years, by plan, and whether it
// counted as active, is the same whether its events were delivered, or nobody was told and
// its bills are all that is left; and from any moment between on, in any order of arrival
// and with repeats.
func TestBillsTellWhatWasNotTold(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	all := stories()
	maps.Copy(all, turns())
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			api := stripeOf(t, s)
			past := pastOf(t, connector, api, nil, connectortest.ReceivedAt)
			told, at := s.told(t, past)
			want := monthEnds(told, ascending(len(told)))
			listed := connectortest.ReadPast(t, connector, past, isSubscriptions, nil)
			if got := monthEnds(listed, ascending(len(listed))); got != want {
				t.Fatalf("by its bills\n%s\nby its events\n%s", got, want)
			}
			if presumed := connectortest.Presumed(t, listed); len(presumed) != 0 {
				t.Errorf("%v is estimated, though bills tell", presumed)
			}
			if strings.Contains(fmt.Sprint(listed), "mrr_unknown") {
				t.Errorf("something is not known: %+v", listed)
			}
			rapid.Check(t, func(r *rapid.T) {
				first := rapid.IntRange(0, len(told)-1).Draw(r, "told from")
				past.Heard = at[first]
				arrived := append(connectortest.ReadPast(t, connector, past, isSubscriptions, nil), told[first:]...)
				order := connectortest.Orders(len(arrived)).Draw(r, "order")
				if got := monthEnds(arrived, order); got != want {
					r.Fatalf("told from %v\n%s\nwant\n%s", at[first], got, want)
				}
			})
		})
	}
}

// A past that is read again by an endpoint that is younger than the deliveries changes
// nothing of what they told.
func TestBillsYieldToWhatWasTold(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	// Of an end that was asked for and then was not, the bills in between know nothing.
	wavering := begins("wavering", "2024-01-10", "price_basic", 1).starts()
	wavering.tells("updated", on("2024-02-01"), map[string]any{"canceled_at": on("2024-02-01").Unix(), "cancel_at": on("2024-07-10").Unix()})
	wavering.renews("2024-02-20").set("price_pro", 1)
	wavering.event("customer.subscription.updated", on("2024-02-20"), wavering.now, nil)
	wavering.renews("2024-05-20").tells("updated", on("2024-05-20"), map[string]any{"canceled_at": nil, "cancel_at": nil})
	wavering.renews("2026-12-20")
	all := stories()
	all["wavering"] = wavering
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			past := pastOf(t, connector, stripeOf(t, s), nil, connectortest.ReceivedAt)
			told, _ := s.told(t, past)
			_, want := connectortest.Arrive(told, ascending(len(told)))
			arrived := append(told, connectortest.ReadPast(t, connector, past, isSubscriptions, nil)...)
			rapid.Check(t, func(r *rapid.T) {
				if _, got := connectortest.Arrive(arrived, connectortest.Orders(len(arrived)).Draw(r, "order")); got != want {
					r.Fatalf("with the bills\n%s\nwithout\n%s", got, want)
				}
			})
		})
	}
}
