package stripe

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// TestAKeyCompletesTheSameFacts: an endpoint is given a key, and Stripe sends again what it
// sent before, or a backfill reads it. What is then known stands above what was not, whichever
// comes first, and beside nothing.
func TestAKeyCompletesTheSameFacts(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	for _, name := range []string{"api_items", "api_tiers"} {
		scenarios := connectortest.Load(t, ".")
		s := scenarios[slices.IndexFunc(scenarios, func(s connectortest.Scenario) bool { return s.Name == name })]
		known := s.Statements(t, connector, nil)
		s.Settings, s.API = nil, nil
		for i, unknown := range s.Statements(t, connector, nil) {
			if len(unknown) == 0 || len(unknown) != len(known[i]) {
				t.Fatalf("%s: %d statements without a key, %d with one", name, len(unknown), len(known[i]))
			}
			for j, without := range unknown {
				with := known[i][j]
				if with.ObjectID != without.ObjectID || with.FactID() != without.FactID() || !without.Deleted && with.Version <= without.Version {
					t.Errorf("%s: with a key %s at version %d, without one %s at %d", name, with.ObjectID, with.Version, without.ObjectID, without.Version)
				}
			}
		}
	}
}

// TestItemsSeenInTimeStand: the eleventh item, which no event shows, has another quantity by
// the time that a backfill reads the event. What was read when it happened stands.
func TestItemsSeenInTimeStand(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	created := connectortest.ReceivedAt.AddDate(0, 0, -20)
	item := func(number, quantity int) string {
		return fmt.Sprintf(`{"id":"si_%d","created":%d,"quantity":%d,"price":{"id":"p_%d","currency":"usd","unit_amount":100,"recurring":{"interval":"month"}}}`,
			number, created.Unix(), quantity, number)
	}
	var shown []string
	for number := range 10 {
		shown = append(shown, item(number, 1))
	}
	body := fmt.Sprintf(`{"id":"evt_1","type":"customer.subscription.created","livemode":true,"created":%d,"data":{"object":
		{"id":"sub_1","customer":"cus_1","created":%[1]d,"currency":"usd","status":"active","items":{"has_more":true,"data":[%s]}}}}`,
		created.Unix(), strings.Join(shown, ","))
	read := func(eleventh int, at time.Time) *revenue.Event {
		api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"data":[`+strings.Join(append(shown, item(10, eleventh)), ",")+`]}`)
		})
		delivery := connectortest.Past(t, connector, api, map[string]string{"api_key": "rk_of_the_tests"}, true, at).Delivery
		delivery.Body, delivery.ReceivedAt = []byte(body), at
		items, err := connector.Decode(t.Context(), delivery)
		if err != nil || len(items) != 1 || len(items[0].Events) != 1 {
			t.Fatalf("%+v, %v", items, err)
		}
		return &items[0].Events[0]
	}
	for quantity := range 6 {
		inTime, late := read(quantity+1, created.Add(time.Second)), read(6-quantity, connectortest.ReceivedAt)
		if want := int64(11+quantity) * 100 * revenue.MRRScale; inTime.MRR != want || inTime.FactID() != late.FactID() || !revenue.Supersedes(inTime, late) {
			t.Errorf("%d of the eleventh: MRR %d at version %d, seen late %d at %d", quantity+1, inTime.MRR, inTime.Version, late.MRR, late.Version)
		}
		if connectors.IsEstimated(inTime) || !connectors.IsEstimated(late) {
			t.Errorf("estimated: %s, %s", inTime.Metadata, late.Metadata)
		}
	}
}
