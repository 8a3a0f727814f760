package pulsora_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/connectors/pulsora"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// request is the example of the contract with members of its data replaced; nil
// leaves one out.
func request(t *testing.T, changes map[string]any) []byte {
	t.Helper()
	data := map[string]any{
		"visitor_fingerprint": "fp_abc", "session_id": "sess_xyz", "customer_id": "cus_42", "amount": 499,
		"currency": "USD", "transaction_id": "ch_1Nv", "payment_processor": "stripe", "event_type": "purchase",
	}
	for name, value := range changes {
		data[name] = value
		if value == nil {
			delete(data, name)
		}
	}
	text, err := json.Marshal(map[string]any{"type": "revenue", "token": "sec_123", "data": data})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func read(text []byte) (pulsora.Event, error) {
	envelope, err := pulsora.ReadEnvelope(text)
	if err != nil {
		return pulsora.Event{}, err
	}
	return envelope.Read(now)
}

func acceptance(version int64) pulsora.Acceptance {
	return pulsora.Acceptance{Workspace: "w1", Integration: "key_1", Version: version, ReceivedAt: now}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes map[string]any
		code    string
	}{
		{"as it is", nil, ""},
		{"no visitor", map[string]any{"visitor_fingerprint": nil}, "missing_visitor_fingerprint"},
		{"number visitor", map[string]any{"visitor_fingerprint": 1}, "invalid_visitor_fingerprint"},
		{"no session", map[string]any{"session_id": nil}, "missing_session_id"},
		{"no customer", map[string]any{"customer_id": nil}, "missing_customer_id"},
		{"no transaction", map[string]any{"transaction_id": ""}, "missing_transaction_id"},
		{"no amount", map[string]any{"amount": nil}, "missing_amount"},
		{"text amount", map[string]any{"amount": "499"}, "invalid_amount"},
		{"zero amount", map[string]any{"amount": 0}, "invalid_amount"},
		{"negative purchase", map[string]any{"amount": -1}, "invalid_amount"},
		{"negative renewal", map[string]any{"amount": -1, "event_type": "renewal"}, "invalid_amount"},
		{"negative upgrade", map[string]any{"amount": -1, "event_type": "upgrade"}, "invalid_amount"},
		{"free upgrade", map[string]any{"amount": 0, "event_type": "upgrade", "mrr_impact": 5}, ""},
		{"free downgrade", map[string]any{"amount": 0, "event_type": "downgrade", "mrr_impact": -5}, ""},
		{"negative refund", map[string]any{"amount": -1, "event_type": "refund"}, ""},
		{"zero refund", map[string]any{"amount": 0, "event_type": "refund"}, "invalid_amount"},
		{"negative churn", map[string]any{"amount": -1, "event_type": "churn"}, ""},
		{"zero churn", map[string]any{"amount": 0, "event_type": "churn"}, ""},
		{"too fine amount", map[string]any{"amount": json.Number("4.999")}, "invalid_amount"},
		{"huge amount", map[string]any{"amount": json.Number("1e400")}, "invalid_amount"},
		{"no currency", map[string]any{"currency": nil}, ""},
		{"unknown currency", map[string]any{"currency": "DOGE"}, "invalid_currency"},
		{"number processor", map[string]any{"payment_processor": 5}, "invalid_payment_processor"},
		{"no event type", map[string]any{"event_type": nil}, ""},
		{"unknown event type", map[string]any{"event_type": "expansion"}, "invalid_event_type"},
		{"number subscription", map[string]any{"customer_subscription_id": 5}, "invalid_customer_subscription_id"},
		{"text impact", map[string]any{"mrr_impact": "5"}, "invalid_mrr_impact"},
		{"text recurring", map[string]any{"is_recurring": "true"}, "invalid_is_recurring"},
		{"list metadata", map[string]any{"metadata": []int{1}}, "invalid_metadata"},
		{"metadata", map[string]any{"metadata": map[string]any{"plan": 5, "seats": 10}}, ""},
		{"timestamp", map[string]any{"timestamp": "2025-01-01"}, ""},
		{"wrong timestamp", map[string]any{"timestamp": "2025-02-29"}, "invalid_timestamp"},
		{"unknown member", map[string]any{"anything": true}, ""},
	} {
		_, err := read(request(t, test.changes))
		code := ""
		var invalid *connectors.InvalidError
		if errors.As(err, &invalid) {
			code = invalid.Code
		}
		if code != test.code || err != nil && invalid == nil {
			t.Errorf("%s: code %q, want %q (%v)", test.name, code, test.code, err)
		}
	}
	for text, want := range map[string]string{
		`{"type":"pageview","data":{}}`: "invalid_type",
		`{"data":{}}`:                   "invalid_type",
		`{"type":"revenue"}`:            "missing_data",
		`{"type":"revenue","data":[]}`:  "invalid_json",
		`{"type":1}`:                    "invalid_type",
		`{"token":1}`:                   "invalid_token",
		`[]`:                            "invalid_json",
	} {
		_, err := read([]byte(text))
		var invalid *connectors.InvalidError
		if !errors.As(err, &invalid) || invalid.Code != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// describe writes a fact briefly: kind, group, amount or MRR in whole cents.
func describe(e revenue.Event) string {
	group := e.Group[strings.LastIndex(e.Group, "|")+1:]
	switch e.Kind {
	case revenue.KindMRRDelta:
		return fmt.Sprintf("%s %s %d closes=%t sub=%s", e.Kind, group, revenue.RoundMRR(e.MRR), e.ClosesMRR, e.Subscription)
	case revenue.KindCancellation:
		return fmt.Sprintf("%s %s sub=%s", e.Kind, group, e.Subscription)
	default:
		return fmt.Sprintf("%s %s %d %s recurring=%t", e.Kind, group, e.Amount, e.Billing, e.Recurring)
	}
}

func TestFacts(t *testing.T) {
	for _, test := range []struct {
		changes map[string]any
		want    []string
	}{
		{nil, []string{"charge ch_1Nv 49900 one_time recurring=false"}},
		{map[string]any{"event_type": nil}, []string{"charge ch_1Nv 49900 one_time recurring=false"}},
		{map[string]any{"is_recurring": true}, []string{"charge ch_1Nv 49900  recurring=true"}},
		{map[string]any{"event_type": "subscription", "mrr_impact": 49.9}, []string{
			"charge ch_1Nv 49900 first recurring=true", "mrr_delta cus_42 4990 closes=false sub=cus_42"}},
		{map[string]any{"event_type": "renewal"}, []string{"charge ch_1Nv 49900 renewal recurring=true"}},
		{map[string]any{"event_type": "renewal", "mrr_impact": 0}, []string{"charge ch_1Nv 49900 renewal recurring=true"}},
		{map[string]any{"event_type": "upgrade", "mrr_impact": 10, "customer_subscription_id": "sub_1"}, []string{
			"charge ch_1Nv 49900 renewal recurring=true", "mrr_delta cus_42 1000 closes=false sub=sub_1"}},
		{map[string]any{"event_type": "downgrade", "amount": 0, "mrr_impact": -10}, []string{"mrr_delta cus_42 -1000 closes=false sub=cus_42"}},
		{map[string]any{"event_type": "churn", "mrr_impact": -49.9}, []string{
			"cancellation cus_42 sub=cus_42", "mrr_delta cus_42 -4990 closes=false sub=cus_42"}},
		{map[string]any{"event_type": "churn", "mrr_impact": 49.9, "amount": -5}, []string{
			"cancellation cus_42 sub=cus_42", "mrr_delta cus_42 -4990 closes=false sub=cus_42"}},
		{map[string]any{"event_type": "churn"}, []string{
			"cancellation cus_42 sub=cus_42", "mrr_delta cus_42 0 closes=true sub=cus_42"}},
		{map[string]any{"event_type": "refund"}, []string{"refund ch_1Nv 49900  recurring=false"}},
		{map[string]any{"event_type": "refund", "amount": -499, "mrr_impact": -1}, []string{
			"refund ch_1Nv 49900  recurring=false", "mrr_delta cus_42 -100 closes=false sub=cus_42"}},
	} {
		event, err := read(request(t, test.changes))
		if err != nil {
			t.Fatalf("%v: %v", test.changes, err)
		}
		var got []string
		for _, fact := range event.Facts(acceptance(1)) {
			got = append(got, describe(fact))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v:\n got %q\nwant %q", test.changes, got, test.want)
		}
	}
}

// TestLife folds what a customer's events come to, every one sent twice.
func TestLife(t *testing.T) {
	groups := map[string][]revenue.Event{}
	for i, changes := range []map[string]any{
		{"event_type": "subscription", "transaction_id": "t1", "amount": 50, "mrr_impact": 50, "timestamp": "2026-01-01"},
		{"event_type": "upgrade", "transaction_id": "t2", "amount": 30, "mrr_impact": 30, "timestamp": "2026-01-20"},
		{"event_type": "renewal", "transaction_id": "t3", "amount": 80, "timestamp": "2026-02-01"},
		{"event_type": "refund", "transaction_id": "t3", "amount": -80, "timestamp": "2026-02-02"},
		{"event_type": "churn", "transaction_id": "t4", "amount": 0, "timestamp": "2026-02-03"},
	} {
		event, err := read(request(t, changes))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, fact := range event.Facts(acceptance(int64(i))) {
				groups[fact.Group] = append(groups[fact.Group], fact)
			}
		}
	}
	got := map[string]int64{}
	for _, events := range groups {
		for _, entry := range revenue.Fold(events) {
			got[string(entry.Kind)] += entry.Amount + revenue.RoundMRR(entry.MRR)
		}
	}
	want := map[string]int64{
		"subscription_purchase": 5000, "renewal": 3000 + 8000, "refund": -8000, "cancellation": 0,
		"new": 5000, "expansion": 3000, "churn": -8000, "subscription_active": 0, "subscription_inactive": 0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}
}

func TestEvent(t *testing.T) {
	event, err := read(request(t, map[string]any{
		"event_type": "subscription", "is_recurring": true, "timestamp": "2026-02-01T10:00:00Z", "customer_subscription_id": "sub_1",
		"metadata": map[string]any{"plan": "pro", "interval": "annual", "source": "partner", "campaign": "spring", "seats": 10},
	}))
	if err != nil {
		t.Fatal(err)
	}
	facts := event.Facts(acceptance(7))
	got, err := stream.EncodeEvent(nil, &facts[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"workspace":"w1","provider":"pulsora","livemode":true,"object_id":"ch_1Nv/subscription","kind":"charge",` +
		`"group":"pulsora||live|ch_1Nv","version":7,"occurred_at":"2026-02-01T10:00:00.000000Z","received_at":"2026-03-01T12:00:00.000000Z",` +
		`"amount":49900,"currency":"USD","recurring":true,"billing":"first","customer":"cus_42","subscription":"sub_1","payment":"ch_1Nv",` +
		`"plan":"pro","interval":"year","payment_method":"stripe","campaign":"spring","source":"partner","visitor":"fp_abc","session":"sess_xyz",` +
		`"external_id":"ch_1Nv","metadata":{"campaign":"spring","interval":"annual","plan":"pro","seats":10,"source":"partner"},` +
		`"delivery":{"id":"ch_1Nv","type":"subscription","integration":"key_1"}}`
	if string(got) != want {
		t.Errorf("event\n got %s\nwant %s", got, want)
	}
}

func kit() connectortest.APIKit {
	return connectortest.APIKit{API: pulsora.New(), Encode: stream.EncodeEvent, Decode: stream.DecodeEvent}
}

func TestAPI(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }
