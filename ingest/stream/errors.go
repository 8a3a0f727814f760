package stream

import "errors"

// The classes of error of this package. Causes are wrapped beside them.
var (
	// ErrBusy says that Kafka does not take or answer this now: the limits in
	// flight are reached, it is unreachable, or it took too long. What was being
	// written may or may not have been. Retry later.
	ErrBusy = errors.New("stream is busy")
	// ErrInvalid says that a statement breaks a rule of the encoding, so no reader
	// would accept it. Retrying is useless.
	ErrInvalid = errors.New("statement is invalid")
	// ErrTooLarge says that a record, or one call's records together, exceed a
	// limit. Retrying is useless.
	ErrTooLarge = errors.New("record is too large")
	// ErrPoison says that a record is not a statement of a version that this
	// program reads, and never will be for it.
	ErrPoison = errors.New("record is not a readable statement")
	// ErrTopic says that a topic is not what it must be: absent, with another
	// partition count or cleanup policy, or not the one it was.
	ErrTopic = errors.New("topic is not as required")
)

// The reasons of a poison record, as PoisonReason gives them and metrics and
// dead letters carry them.
const (
	ReasonSyntax  = "syntax"  // not the JSON of the encoding
	ReasonVersion = "version" // an encoding version that is not read
	ReasonInvalid = "invalid" // a required member is missing or a value out of range
	ReasonSize    = "size"    // larger than a reader takes
	// ReasonWorkspace: there is no such workspace, so nobody could ask for it. It may
	// be created, and the letter retried.
	ReasonWorkspace = "workspace"
)

// ReasonWebhook is the reason of a dead letter that is the body of a webhook
// delivery which verifies and cannot be read. Its Topic names where it came in.
const ReasonWebhook = "webhook"

// poisonError is an ErrPoison with its reason.
type poisonError struct {
	reason string
	cause  error
}

func (e *poisonError) Error() string { return ErrPoison.Error() + ": " + e.cause.Error() }

func (e *poisonError) Unwrap() []error { return []error{ErrPoison, e.cause} }

// Poison is an ErrPoison for one of the Reason constants.
func Poison(reason string, cause error) error { return &poisonError{reason, cause} }

// PoisonReason is the reason of an ErrPoison, or "" for another error.
func PoisonReason(err error) string {
	if poison, ok := errors.AsType[*poisonError](err); ok {
		return poison.reason
	}
	return ""
}
