package gocardless

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(), Secret: "secret-of-the-tests", Other: "secret-of-others", Sign: sign,
		Settings: map[string]string{"access_token": "token-of-the-tests"},
	}
}

// sign puts on a delivery the header that GoCardless would.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	signature, err := connectors.HMAC{}.Sign(secret, delivery.Body)
	if err != nil {
		panic(err) // any text is a key
	}
	delivery.Header.Set("Webhook-Signature", signature)
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// TestPublishedExample is a webhook of which GoCardless publishes the secret and the
// signature (github.com/gocardless/gocardless-pro-go, webhooks_test.go and the request in its
// testdata). The line break at its end is signed.
func TestPublishedExample(t *testing.T) {
	const body = `{"events":[{"id":"EVTESTNE86TNZS","created_at":"2017-03-20T17:57:02.292Z","resource_type":"payments",` +
		`"action":"failed","links":{"payment":"index_ID_123"},"details":{"origin":"bank","cause":"test_failure",` +
		`"scheme":"sepa_core","reason_code":"TEST","description":"GoCardless has marked this payment as failed in ` +
		`sandbox to enable testing of payment failure webhooks."},"metadata":{}}]}` + "\n"
	d := connectors.Delivery{Secrets: []string{"testing"}, Header: http.Header{}, Body: []byte(body)}
	d.Header.Set("Webhook-Signature", "243f3efa57743c24eec7c5e10edc475b547830d256d5b583745afe319dd90936")
	if _, err := verify(d); err != nil {
		t.Error(err)
	}
	d.Body = []byte(strings.TrimSpace(body))
	if _, err := verify(d); !errors.Is(err, connectors.ErrBadSignature) {
		t.Errorf("without its line break: %v", err)
	}
}

func TestRefusedStatus(t *testing.T) {
	if status := New().RefusedStatus; status != 498 {
		t.Errorf("GoCardless is told %d", status)
	}
}

// api serves objects, and counts the requests by path.
type api struct {
	mu      sync.Mutex
	asked   map[string]int
	objects map[string]string
	status  int
	header  http.Header
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.RequestURI()]++
	a.header = r.Header
	if a.status != 0 {
		w.WriteHeader(a.status)
		return
	}
	object, known := a.objects[r.URL.RequestURI()]
	if !known {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(object))
}

func deliver(t *testing.T, a *api, body string) ([]connectors.Item, error) {
	t.Helper()
	a.asked = map[string]int{}
	server := httptest.NewServer(a)
	defer server.Close()
	return decode(t.Context(), connectors.Delivery{
		Workspace: "acme", Livemode: true, Header: http.Header{}, Body: []byte(body), ReceivedAt: connectortest.ReceivedAt,
		Settings: connectors.Settings{"api_url": server.URL, "access_token": "token-of-the-tests"},
	})
}

const confirmed = `{"id":"EV1","created_at":"2026-01-07T10:00:00Z","resource_type":"payments","action":"confirmed","links":{"payment":"PM1"}}`

// TestFetching: what several events are about is fetched once, with the token, and
// for what books nothing nothing is fetched.
func TestFetching(t *testing.T) {
	a := &api{objects: map[string]string{
		"/payments/PM1": `{"payments":{"id":"PM1","amount":100,"currency":"GBP","charge_date":"2026-01-05","links":{"mandate":"MD1"}}}`,
		"/mandates/MD1": `{"mandates":{"id":"MD1","links":{"customer":"CU1"}}}`,
	}}
	items, err := deliver(t, a, `{"events":[`+confirmed+`,`+strings.Replace(confirmed, "confirmed", "paid_out", 1)+`,`+
		`{"id":"EV2","resource_type":"payments","action":"submitted","links":{"payment":"PM2"}}]}`)
	if err != nil || len(items) != 3 || len(items[0].Events) != 1 || len(items[1].Events) != 1 || !items[2].Ignored() {
		t.Fatalf("%+v, %v", items, err)
	}
	if len(a.asked) != 2 || a.asked["/payments/PM1"] != 1 || a.asked["/mandates/MD1"] != 1 {
		t.Errorf("asked for %v", a.asked)
	}
	if a.header.Get("Authorization") != "Bearer token-of-the-tests" || a.header.Get("GoCardless-Version") == "" {
		t.Errorf("asked with %v", a.header)
	}
}

// TestIDsStayInTheirPath: an id cannot lead elsewhere with the token.
func TestIDsStayInTheirPath(t *testing.T) {
	a := &api{objects: map[string]string{"/creditors/CR1": `{"payments":{"id":"CR1"}}`}}
	items, err := deliver(t, a, `{"events":[`+strings.Replace(confirmed, "PM1", "../creditors/CR1?x=", 1)+`]}`)
	if err != nil || len(items) != 1 || !errors.Is(items[0].Err, connectors.ErrMalformed) || a.asked["/creditors/CR1"] != 0 {
		t.Errorf("%+v, %v, asked for %v", items, err, a.asked)
	}
}

// TestAPIFails: while the API does not answer, or not to our token, the batch is to
// come again as a whole; what it does not know, or answers otherwise, is a fault of
// the item.
func TestAPIFails(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusFound} {
		items, err := deliver(t, &api{status: status}, `{"events":[`+confirmed+`]}`)
		if err == nil || errors.Is(err, connectors.ErrMalformed) || items != nil {
			t.Errorf("%d: %+v, %v", status, items, err)
		}
	}
	for object, field := range map[string]string{
		``:                         "unknown_object",
		`{"refunds":{"id":"PM1"}}`: "unknown_object",
		`{"payments":{"id":"PM1","links":{"mandate":"MD404"}}}`: "unknown_object",
		`{"payments":{"id":"PM1","amount":1,"currency":"GBP"}}`: "invalid_charge_date",
	} {
		a := &api{objects: map[string]string{"/payments/PM1": object}}
		if object == "" {
			a.objects = nil
		}
		items, err := deliver(t, a, `{"events":[`+confirmed+`]}`)
		var fault *connectors.InvalidError
		if err != nil || len(items) != 1 || !errors.As(items[0].Err, &fault) || fault.Code != field {
			t.Errorf("%s: %+v, %v", object, items, err)
		}
	}
}
