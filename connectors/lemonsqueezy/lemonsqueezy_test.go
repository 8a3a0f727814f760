package lemonsqueezy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: "secret of the tests", Other: "secret of others", Sign: sign}
}

// sign puts on a delivery the header that Lemon Squeezy would.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	signature, err := connectors.HMAC{}.Sign(secret, delivery.Body)
	if err != nil {
		panic(err) // any text is a key
	}
	delivery.Header.Set("X-Signature", signature)
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

func TestCheckSecret(t *testing.T) {
	for secret, want := range map[string]bool{"12345": false, "123456": true, string(make([]byte, 40)): true, string(make([]byte, 41)): false} {
		if err := New().CheckSecret(secret); (err == nil) != want {
			t.Errorf("%d characters: %v", len(secret), err)
		}
	}
}

// TestWithoutPrices: that the API fails is temporary; what it refuses is unknown, as
// without a key, when it is not asked.
func TestWithoutPrices(t *testing.T) {
	asked, status := 0, http.StatusTooManyRequests
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("authorized by %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	d := connectors.Delivery{
		Body: []byte(`{"data":{"type":"subscriptions","id":"1","attributes":{"customer_id":2,"status":"active","store_id":3,` +
			`"updated_at":"2026-01-01T00:00:00Z","first_subscription_item":{"price_id":4,"quantity":1}}}}`),
		ReceivedAt: connectortest.ReceivedAt, Livemode: true, Settings: connectors.Settings{"api_url": server.URL},
	}
	if items, err := New().Decode(t.Context(), d); err != nil || items[0].Err != nil || asked != 0 {
		t.Errorf("without a key: %+v, %v, asked %d times", items, err, asked)
	}
	d.Settings["api_key"] = "key"
	if _, err := New().Decode(t.Context(), d); err == nil || errors.Is(err, connectors.ErrMalformed) || asked != 1 {
		t.Errorf("with a key: %v, want a temporary error; asked %d times", err, asked)
	}
	status = http.StatusForbidden
	items, err := New().Decode(t.Context(), d)
	if err != nil || items[0].Outcome() != connectors.OutcomeIncomplete || !strings.Contains(string(items[0].Events[0].Metadata), `"mrr_unknown":"price"`) {
		t.Errorf("with a key of too few rights: %+v, %v", items, err)
	}
}
