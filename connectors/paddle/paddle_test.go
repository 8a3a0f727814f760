package paddle

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(), Secret: "pdl_ntfset_of_the_tests", Other: "pdl_ntfset_of_others", Sign: sign, Timed: true,
	}
}

// sign puts on a delivery the header that Paddle would.
func sign(delivery *connectors.Delivery, secret string, at time.Time) {
	seconds := fmt.Sprint(at.Unix())
	signature, err := connectors.HMAC{}.Sign(secret, []byte(seconds), []byte(":"), delivery.Body)
	if err != nil {
		panic(err) // any text is a key
	}
	delivery.Header.Set("Paddle-Signature", "ts="+seconds+";h1="+signature)
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// TestRotation: while a secret is rotated the header has two signatures, and
// whichever secret is left verifies one of them.
func TestRotation(t *testing.T) {
	d := connectors.Delivery{
		Header: http.Header{}, Body: []byte(`{"event_type":"price.created","data":{}}`), ReceivedAt: connectortest.ReceivedAt,
		Settings: connectors.Settings{"signature_age_max": "5m"},
	}
	sign(&d, "pdl_ntfset_new_one", d.ReceivedAt)
	_, first, _ := strings.Cut(d.Header.Get("Paddle-Signature"), ";")
	sign(&d, "pdl_ntfset_old_one", d.ReceivedAt)
	d.Header.Set("Paddle-Signature", d.Header.Get("Paddle-Signature")+"; "+first)
	for _, secret := range []string{"pdl_ntfset_new_one", "pdl_ntfset_old_one"} {
		d.Secrets = []string{secret}
		if _, items, err := New().Receive(t.Context(), d); err != nil || len(items) != 1 || !items[0].Ignored() {
			t.Errorf("%s: %+v, %v", secret, items, err)
		}
	}
}
