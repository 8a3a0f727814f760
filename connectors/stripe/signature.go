package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"revstream/connectors"
)

// verify checks that one of the endpoint's secrets signed the body, not too long
// before nor after the delivery was accepted. The error wraps
// connectors.ErrBadSignature.
func (s *source) verify(delivery *connectors.Delivery) error {
	header := signatureHeader(delivery.Header)
	signedAt, ok := signatureTime(header)
	if !ok {
		return fmt.Errorf("Stripe-Signature header without a timestamp: %w", connectors.ErrBadSignature)
	}
	// The library compares with the wall clock, and would accept any timestamp
	// from the future.
	if age := delivery.ReceivedAt.Sub(signedAt); age > s.config.SignatureAgeMax || age < -s.config.SignatureAgeMax {
		return fmt.Errorf("signed %v before it was accepted, at most %v either way: %w", age, s.config.SignatureAgeMax, connectors.ErrBadSignature)
	}
	options := webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true}
	for _, secret := range delivery.Secrets {
		// With an empty secret anybody could sign, and the library would agree.
		if strings.TrimSpace(secret) == "" {
			continue
		}
		_, err := webhook.ConstructEventWithOptions(delivery.Body, header, secret, options)
		if isSignatureError(err) {
			continue
		}
		// Any other error is about what v76 makes of the verified body. It knows one
		// of many versions of it, so that we do not ask.
		return nil
	}
	return fmt.Errorf("none of %d secrets: %w", len(delivery.Secrets), connectors.ErrBadSignature)
}

func isSignatureError(err error) bool {
	return errors.Is(err, webhook.ErrNoValidSignature) || errors.Is(err, webhook.ErrInvalidHeader) ||
		errors.Is(err, webhook.ErrNotSigned) || errors.Is(err, webhook.ErrTooOld)
}

// signatureHeader is the header as Stripe wrote it: proxies put spaces after
// commas or split it into several lines, which the library does not expect.
func signatureHeader(header http.Header) string {
	parts := strings.Split(strings.Join(header.Values("Stripe-Signature"), ","), ",")
	kept := parts[:0]
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ",")
}

// signatureTime is the timestamp that the signature covers: the last one, if a
// forger gave several, because that is what the library verifies.
func signatureTime(header string) (at time.Time, ok bool) {
	for part := range strings.SplitSeq(header, ",") {
		text, found := strings.CutPrefix(part, "t=")
		if !found {
			continue
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		at, ok = time.Unix(seconds, 0), true
	}
	return at, ok
}
