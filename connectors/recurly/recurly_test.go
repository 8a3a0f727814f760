package recurly

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(), Secret: "key of the tests", Other: "key of others", Sign: sign, Timed: true,
		Settings: map[string]string{"api_key": "api-key-of-the-tests"},
	}
}

// sign puts on a delivery the header that Recurly would.
func sign(delivery *connectors.Delivery, secret string, at time.Time) {
	milliseconds := fmt.Sprint(at.UnixMilli())
	delivery.Header.Set("recurly-signature", milliseconds+","+signature(secret, milliseconds, delivery.Body))
}

func signature(secret, stamp string, body []byte) string {
	signature, err := connectors.HMAC{}.Sign(secret, []byte(stamp), []byte("."), body)
	if err != nil {
		panic(err) // any text is a key
	}
	return signature
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// TestVerifyDetails: several signatures with spaces, and the time in seconds, which
// Recurly's documentation shows beside its clients, which send milliseconds.
func TestVerifyDetails(t *testing.T) {
	const secret = "key of the tests"
	body := []byte(`{"id":"x","object_type":"account","event_type":"created"}`)
	seconds, milliseconds := fmt.Sprint(connectortest.ReceivedAt.Unix()), fmt.Sprint(connectortest.ReceivedAt.UnixMilli())
	for name, c := range map[string]struct {
		header   string
		verifies bool
	}{
		"milliseconds":    {milliseconds + "," + signature(secret, milliseconds, body), true},
		"seconds":         {seconds + "," + signature(secret, seconds, body), true},
		"rotated":         {milliseconds + "," + signature("old", milliseconds, body) + ", " + signature(secret, milliseconds, body), true},
		"spaces":          {milliseconds + " , " + signature(secret, milliseconds, body), true},
		"no signature":    {milliseconds, false},
		"empty signature": {milliseconds + ",", false},
		"no time":         {"," + signature(secret, "", body), false},
		"another time":    {milliseconds + "," + signature(secret, seconds, body), false},
	} {
		d := connectors.Delivery{
			Header: http.Header{}, Body: body, ReceivedAt: connectortest.ReceivedAt, Secrets: []string{secret},
			Settings: connectors.Settings{"signature_age_max": "5m"},
		}
		d.Header.Set("recurly-signature", c.header)
		if _, _, err := New().Receive(t.Context(), d); (err == nil) != c.verifies || err != nil && !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFetch: what is asked of the API, and that its failures are temporary.
func TestFetch(t *testing.T) {
	status := http.StatusUnauthorized
	var asked *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
	}))
	defer server.Close()
	d := connectors.Delivery{
		Body:     []byte(`{"id":"x","object_type":"payment","uuid":"a/../b"}`),
		Settings: connectors.Settings{"api_key": "secret-key", "api_url": server.URL},
	}
	for _, status = range []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError} {
		if _, err := New().Decode(t.Context(), d); err == nil || errors.Is(err, connectors.ErrMalformed) {
			t.Errorf("%d: %v, want a temporary error", status, err)
		}
	}
	user, password, _ := asked.BasicAuth()
	if user != "secret-key" || password != "" || asked.Header.Get("Accept") != "application/vnd.recurly.v2021-02-25" ||
		asked.URL.EscapedPath() != "/transactions/uuid-a%2F..%2Fb" {
		t.Errorf("asked %s as %q, %q", asked.URL.EscapedPath(), user, asked.Header)
	}
}
