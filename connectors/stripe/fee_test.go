package stripe

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// feesOf are the fees among statements, by what they are of.
func feesOf(events []revenue.Event) map[string]string {
	fees := map[string]string{}
	for _, e := range events {
		if e.Kind == revenue.KindFee {
			fees[e.ObjectID+" of "+e.Payment] = fmt.Sprintf("%d %s", e.Amount, e.Currency)
		}
	}
	return fees
}

// A fee is known from the balance transaction that a body shows, in the currency of
// settlement, and of a refund it may be given back.
func TestFeesThatBodiesShow(t *testing.T) {
	payment := `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd","latest_charge":{"id":"ch_1","object":"charge","balance_transaction":%s}}}`
	charge := `{"type":"charge.updated","created":1767225600,"object":{"id":"ch_1","object":"charge","captured":true,"payment_intent":"pi_1","balance_transaction":%s}}`
	alone := `{"type":"charge.succeeded","created":1767225600,"object":{"id":"ch_1","object":"charge","created":1767225600,"captured":true,"amount":2000,"currency":"usd","balance_transaction":%s}}`
	refund := `{"type":"refund.updated","created":1767225600,"object":{"id":"re_1","object":"refund","amount":2000,"currency":"usd","status":"succeeded","charge":"ch_1","payment_intent":"pi_1","balance_transaction":%s}}`
	taken, none := `{"id":"txn_1","fee":88,"currency":"eur","created":1767225601}`, map[string]string{}
	for _, c := range []struct {
		body, transaction string
		want              map[string]string
	}{
		{payment, taken, map[string]string{"txn_1 of pi_1": "88 EUR"}},
		{charge, taken, map[string]string{"txn_1 of pi_1": "88 EUR"}},
		{alone, taken, map[string]string{"txn_1 of ch_1": "88 EUR"}},
		{refund, `{"id":"txn_2","fee":-30,"currency":"usd"}`, map[string]string{"txn_2 of pi_1": "-30 USD"}},
		{payment, `{"id":"txn_1","fee":0,"currency":"eur"}`, none},
		{payment, `"txn_1"`, none}, {payment, `null`, none}, {refund, `null`, none},
	} {
		if got := feesOf(decodeOne(t, fmt.Sprintf(c.body, c.transaction)).Events); !maps.Equal(got, c.want) {
			t.Errorf("%s of %s: %v, want %v", c.transaction, c.body[:40], got, c.want)
		}
	}
}

// books are the balance transactions of a sale of 20.00 USD that is settled in euros,
// of which a part is refunded and the rest disputed and won, and of two fees of Stripe.
var books = []string{
	`{"id":"txn_c","object":"balance_transaction","reporting_category":"charge","amount":1800,"fee":80,"net":1720,"currency":"eur","created":1767225602,
	  "source":{"id":"ch_1","object":"charge","payment_intent":"pi_1","amount":2000,"currency":"usd"}}`,
	`{"id":"txn_r","object":"balance_transaction","reporting_category":"refund","amount":-450,"fee":-5,"net":-445,"currency":"eur","created":1767312000,
	  "source":{"id":"re_1","object":"refund","charge":"ch_1","payment_intent":"pi_1","amount":500,"currency":"usd"}}`,
	`{"id":"txn_w","object":"balance_transaction","reporting_category":"dispute","amount":-1350,"fee":1500,"net":-2850,"currency":"eur","created":1767398400,"source":DISPUTE}`,
	`{"id":"txn_b","object":"balance_transaction","reporting_category":"dispute_reversal","amount":1350,"fee":0,"net":1350,"currency":"eur","created":1769990400,"source":DISPUTE}`,
	`{"id":"txn_f","object":"balance_transaction","reporting_category":"fee","amount":-250,"fee":0,"net":-250,"currency":"eur","created":1769990401,"source":null}`,
	`{"id":"txn_n","object":"balance_transaction","reporting_category":"network_cost","amount":-7,"fee":0,"net":-7,"currency":"eur","created":1769990402}`,
	`{"id":"txn_p","object":"balance_transaction","reporting_category":"payout","amount":-9000,"fee":0,"net":-9000,"currency":"eur","created":1769990403,"source":{"id":"po_1","object":"payout"}}`,
}

const disputeOfBooks = `{"id":"dp_1","object":"dispute","amount":1500,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","status":"won","created":1767398400,
	"balance_transactions":[{"id":"txn_w","amount":-1350,"fee":1500,"currency":"eur","created":1767398400},{"id":"txn_b","amount":1350,"fee":0,"currency":"eur","created":1769990400}]}`

func booksOf(t *testing.T) []map[string]any {
	t.Helper()
	var scenario connectortest.Scenario
	for _, text := range books {
		scenario.Deliveries = append(scenario.Deliveries, connectortest.Fixture{Body: []byte(strings.ReplaceAll(text, "DISPUTE", disputeOfBooks))})
	}
	return scenario.Bodies(t)
}

