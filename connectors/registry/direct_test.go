package registry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"revstream/connectors/connectortest"
	"revstream/connectors/native"
	"revstream/connectors/pulsora"
	"revstream/connectors/thrivestack"
	"revstream/connectors/trackly"
	"revstream/ingest/revenue"
)

// accepted is when the nth request to a direct API is.
func accepted(n int) time.Time { return connectortest.ReceivedAt.Add(time.Duration(n) * time.Second) }

// direct is what requests to the direct APIs become, one after the other: acceptance gives
// each its place in that order, so that the order in which Kafka has them is of no meaning.
func direct(t *testing.T) map[string][][]revenue.Event {
	t.Helper()
	return map[string][][]revenue.Event{
		trackly.Provider: tracklyLife(t), pulsora.Provider: pulsoraLife(t), thrivestack.Provider: thrivestackLife(t), native.Provider: nativeLife(t),
	}
}

// tracklyLife is a sale, one that was sent twice under one key, and one in another currency.
func tracklyLife(t *testing.T) (statements [][]revenue.Event) {
	t.Helper()
	for i, body := range []string{
		`{"message_id":"m1","attribution_type":"sale","revenue":24.99,"timestamp":"2026-02-08T12:00:00Z"}`,
		`{"message_id":"m2","attribution_type":"sale","revenue":10,"timestamp":"2026-02-09T12:00:00Z"}`,
		`{"message_id":"m2","attribution_type":"sale","revenue":10,"timestamp":"2026-02-09T12:00:00Z"}`,
		`{"message_id":"m3","attribution_type":"sale","revenue":500,"currency":"JPY"}`,
	} {
		record, err := trackly.ReadRecord([]byte(body), "USD", accepted(i))
		if err != nil {
			t.Fatal(err)
		}
		a := trackly.Acceptance{Workspace: "acme", Integration: "key_1", RevenueID: fmt.Sprintf("rev_%d", min(i, 1)+i/3), Version: 7, ReceivedAt: accepted(i)}
		statements = append(statements, []revenue.Event{record.Event(a, trackly.Resolution{OfferID: "off_1"})})
	}
	return statements
}

// pulsoraLife is a subscription that grows, is corrected, renewed, refunded and ends.
func pulsoraLife(t *testing.T) (statements [][]revenue.Event) {
	t.Helper()
	for i, data := range []string{
		`"event_type":"subscription","transaction_id":"t1","amount":50,"mrr_impact":50,"timestamp":"2026-01-01"`,
		`"event_type":"upgrade","transaction_id":"t2","amount":30,"mrr_impact":30,"timestamp":"2026-01-20"`,
		`"event_type":"upgrade","transaction_id":"t2","amount":35,"mrr_impact":35,"timestamp":"2026-01-20"`,
		`"event_type":"renewal","transaction_id":"t3","amount":85,"timestamp":"2026-02-01"`,
		`"event_type":"refund","transaction_id":"t3","amount":-85,"timestamp":"2026-02-02"`,
		`"event_type":"churn","transaction_id":"t4","amount":0,"timestamp":"2026-02-03"`,
	} {
		envelope, err := pulsora.ReadEnvelope(fmt.Appendf(nil, `{"type":"revenue","data":{"visitor_fingerprint":"v","session_id":"s","customer_id":"c",%s}}`, data))
		if err != nil {
			t.Fatal(err)
		}
		event, err := envelope.Read(accepted(i))
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, event.Facts(pulsora.Acceptance{
			Workspace: "acme", Integration: "key_1", Version: accepted(i).UnixMicro(), ReceivedAt: accepted(i),
		}))
	}
	return statements
}

// thrivestackLife is a transaction that is created, changed by parts, moved to a one-time
// item and back, deleted and created anew: each step says what the one before it left.
func thrivestackLife(t *testing.T) (statements [][]revenue.Event) {
	t.Helper()
	const whole = `{"transaction_id":"txn_1","customer_id":"cust_1","group_id":"group_1","invoice_id":"inv_1","type":"payment","status":"paid",
		"transaction_date":"2026-01-15T14:30:00Z","amount":99.99,"currency":"USD","tax_amount":5.00,"term_frequency":1,"term_unit":"month",
		"period_start_date":"2026-01-01T00:00:00Z","period_end_date":"2026-01-31T23:59:59Z","line_item_type":"subscription"}`
	var state *thrivestack.State
	for i, text := range []string{
		whole, `{"transaction_id":"txn_1","amount":149.99}`, `{"transaction_id":"txn_1","status":"refund"}`, `{"transaction_id":"txn_1","status":"paid"}`,
		`{"transaction_id":"txn_1","line_item_type":"one_time"}`, `{"transaction_id":"txn_1","line_item_type":"subscription"}`, "", whole,
	} {
		a := thrivestack.Acceptance{Workspace: "acme", Integration: "key_1", ReceivedAt: accepted(i)}
		if text == "" {
			next, events := thrivestack.Delete(*state, a)
			state, statements = &next, append(statements, events)
			continue
		}
		body, _, err := thrivestack.ReadBody([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		change := thrivestack.Create
		if text != whole {
			change = func(known *thrivestack.State, body thrivestack.Body, a thrivestack.Acceptance) (thrivestack.State, []revenue.Event, error) {
				return thrivestack.Update(*known, body, a)
			}
		}
		next, events, err := change(state, body, a)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		state, statements = &next, append(statements, events)
	}
	return statements
}

// nativeLife is what the package's own golden file is made of.
func nativeLife(t *testing.T) (statements [][]revenue.Event) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "native", "testdata", "events.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	events, err := native.Split(text, true, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i, event := range events {
		e, err := native.Read(event, native.Acceptance{
			Workspace: "acme", WorkspaceAliases: []string{"w1", "acme"}, Integration: "key_1", Currency: "USD", ObjectID: fmt.Sprintf("made_%d", i), ObjectIDVersion: 7,
			Version: accepted(i).UnixMicro(), ReceivedAt: accepted(i),
		})
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		statements = append(statements, []revenue.Event{e})
	}
	return statements
}
