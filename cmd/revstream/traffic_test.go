package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// The traffic of the tests: every API and a Stripe webhook, and the figures that
// it comes to, added up by hand.

// registration of what the Trackly calls refer to.
var registration = call{method: http.MethodPost, path: "/api/v2/messages", status: http.StatusCreated,
	body: `{"offers":[{"id":"off_1","external_id":"offer_123"}],"short_links":[{"id":"t.ly/x","offer_id":"offer_123"}],
	"messages":[{"id":"a1b2c3d4","short_link":"t.ly/x"},{"id":"e5f6g7h8"}]}`}

// steps are calls whose order matters: a transaction that is corrected, and one
// that is taken back. They come to one subscription charge of 89.99 USD with an
// MRR of 89.99 over June 2025.
func steps() []call {
	const path = "/revenue/transactions"
	transaction := func(id, kind, more string) string {
		return fmt.Sprintf(`{"transaction_id":%q,"customer_id":"cust_ts","group_id":"group_ts","type":"payment","status":"paid",
		"transaction_date":"2025-06-01T10:00:00Z","amount":99.99,"line_item_type":%q%s}`, id, kind, more)
	}
	return []call{
		{method: http.MethodPost, path: path, status: http.StatusOK, body: transaction("txn_1", "subscription",
			`,"term_unit":"month","period_start_date":"2025-06-01T00:00:00Z","period_end_date":"2025-06-30T23:59:59Z"`)},
		{method: http.MethodPost, path: path, status: http.StatusOK, body: transaction("txn_2", "one_time", "")},
		{method: http.MethodPut, path: path, status: http.StatusOK, body: `{"transaction_id":"txn_1","amount":89.99}`},
		{method: http.MethodDelete, path: path, status: http.StatusOK, body: `{"transaction_id":"txn_2"}`},
	}
}

// anyOrder are calls that may come in any order and any number of times: Trackly
// with idempotency keys (24.99 + 12.50), Pulsora (499.00, and 99.00 of it back),
// native events (10.00, 3.00 of it back, and 7.77 in yen-like amounts of USD).
func anyOrder() []call {
	key := func(value string) map[string]string { return map[string]string{"Idempotency-Key": value} }
	pulsora := func(kind, amount, id string) string {
		return fmt.Sprintf(`{"type":"revenue","data":{"visitor_fingerprint":"fp_1","session_id":"s_1","customer_id":"cus_42",
		"amount":%s,"currency":"USD","transaction_id":%q,"event_type":%q}}`, amount, id, kind)
	}
	return []call{
		{method: http.MethodPost, path: "/api/v2/revenue", status: http.StatusOK, header: key("e2e-1"),
			body: `{"message_id":"a1b2c3d4","revenue":24.99,"attribution_type":"sale","timestamp":"2025-06-02T12:00:00Z"}`},
		{method: http.MethodPost, path: "/v2/revenue/bulk", status: http.StatusCreated, header: key("e2e-2"),
			body: `{"records":[{"message_id":"e5f6g7h8","revenue":12.50,"attribution_type":"click","timestamp":"2025-06-02T12:00:01Z"},
			{"message_id":"e5f6g7h8","revenue":-1,"attribution_type":"click"}]}`},
		{method: http.MethodPost, path: "/api/ingest", status: http.StatusAccepted, body: pulsora("purchase", "499.00", "ch_1")},
		{method: http.MethodPost, path: "/api/ingest", status: http.StatusAccepted, body: pulsora("refund", "99", "ch_1")},
		{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted,
			body: `{"kind":"charge","object_id":"n_1","amount":1000,"currency":"USD","occurred_at":"2025-06-03T00:00:00Z","version":1}`},
		{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted,
			body: `{"kind":"refund","object_id":"n_1r","original":"n_1","amount":300,"currency":"USD","occurred_at":"2025-06-04T00:00:00Z","version":1}`},
		{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted, header: map[string]string{"Content-Type": "application/x-ndjson"},
			body: `{"kind":"charge","object_id":"n_2","amount_decimal":"7.77","currency":"USD","occurred_at":"2025-06-05T00:00:00Z","version":1}` + "\n" +
				`{"kind":"charge","object_id":"n_3","amount":1,"currency":"USD","occurred_at":"2025-06-06T00:00:00Z","version":1}` + "\n"},
	}
}

// What all of it comes to beside Stripe, in cents.
const (
	trafficGross   = 8999 + 2499 + 1250 + 49900 + 1000 + 777 + 1
	trafficRefunds = 9900 + 300
)

// recordedScenario is a story of a connector's own tests, with its figures.
type recordedScenario struct {
	Cash       map[string]int64 `json:"cash"`
	Deliveries []struct {
		Body json.RawMessage `json:"body"`
	} `json:"deliveries"`
}

func loadScenario(t testing.TB, name string) recordedScenario {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "connectors/stripe/testdata/scenarios", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var s recordedScenario
	if err := json.Unmarshal(text, &s); err != nil || len(s.Deliveries) == 0 {
		t.Fatalf("%s: %d deliveries, %v", name, len(s.Deliveries), err)
	}
	return s
}

// deliveries are the scenario's as Stripe posts them.
func (s recordedScenario) deliveries(t testing.TB, c client) []call {
	t.Helper()
	calls := make([]call, len(s.Deliveries))
	for i, delivery := range s.Deliveries {
		calls[i] = c.signed(delivery.Body)
	}
	return calls
}
