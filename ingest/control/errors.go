package control

import "errors"

// The classes of error of this package; Kafka being unavailable is
// stream.ErrBusy beside them.
var (
	// ErrUnauthenticated says that what was presented is not a key that is valid
	// now: malformed, unknown, revoked or expired. It does not say which.
	ErrUnauthenticated = errors.New("the API key is not valid")
	// ErrInvalid says that what was asked to be stored breaks a rule.
	ErrInvalid = errors.New("invalid")
	// ErrUnknown says that there is no such workspace, key or endpoint.
	ErrUnknown = errors.New("unknown")
	// ErrExists says that there is already one of that name.
	ErrExists = errors.New("exists already")
	// ErrLimit says that a limit of Config is reached.
	ErrLimit = errors.New("limit is reached")
)
