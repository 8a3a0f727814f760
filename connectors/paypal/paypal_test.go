package paypal

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

// signer is PayPal for the tests: a key, and the certificate of it.
type signer struct {
	key         *rsa.PrivateKey
	certificate []byte
}

var theSigner = sync.OnceValue(func() signer { return newSigner(connectortest.ReceivedAt.AddDate(1, 0, 0)) })

func newSigner(notAfter time.Time) signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the machine has no randomness
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "messageverificationcerts.paypal.com"},
		NotBefore: connectortest.ReceivedAt.AddDate(-1, 0, 0), NotAfter: notAfter,
	}
	text, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err) // the template is complete
	}
	return signer{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})}
}

const (
	certificateOfTests = "/v1/notifications/certs/CERT-of-the-tests"
	webhookOfTests     = "9XL90610J3647323C"
)

// paypal serves certificates and counts how often it is asked for each.
type paypal struct {
	mu     sync.Mutex
	asked  map[string]int
	served map[string][]byte
}

func (p *paypal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[r.URL.Path]++
	text, known := p.served[r.URL.Path]
	switch {
	case !known:
		http.NotFound(w, r)
	case text == nil:
		w.WriteHeader(http.StatusInternalServerError)
	default:
		_, _ = w.Write(text)
	}
}

func serve(t testing.TB) (*paypal, string) {
	p := &paypal{asked: map[string]int{}, served: map[string][]byte{certificateOfTests: theSigner().certificate}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL
}

func kit(t testing.TB) connectortest.Kit {
	_, address := serve(t)
	return connectortest.Kit{
		Connector: New(), Secret: webhookOfTests, Other: "1JE50Z90C7278", Sign: sign,
		Settings: map[string]string{"certificate_url": address},
	}
}

// sign puts on a delivery the headers that PayPal would.
func sign(delivery *connectors.Delivery, secret string, at time.Time) {
	theSigner().sign(delivery, secret, at)
}

func (s signer) sign(delivery *connectors.Delivery, webhookID string, at time.Time) {
	const id = "b02ef980-9fce-11eb-b0ec-5bc241fbaaf3"
	sentAt := at.Format(time.RFC3339)
	digest := sha256.Sum256([]byte(signed(id, sentAt, webhookID, delivery.Body)))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err) // the key is long enough
	}
	for name, value := range map[string]string{
		"Paypal-Transmission-Id": id, "Paypal-Transmission-Time": sentAt, "Paypal-Auth-Algo": "SHA256withRSA",
		"Paypal-Transmission-Sig": base64.StdEncoding.EncodeToString(signature),
	} {
		delivery.Header.Set(name, value)
	}
	if delivery.Header.Get("Paypal-Cert-Url") == "" {
		delivery.Header.Set("Paypal-Cert-Url", "https://api.paypal.com"+certificateOfTests)
	}
}

func TestConnector(t *testing.T) { kit(t).Run(t) }

// TestChecksum: that of Python's zlib, of a body with text that is not ASCII.
func TestChecksum(t *testing.T) {
	body := []byte(`{"id":"ev_1","amount":"12.50","name":"Zoë & Söhne"}` + "\n")
	if got, want := signed("t-1", "2026-01-01T00:00:00Z", "WH-1", body), "t-1|2026-01-01T00:00:00Z|WH-1|3472085187"; got != want {
		t.Errorf("signed is %s, want %s", got, want)
	}
}

func FuzzDecode(f *testing.F) { kit(f).Fuzz(f) }

func delivery(t *testing.T, address string) connectors.Delivery {
	t.Helper()
	settings, err := New().Settle(map[string]string{"certificate_url": address})
	if err != nil {
		t.Fatal(err)
	}
	return connectors.Delivery{
		Secrets: []string{webhookOfTests}, Settings: settings, Header: http.Header{},
		Body: []byte(`{"id":"WH-1","event_type":"BILLING.PLAN.CREATED"}`), ReceivedAt: connectortest.ReceivedAt,
	}
}

