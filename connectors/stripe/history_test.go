package stripe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// fakeStripe has the objects and the events of scenarios, in pages of three.
type fakeStripe struct {
	t       testing.TB
	mu      sync.Mutex
	lists   map[string][]map[string]any // by path
	objects map[string]map[string]any
	fail    func(n int) int // the status to answer the nth request with; 0 is none
	answers int
}

// listOf is the list that has objects of a kind.
var listOf = map[string]string{
	"invoice": "/v1/invoices", "invoice_payment": "/v1/invoice_payments", "payment_intent": "/v1/payment_intents", "charge": "/v1/charges",
	"refund": "/v1/refunds", "dispute": "/v1/disputes", "subscription": "/v1/subscriptions", "checkout.session": "/v1/checkout/sessions",
}

// newFakeStripe knows every object as the last event about it showed it.
func newFakeStripe(t testing.TB, events []map[string]any, withEvents bool) *fakeStripe {
	f := &fakeStripe{t: t, lists: map[string][]map[string]any{}, objects: map[string]map[string]any{}}
	objects := f.objects
	var order []string
	for _, event := range events {
		o := event["data"].(map[string]any)["object"].(map[string]any)
		id := fmt.Sprint(o["id"])
		if _, known := objects[id]; !known {
			order = append(order, id)
		}
		o = maps.Clone(o)
		o["livemode"] = event["livemode"]
		if o["created"] == nil {
			o["created"] = event["created"]
		}
		if o["object"] == "payment_intent" && o["latest_charge"] == nil {
			// Expanded, it says when the payment was made; a little before its event.
			o["latest_charge"] = map[string]any{"id": "ch_of_" + id, "created": int64(number(event["created"])) - 2}
		}
		objects[id] = o
		if withEvents {
			f.lists["/v1/events"] = append(f.lists["/v1/events"], event)
		}
	}
	for _, id := range implied(objects, events) {
		if _, known := objects[id]; known && !slices.Contains(order, id) {
			order = append(order, id)
		}
	}
	for _, id := range order {
		o := objects[id]
		path := listOf[fmt.Sprint(o["object"])]
		f.lists[path] = append(f.lists[path], o)
	}
	return f
}

// implied adds the objects that Stripe's API has and no event of a scenario shows: which
// payment was for which invoice, and the refunds behind what a charge says of them.
func implied(objects map[string]map[string]any, events []map[string]any) (ids []string) {
	add := func(kind, id string, event map[string]any, members map[string]any) {
		if objects[id] == nil {
			members["object"], members["id"], members["created"], members["livemode"] = kind, id, event["created"], event["livemode"]
			objects[id] = members
			ids = append(ids, id)
		}
	}
	told := map[string]bool{} // payments with refunds of their own
	for _, event := range events {
		o := object(event["data"].(map[string]any)["object"].(map[string]any))
		if o.Text("object") == "refund" {
			told[paymentOf(o)] = true
		}
	}
	for _, event := range events {
		o := object(event["data"].(map[string]any)["object"].(map[string]any))
		payment, invoice, paid := "", "", o.Count("amount_received", "amount_total")
		switch o.Text("object") {
		case "invoice":
			payment, invoice, paid = o.ID("payment_intent", "charge"), o.ID("id"), o.Count("amount_paid")
		case "payment_intent":
			payment, invoice = o.ID("id"), o.ID("invoice")
		case "checkout.session":
			payment, invoice = o.ID("payment_intent"), o.ID("invoice")
		case "charge":
			for _, refund := range list(o, "refunds") {
				refund = maps.Clone(refund)
				refund["charge"] = o["id"]
				add("refund", refund.ID("id"), event, refund)
				told[cmp.Or(o.ID("payment_intent"), o.ID("id"))] = true
			}
			of := cmp.Or(o.ID("payment_intent"), o.ID("id"))
			if o.Count("amount_refunded") > 0 && o.Has("captured") && o.Flag("captured") && !told[of] {
				objects["re_of_"+of] = nil // the last total stands
				add("refund", "re_of_"+of, event, map[string]any{"amount": o["amount_refunded"], "currency": o["currency"], "charge": o["id"],
					"payment_intent": o["payment_intent"], "status": "succeeded"})
			}
		}
		if payment != "" && invoice != "" && paid > 0 {
			add("invoice_payment", "inpay_of_"+payment+invoice, event, map[string]any{"invoice": invoice, "amount_paid": json.Number(strconv.FormatInt(paid, 10)),
				"currency": o["currency"], "status": "paid", "payment": map[string]any{"type": "payment_intent", "payment_intent": payment}})
		}
	}
	return ids
}

