package braintree

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

const (
	secret = "public-of-the-tests:private-of-the-tests"
	other  = "public-of-others:private-of-others"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: secret, Other: other, Sign: sign}
}

// sign makes of a delivery the form that Braintree would send. What is no form
// already is a notification. It takes any secret, a blank one too.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	form, err := readForm(delivery.Body)
	if err != nil || form.payload == "" {
		form.payload = base64.StdEncoding.EncodeToString(delivery.Body)
	}
	keys, err := keysOf(secret)
	if err != nil {
		keys.private = secret
	}
	signature, err := signer.Sign(keys.private, []byte(form.payload))
	if err != nil {
		panic(err) // any text is a key
	}
	delivery.Body = []byte(url.Values{"bt_payload": {form.payload}, "bt_signature": {keys.public + "|" + signature}}.Encode())
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<notification><timestamp type="datetime">2026-01-01T00:00:00Z</timestamp><kind>transaction_settled</kind><subject><transaction>`+
		`<id>t</id><status>settled</status><amount>1</amount><currency-iso-code>USD</currency-iso-code></transaction></subject></notification>`), []byte("{}"))
	kit().Fuzz(f)
}

// TestChallenge is a question and its answer as Braintree publishes them
// (github.com/braintree/braintree_ruby, spec/unit/braintree/webhook_notification_spec.rb).
func TestChallenge(t *testing.T) {
	d := connectors.Delivery{Secrets: []string{" ", "no pair", "integration_public_key:integration_private_key", secret}}
	answer, err := New().Challenge(d, url.Values{"bt_challenge": {"20f9f8ed05f77439fe955c977e4c8a53"}})
	if want := "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"; err != nil || answer.Status != http.StatusOK || answer.Body != want {
		t.Errorf("%+v, %v, want %s", answer, err, want)
	}
	for _, asked := range []string{"", "bad challenge", "PD94bWwgdmVyc2lvbj0iMS4w", strings.Repeat("a", 33), strings.Repeat("a", 19)} {
		if answer, err := New().Challenge(d, url.Values{"bt_challenge": {asked}}); !errors.Is(err, connectors.ErrMalformed) {
			t.Errorf("%q is answered with %+v, %v", asked, answer, err)
		}
	}
	d.Secrets = []string{"", "no pair"}
	if _, err := New().Challenge(d, url.Values{"bt_challenge": {"20f9f8ed05f77439fe955c977e4c8a53"}}); !errors.Is(err, connectors.ErrBadSignature) {
		t.Errorf("without keys: %v", err)
	}
}

const check = `<notification><timestamp type="datetime">2026-01-01T00:00:00Z</timestamp><kind>check</kind><subject><check type="boolean">true</check></subject></notification>`

func deliver(t *testing.T, payload, signed, pairs string, escape func(string) string) ([]connectors.Item, error) {
	t.Helper()
	signature, err := signer.Sign("private-of-the-tests", []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	body := "bt_signature=" + url.QueryEscape(strings.ReplaceAll(pairs, "SIGNATURE", signature)) + "&bt_payload=" + escape(payload)
	_, items, err := New().Receive(t.Context(), connectors.Delivery{Secrets: []string{other, secret}, Body: []byte(body), ReceivedAt: connectortest.ReceivedAt})
	return items, err
}

// TestSignatureForms: what Braintree's libraries take, and what they do not.
func TestSignatureForms(t *testing.T) {
	payload := base64.StdEncoding.EncodeToString([]byte(check))
	broken := payload[:60] + "\n" + payload[60:] + "\n"
	const pair = "public-of-the-tests|SIGNATURE"
	for name, c := range map[string]struct {
		payload, signed, pairs string
		verifies               bool
	}{
		"plain":                    {payload, payload, pair, true},
		"line breaks":              {broken, broken, pair, true},
		"last line break lost":     {payload, payload + "\n", pair, true},
		"several pairs":            {payload, payload, "public-of-nobody|00&" + pair, true},
		"pair of another key":      {payload, payload, "public-of-others|SIGNATURE", false},
		"no public key":            {payload, payload, "SIGNATURE", false},
		"only line breaks differ":  {broken, payload, pair, false},
		"signed the XML":           {payload, check, pair, false},
		"no signature in the pair": {payload, payload, "public-of-the-tests|", false},
		"no payload":               {"", "", pair, false},
	} {
		items, err := deliver(t, c.payload, c.signed, c.pairs, url.QueryEscape)
		if c.verifies && (err != nil || len(items) != 1 || !items[0].Ignored() || items[0].Type != "check") || !c.verifies && !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s: %+v, %v", name, items, err)
		}
	}
}

// TestPlusNotEscaped: a plus of the base64 that comes as itself means a space in a
// form, and is a plus all the same.
func TestPlusNotEscaped(t *testing.T) {
	payload := base64.StdEncoding.EncodeToString([]byte(strings.Replace(check, "check", "ch>~>>ck", 1)))
	if !strings.Contains(payload, "+") {
		t.Fatal("there is no plus to lose")
	}
	if _, err := deliver(t, payload, payload, "public-of-the-tests|SIGNATURE", func(s string) string { return s }); err != nil {
		t.Error(err)
	}
}

func TestXML(t *testing.T) {
	for _, text := range []string{
		"", "no XML", "<notification>", "<other><kind>check</kind></other>", "<notification>text</notification>",
		"<notification><kind>check</kind>" + strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40) + "</notification>",
		`<!DOCTYPE n [<!ENTITY e "check">]><notification><kind>&e;</kind></notification>`,
	} {
		if object, err := (form{payload: base64.StdEncoding.EncodeToString([]byte(text))}).notification(); !errors.Is(err, connectors.ErrMalformed) {
			t.Errorf("%q is %v, %v", text, object, err)
		}
	}
	o, err := (form{payload: base64.StdEncoding.EncodeToString([]byte(`<?xml version="1.0"?><notification><a-b type="integer">7</a-b><c nil="true"/><d></d>` +
		`<e type="boolean">true</e><f type="array"><g>1</g><g><h>&lt;2&gt;</h></g></f><i type="integer">x</i></notification>`))}).notification()
	if err != nil || o.Count("a_b") != 7 || o.Value("c", "d") != nil || !o.Flag("e") || len(o.List("f")) != 1 || o.List("f")[0].Text("h") != "<2>" || o.Text("i") != "x" {
		t.Errorf("%v, %v", o, err)
	}
}

func TestMonths(t *testing.T) {
	for period, want := range map[[2]string]int64{
		{"2026-01-05", "2026-02-04"}: 1, {"2026-01-31", "2026-02-27"}: 1, {"2026-02-28", "2026-03-30"}: 1,
		{"2026-01-01", "2026-12-31"}: 12, {"2026-11-15", "2027-02-14"}: 3,
		{"2026-01-20", "2026-01-24"}: 0, {"2026-01-05", "2026-02-10"}: 0, {"2026-03-05", "2026-02-04"}: 0,
	} {
		n := &notification{Reader: connectors.NewReader(Provider, &connectors.Delivery{}, revenue.Delivery{})}
		got := n.months(connectors.Object{"billing_period_start_date": period[0], "billing_period_end_date": period[1]})
		if got != want {
			t.Errorf("%v is %d months, want %d", period, got, want)
		}
	}
}

func TestSecretsAndSettings(t *testing.T) {
	for text, valid := range map[string]bool{secret: true, "public:pri:vate": true, "": false, "private": false, ":private": false, "public:": false} {
		if err := New().CheckSecret(text); (err == nil) != valid {
			t.Errorf("%q: %v", text, err)
		}
	}
	for value, valid := range map[string]bool{"EUR": true, "eur": false, "XXX": false} {
		if _, err := New().Settle(map[string]string{"currency": value}); (err == nil) != valid {
			t.Errorf("%q: %v", value, err)
		}
	}
}
