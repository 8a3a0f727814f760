package revenuecat

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(), Secret: "Bearer of the tests", Other: "Bearer of others", Bodiless: true,
		Sign: func(delivery *connectors.Delivery, secret string, _ time.Time) {
			delivery.Header.Set("Authorization", secret)
		},
	}
}

// signedKit is of an endpoint whose deliveries are signed.
func signedKit() connectortest.Kit {
	k := kit()
	k.Secret, k.Other, k.Sign, k.Timed, k.Bodiless = "secret of the tests", "secret of others", sign, true, false
	k.Settings = map[string]string{verificationSetting: bySignature}
	return k
}

// sign puts on a delivery the header that RevenueCat would.
func sign(delivery *connectors.Delivery, secret string, at time.Time) {
	delivery.Header.Set("X-RevenueCat-Webhook-Signature", "t="+fmt.Sprint(at.Unix())+",v1="+signature(secret, at, delivery.Body))
}

func signature(secret string, at time.Time, body []byte) string {
	signature, err := connectors.HMAC{}.Sign(secret, []byte(fmt.Sprint(at.Unix())), []byte("."), body)
	if err != nil {
		panic(err) // any text is a key
	}
	return signature
}

func TestConnector(t *testing.T) { kit().Run(t) }

func TestSigned(t *testing.T) { signedKit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// TestVerifyDetails: another header, several signatures with spaces between, and an
// Authorization value that does not stand in for a signature.
func TestVerifyDetails(t *testing.T) {
	const secret = "secret of the tests"
	body := []byte(`{"event":{"type":"TEST","id":"e1"}}`)
	at := connectortest.ReceivedAt
	good := signature(secret, at, body)
	stamp := "t=" + fmt.Sprint(at.Unix())
	for name, c := range map[string]struct {
		settings, header map[string]string
		verifies         bool
	}{
		"another header":       {map[string]string{headerSetting: "X-RevenueCat-Signature"}, map[string]string{"X-RevenueCat-Signature": stamp + ",v1=" + good}, true},
		"the other header":     {map[string]string{headerSetting: "X-RevenueCat-Signature"}, map[string]string{"X-RevenueCat-Webhook-Signature": stamp + ",v1=" + good}, false},
		"rotated, with spaces": {nil, map[string]string{"X-RevenueCat-Webhook-Signature": stamp + ", v1=" + signature("old one", at, body) + ", v1=" + good}, true},
		"another scheme":       {nil, map[string]string{"X-RevenueCat-Webhook-Signature": stamp + ",v0=" + good}, false},
		"no time":              {nil, map[string]string{"X-RevenueCat-Webhook-Signature": "v1=" + good}, false},
		"the secret itself":    {nil, map[string]string{"Authorization": secret}, false},
	} {
		settings := map[string]string{verificationSetting: bySignature}
		for name, value := range c.settings {
			settings[name] = value
		}
		settled, err := New().Settle(settings)
		if err != nil {
			t.Fatal(err)
		}
		d := connectors.Delivery{Header: http.Header{}, Body: body, ReceivedAt: at, Settings: settled, Secrets: []string{secret}}
		for name, value := range c.header {
			d.Header.Set(name, value)
		}
		if _, _, err := New().Receive(t.Context(), d); (err == nil) != c.verifies || err != nil && !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New().Settle(map[string]string{headerSetting: "no header: x"}); err == nil {
		t.Error("a header with a space is taken")
	}
}

func TestRounded(t *testing.T) {
	for _, c := range []struct {
		text, currency string
		want           int64
		ok             bool
	}{
		{"25.487", "USD", 2549, true}, {"25.485", "USD", 2549, true}, {"-25.485", "USD", -2549, true}, {"25.4849999999999999", "USD", 2548, true},
		{"32.99", "CAD", 3299, true}, {"0.07", "USD", 7, true}, {"1200.0", "JPY", 1200, true}, {"1.2345", "KWD", 1235, true}, {"-0.0", "USD", 0, true},
		{"1e5", "USD", 0, false}, {"1/3", "USD", 0, false}, {"0x10", "USD", 0, false}, {"", "USD", 0, false}, {"NaN", "USD", 0, false}, {"Inf", "USD", 0, false},
		{"1", "XXX", 0, false}, {"100000000001", "USD", 10000000000100, false}, {"99999999999999999999", "USD", 0, false},
	} {
		got, ok := rounded(c.text, c.currency)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s %s: %d, %v", c.text, c.currency, got, ok)
		}
	}
}

func TestTermOf(t *testing.T) {
	for _, c := range []struct {
		start, end string
		want       string
	}{
		{"2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", "1 week"},
		{"2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "1 month"},
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "1 month"},
		{"2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z", "4 week"},
		{"2026-01-15T00:00:00Z", "2026-03-15T00:00:00Z", "2 month"},
		{"2026-01-15T00:00:00Z", "2026-04-15T00:00:00Z", "3 month"},
		{"2026-01-15T00:00:00Z", "2026-07-15T01:00:00Z", "6 month"},
		{"2024-02-29T00:00:00Z", "2025-02-28T00:00:00Z", "1 year"},
		{"2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z", "2 week"},
		{"2026-01-01T00:00:00Z", "2026-01-04T01:00:00Z", "3 day"},
		{"2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z", "0 day"},
	} {
		start, _ := time.Parse(time.RFC3339, c.start)
		end, _ := time.Parse(time.RFC3339, c.end)
		if interval, count := termOf(start, end); fmt.Sprint(count, " ", interval) != c.want {
			t.Errorf("%s to %s: %d %s, not %s", c.start, c.end, count, interval, c.want)
		}
	}
}