// TestSignedText is the text of PayPal's documentation, with the CRC-32 as a number
// without leading zeros.
func TestSignedText(t *testing.T) {
	for body, want := range map[string]string{
		"123456789": "id|2026-01-01T00:00:00Z|WH|3421780262", // the check value of CRC-32
		"":          "id|2026-01-01T00:00:00Z|WH|0",
	} {
		if got := signed("id", "2026-01-01T00:00:00Z", "WH", []byte(body)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestCertificateAddresses: only PayPal's own place for certificates is asked for
// one, wherever somebody else's would be.
func TestCertificateAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"https://api.paypal.com" + certificateOfTests:         true,
		"https://api.sandbox.paypal.com" + certificateOfTests: true,
		"https://api-m.paypal.com" + certificateOfTests:       true,
		"": false,
		"http://api.paypal.com" + certificateOfTests:                             false,
		"https://paypal.com.example.com" + certificateOfTests:                    false,
		"https://apipaypal.com" + certificateOfTests:                             false,
		"https://example.com" + certificateOfTests:                               false,
		"https://api.paypal.com@example.com" + certificateOfTests:                false,
		"https://user@api.paypal.com" + certificateOfTests:                       false,
		"https://api.paypal.com:8443" + certificateOfTests:                       false,
		"https://api.paypal.com/uploads/CERT-of-the-tests":                       false,
		"https://api.paypal.com" + certificateOfTests + "?x=1":                   false,
		"https://api.paypal.com/v1/notifications/certs/../../CERT-1":             false,
		"https://api.paypal.com/v1/notifications/certs/%2e%2e%2fCERT":            false,
		"https://api.paypal.com/v1/notifications/certs/":                         false,
		"https://api.paypal.com\\@example.com/v1/notifications/certs/CERT-1":     false,
		"file:///v1/notifications/certs/CERT-of-the-tests":                       false,
		"https://127.0.0.1/v1/notifications/certs/CERT-of-the-tests#.paypal.com": false,
	} {
		paypal, url := serve(t)
		d := delivery(t, url)
		d.Header.Set("Paypal-Cert-Url", address)
		sign(&d, webhookOfTests, d.ReceivedAt)
		d.Header.Set("Paypal-Cert-Url", address)
		_, err := New().Verify(d)
		if good != (err == nil) || !good && (!errors.Is(err, connectors.ErrBadSignature) || len(paypal.asked) != 0) {
			t.Errorf("%q: %v, asked for %v", address, err, paypal.asked)
		}
	}
}

// TestCertificatesAreKept: one is fetched once, and not at all for what cannot
// verify anyway.
func TestCertificatesAreKept(t *testing.T) {
	paypal, address := serve(t)
	connector := New()
	for range 3 {
		d := delivery(t, address)
		sign(&d, webhookOfTests, d.ReceivedAt)
		if _, err := connector.Verify(d); err != nil {
			t.Fatal(err)
		}
	}
	if paypal.asked[certificateOfTests] != 1 {
		t.Errorf("asked %v", paypal.asked)
	}
	connector = New()
	for _, spoil := range []func(*connectors.Delivery){
		func(d *connectors.Delivery) { d.Secrets = []string{" "} },
		func(d *connectors.Delivery) { d.Header.Set("Paypal-Auth-Algo", "none") },
		func(d *connectors.Delivery) { d.Header.Set("Paypal-Transmission-Time", "2020-01-01T00:00:00Z") },
		func(d *connectors.Delivery) { d.Header.Set("Paypal-Transmission-Time", "just now") },
		func(d *connectors.Delivery) { d.Header.Set("Paypal-Transmission-Sig", "?") },
		func(d *connectors.Delivery) { d.Header.Del("Paypal-Transmission-Id") },
	} {
		d := delivery(t, address)
		sign(&d, webhookOfTests, d.ReceivedAt)
		spoil(&d)
		if _, err := connector.Verify(d); !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%v verifies: %v", d.Header, err)
		}
	}
	if paypal.asked[certificateOfTests] != 1 {
		t.Errorf("asked %v for deliveries that cannot verify", paypal.asked)
	}
}

