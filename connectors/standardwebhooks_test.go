package connectors_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
)

// The vectors that the standard's own libraries are tested with:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_symmetric_test.go
// https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_asymmetric_test.go
const (
	standardID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	standardTime      = "1614265330"
	standardBody      = `{"test": 2432232314}`
	standardSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	standardSeed      = "VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="
	standardPublicSig = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
)

func standardPublicKey(t *testing.T) string {
	t.Helper()
	seed, err := base64.StdEncoding.DecodeString(standardSeed)
	if err != nil {
		t.Fatal(err)
	}
	public, isKey := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !isKey {
		t.Fatal("no public key")
	}
	return "whpk_" + base64.StdEncoding.EncodeToString(public)
}

func TestStandardWebhooks(t *testing.T) {
	wrong := "v1," + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	for name, c := range map[string]struct {
		secret, signature string
		change            func(*connectors.Delivery)
		reason            connectors.Reason // empty: it verifies
	}{
		"the standard's vector":        {secret: standardSecret, signature: standardSignature},
		"without the prefix":           {secret: strings.TrimPrefix(standardSecret, "whsec_"), signature: standardSignature},
		"of a public key":              {secret: standardPublicKey(t), signature: standardPublicSig},
		"among others":                 {secret: standardSecret, signature: wrong + " v2,AAAA  v1, " + standardPublicSig + " " + standardSignature},
		"of a public key among others": {secret: standardPublicKey(t), signature: standardSignature + " " + standardPublicSig},
		"by the names of Svix": {secret: standardSecret, signature: standardSignature, change: func(d *connectors.Delivery) {
			for _, name := range []string{"Id", "Timestamp", "Signature"} {
				d.Header.Set("svix-"+name, d.Header.Get("webhook-"+name))
				d.Header.Del("webhook-" + name)
			}
		}},
		"of another secret":    {secret: standardSecret, signature: wrong, reason: connectors.ReasonMismatch},
		"of another public":    {secret: "whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 32)), signature: standardPublicSig, reason: connectors.ReasonMismatch},
		"public key too short": {secret: "whpk_AAAA", signature: standardPublicSig, reason: connectors.ReasonMismatch},
		"public for shared":    {secret: standardSecret, signature: "v1a," + strings.TrimPrefix(standardSignature, "v1,"), reason: connectors.ReasonMismatch},
		"empty key":            {secret: "whsec_", signature: standardSignature, reason: connectors.ReasonMismatch},
		"not base64":           {secret: "whsec_!!", signature: standardSignature, reason: connectors.ReasonMismatch},
		"no version":           {secret: standardSecret, signature: strings.TrimPrefix(standardSignature, "v1,"), reason: connectors.ReasonUnreadable},
		"empty signature":      {secret: standardSecret, signature: "v1,", reason: connectors.ReasonUnreadable},
		"another id": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonMismatch, change: func(d *connectors.Delivery) {
			d.Header.Set("webhook-id", "msg_other")
		}},
		"no id": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonMissing, change: func(d *connectors.Delivery) {
			d.Header.Del("webhook-id")
		}},
		"no time": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonMissing, change: func(d *connectors.Delivery) {
			d.Header.Del("webhook-timestamp")
		}},
		"not a time": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonUnreadable, change: func(d *connectors.Delivery) {
			d.Header.Set("webhook-timestamp", "yesterday")
		}},
		"too old": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonTooOld, change: func(d *connectors.Delivery) {
			d.ReceivedAt = d.ReceivedAt.Add(5*time.Minute + time.Second)
		}},
		"from the future": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonFromFuture, change: func(d *connectors.Delivery) {
			d.ReceivedAt = d.ReceivedAt.Add(-5*time.Minute - time.Second)
		}},
		"altered": {secret: standardSecret, signature: standardSignature, reason: connectors.ReasonMismatch, change: func(d *connectors.Delivery) {
			d.Body = []byte(`{"test": 2432232315}`)
		}},
		"no secret": {secret: " ", signature: standardSignature, reason: connectors.ReasonNoSecret},
	} {
		d := connectors.Delivery{
			Header: http.Header{}, Body: []byte(standardBody), Secrets: []string{c.secret},
			ReceivedAt: time.Unix(1614265330, 0), Settings: connectors.Settings{"signature_age_max": "5m"},
		}
		d.Header.Set("webhook-id", standardID)
		d.Header.Set("webhook-timestamp", standardTime)
		d.Header.Set("webhook-signature", c.signature)
		if c.change != nil {
			c.change(&d)
		}
		_, err := connectors.StandardWebhooks{}.Verify(d)
		refused := new(connectors.SignatureError)
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason) {
			t.Errorf("%s: %v, want %q", name, err, c.reason)
		}
	}
}
