package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

// TestAPI: what cannot be read now makes Stripe send the event again; what is not
// there, or is refused to the key, is left unknown, and the latter is said; and requests
// are for the account of the event.
func TestAPI(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusOK: "link charge", http.StatusNotFound: "charge attribution",
		http.StatusUnauthorized: "charge attribution", http.StatusForbidden: "charge attribution", http.StatusBadRequest: "charge attribution",
		http.StatusTooManyRequests: "", http.StatusConflict: "", http.StatusInternalServerError: "",
	} {
		var asked []*http.Request
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"inpay_1","status":"paid","amount_paid":2000,"invoice":"in_1"}]}`))
		}))
		connector := New(DefaultConfig(), nil)
		settings, err := connector.Settle(map[string]string{"api_key": "rk_of_the_tests", "api_url": server.URL})
		if err != nil {
			t.Fatal(err)
		}
		f := fixture{Type: "payment_intent.succeeded", Created: 1767225600, APIVersion: "2025-08-27.basil", Account: "acct_connected",
			Object: []byte(`{"id":"pi_1","amount_received":2000,"currency":"usd","customer":"cus_1"}`)}
		d := delivery(f.body(t, "evt_1"))
		d.Settings = settings
		item, err := decodeWith(connector)(t.Context(), d)
		server.Close()
		if want == "" {
			if err == nil || errors.Is(err, connectors.ErrMalformed) || errors.Is(err, connectors.ErrBadSignature) || strings.Contains(err.Error(), "rk_of") {
				t.Errorf("%d: %v", status, err)
			}
			continue
		}
		var kinds []string
		for _, e := range item.Events {
			kinds = append(kinds, string(e.Kind))
		}
		if got := strings.Join(kinds, " "); got != want || err != nil {
			t.Errorf("%d: %s, %v", status, got, err)
		}
		if refused := status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest; (item.Outcome() == connectors.OutcomeIncomplete) != refused ||
			refused && !strings.Contains(item.Lacks.Error(), "/v1/invoice_payments with "+strconv.Itoa(status)) {
			t.Errorf("%d: %s, lacks %v", status, item.Outcome(), item.Lacks)
		}
		if len(asked) != 1 || asked[0].Header.Get("Authorization") != "Bearer rk_of_the_tests" || asked[0].Header.Get("Stripe-Version") != apiVersion ||
			asked[0].Header.Get("Stripe-Account") != "acct_connected" {
			t.Errorf("%d: asked %+v", status, asked)
		}
	}
}

// TestAKeyWithTooFewRights: each kind of object that a key may not read leaves unknown what
// is unknown without a key, says so, and keeps nothing back.
func TestAKeyWithTooFewRights(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":{"message":"Having 'rak_price_read' would allow this request."}}`))
	}))
	defer server.Close()
	connector := New(DefaultConfig(), nil)
	tiered := `{"id":"sub_1","object":"subscription","status":"active","customer":"cus_1","currency":"usd","created":1767225600,%s
		"items":{"data":[{"id":"si_1","quantity":1,"price":{"id":"price_1","currency":"usd","unit_amount":1000,%s"recurring":{"interval":"month"}}}]}}`
	for about, f := range map[string]fixture{
		"/v1/prices/price_1": {Type: "customer.subscription.updated", Created: 1767225600,
			Object: fmt.Appendf(nil, tiered, "", `"billing_scheme":"tiered",`)},
		"/v1/subscriptions/sub_1": {Type: "customer.subscription.created", Created: 1767225600,
			Object: fmt.Appendf(nil, tiered, `"discounts":["di_1"],`, "")},
		"/v1/balance_transactions/txn_1": {Type: "charge.succeeded", Created: 1767225600, APIVersion: "2024-06-20",
			Object: []byte(`{"id":"ch_1","object":"charge","status":"succeeded","paid":true,"captured":true,"currency":"usd","amount":1000,"amount_captured":1000,"created":1767225600,"balance_transaction":"txn_1"}`)},
	} {
		d := delivery(f.body(t, "evt_1"))
		without, err := decodeWith(connector)(t.Context(), d)
		if err != nil || without.Outcome() != connectors.OutcomeBooked {
			t.Fatalf("%s: without a key %s, %v", about, without.Outcome(), err)
		}
		if d.Settings, err = connector.Settle(map[string]string{"api_key": "rk_of_the_tests", "api_url": server.URL}); err != nil {
			t.Fatal(err)
		}
		item, err := decodeWith(connector)(t.Context(), d)
		if err != nil || item.Outcome() != connectors.OutcomeIncomplete || !strings.Contains(item.Lacks.Error(), about+" with 403 Forbidden: Having 'rak_price_read'") {
			t.Errorf("%s: %s, %v, lacks %v", about, item.Outcome(), err, item.Lacks)
		}
		if !reflect.DeepEqual(item.Events, without.Events) {
			t.Errorf("%s: %+v, without a key %+v", about, item.Events, without.Events)
		}
		if unknown := strings.Contains(string(item.Events[0].Metadata), "mrr_unknown"); unknown != strings.HasPrefix(f.Type, "customer.") {
			t.Errorf("%s: metadata %s", about, item.Events[0].Metadata)
		}
	}
	past := pastOf(t, connector, server.Config.Handler, nil, testReceivedAt)
	for _, stream := range connector.History.Streams {
		if _, err := stream.Page(t.Context(), past, connectortest.All(), ""); !errors.As(err, new(*connectors.RefusedError)) {
			t.Errorf("the past of %s: %v", stream.Name, err)
		}
	}
}

// TestThePastNeedsAllRights: what a delivery goes without stops a backfill, whose reader can
// mend the key.
func TestThePastNeedsAllRights(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/subscriptions" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"data":[{"id":"sub_1","object":"subscription","status":"active","customer":"cus_1","currency":"usd","created":1767225600,"livemode":true,
			"items":{"data":[{"id":"si_1","quantity":1,"price":{"id":"price_1","currency":"usd","billing_scheme":"tiered","recurring":{"interval":"month"}}}]}}]}`))
	}))
	defer server.Close()
	connector := New(DefaultConfig(), nil)
	past := pastOf(t, connector, server.Config.Handler, nil, testReceivedAt)
	at := slices.IndexFunc(connector.History.Streams, func(s connectors.Stream) bool { return s.Name == "subscriptions" })
	if page, err := connector.History.Streams[at].Page(t.Context(), past, connectortest.All(), ""); err == nil || !strings.Contains(err.Error(), "/v1/prices/price_1 with 403") {
		t.Errorf("%+v, %v", page, err)
	}
}