// TestCertificates: a certificate that is not there or not valid refuses the
// delivery, one that cannot be had or read right now is to be asked for again.
func TestCertificates(t *testing.T) {
	expired, another := newSigner(connectortest.ReceivedAt.Add(-time.Hour)), newSigner(connectortest.ReceivedAt.AddDate(1, 0, 0))
	for name, c := range map[string]struct {
		by      signer
		served  []byte
		refused bool
	}{
		"expired":          {expired, expired.certificate, true},
		"of another key":   {theSigner(), another.certificate, true},
		"no certificate":   {theSigner(), []byte("<html>maintenance</html>"), false},
		"the server fails": {theSigner(), nil, false},
	} {
		paypal, address := serve(t)
		paypal.served[certificateOfTests] = c.served
		d := delivery(t, address)
		c.by.sign(&d, webhookOfTests, d.ReceivedAt)
		if _, err := New().Verify(d); err == nil || errors.Is(err, connectors.ErrBadSignature) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		delete(paypal.served, certificateOfTests)
		if _, err := New().Verify(d); !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s, then gone: %v", name, err)
		}
	}
}

// TestAge: PayPal tries for three days.
func TestAge(t *testing.T) {
	_, address := serve(t)
	for age, good := range map[time.Duration]bool{0: true, 72 * time.Hour: true, 97 * time.Hour: false, -97 * time.Hour: false} {
		d := delivery(t, address)
		sign(&d, webhookOfTests, d.ReceivedAt.Add(-age))
		if _, err := New().Verify(d); (err == nil) != good {
			t.Errorf("%v old: %v", age, err)
		}
	}
}

// TestLookingUpFails: while the API does not answer, the delivery is to come again; what it
// refuses is unknown, as without credentials.
func TestLookingUpFails(t *testing.T) {
	status := http.StatusServiceUnavailable
	for _, failing := range []string{"/v1/oauth2/token", "/v1/billing/plans/P-1"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == failing {
				w.WriteHeader(status)
			}
			_, _ = w.Write([]byte(`{"access_token":"A21","token_type":"Bearer"}`))
		}))
		d := delivery(t, "")
		d.Settings["api_url"], d.Settings["client_id"], d.Settings["client_secret"] = server.URL, "id", "secret"
		d.Body = []byte(`{"event_type":"BILLING.SUBSCRIPTION.ACTIVATED","resource":{"id":"I-1","status":"ACTIVE","plan_id":"P-1",
			"create_time":"2026-01-01T00:00:00Z","update_time":"2026-01-01T00:00:00Z","start_time":"2026-01-01T00:00:00Z","subscriber":{"payer_id":"PAYER"}}}`)
		status = http.StatusServiceUnavailable
		if items, err := decode(t.Context(), d); err == nil || errors.Is(err, connectors.ErrMalformed) || items != nil {
			t.Errorf("%s: %+v, %v", failing, items, err)
		}
		status = http.StatusUnauthorized
		items, err := decode(t.Context(), d)
		if err != nil || items[0].Outcome() != connectors.OutcomeIncomplete || !strings.Contains(items[0].Lacks.Error(), failing+" with 401") ||
			!strings.Contains(string(items[0].Events[0].Metadata), connectors.MRRUnknown) {
			t.Errorf("%s refused: %+v, %v", failing, items, err)
		}
		server.Close()
	}
}

func TestWebhookIDs(t *testing.T) {
	for id, valid := range map[string]bool{webhookOfTests: true, "": false, "WEBHOOK_ID": false, "two words": false} {
		if err := New().CheckSecret(id); (err == nil) != valid {
			t.Errorf("%q: %v", id, err)
		}
	}
}
