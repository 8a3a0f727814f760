package stripe

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"revstream/connectors/connectortest"
)

// stripeMock is Stripe's own mock of its API, which refuses what its description does not
// have: paths, parameters, expansions. It notes how each kind of request was answered.
type stripeMock struct {
	stub  *server.StubServer
	asked map[string][]int
}

func newStripeMock(t *testing.T) *stripeMock {
	t.Helper()
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return &stripeMock{stub, map[string][]int{}}
}

// objectID is the id of an object in a path.
var objectID = regexp.MustCompile(`/(txn|ch|price|sub)_\w+$`)

func (m *stripeMock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	m.stub.HandleRequest(answer, r)
	what := objectID.ReplaceAllString(r.URL.Path, "/ID")
	m.asked[what] = append(m.asked[what], answer.Code)
	if answer.Code != http.StatusOK {
		m.asked["refused: "+r.URL.String()+": "+answer.Body.String()] = nil
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// Every request that a backfill, a reconciliation or an event makes is one that Stripe's
// description of its API has. What the mock answers is made up, and not looked at.
func TestRequestsAreWellFormed(t *testing.T) {
	mock := newStripeMock(t)
	connector := New(DefaultConfig(), nil)
	past := connectortest.Past(t, connector, mock, map[string]string{"api_key": "sk_test_123"}, true, connectortest.ReceivedAt)
	for _, stream := range connector.History.Streams {
		for _, cursor := range []string{"", "obj_1"} {
			if _, err := stream.Page(t.Context(), past, connectortest.All(), cursor); err != nil {
				t.Errorf("%s from %q: %v", stream.Name, cursor, err)
			}
		}
	}
	_, _ = connector.History.Totals(t.Context(), past, connectortest.All())
	for i, f := range []fixture{
		{Type: "payment_intent.succeeded", Object: []byte(`{"id":"pi_1","object":"payment_intent","amount_received":2000,"currency":"usd","customer":"cus_1","latest_charge":"ch_1"}`)},
		{Type: "refund.created", Object: []byte(`{"id":"re_1","object":"refund","amount":500,"currency":"usd","status":"succeeded","payment_intent":"pi_1","balance_transaction":"txn_1"}`)},
		{Type: "customer.subscription.created", Object: []byte(`{"id":"sub_1","object":"subscription","status":"active","customer":"cus_1","currency":"usd","created":1767225600,"discounts":["di_1"],
			"items":{"data":[{"id":"si_1","quantity":3,"price":{"id":"price_1","currency":"usd","billing_scheme":"tiered","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}}]}}`)},
		{Type: "customer.subscription.created", Object: []byte(`{"id":"sub_2","object":"subscription","status":"active","customer":"cus_1","currency":"eur","created":1767225600,
			"items":{"data":[{"id":"si_1","quantity":3,"price":{"id":"price_2","currency":"usd","billing_scheme":"tiered","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}}]}}`)},
	} {
		f.Created, f.APIVersion = 1767225600, "2025-08-27.basil"
		d := past.Delivery
		d.Body = f.body(t, fmt.Sprintf("evt_%d", i))
		if _, err := connector.Decode(t.Context(), d); err != nil {
			t.Errorf("%s: %v", f.Type, err)
		}
	}
	api := newFetcher(t.Context(), past.Client, &past.Delivery, "")
	api.completeLines(object{"lines": map[string]any{"has_more": true, "url": "/v1/invoices/in_1/lines", "data": []any{map[string]any{"id": "of_1"}}}})
	if all, ok := api.items("sub_1"); !ok || len(all) != 1 {
		t.Errorf("items of a subscription: %v, %v", all, ok)
	}
	for what := range mock.asked {
		if strings.HasPrefix(what, "refused: ") {
			t.Error(what)
		}
	}
	want := append(slices.Collect(maps.Values(listOf)), "/v1/events", "/v1/balance_transactions", "/v1/balance_transactions/ID", "/v1/charges/ID",
		"/v1/prices/ID", "/v1/subscriptions/ID", "/v1/subscription_items", "/v1/invoices/in_1/lines")
	for _, what := range want {
		if len(mock.asked[what]) == 0 {
			t.Errorf("nobody asked for %s", what)
		}
	}
}

// The mock does refuse what is not well formed, or the test above shows nothing.
func TestTheMockRefuses(t *testing.T) {
	mock := newStripeMock(t)
	server := httptest.NewServer(mock)
	defer server.Close()
	for _, path := range []string{"/v1/invoices?created[gte]=1&no_such=1", "/v1/refunds?limit=many", "/v1/no_such_list"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer sk_test_123")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}
