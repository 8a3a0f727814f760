package paypal

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"revstream/connectors"
)

// certificatesMax is how many certificates are kept. PayPal has a few at a time.
const certificatesMax = 32

// certificatePath is where PayPal has its certificates. Other paths of its hosts may
// hold what others put there.
var certificatePath = regexp.MustCompile(`^/v1/notifications/certs/[A-Za-z0-9_-]{1,200}$`)

// certificate is a key of PayPal's and when it is good.
type certificate struct {
	key           *rsa.PublicKey
	before, after time.Time
}

// verifier verifies deliveries, and keeps the certificates that it has fetched.
type verifier struct {
	keys   *lru.Cache[string, certificate]
	client connectors.Client
}

// verify checks the RSA signature of "id|time|webhook id|CRC-32 of the body" by the
// certificate that the delivery names, which must be PayPal's own. An error that is
// no bad signature is temporary: the certificate cannot be had right now.
func (v *verifier) verify(delivery connectors.Delivery) (connectors.Verification, error) {
	header := delivery.Header
	id, sentAt := header.Get("Paypal-Transmission-Id"), header.Get("Paypal-Transmission-Time")
	signature, err := base64.StdEncoding.DecodeString(header.Get("Paypal-Transmission-Sig"))
	switch algorithm := header.Get("Paypal-Auth-Algo"); {
	case id == "" || sentAt == "" || len(signature) == 0 && err == nil:
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there are no Paypal-Transmission headers")
	case err != nil:
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the signature is not in base64")
	case algorithm != "SHA256withRSA":
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the algorithm is not SHA256withRSA")
	}
	at, readable := connectors.ParseTime(sentAt)
	if !readable {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the time of the transmission is no time")
	}
	if err := connectors.Fresh(at, delivery.ReceivedAt, delivery.Settings.Duration("transmission_age_max")); err != nil {
		return connectors.Verification{}, err
	}
	if !anySecret(delivery.Secrets) {
		// Before anything is fetched for a delivery that cannot verify.
		return connectors.EachSecret(delivery.Secrets, nil)
	}
	signer, err := v.certificate(header.Get("Paypal-Cert-Url"), delivery.Settings["certificate_url"])
	switch {
	case err != nil:
		return connectors.Verification{}, err
	case delivery.ReceivedAt.Before(signer.before) || delivery.ReceivedAt.After(signer.after):
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMismatch, "the certificate is not valid at this time")
	}
	return connectors.EachSecret(delivery.Secrets, func(webhookID string) bool {
		digest := sha256.Sum256([]byte(signed(id, sentAt, webhookID, delivery.Body)))
		return rsa.VerifyPKCS1v15(signer.key, crypto.SHA256, digest[:], signature) == nil
	})
}

// signed is what PayPal signs.
func signed(transmissionID, sentAt, webhookID string, body []byte) string {
	return fmt.Sprintf("%s|%s|%s|%d", transmissionID, sentAt, webhookID, crc32.ChecksumIEEE(body))
}

func anySecret(secrets []string) bool {
	_, err := connectors.EachSecret(secrets, func(string) bool { return true })
	return err == nil
}

// certificate fetches the certificate at an address, or from a mirror of it. Who
// could name another address could sign with a certificate of his own.
func (v *verifier) certificate(address, mirror string) (certificate, error) {
	where, err := url.Parse(address)
	if address == "" || err != nil || !isPayPals(where) {
		return certificate{}, connectors.Refuse(connectors.ReasonUnreadable, "the certificate's address is not one of PayPal's")
	}
	base := mirror
	if base == "" {
		base = "https://" + where.Host
	}
	name := base + where.Path
	if held, known := v.keys.Get(name); known {
		return held, nil
	}
	text, err := v.client.Read(context.Background(), base, where.Path, func(*http.Request) {})
	if errors.Is(err, connectors.ErrMalformed) {
		return certificate{}, connectors.Refuse(connectors.ReasonMismatch, "there is no such certificate")
	}
	if err != nil {
		return certificate{}, err
	}
	fetched, err := parseCertificate(text)
	if err != nil {
		return certificate{}, fmt.Errorf("reading the certificate of %s: %w", where.Host, err)
	}
	v.keys.Add(name, fetched)
	return fetched, nil
}

// isPayPals pins addresses of certificates: https, the default port, a host of
// paypal.com and the path of certificates, spelled plainly.
func isPayPals(address *url.URL) bool {
	return address.Scheme == "https" && strings.HasSuffix(address.Host, ".paypal.com") && !strings.Contains(address.Host, ":") &&
		address.User == nil && address.RawQuery == "" && address.Fragment == "" && address.RawPath == "" &&
		certificatePath.MatchString(address.Path)
}

func parseCertificate(text []byte) (certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return certificate{}, errors.New("no certificate in PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return certificate{}, err
	}
	key, is := parsed.PublicKey.(*rsa.PublicKey)
	if !is {
		return certificate{}, fmt.Errorf("the key is %T and not RSA", parsed.PublicKey)
	}
	return certificate{key, parsed.NotBefore, parsed.NotAfter}, nil
}
