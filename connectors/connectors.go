// Package connectors is the port between the sources of revenue and revstream:
// what a delivery is, what decoding promises, and how the members of a source's
// JSON are read without losing a cent. It knows no HTTP server, no Kafka and no
// storage; each source is a package below it.
package connectors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"revstream/ingest/revenue"
)

// Delivery is one webhook request of a provider, as it came in.
type Delivery struct {
	// Workspace owns what the delivery is about.
	Workspace string
	// Integration is the id of the webhook endpoint that it came in by.
	Integration string
	// Account is the provider's account that the endpoint was set up for. It may be
	// empty; a delivery that names its own account goes before it.
	Account string
	// Secrets are the signing secrets of the endpoint, in the order to try them:
	// several while one is rotated. Without any, no delivery verifies.
	Secrets []string
	// Header and Body are the request's; Body is the raw bytes that were signed,
	// owned by the receiver of the Delivery.
	Header http.Header
	Body   []byte
	// ReceivedAt is when the delivery was accepted, UTC. Decoding reads no other
	// clock.
	ReceivedAt time.Time
}

// Decoded is what a delivery says.
type Decoded struct {
	// Events are the statements to publish, complete and valid, with workspace,
	// group, version and received time. None is a normal result.
	Events []revenue.Event
	// ID and Type are the provider's id and type of the delivery, for logs and
	// counters; never for identity.
	ID, Type string
	// Ignored says that the type is unknown, or known to book nothing: it is
	// acknowledged and counted, for a retry would not change it.
	Ignored bool
}

// Decode verifies a delivery and translates it. It is a pure function of the
// delivery: no I/O, no clock, so that the same delivery always yields the same
// facts. It returns an error wrapping ErrBadSignature if none of the secrets
// verifies the body, ErrMalformed (mostly an *InvalidError) if the body can never
// be understood. Any other error is temporary: the provider should send it again.
type Decode func(ctx context.Context, delivery Delivery) (Decoded, error)

// Errors of decoding, to be found with errors.Is.
var (
	// ErrBadSignature says that the sender could not be verified.
	ErrBadSignature = errors.New("signature does not verify")
	// ErrMalformed says that the content is at fault: sending it again is no use.
	ErrMalformed = errors.New("malformed")
)

// InvalidError says which member of a request is at fault and why. It is an
// ErrMalformed.
type InvalidError struct {
	// Field is the member's name, with a path if it is nested ("metadata.plan");
	// empty if the content as a whole is at fault.
	Field string
	// Code is for programs: missing_<field>, invalid_<field> or the code that the
	// source's contract names.
	Code string
	// Detail is for people: a sentence with a capital, or in lower case what is to
	// be said of the field ("must be a number"). It quotes no more than the value.
	Detail string
}

// Error names the field and the detail.
func (e *InvalidError) Error() string {
	if e.Field == "" {
		return e.Detail
	}
	return fmt.Sprintf("%s: %s", e.Field, e.Detail)
}

// Is makes every InvalidError an ErrMalformed.
func (e *InvalidError) Is(target error) bool { return target == ErrMalformed }
