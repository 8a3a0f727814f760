package stripe

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stripe/stripe-go/v76/webhook"

	"revstream/connectors"
)

// verify checks that one of the endpoint's secrets signed the body, not too long
// before nor after the delivery was accepted.
func (s *source) verify(delivery connectors.Delivery) (connectors.Verification, error) {
	header := signatureHeader(delivery.Header)
	if header == "" {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no Stripe-Signature header")
	}
	signedAt, err := connectors.SignedAt(signatureTime(header))
	if err != nil {
		return connectors.Verification{}, err
	}
	// The library compares with the wall clock, and would accept any timestamp
	// from the future.
	if err := connectors.Fresh(signedAt, delivery.ReceivedAt, s.config.with(delivery.Settings).SignatureAgeMax); err != nil {
		return connectors.Verification{}, err
	}
	options := webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true}
	// With an empty secret anybody could sign, and the library would agree;
	// EachSecret passes those over.
	return connectors.EachSecret(delivery.Secrets, func(secret string) bool {
		_, err := webhook.ConstructEventWithOptions(delivery.Body, header, secret, options)
		// Any other error is about what v76 makes of the verified body. It knows one
		// of many versions of it, so that we do not ask.
		return !isSignatureError(err)
	})
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

// signatureTime is the text of the timestamp that the signature covers: the last
// one, if a forger gave several, because that is what the library verifies.
func signatureTime(header string) (seconds string) {
	for part := range strings.SplitSeq(header, ",") {
		if text, found := strings.CutPrefix(part, "t="); found {
			seconds = text
		}
	}
	return seconds
}
