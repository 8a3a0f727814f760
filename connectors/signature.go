package connectors

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reason is why a delivery is not accepted, for counters and for those who have
// to find out.
type Reason string

// The reasons.
const (
	// ReasonNoSecret: the endpoint has none that is not blank.
	ReasonNoSecret Reason = "no_secret"
	// ReasonMissing: what should verify the sender is not there.
	ReasonMissing Reason = "missing"
	// ReasonUnreadable: it is there, and not in the provider's form.
	ReasonUnreadable Reason = "unreadable"
	// ReasonTooOld and ReasonFromFuture: the time that it covers lies too far from
	// when the delivery was accepted. A replay, or clocks that disagree.
	ReasonTooOld     Reason = "too_old"
	ReasonFromFuture Reason = "from_future"
	// ReasonMismatch: no secret leads to it. The secret is another, or the body was
	// altered on its way.
	ReasonMismatch Reason = "mismatch"
	// ReasonBodyAltered and ReasonWrongSecret: it does not, and Diagnose found which of
	// the two it is.
	ReasonBodyAltered Reason = "body_altered"
	ReasonWrongSecret Reason = "wrong_secret"
	// ReasonAPIRefused: it verifies, but only names an object, which the provider's API
	// refuses to the endpoint's key. It is to be sent again until the key is mended.
	ReasonAPIRefused Reason = "api_refused"
)

// ReasonOf is the reason of an ErrBadSignature or a *RefusedError; what says nothing better is a mismatch.
func ReasonOf(err error) Reason {
	if refused := new(SignatureError); errors.As(err, &refused) {
		return refused.Reason
	}
	if errors.As(err, new(*RefusedError)) {
		return ReasonAPIRefused
	}
	return ReasonMismatch
}

// SignatureError says why a delivery does not verify. It is an ErrBadSignature.
type SignatureError struct {
	Reason Reason
	// Detail is for people; it holds no secret and no signature.
	Detail string
}

// Error is the detail.
func (e *SignatureError) Error() string { return e.Detail }

// Is makes every SignatureError an ErrBadSignature.
func (e *SignatureError) Is(target error) bool { return target == ErrBadSignature }

// Refuse is a SignatureError.
func Refuse(reason Reason, format string, args ...any) error {
	return &SignatureError{reason, fmt.Sprintf(format, args...)}
}

// HMAC is a way to sign with a shared secret. The zero value is HMAC-SHA256 in
// hexadecimal with the secret's text as key.
type HMAC struct {
	// Hash is the hash; nil is SHA-256.
	Hash func() hash.Hash
	// Key makes the key of a secret; nil takes its text. A secret that it refuses
	// verifies nothing.
	Key func(secret string) ([]byte, error)
	// Base64 says that signatures are in standard base64 instead of hexadecimal.
	Base64 bool
}

// Sign is the signature of a message, which may be given in parts.
func (h HMAC) Sign(secret string, message ...[]byte) (string, error) {
	sum, err := h.sum(secret, message)
	if h.Base64 {
		return base64.StdEncoding.EncodeToString(sum), err
	}
	return hex.EncodeToString(sum), err
}

// Verify finds the secret by which any of the signatures is that of the message,
// in constant time for each pair. Blank secrets are passed over: with them
// anybody could sign. The error is a *SignatureError.
func (h HMAC) Verify(secrets, signatures []string, message ...[]byte) (Verification, error) {
	var given [][]byte
	for _, text := range signatures {
		if signature, err := h.decode(strings.TrimSpace(text)); err == nil && len(signature) > 0 {
			given = append(given, signature)
		}
	}
	switch {
	case len(signatures) == 0:
		return Verification{}, Refuse(ReasonMissing, "there is no signature")
	case len(given) == 0:
		return Verification{}, Refuse(ReasonUnreadable, "the signature is not in the provider's encoding")
	}
	return EachSecret(secrets, func(secret string) bool {
		sum, err := h.sum(secret, message)
		matches := false
		for _, signature := range given {
			matches = hmac.Equal(sum, signature) || matches
		}
		return err == nil && matches
	})
}

