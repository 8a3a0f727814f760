package chargebee

import (
	"encoding/base64"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: "hooks:of:the tests", Other: "hooks:of others", Sign: sign, Bodiless: true}
}

// sign puts on a delivery the header that Chargebee would.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	delivery.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

func TestCheckSecret(t *testing.T) {
	for secret, want := range map[string]bool{"user:password": true, "u:p:q": true, "password": false, ":password": false, "user:": false, "": false} {
		if err := New().CheckSecret(secret); (err == nil) != want {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func TestCurrencySetting(t *testing.T) {
	for code, want := range map[string]bool{"USD": true, "JPY": true, "": true, "usd": false, "EURO": false} {
		if _, err := New().Settle(map[string]string{currencySetting: code}); (err == nil) != want {
			t.Errorf("%q: %v", code, err)
		}
	}
}
