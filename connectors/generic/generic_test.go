package generic

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func secretOf(text string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(text))
}

func kit() connectortest.Kit {
	return connectortest.Kit{
		Connector: New(), Secret: secretOf("key of the tests, 24 bytes"), Other: secretOf("key of others, of 24 bytes"), Sign: sign, Timed: true,
		Settings: map[string]string{"mapping": `{kind: "charge", id: .id, version: 1, at: .at, amount: .amount, currency: .currency, customer: .customer}`},
	}
}

// sign puts on a delivery the headers of Standard Webhooks.
func sign(delivery *connectors.Delivery, secret string, at time.Time) {
	const id = "msg_1"
	seconds := fmt.Sprint(at.Unix())
	signature, _ := connectors.StandardWebhooks{}.HMAC().Sign(secret, []byte(id+"."+seconds+"."), delivery.Body) // a blank secret is no key
	delivery.Header.Set("webhook-id", id)
	delivery.Header.Set("webhook-timestamp", seconds)
	delivery.Header.Set("webhook-signature", "v1,"+signature)
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// TestSchemes: the settings describe how the providers sign that have connectors of
// their own, and others.
func TestSchemes(t *testing.T) {
	const secret = "secret of the tests"
	body := []byte(`{"id":"1","type":"t"}`)
	now := connectortest.ReceivedAt
	seconds, milliseconds := fmt.Sprint(now.Unix()), fmt.Sprint(now.UnixMilli())
	hexOf := func(parts ...string) string { return signed(t, connectors.HMAC{}, secret, parts, body) }
	base64Of := func(parts ...string) string { return signed(t, connectors.HMAC{Base64: true}, secret, parts, body) }
	for name, c := range map[string]struct{ settings, header map[string]string }{
		"like Stripe": {
			map[string]string{"signature_header": "Stripe-Signature", "signature_pattern": `v1=([0-9a-f]+)`, "time_pattern": `t=(\d+)`, "signed": "{time}.{body}"},
			map[string]string{"Stripe-Signature": "t=" + seconds + ",v1=00ff,v1=" + hexOf(seconds+".") + ",v0=abcd"},
		},
		"like Paddle": {
			map[string]string{"signature_header": "Paddle-Signature", "signature_pattern": `h1=([0-9a-f]+)`, "time_pattern": `ts=(\d+)`, "signed": "{time}:{body}"},
			map[string]string{"Paddle-Signature": "ts=" + seconds + ";h1=" + hexOf(seconds+":")},
		},
		"like Recurly": {
			map[string]string{"signature_header": "recurly-signature", "signature_pattern": `,\s*([0-9a-f]+)`, "time_pattern": `^(\d+),`, "signed": "{time}.{body}"},
			map[string]string{"recurly-signature": milliseconds + ",00ff, " + hexOf(milliseconds+".")},
		},
		"like Lemon Squeezy": {map[string]string{}, map[string]string{"X-Signature": hexOf()}},
		"like Shopify": {
			map[string]string{"signature_header": "X-Shopify-Hmac-SHA256", "signature_encoding": "base64"},
			map[string]string{"X-Shopify-Hmac-Sha256": base64Of()},
		},
		"like GitHub": {
			map[string]string{"signature_header": "X-Hub-Signature-256", "signature_pattern": `^sha256=([0-9a-f]+)$`},
			map[string]string{"X-Hub-Signature-256": "sha256=" + hexOf()},
		},
		"headers for each": {
			map[string]string{"time_header": "X-Time", "id_header": "X-Id", "signed": "{id}|{time}|{body}|{id}"},
			map[string]string{"X-Signature": signedAround(t, secret, "m1|"+seconds+"|", body, "|m1"), "X-Time": seconds, "X-Id": "m1"},
		},
	} {
		settings := map[string]string{"scheme": schemeHMAC, "mapping": "empty"}
		for name, value := range c.settings {
			settings[name] = value
		}
		settled, err := New().Settle(settings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := connectors.Delivery{Header: http.Header{}, Body: body, ReceivedAt: now, Settings: settled, Secrets: []string{"another", secret}}
		for name, value := range c.header {
			d.Header.Set(name, value)
		}
		if verification, _, err := New().Receive(t.Context(), d); err != nil || verification.Secret != 1 {
			t.Errorf("%s: %+v, %v", name, verification, err)
		}
		refusals(t, name, d)
	}
}

// refusals spoils a delivery that verifies.
func refusals(t *testing.T, name string, d connectors.Delivery) {
	t.Helper()
	for what, spoil := range map[string]func(*connectors.Delivery){
		"altered":   func(d *connectors.Delivery) { d.Body = []byte(`{"id":"2","type":"t"}`) },
		"no header": func(d *connectors.Delivery) { d.Header = http.Header{} },
		"blank":     func(d *connectors.Delivery) { d.Secrets = []string{"", " "} },
		"too old": func(d *connectors.Delivery) {
			if strings.Contains(d.Settings["signed"], "{time}") {
				d.ReceivedAt = d.ReceivedAt.Add(time.Hour)
			} else {
				d.Secrets = nil
			}
		},
	} {
		spoiled := d
		spoil(&spoiled)
		if _, _, err := New().Receive(t.Context(), spoiled); !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s, %s: %v", name, what, err)
		}
	}
}

func signed(t *testing.T, scheme connectors.HMAC, secret string, before []string, body []byte) string {
	t.Helper()
	signature, err := scheme.Sign(secret, []byte(strings.Join(before, "")), body)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func signedAround(t *testing.T, secret, before string, body []byte, after string) string {
	t.Helper()
	signature, err := connectors.HMAC{}.Sign(secret, []byte(before), body, []byte(after))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// TestOtherSchemes: a password, a token, and keys in other encodings.
func TestOtherSchemes(t *testing.T) {
	body := []byte(`{"id":"1"}`)
	for name, c := range map[string]struct {
		settings        map[string]string
		secret          string
		header, content string
	}{
		"basic":   {map[string]string{"scheme": schemeBasic}, "user:pass", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass"))},
		"header":  {map[string]string{"scheme": schemeHeader, "signature_header": "X-Token"}, "abc", "X-Token", "abc"},
		"hex key": {map[string]string{"scheme": schemeHMAC, "key_encoding": "hex", "key_prefix": "k_"}, "k_616263", "X-Signature", signed(t, connectors.HMAC{}, "abc", nil, body)},
		"sha512":  {map[string]string{"scheme": schemeHMAC, "hash": "sha512"}, "abc", "X-Signature", signed(t, connectors.HMAC{Hash: hashes["sha512"]}, "abc", nil, body)},
		"sha1":    {map[string]string{"scheme": schemeHMAC, "hash": "sha1"}, "abc", "X-Signature", signed(t, connectors.HMAC{Hash: hashes["sha1"]}, "abc", nil, body)},
	} {
		c.settings["mapping"] = "empty"
		settled, err := New().Settle(c.settings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := connectors.Delivery{Header: http.Header{}, Body: body, ReceivedAt: connectortest.ReceivedAt, Settings: settled, Secrets: []string{c.secret}}
		d.Header.Set(c.header, c.content)
		if _, _, err := New().Receive(t.Context(), d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.Secrets = []string{c.secret + "ff"}
		if _, _, err := New().Receive(t.Context(), d); !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s with another secret: %v", name, err)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, c := range [][2]string{
		{"mapping", "{"}, {"mapping", `import "a" as a; .`}, {"mapping", "nosuch"}, {"mapping", "$ENV2"},
		{"signature_pattern", "("}, {"signature_pattern", "v1=.+"}, {"signed", "{time}"}, {"signed", "{body}{body}"},
		{"scheme", "none"}, {"hash", "md5"}, {"signature_header", "two words"},
	} {
		if _, err := New().Settle(map[string]string{"mapping": ".", c[0]: c[1]}); err == nil {
			t.Errorf("%s=%s is taken", c[0], c[1])
		}
	}
}

// TestMapping: what a program may not do, or say.
func TestMapping(t *testing.T) {
	body := `{"id":"1","amount":10.10,"big":123456789012345678901,"at":"2026-01-01T00:00:00Z"}`
	charge := `{kind:"charge",id:.id,version:1,at:.at,currency:"USD",amount:1010}`
	term := `{kind:"subscription",id:"s",version:1,at:.at,currency:"USD",worth:5,interval:"month",status:"active"}`
	for program, want := range map[string]string{
		charge: "",
		charge + `+{amount:.amount,unit:"major"}`: "",
		`empty`:                                 "",
		`null`:                                  "",
		charge + ", halt":                       "",
		charge + `+{amount:(.amount|tonumber)}`: "amount: must be a whole number",
		charge + `+{amount:.amount}`:            "amount: must be a whole number",
		charge + `+{amount:.big}`:               "amount: must be a whole number",
		charge + `+{amount:-5}`:                 "amount: -5 is not an amount",
		charge + `+{unit:"cents"}`:              "unit:",
		charge + `+{currency:"US$"}`:            "currency:",
		charge + `+{kind:"gift"}`:               "kind:",
		charge + `+{version:0}`:                 "version:",
		charge + `+{version:now}`:               "no clock",
		charge + `+{at:"soon"}`:                 "at: is not a time",
		charge + `+{status:"active"}`:           "status:",
		charge + `+{billing:"often"}`:           "billing:",
		charge + `+{tax:1011}`:                  "tax:",
		charge + `+{amuont:1}`:                  "amuont: is no word",
		`{}`:                                    "kind:",
		`1`:                                     "no object",
		`error("x")`:                            "the mapping fails",
		`$ENV.PATH|error`:                       "the mapping fails",
		`range(1000)|{}`:                        "more than 100",
		`input`:                                 "one input",
		`{kind:"period",id:"p",version:1,at:.at,currency:"USD",worth:5,interval:"month"}`:      "period_start",
		`{kind:"subscription",id:"s",version:1,at:.at,currency:"USD",worth:5,interval:"moon"}`: "status:",
		`{kind:"subscription",id:"s",version:1,at:.at,currency:"USD",worth:5,status:"active"}`: "worth:",
		`{kind:"subscription",id:"s",version:1,at:.at,status:"active",customer:"c"}`:           "",
		term + `+{worth_before_discounts:6}`:                                                   "",
		term + `+{worth_before_discounts:4}`:                                                   "worth_before_discounts: is less",
		term + `+{worth_before_discounts:6}|del(.worth)`:                                       "worth_before_discounts: is for",
		charge + `+{worth_before_discounts:6,worth:5,interval:"month"}`:                        "worth_before_discounts: is for",
	} {
		settled, err := New().Settle(map[string]string{"mapping": program})
		if err != nil {
			t.Errorf("%s: %v", program, err)
			continue
		}
		d := connectors.Delivery{Body: []byte(body), ReceivedAt: connectortest.ReceivedAt, Livemode: true, Settings: settled}
		items, err := New().Decode(t.Context(), d)
		if err != nil || len(items) != 1 {
			t.Errorf("%s: %d items, %v", program, len(items), err)
			continue
		}
		switch got := items[0].Err; {
		case want == "" && got != nil, want != "" && (got == nil || !strings.Contains(got.Error(), want)):
			t.Errorf("%s: %v, want %q", program, got, want)
		}
	}
}

// TestEndlessMapping: a program that does not end is stopped, and the delivery tried
// again, for a machine may be slow.
func TestEndlessMapping(t *testing.T) {
	settled, err := New().Settle(map[string]string{"mapping": "last(repeat(1))"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New().Decode(t.Context(), connectors.Delivery{Body: []byte(`{}`), ReceivedAt: connectortest.ReceivedAt, Settings: settled})
	if err == nil || errors.Is(err, connectors.ErrMalformed) {
		t.Errorf("%v, want a temporary error", err)
	}
}
