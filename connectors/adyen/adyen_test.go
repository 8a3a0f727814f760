package adyen

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

const (
	secret = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
	other  = "FEDCBA9876543210FEDCBA9876543210FEDCBA9876543210FEDCBA9876543210"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: secret, Other: other, Sign: sign}
}

// sign puts into each item of the body the signature that Adyen would, except into
// one with the reference "forged". It takes any secret, a blank one too.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	signer := connectors.HMAC{Base64: true, Key: func(secret string) ([]byte, error) {
		key, _ := hex.DecodeString(secret)
		return key, nil
	}}
	decoder := json.NewDecoder(bytes.NewReader(delivery.Body))
	decoder.UseNumber()
	var envelope connectors.Object
	if decoder.Decode(&envelope) != nil || decoder.More() || envelope == nil {
		return
	}
	for _, data := range itemsOf(envelope) {
		additional, ok := data["additionalData"].(map[string]any)
		if !ok || data.Text("merchantReference") == "forged" {
			continue
		}
		signature, err := signer.Sign(secret, []byte(signed(data)))
		if err != nil {
			panic(err) // the key is always one
		}
		additional["hmacSignature"] = signature
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		panic(err) // it was JSON
	}
	delivery.Body = body
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

func delivery(body string) connectors.Delivery {
	return connectors.Delivery{
		Workspace: "acme", Livemode: true, Secrets: []string{secret}, Settings: connectors.Settings{"capture": captureAutomatic},
		Header: http.Header{}, Body: []byte(body), ReceivedAt: connectortest.ReceivedAt,
	}
}

const sale = `{"live":"true","notificationItems":[{"NotificationRequestItem":{"additionalData":{},
	"amount":{"currency":"EUR","value":1100},"eventCode":"AUTHORISATION","eventDate":"2026-06-01T09:00:00+02:00",
	"merchantAccountCode":"AcmeEU","merchantReference":"order 1","pspReference":"PSP1","success":"true"}}]}`

// TestSignedMembers alters each member that the signature covers, and one that it
// does not.
func TestSignedMembers(t *testing.T) {
	for _, alteration := range []struct {
		from, to string
		verifies bool
	}{
		{"PSP1", "PSP2", false},
		{`"success":"true"`, `"success":"false"`, false},
		{"AcmeEU", "AcmeUS", false},
		{"order 1", "order 2", false},
		{"1100", "1200", false},
		{`"EUR"`, `"USD"`, false},
		{"AUTHORISATION", "CAPTURE", false},
		{`"success"`, `"originalReference":"PSP0","success"`, false},
		{"2026-06-01", "2026-06-02", true},
	} {
		d := delivery(sale)
		sign(&d, secret, time.Time{})
		altered := bytes.Replace(d.Body, []byte(alteration.from), []byte(alteration.to), 1)
		if bytes.Equal(altered, d.Body) {
			t.Fatalf("%q is not in the body", alteration.from)
		}
		d.Body = altered
		if _, err := verify(d); (err == nil) != alteration.verifies {
			t.Errorf("%s to %s: %v", alteration.from, alteration.to, err)
		}
	}
}

// TestSignedText: what is signed is what was sent, colons and slashes, spaces at
// the ends and long texts included.
func TestSignedText(t *testing.T) {
	for reference, want := range map[string]string{
		`\\:\/\\\/ slashes `:        `PSP:::\:/\/ slashes :1:EUR:CAPTURE:true`,
		strings.Repeat("long", 500): "PSP:::" + strings.Repeat("long", 500) + ":1:EUR:CAPTURE:true",
		`tab\tand line\n`:           "PSP:::tab\tand line\n:1:EUR:CAPTURE:true",
	} {
		data, err := connectors.ParseObject([]byte(`{"pspReference":"PSP","merchantReference":"` + reference +
			`","amount":{"value":1,"currency":"EUR"},"eventCode":"CAPTURE","success":"true"}`))
		if got := signed(data); err != nil || got != want {
			t.Errorf("%q, want %q, %v", got, want, err)
		}
	}
}

// TestPublishedExample is an item of which Adyen publishes the key and the signature
// (github.com/Adyen/adyen-java-api-library, src/test/java/com/adyen/util/HMACValidatorTest.java).
func TestPublishedExample(t *testing.T) {
	d := delivery(`{"live":"false","notificationItems":[{"NotificationRequestItem":{
		"additionalData":{"hmacSignature":"NuEkADFmlCC6VgX+wcoPAegIWxVPNBPCuKlM4Hzo5qc="},
		"amount":{"currency":"EUR","value":0},"eventCode":"REPORT_AVAILABLE","merchantAccountCode":"Magento2Rik",
		"merchantReference":"testMerchantRef1","pspReference":"test_REPORT_AVAILABLE","success":"true"}}]}`)
	d.Secrets = []string{secret, "9064450A8892A093D9E97EFCC9639DE31B74F3A7803135555A3C96F5A57915D6"}
	verification, items, err := New().Receive(t.Context(), d)
	if err != nil || verification.Secret != 1 || len(items) != 1 || !items[0].Ignored() {
		t.Errorf("%+v, %+v, %v", verification, items, err)
	}
}

// TestRotationWithinBatch: while any item needs the old secret, the old secret is
// what the batch verifies with.
func TestRotationWithinBatch(t *testing.T) {
	a, b := delivery(sale), delivery(strings.Replace(sale, "PSP1", "PSP2", 1))
	sign(&a, secret, time.Time{})
	sign(&b, other, time.Time{})
	item := func(d connectors.Delivery) string {
		text := string(d.Body)
		return text[strings.Index(text, "[")+1 : strings.LastIndex(text, "]")]
	}
	d := delivery(`{"live":"true","notificationItems":[` + item(b) + "," + item(a) + `]}`)
	d.Secrets = []string{secret, other}
	verification, items, err := New().Receive(t.Context(), d)
	if err != nil || verification.Secret != 1 || len(items) != 2 || len(items[0].Events) != 1 || len(items[1].Events) != 1 {
		t.Errorf("%+v, %d items, %v", verification, len(items), err)
	}
}

func TestBasicAuth(t *testing.T) {
	d := delivery(sale)
	sign(&d, secret, time.Time{})
	d.Settings["basic_auth"] = "adyen:pass:word"
	authorise := func(user, password string) {
		request := http.Request{Header: d.Header}
		request.SetBasicAuth(user, password)
	}
	if _, err := verify(d); err == nil {
		t.Error("nothing was asked for")
	}
	authorise("adyen", "pass")
	if _, err := verify(d); err == nil {
		t.Error("any password will do")
	}
	authorise("adyen", "pass:word")
	if _, err := verify(d); err != nil {
		t.Error(err)
	}
	d.Body = []byte(sale)
	if _, err := verify(d); err == nil {
		t.Error("the password took the place of the signature")
	}
}

func TestSecretsAndSettings(t *testing.T) {
	c := New()
	for text, valid := range map[string]bool{secret: true, strings.ToLower(secret): true, "": false, "abcd": false, secret + "00": false, strings.Repeat("x", 64): false} {
		if err := c.CheckSecret(text); (err == nil) != valid {
			t.Errorf("%q: %v", text, err)
		}
	}
	for value, valid := range map[string]bool{"adyen:secret": true, "adyen": false, ":secret": false, "adyen:": false} {
		if _, err := c.Settle(map[string]string{"basic_auth": value}); (err == nil) != valid {
			t.Errorf("%q: %v", value, err)
		}
	}
	if c.Accepted.Body != "[accepted]" {
		t.Error("older accounts wait for [accepted]")
	}
}
