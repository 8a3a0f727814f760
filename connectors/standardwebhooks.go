package connectors

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"strings"
)

// StandardWebhooks verifies deliveries that are signed as Standard Webhooks 1.0.0
// says, under its own names of headers or those of Svix:
//
//	webhook-id, webhook-timestamp (Unix seconds), webhook-signature
//
// Signed is the id, a dot, the timestamp, a dot and the body. There may be several
// signatures, with spaces between: "v1,<base64>" is an HMAC-SHA256, "v1a,<base64>" is
// of Ed25519. The zero value takes secrets as the standard has them: "whsec_" and the
// key in base64, or "whpk_" and a public key.
//
// Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
type StandardWebhooks struct {
	// Key makes the key of a shared secret, for senders who mean it otherwise.
	Key func(secret string) ([]byte, error)
}

const (
	sharedSecretPrefix = "whsec_"
	publicKeyPrefix    = "whpk_"
)

var errNoKey = errors.New("the secret is empty")

// HMAC is the way that shared secrets sign.
func (s StandardWebhooks) HMAC() HMAC {
	key := s.Key
	if key == nil {
		key = func(secret string) ([]byte, error) {
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, sharedSecretPrefix))
			if err == nil && len(key) == 0 {
				err = errNoKey
			}
			return key, err
		}
	}
	return HMAC{Key: key, Base64: true}
}

// Verify is a Connector's, of one that has the setting SignatureAgeMax.
func (s StandardWebhooks) Verify(delivery Delivery) (Verification, error) {
	family := "Webhook-"
	if delivery.Header.Get("Webhook-Signature") == "" {
		family = "Svix-"
	}
	id, signedAt := delivery.Header.Get(family+"Id"), delivery.Header.Get(family+"Timestamp")
	given := strings.Join(delivery.Header.Values(family+"Signature"), " ")
	if id == "" || signedAt == "" || given == "" {
		return Verification{}, Refuse(ReasonMissing, "the headers webhook-id, webhook-timestamp and webhook-signature are not all there")
	}
	shared, public := splitSignatures(given)
	if len(shared)+len(public) == 0 {
		return Verification{}, Refuse(ReasonUnreadable, "no signature is of version v1 or v1a")
	}
	at, err := SignedAt(signedAt)
	if err != nil {
		return Verification{}, err
	}
	if err := Fresh(at, delivery.ReceivedAt, delivery.Settings.Duration("signature_age_max")); err != nil {
		return Verification{}, err
	}
	message := []byte(id + "." + signedAt + "." + string(delivery.Body))
	return EachSecret(delivery.Secrets, func(secret string) bool {
		if text, isPublic := strings.CutPrefix(secret, publicKeyPrefix); isPublic {
			return verifiesPublic(text, message, public)
		}
		sum, err := s.HMAC().sum(secret, [][]byte{message})
		matches := false
		for _, signature := range shared {
			matches = hmac.Equal(sum, signature) || matches
		}
		return err == nil && matches
	})
}

// splitSignatures decodes the signatures by their versions; the others are of no use.
func splitSignatures(given string) (shared, public [][]byte) {
	for part := range strings.FieldsSeq(given) {
		version, text, _ := strings.Cut(part, ",")
		signature, err := base64.StdEncoding.DecodeString(text)
		switch {
		case err != nil || len(signature) == 0:
		case version == "v1":
			shared = append(shared, signature)
		case version == "v1a":
			public = append(public, signature)
		}
	}
	return shared, public
}

func verifiesPublic(key string, message []byte, signatures [][]byte) bool {
	public, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return false
	}
	for _, signature := range signatures {
		if ed25519.Verify(public, message, signature) {
			return true
		}
	}
	return false
}
