package stripe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stripe/stripe-go/v76/webhook"

	"revstream/connectors"
)

// sale is a payment of 20.00 USD, the body of the guards' tests.
func sale(t testing.TB) []byte {
	return fixture{Type: "payment_intent.succeeded", Created: 1767225600, APIVersion: "2025-08-27.basil",
		Object: []byte(`{"id":"pi_1","object":"payment_intent","amount_received":2000,"currency":"usd"}`)}.body(t, "evt_1")
}

func signature(body []byte, secret string, at time.Time) string {
	return "v1=" + hex.EncodeToString(webhook.ComputeSignature(at, body, secret))
}

func TestSignatures(t *testing.T) {
	body := sale(t)
	at := testReceivedAt
	stamp := func(at time.Time) string { return fmt.Sprintf("t=%d,", at.Unix()) }
	good := signature(body, testSecret, at)
	wrong := signature(body, "whsec_other", at)
	cases := map[string]struct {
		header   http.Header
		secrets  []string
		verifies bool
	}{
		"good":                                 {signed(body, testSecret, at), []string{testSecret}, true},
		"second of two secrets":                {signed(body, testSecret, at), []string{"whsec_other", testSecret}, true},
		"rotation: two signatures, new secret": {http.Header{"Stripe-Signature": {stamp(at) + wrong + "," + good}}, []string{testSecret}, true},
		"rotation: two signatures, old secret": {http.Header{"Stripe-Signature": {stamp(at) + wrong + "," + good}}, []string{"whsec_other"}, true},
		"blank secret beside a good one":       {signed(body, testSecret, at), []string{"", " ", testSecret}, true},
		"space after the comma":                {http.Header{"Stripe-Signature": {strings.TrimSuffix(stamp(at), ",") + ", " + good + ", v0=00"}}, []string{testSecret}, true},
		"split into lines":                     {http.Header{"Stripe-Signature": {strings.TrimSuffix(stamp(at), ","), good}}, []string{testSecret}, true},
		"signed five minutes before":           {signed(body, testSecret, at.Add(-5*time.Minute)), []string{testSecret}, true},
		"clock a minute behind":                {signed(body, testSecret, at.Add(time.Minute)), []string{testSecret}, true},

		"other secret":             {signed(body, "whsec_other", at), []string{testSecret}, false},
		"no secret":                {signed(body, "", at), nil, false},
		"empty secret":             {signed(body, "", at), []string{""}, false},
		"blank secret":             {signed(body, " ", at), []string{" "}, false},
		"signed too long before":   {signed(body, testSecret, at.Add(-6*time.Minute)), []string{testSecret}, false},
		"signed in the future":     {signed(body, testSecret, at.Add(6*time.Minute)), []string{testSecret}, false},
		"signed in a year":         {signed(body, testSecret, at.AddDate(1, 0, 0)), []string{testSecret}, false},
		"fresh time put before":    {http.Header{"Stripe-Signature": {stamp(at) + stamp(at.AddDate(-1, 0, 0)) + signature(body, testSecret, at.AddDate(-1, 0, 0))}}, []string{testSecret}, false},
		"fresh time put after":     {http.Header{"Stripe-Signature": {stamp(at.AddDate(-1, 0, 0)) + signature(body, testSecret, at.AddDate(-1, 0, 0)) + "," + strings.TrimSuffix(stamp(at), ",")}}, []string{testSecret}, false},
		"no header":                {http.Header{}, []string{testSecret}, false},
		"no timestamp":             {http.Header{"Stripe-Signature": {good}}, []string{testSecret}, false},
		"timestamp no number":      {http.Header{"Stripe-Signature": {"t=now," + good}}, []string{testSecret}, false},
		"timestamp without end":    {http.Header{"Stripe-Signature": {"t=9223372036854775807," + good}}, []string{testSecret}, false},
		"only the test scheme v0":  {http.Header{"Stripe-Signature": {stamp(at) + "v0" + good[2:]}}, []string{testSecret}, false},
		"signature of another one": {signed([]byte("{}"), testSecret, at), []string{testSecret}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := delivery(body)
			d.Header, d.Secrets = c.header, c.secrets
			decoded, err := newDecode(t, nil)(t.Context(), d)
			if c.verifies {
				if err != nil || len(decoded.Events) != 1 {
					t.Fatalf("%d statements, %v", len(decoded.Events), err)
				}
				return
			}
			if !errors.Is(err, connectors.ErrBadSignature) || len(decoded.Events) != 0 {
				t.Fatalf("%d statements, %v", len(decoded.Events), err)
			}
		})
	}
}

func TestThinEventIsIgnoredAndCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	decode := decodeWith(New(DefaultConfig(), registry))
	for _, body := range []string{
		`{"id":"evt_2","object":"v2.core.event","type":"v1.invoice.paid","livemode":true,"snapshot_event":"evt_1","related_object":{"id":"in_1","type":"invoice","url":"/v1/invoices/in_1"}}`,
		`{"id":"evt_2","object":"v2.core.event","type":"v1.invoice.paid","created":"2026-01-01T00:00:00.000Z","livemode":true,"related_object":null}`,
	} {
		decoded, err := decode(t.Context(), delivery([]byte(body)))
		if err != nil || !decoded.Ignored() || len(decoded.Events) != 0 || decoded.ID != "evt_2" || decoded.Type != "v1.invoice.paid" {
			t.Errorf("%+v, %v", decoded, err)
		}
	}
	const want = "# HELP revstream_stripe_thin_events_total API v2 thin events received. They carry no object and are ignored: send snapshot events to the endpoint.\n" +
		"# TYPE revstream_stripe_thin_events_total counter\nrevstream_stripe_thin_events_total 2\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "revstream_stripe_thin_events_total"); err != nil {
		t.Error(err)
	}
}

func TestUnknownTypeIsIgnored(t *testing.T) {
	decoded := decodeOne(t, `{"type":"issuing_card.created","created":1767225600,"object":{"id":"ic_1"}}`)
	if !decoded.Ignored() || decoded.ID != "evt_1" || decoded.Type != "issuing_card.created" {
		t.Errorf("%+v", decoded)
	}
}

func TestMalformedBodiesAreRefused(t *testing.T) {
	decode := newDecode(t, nil)
	event := func(rest string) string {
		return `{"id":"evt_1","object":"event","type":"payment_intent.succeeded","created":1767225600,"livemode":true,` + rest + `}`
	}
	payment := func(amount, currency string) string {
		return event(`"data":{"object":{"id":"pi_1","amount_received":` + amount + `,"currency":` + currency + `}}`)
	}
	for name, body := range map[string]string{
		"empty":                   ``,
		"not an object":           `[1]`,
		"null":                    `null`,
		"cut off":                 `{"id":"evt_1"`,
		"two objects":             payment("2000", `"usd"`) + payment("2000", `"usd"`),
		"no id":                   `{"type":"payment_intent.succeeded","created":1,"livemode":true,"data":{"object":{}}}`,
		"no type":                 `{"id":"evt_1","created":1767225600,"livemode":true,"data":{"object":{}}}`,
		"no data":                 event(`"data":null`),
		"no object":               event(`"data":{}`),
		"no livemode":             strings.Replace(payment("2000", `"usd"`), `"livemode":true,`, "", 1),
		"no time":                 strings.Replace(payment("2000", `"usd"`), `"created":1767225600,`, "", 1),
		"time of another century": strings.Replace(payment("2000", `"usd"`), "1767225600", "1767225600000", 1),
		"time in a live future":   strings.Replace(payment("2000", `"usd"`), "1767225600", "1799193600", 1),
		"no object id":            event(`"data":{"object":{"amount_received":2000,"currency":"usd"}}`),
		"fraction":                payment("20.5", `"usd"`),
		"exponent":                payment("2e3", `"usd"`),
		"text for an amount":      payment(`"2000"`, `"usd"`),
		"negative":                payment("-2000", `"usd"`),
		"too large":               payment("10000000000001", `"usd"`),
		"beyond 64 bits":          payment("99999999999999999999", `"usd"`),
		"too large once in minor": payment("9999999999999", `"mga"`),
		"no currency":             payment("2000", "null"),
		"no such currency":        payment("2000", `"zzz"`),
		"part of a króna":         payment("550", `"isk"`),
	} {
		t.Run(name, func(t *testing.T) {
			decoded, err := decode(t.Context(), delivery([]byte(body)))
			var invalid *connectors.InvalidError
			if !errors.As(err, &invalid) || !errors.Is(err, connectors.ErrMalformed) || len(decoded.Events) != 0 {
				t.Errorf("%+v, %v", decoded, err)
			}
		})
	}
}

func TestAmountsAreExact(t *testing.T) {
	e := one(t, `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":9999999999999,"currency":"usd"}}`)
	if e.Amount != 9999999999999 || e.Version != 2*9999999999999+1 {
		t.Errorf("%d at version %d", e.Amount, e.Version)
	}
}

func TestWhatIsTooLongIsCutAndMoneyKept(t *testing.T) {
	long := strings.Repeat("é", 400)
	note := strings.Repeat("n", 9000)
	e := one(t, `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd",
		"customer":"`+long+`","payment_method_types":["a\u0000b"],"metadata":{"a":"`+note+`","b":"`+note+`","c":"kept","visitor":7}}}`)
	if e.Amount != 2000 || len(e.Customer) != connectors.TextBytesMax || e.PaymentMethod != "ab" {
		t.Errorf("amount %d, customer of %d bytes, method %q", e.Amount, len(e.Customer), e.PaymentMethod)
	}
	if got := string(e.Metadata); len(got) > connectors.MetadataBytesMax || !strings.HasSuffix(got, `"c":"kept","visitor":7}`) || e.Visitor != "" {
		t.Errorf("metadata of %d bytes, visitor %q", len(got), e.Visitor)
	}
}

func TestConfigIsValidated(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	err := Config{}.Validate()
	for _, name := range []string{"signature_age_max", "off_stripe", "one_time_source", "discounts"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}