// EachSecret finds the first secret that is not blank and verifies. The error is a
// *SignatureError.
func EachSecret(secrets []string, verifies func(secret string) bool) (Verification, error) {
	tried := 0
	for position, secret := range secrets {
		if strings.TrimSpace(secret) == "" {
			continue
		}
		if tried++; verifies(secret) {
			return Verification{Secret: position}, nil
		}
	}
	if tried == 0 {
		return Verification{}, Refuse(ReasonNoSecret, "the endpoint has no secret")
	}
	return Verification{}, Refuse(ReasonMismatch, "none of %d secrets leads to the signature: the secret is another, or the body was altered", tried)
}

func (h HMAC) sum(secret string, message [][]byte) ([]byte, error) {
	key, newHash := []byte(secret), h.Hash
	if h.Key != nil {
		var err error
		if key, err = h.Key(secret); err != nil {
			return nil, fmt.Errorf("reading the secret: %w", err)
		}
	}
	if newHash == nil {
		newHash = sha256.New
	}
	mac := hmac.New(newHash, key)
	for _, part := range message {
		mac.Write(part)
	}
	return mac.Sum(nil), nil
}

func (h HMAC) decode(text string) ([]byte, error) {
	if h.Base64 {
		return base64.StdEncoding.DecodeString(text)
	}
	return hex.DecodeString(text)
}

// SignedAt reads the time that a signature covers: Unix seconds, or milliseconds,
// which their magnitude tells apart.
func SignedAt(text string) (time.Time, error) {
	const millisecondsLeast = 1e11 // 1973 in milliseconds, the year 5138 in seconds
	number, err := strconv.ParseInt(text, 10, 64)
	switch {
	case text == "":
		return time.Time{}, Refuse(ReasonUnreadable, "the signature has no timestamp")
	case err != nil || number < 0:
		return time.Time{}, Refuse(ReasonUnreadable, "the signature's timestamp is no number of seconds")
	case number >= millisecondsLeast:
		return time.UnixMilli(number), nil
	default:
		return time.Unix(number, 0), nil
	}
}

// Fresh refuses a signature whose time lies further from when the delivery was
// accepted than ageMax, in either direction: a replay has an old one, and one of
// next year could be replayed until then.
func Fresh(signedAt, receivedAt time.Time, ageMax time.Duration) error {
	switch age := receivedAt.Sub(signedAt); {
	case age > ageMax:
		return Refuse(ReasonTooOld, "signed %v before it was accepted, at most %v", age.Round(time.Second), ageMax)
	case age < -ageMax:
		return Refuse(ReasonFromFuture, "signed %v after it was accepted, at most %v", (-age).Round(time.Second), ageMax)
	default:
		return nil
	}
}

// SignatureAgeMax is the setting of how old a signature may be, for providers that
// sign the time, with five minutes as the default that most of them name.
func SignatureAgeMax() Setting {
	return Setting{
		Name: "signature_age_max", Default: "5m", Check: Between(time.Second, time.Hour),
		About: "How far the signature's time may lie from that of acceptance, either way.",
	}
}

// SameText compares what a sender sent with a secret in constant time.
func SameText(got, secret string) bool {
	// Digests, because the comparison would tell lengths apart.
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// BasicAuth verifies a delivery by HTTP Basic authentication, each secret being
// "user:password". The error is a *SignatureError.
func BasicAuth(delivery Delivery) (Verification, error) {
	request := http.Request{Header: delivery.Header}
	user, password, given := request.BasicAuth()
	if !given {
		return Verification{}, Refuse(ReasonMissing, "there is no Basic authorization")
	}
	return EachSecret(delivery.Secrets, func(secret string) bool { return SameText(user+":"+password, secret) })
}
