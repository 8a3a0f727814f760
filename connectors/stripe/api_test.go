package stripe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"revstream/connectors"
)

// TestAPI: what cannot be read now makes Stripe send the event again; what is not
// there is left unknown; and requests are for the account of the event.
func TestAPI(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusOK: "link charge", http.StatusNotFound: "charge attribution",
		http.StatusUnauthorized: "", http.StatusTooManyRequests: "", http.StatusInternalServerError: "",
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
		if len(asked) != 1 || asked[0].Header.Get("Authorization") != "Bearer rk_of_the_tests" || asked[0].Header.Get("Stripe-Version") != apiVersion ||
			asked[0].Header.Get("Stripe-Account") != "acct_connected" {
			t.Errorf("%d: asked %+v", status, asked)
		}
	}
}
