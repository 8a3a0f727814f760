package stripe

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stripe/stripe-go/v76/webhook"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

const testSecret = "whsec_of_the_tests"

// testReceivedAt lies after everything that the fixtures tell of.
var testReceivedAt = connectortest.ReceivedAt

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(DefaultConfig(), nil), Secret: testSecret, Other: "whsec_of_others", Timed: true,
		Sign: func(d *connectors.Delivery, secret string, at time.Time) {
			d.Header.Set("Stripe-Signature", signed(d.Body, secret, at).Get("Stripe-Signature"))
		},
	}
}

func TestConnector(t *testing.T) { kit().Run(t) }

// FuzzDecode has an API key, so that what the API answers is anything too.
func FuzzDecode(f *testing.F) {
	k := kit()
	k.Settings = map[string]string{"api_key": "rk_of_the_tests"}
	k.Fuzz(f)
}

// scenarioOf is a scenario of testdata by its name.
func scenarioOf(t testing.TB, name string) connectortest.Scenario {
	t.Helper()
	for _, scenario := range connectortest.Load(t, ".") {
		if scenario.Name == name {
			return scenario
		}
	}
	t.Fatalf("no scenario %s", name)
	return connectortest.Scenario{}
}

// fixture is an event without the envelope's ever same members.
type fixture struct {
	Type       string          `json:"type"`
	Created    int64           `json:"created"`
	APIVersion string          `json:"api_version,omitempty"`
	Account    string          `json:"account,omitempty"`
	Test       bool            `json:"test,omitempty"`
	Object     json.RawMessage `json:"object"`
	Previous   json.RawMessage `json:"previous,omitempty"`
}

// body is the webhook that Stripe would send.
func (f fixture) body(t testing.TB, id string) []byte {
	t.Helper()
	data := map[string]any{"object": f.Object}
	if f.Previous != nil {
		data["previous_attributes"] = f.Previous
	}
	envelope := map[string]any{
		"id": id, "object": "event", "type": f.Type, "created": f.Created, "livemode": !f.Test,
		"pending_webhooks": 1, "data": data, "request": map[string]any{"id": nil, "idempotency_key": nil},
	}
	if f.APIVersion != "" {
		envelope["api_version"] = f.APIVersion
	}
	if f.Account != "" {
		envelope["account"] = f.Account
	}
	text, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signed is the header that Stripe would send with the body.
func signed(body []byte, secret string, at time.Time) http.Header {
	signature := hex.EncodeToString(webhook.ComputeSignature(at, body, secret))
	return http.Header{"Stripe-Signature": {fmt.Sprintf("t=%d,v1=%s", at.Unix(), signature)}}
}

func delivery(body []byte) connectors.Delivery {
	return connectors.Delivery{
		Workspace: "acme", Integration: "ep_1", Account: "acct_endpoint", Secrets: []string{testSecret},
		Header: signed(body, testSecret, testReceivedAt), Body: body, ReceivedAt: testReceivedAt,
	}
}

// decode verifies and reads a delivery of one event.
type decode func(context.Context, connectors.Delivery) (connectors.Item, error)

// decodeWith is the connector as the tests use it: with the errors of an event as
// those of its delivery.
func decodeWith(connector connectors.Connector) decode {
	return func(ctx context.Context, d connectors.Delivery) (connectors.Item, error) {
		_, items, err := connector.Receive(ctx, d)
		if err != nil {
			return connectors.Item{}, err
		}
		return items[0], items[0].Err
	}
}

func newDecode(t testing.TB, change func(*Config)) decode {
	t.Helper()
	config := DefaultConfig()
	if change != nil {
		change(&config)
	}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	return decodeWith(New(config, prometheus.NewRegistry()))
}

// decodeOne decodes an event given as the JSON of a fixture, with the default
// configuration.
func decodeOne(t testing.TB, text string) connectors.Item {
	t.Helper()
	decoded, err := tryDecode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func tryDecode(t testing.TB, text string) (connectors.Item, error) {
	t.Helper()
	var f fixture
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return newDecode(t, nil)(t.Context(), delivery(f.body(t, "evt_1")))
}

// one is the only statement of an event.
func one(t testing.TB, text string) revenue.Event {
	t.Helper()
	events := decodeOne(t, text).Events
	if len(events) != 1 {
		t.Fatalf("%d statements, want 1: %+v", len(events), events)
	}
	return events[0]
}

func decodeAll(t testing.TB, decode decode, fixtures []fixture) [][]revenue.Event {
	t.Helper()
	var statements [][]revenue.Event
	for i, f := range fixtures {
		decoded, err := decode(t.Context(), delivery(f.body(t, fmt.Sprintf("evt_%d", i+1))))
		if err != nil {
			t.Fatalf("event %d (%s): %v", i+1, f.Type, err)
		}
		if decoded.ID != fmt.Sprintf("evt_%d", i+1) || decoded.Type != f.Type || decoded.Ignored() != (len(decoded.Events) == 0) {
			t.Errorf("event %d: decoded as id %q, type %q, ignored %v", i+1, decoded.ID, decoded.Type, decoded.Ignored())
		}
		statements = append(statements, decoded.Events)
	}
	return statements
}
