package main

import (
	"encoding/json"
	"strings"
	"testing"

	"revstream/ingest/stream"
)

// TestListedDeliveriesSayNothing: a list names deliveries; what they say, and what the
// provider's API said of them, is about customers, and is seen where one is shown.
func TestListedDeliveriesSayNothing(t *testing.T) {
	d := &stream.Delivery{
		ID: "dlv_1", Header: map[string][]string{"X-Of": {"private"}}, Body: []byte(`{"of":"private"}`),
		Answers: map[string]json.RawMessage{"/v1/customers/1": json.RawMessage(`{"name":"private"}`)},
	}
	for whole, times := range map[bool]int{false: 0, true: 3} {
		text, err := json.Marshal(shown(d, whole))
		if got := strings.Count(string(text), "private"); err != nil || got != times {
			t.Errorf("whole %v: %s, %v", whole, text, err)
		}
	}
}
