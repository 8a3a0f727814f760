// Package connectors is the port between the sources of revenue and revstream:
// what a delivery is, what a connector promises, how deliveries are verified, and
// how the members of a source's JSON are read without losing a cent. It knows no
// HTTP server, no Kafka and no storage; each source is a package below it.
// README.md says how to write one.
package connectors

import (
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"
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
	// Livemode is what a delivery is if it does not say so itself: false at an
	// endpoint that was set up for test mode.
	Livemode bool
	// Secrets are what verifies the endpoint's deliveries, in the order to try them:
	// several while one is rotated. Without any, no delivery verifies.
	Secrets []string
	// Settings are the endpoint's, valid and complete.
	Settings Settings
	// Header and Body are the request's; Body is owned by the receiver of the
	// Delivery. If the request was compressed, Body is what it became and Wire what
	// came; either may be what was signed.
	Header     http.Header
	Body, Wire []byte
	// ReceivedAt is when the delivery was accepted, UTC. Connectors read no other
	// clock.
	ReceivedAt time.Time
	// Answers are what the provider's API said of it when it was read before, and take
	// what it says now; nil keeps none. See Client.
	Answers *Answers
}

// Errors of receiving, to be found with errors.Is.
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
	// Code is for programs: missing_<field>, invalid_<field>, too_many_<what> or the
	// code that the source's contract names.
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

// Sentence is the detail as a sentence, for contracts that have no member for the field:
// a detail in lower case says something of the field.
func (e *InvalidError) Sentence() string { return sentence(e.Field, e.Detail) }

func sentence(field, detail string) string {
	if first, _ := utf8.DecodeRuneInString(detail); field == "" || unicode.IsUpper(first) {
		return detail
	}
	return field + " " + detail
}

// Is makes every InvalidError an ErrMalformed.
func (e *InvalidError) Is(target error) bool { return target == ErrMalformed }