// accountWithBooks has the list of balance transactions and each of them, and the charge.
func accountWithBooks(t *testing.T) http.Handler {
	t.Helper()
	transactions := booksOf(t)
	lists := &connectortest.API{
		Cursor: "starting_after", PageSize: 2,
		Authorised: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer rk_of_the_tests" },
		Find: func(r *http.Request) ([]map[string]any, bool) {
			return transactions, r.URL.Path == "/v1/balance_transactions"
		},
		Render: func(page []map[string]any, next string) any {
			return map[string]any{"data": page, "has_more": next != ""}
		},
	}
	single := http.NewServeMux()
	for i, text := range books {
		single.HandleFunc("/v1/balance_transactions/"+fmt.Sprint(transactions[i]["id"]), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, strings.ReplaceAll(text, "DISPUTE", `"dp_1"`))
		})
	}
	single.HandleFunc("/v1/charges/ch_1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("expand[]") != "balance_transaction" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = fmt.Fprintf(w, `{"id":"ch_1","object":"charge","payment_intent":"pi_1","balance_transaction":%s}`, books[0])
	})
	single.Handle("/", lists)
	return single
}

// Whether a fee is heard of from a body, looked up for an event or found in the books, in
// whatever order and however often, it counts once.
func TestFeesCountOnce(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	past := connectortest.Past(t, connector, accountWithBooks(t), map[string]string{"api_key": "rk_of_the_tests"}, true, connectortest.ReceivedAt)
	isBooks := func(s connectors.Stream) bool { return s.Name == "balance transactions" }
	listed := connectortest.ReadPast(t, connector, past, isBooks, nil)
	var heard [][]revenue.Event
	for i, f := range []fixture{
		{Type: "payment_intent.succeeded", Object: []byte(`{"id":"pi_1","object":"payment_intent","amount_received":2000,"currency":"usd","latest_charge":"ch_1"}`)},
		{Type: "charge.succeeded", Object: []byte(`{"id":"ch_1","object":"charge","created":1767225600,"captured":true,"amount":2000,"currency":"usd","payment_intent":"pi_1","balance_transaction":null}`)},
		{Type: "charge.updated", Object: []byte(`{"id":"ch_1","object":"charge","created":1767225600,"captured":true,"amount":2000,"currency":"usd","payment_intent":"pi_1","balance_transaction":"txn_c"}`)},
		{Type: "refund.created", Object: []byte(`{"id":"re_1","object":"refund","amount":500,"currency":"usd","status":"succeeded","charge":"ch_1","payment_intent":"pi_1","balance_transaction":"txn_r"}`)},
		{Type: "charge.dispute.funds_reinstated", Object: []byte(disputeOfBooks)},
	} {
		f.Created, f.APIVersion = 1767225600, "2025-02-24.acacia"
		d := past.Delivery
		d.Body = f.body(t, fmt.Sprintf("evt_%d", i))
		items, err := connector.Decode(t.Context(), d)
		if err != nil || items[0].Err != nil {
			t.Fatalf("%s: %+v, %v", f.Type, items, err)
		}
		heard = append(heard, items[0].Events)
	}
	const want = "-1832" // 80 - 5 + 1500 + 250 + 7
	rapid.Check(t, func(r *rapid.T) {
		arrived := slices.Clone(listed)
		for _, statements := range heard {
			if rapid.Bool().Draw(r, "heard") {
				arrived = slices.Insert(arrived, rapid.IntRange(0, len(arrived)).Draw(r, "at"), statements)
			}
		}
		if got := fmt.Sprint(connectortest.Cash(arrived)["fee EUR"]); got != want {
			r.Fatalf("fees of %s, want %s", got, want)
		}
	})
	if got := connectortest.Cash(heard)["fee EUR"]; got != -1575 {
		t.Errorf("without the books %d", got)
	}
	for _, events := range append(slices.Clone(heard), listed...) {
		for _, e := range events {
			if e.Kind == revenue.KindFee && !strings.HasSuffix(e.Group, "|pi_1") && e.ObjectID != "txn_f" && e.ObjectID != "txn_n" {
				t.Errorf("a fee in the group %s: %+v", e.Group, e)
			}
		}
	}
}

// A fee that the API does not tell is counted, and holds no money up.
func TestFeesThatCannotBeLookedUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not yours", http.StatusForbidden) }))
	defer server.Close()
	registry := prometheus.NewRegistry()
	connector := New(DefaultConfig(), registry)
	settings, err := connector.Settle(map[string]string{"api_key": "rk_of_the_tests", "api_url": server.URL})
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{Type: "refund.created", Created: 1767225600, Object: []byte(`{"id":"re_1","amount":500,"currency":"usd","status":"succeeded","payment_intent":"pi_1","balance_transaction":"txn_r"}`)}
	d := delivery(f.body(t, "evt_1"))
	d.Settings = settings
	item, err := decodeWith(connector)(t.Context(), d)
	if err != nil || len(item.Events) != 1 || item.Events[0].Kind != revenue.KindRefund {
		t.Errorf("%+v, %v", item, err)
	}
	want := "# HELP " + feesUnknownName + " " + feesUnknownHelp + "\n# TYPE " + feesUnknownName + " counter\n" + feesUnknownName + " 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), feesUnknownName); err != nil {
		t.Error(err)
	}
}