func number(value any) float64 {
	n, _ := strconv.ParseFloat(fmt.Sprint(value), 64)
	return n
}

// ServeHTTP answers as Stripe: newest first, a cursor, has_more, errors now and then.
func (f *fakeStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers++
	if r.Header.Get("Authorization") != "Bearer rk_of_the_tests" || r.Header.Get("Stripe-Version") == "" {
		http.Error(w, "no key", http.StatusUnauthorized)
		return
	}
	if f.fail != nil {
		if status := f.fail(f.answers); status != 0 {
			w.Header().Set("Stripe-Rate-Limited-Reason", "global-rate")
			http.Error(w, "not now", status)
			return
		}
	}
	if r.URL.Path != "/v1/events" && !slices.Contains(slices.Collect(maps.Values(listOf)), r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	query := r.URL.Query()
	from, until := number(query.Get("created[gte]")), number(query.Get("created[lt]"))
	var found []map[string]any
	for _, o := range f.lists[r.URL.Path] {
		at := number(o["created"])
		wanted := query.Get("created[gte]") == "" || at >= from && at < until
		if types := query["types[]"]; len(types) > 0 {
			wanted = wanted && slices.Contains(types, fmt.Sprint(o["type"]))
		}
		if payment := query.Get("payment[payment_intent]"); payment != "" {
			wanted = wanted && strings.Contains(fmt.Sprint(o["payment"]), payment)
		}
		if wanted {
			found = append(found, o)
		}
	}
	slices.SortStableFunc(found, func(a, b map[string]any) int { return int(number(b["created"]) - number(a["created"])) })
	if after := query.Get("starting_after"); after != "" {
		i := slices.IndexFunc(found, func(o map[string]any) bool { return o["id"] == after })
		if i < 0 {
			http.Error(w, "no such cursor", http.StatusBadRequest)
			return
		}
		found = found[i+1:]
	}
	page := slices.Clone(found[:min(3, len(found))])
	for i, o := range page {
		if charge := f.objects[fmt.Sprint(o["charge"])]; charge != nil && slices.Contains(query["expand[]"], "data.charge") {
			page[i] = maps.Clone(o)
			page[i]["charge"] = charge
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": append([]map[string]any{}, page...), "has_more": len(found) > len(page)})
}

// eventsOf are the events that the deliveries of a scenario carry.
func eventsOf(t testing.TB, scenario connectortest.Scenario) []map[string]any {
	t.Helper()
	var events []map[string]any
	for _, fixture := range scenario.Deliveries {
		decoder := json.NewDecoder(strings.NewReader(string(fixture.Body)))
		decoder.UseNumber()
		var event map[string]any
		if err := decoder.Decode(&event); err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

// pastOf reads the past of a fake account. Until heard, nobody told of changes.
func pastOf(t testing.TB, connector connectors.Connector, fake http.Handler, settings map[string]string, heard time.Time) connectors.Past {
	t.Helper()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	given := maps.Clone(settings)
	if given == nil {
		given = map[string]string{}
	}
	given["api_url"], given["api_key"] = server.URL, "rk_of_the_tests"
	settled, err := connector.Settle(given)
	if err != nil {
		t.Fatal(err)
	}
	return connectors.Past{
		Delivery: connectors.Delivery{
			Workspace: "acme", Integration: "we_1", Account: "acct_1", Livemode: true, Settings: settled, ReceivedAt: connectortest.ReceivedAt,
		},
		Heard: heard,
	}
}

// readPast reads streams of the past to their ends.
func readPast(t testing.TB, connector connectors.Connector, past connectors.Past, wanted func(connectors.Stream) bool) [][]revenue.Event {
	t.Helper()
	window := connectors.Window{From: time.Unix(0, 0), Until: connectortest.ReceivedAt}
	var statements [][]revenue.Event
	for _, stream := range connector.History.Streams {
		if !wanted(stream) {
			continue
		}
		for cursor := ""; ; {
			page, err := stream.Page(context.Background(), past, window, cursor)
			if err != nil {
				t.Fatalf("%s: %v", stream.Name, err)
			}
			for _, item := range page.Items {
				if item.Err != nil {
					t.Fatalf("%s: %s: %v", stream.Name, item.ID, item.Err)
				}
				statements = append(statements, item.Events)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return statements
}

func isEvents(stream connectors.Stream) bool { return stream.KeptFor > 0 }

// comesTo is what statements that arrive in an order come to: what is believed, and the
// cash by kind and currency.
func comesTo(statements [][]revenue.Event) (believed string, cash map[string]int64) {
	order := make([]int, len(statements))
	for i := range order {
		order[i] = i
	}
	rows, believed := connectortest.Arrive(statements, order)
	cash = map[string]int64{}
	for _, row := range rows {
		if row.Kind.Family() == revenue.FamilyCash {
			cash[string(row.Kind)+" "+row.Currency] += int64(row.Sign) * row.Amount
		}
	}
	maps.DeleteFunc(cash, func(_ string, sum int64) bool { return sum == 0 })
	return believed, cash
}

// backfilled are the scenarios whose whole story is in events, live, of one account:
// what those of other accounts say cannot be asked for with this one's key.
func backfilled(t *testing.T) []connectortest.Scenario {
	return slices.DeleteFunc(connectortest.Load(t, "."), func(s connectortest.Scenario) bool {
		return s.API != nil || s.Test || slices.ContainsFunc(eventsOf(t, s), func(e map[string]any) bool {
			return e["account"] != nil || e["livemode"] != true
		})
	})
}

// An outage in which any of the deliveries are lost, followed by a backfill, comes to
// what it would have come to without one, to the last entry; and a backfill without an
// outage changes nothing.
func TestOutageAndBackfill(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	for _, scenario := range backfilled(t) {
		t.Run(scenario.Name, func(t *testing.T) {
			fake := newFakeStripe(t, eventsOf(t, scenario), true)
			past := pastOf(t, connector, fake, scenario.Settings, time.Unix(0, 0))
			heard := scenario.Statements(t, connector, past.Delivery.Settings)
			want, _ := comesTo(heard)
			read := readPast(t, connector, past, isEvents)
			rapid.Check(t, func(r *rapid.T) {
				var arrived [][]revenue.Event
				for _, statements := range heard {
					if rapid.Bool().Draw(r, "delivered") {
						arrived = append(arrived, statements)
					}
				}
				arrived = append(arrived, read...)
				if got, _ := comesTo(arrived); got != want {
					r.Fatalf("after the backfill\n%s\nwithout an outage\n%s", got, want)
				}
			})
		})
	}
}

// The lists of objects alone, for what happened before there were events, come to the
// same money.
func TestListsComeToTheSameCash(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	for _, scenario := range backfilled(t) {
		if scenario.Name == "partial_capture_2020" {
			continue // in a version that lists are not asked for in, and no later one shows it
		}
		t.Run(scenario.Name, func(t *testing.T) {
			fake := newFakeStripe(t, eventsOf(t, scenario), false)
			past := pastOf(t, connector, fake, scenario.Settings, connectortest.ReceivedAt)
			listed := readPast(t, connector, past, func(s connectors.Stream) bool { return !isEvents(s) })
			_, cash := comesTo(listed)
			heard := scenario.Statements(t, connector, past.Delivery.Settings)
			_, want := comesTo(heard)
			if fmt.Sprint(total(cash)) != fmt.Sprint(total(want)) {
				t.Errorf("the lists come to %v, the events to %v", cash, want)
			}
			both, cashOfBoth := comesTo(append(heard, listed...))
			if fmt.Sprint(cashOfBoth) != fmt.Sprint(want) {
				t.Errorf("with the lists on top %v, without %v\n%s", cashOfBoth, want, both)
			}
		})
	}
}

// total sums up by currency and direction.
func total(cash map[string]int64) map[string]int64 {
	sums := map[string]int64{}
	for name, amount := range cash {
		kind, currency, _ := strings.Cut(name, " ")
		switch kind {
		case "refund", "dispute", "dispute_reversal", "fee":
			sums[name] += amount
		default:
			sums["charge "+currency] += amount
		}
	}
	return sums
}
