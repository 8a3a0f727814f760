package registry_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
)

// Deliveries signed by another implementation than ours: with hmac, hashlib, base64 and
// urllib of Python 3, after the providers' documentation. The body has text that is not
// ASCII and ends with a line break, as bodies do that are signed byte by byte.
const (
	signedBody = `{"id":"ev_1","amount":"12.50","name":"Zoë & Söhne"}` + "\n"
	signedKey  = "key of the tests"
	signedAt   = 1767225600
)

// braintreeForm is what Braintree posts: the notification in base64, which is what is signed.
const braintreeForm = "bt_signature=public%7Cde6d26fa09d34e146e3d8cc16a0e6893b29e1ae5&bt_payload=" +
	"PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48dGltZXN0YW1wIHR5cGU9ImRhdGV0aW1lIj4yMDI2LTAxLTAxVDAwOjAwOjAwWjwvdGltZXN0YW1wPjxzdWJqZWN0Pjxj" +
	"aGVjayB0eXBlPSJib29sZWFuIj50cnVlPC9jaGVjaz48L3N1YmplY3Q%2BPC9ub3RpZmljYXRpb24%2B%0A"

// adyenBody is one item, signed over psp1:orig1:Merchant:order-1:1000:EUR:AUTHORISATION:true.
const adyenBody = `{"live":"true","notificationItems":[{"NotificationRequestItem":{"pspReference":"psp1","originalReference":"orig1",
	"merchantAccountCode":"Merchant","merchantReference":"order-1","amount":{"value":1000,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true",
	"eventDate":"2026-01-01T00:00:00+01:00","additionalData":{"hmacSignature":"miaWav86jf7syUXala+ApjA8EQknWqOJFro4Yl9Ni6U="}}}]}`

// TestSignaturesOfAnotherImplementation holds every connector against signatures that none
// of our own code made. PayPal's are by certificate: see its package.
func TestSignaturesOfAnotherImplementation(t *testing.T) {
	vectors := []struct {
		provider     string
		secret, body string
		settings     map[string]string
		header       map[string]string
	}{
		{provider: "stripe", secret: "whsec_of_the_tests", header: map[string]string{
			"Stripe-Signature": "t=1767225600,v1=8c4f3d14acbcc2888df2098d578853526127d81759a00b1118ecabe2f9f85d0a"}},
		{provider: "paddle", header: map[string]string{
			"Paddle-Signature": "ts=1767225600;h1=bd300cc50e93d91ffd7d69dd7759c7b0e77c07b64475cd8995d5490d177902f0"}},
		{provider: "lemonsqueezy", header: map[string]string{
			"X-Signature": "10a3343a3be534596fe06a2da0b74f74c33cab12aa6438901ee55dc3a7170e16"}},
		{provider: "gocardless", settings: map[string]string{"access_token": "of the tests"}, header: map[string]string{
			"Webhook-Signature": "10a3343a3be534596fe06a2da0b74f74c33cab12aa6438901ee55dc3a7170e16"}},
		{provider: "shopify", header: map[string]string{"X-Shopify-Hmac-SHA256": "EKM0OjvlNFlv4GotoLdPdMM8qxKqZDiQHuVdw6cXDhY="}},
		{provider: "polar", header: map[string]string{"webhook-id": "msg_1", "webhook-timestamp": "1767225600",
			"webhook-signature": "v1,nPcF3PhnEkqxZk/3RuCnDn2buFhroqUgHz0l0ETHfT4="}},
		{provider: "recurly", settings: map[string]string{"api_key": "of the tests"}, header: map[string]string{
			"recurly-signature": "1767225600000,550626ad1c9794e19a80187a4495b263e4f545f3c877ae3cceeb6fed4ef61667"}},
		{provider: "revenuecat", settings: map[string]string{"verification": "signature"}, header: map[string]string{
			"X-RevenueCat-Webhook-Signature": "t=1767225600,v1=57cd91212c2ffe32df9ee51b06b4d689a3312bdda69cf641d2c20eaff3e9d1ae"}},
		{provider: "generic", secret: "whsec_MjQgYnl0ZXMgb2YgdGhlIHRlc3RzIGtleQ==", settings: map[string]string{"mapping": "[]"}, header: map[string]string{
			"webhook-id": "msg_1", "webhook-timestamp": "1767225600", "webhook-signature": "v1,FNiRbJyJXLO5C1ZoWtAYUFJ4MaaqKjhF1aE3Mcv6uf0="}},
		{provider: "braintree", secret: "public:private", body: braintreeForm},
		{provider: "adyen", secret: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", body: adyenBody},
		{provider: "chargebee", secret: "hook:pass:word", header: map[string]string{"Authorization": "Basic aG9vazpwYXNzOndvcmQ="}},
	}
	held := []string{"paypal"}
	for _, v := range vectors {
		held = append(held, v.provider)
		t.Run(v.provider, func(t *testing.T) {
			list := all(t)
			connector := list[slices.IndexFunc(list, func(c connectors.Connector) bool { return c.Provider == v.provider })]
			settings, err := connector.Settle(v.settings)
			if err != nil {
				t.Fatal(err)
			}
			d := connectors.Delivery{Settings: settings, Header: http.Header{}, Body: []byte(signedBody), Secrets: []string{"another", signedKey},
				Livemode: true, ReceivedAt: time.Unix(signedAt, 0)}
			if v.body != "" {
				d.Body = []byte(v.body)
			}
			if v.secret != "" {
				d.Secrets[1] = v.secret
			}
			for name, value := range v.header {
				d.Header.Set(name, value)
			}
			if verification, err := connector.Verify(d); err != nil || verification.Secret != 1 || len(verification.Refused) != 0 {
				t.Errorf("%+v, %v", verification, err)
			}
			if v.provider == "chargebee" { // signs nothing
				return
			}
			d.Body = bytes.Replace(bytes.Replace(d.Body, []byte("o"), []byte("0"), 1), []byte("aGVjay"), []byte("aGVjaz"), 1)
			if verification, err := connector.Verify(d); !errors.Is(err, connectors.ErrBadSignature) && len(verification.Refused) == 0 {
				t.Errorf("altered, it verifies: %+v, %v", verification, err)
			}
		})
	}
	table, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all(t) {
		if strings.Contains(string(table), "\n| "+c.Provider+" | ") && !slices.Contains(held, c.Provider) {
			t.Errorf("%s is held against no signature but our own", c.Provider)
		}
	}
}
