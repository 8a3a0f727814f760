package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The classes of error of this package; Kafka being unavailable is
// stream.ErrBusy beside them.
var (
	// ErrUnauthenticated says that what was presented is not a key that is valid
	// now: malformed, unknown, revoked or expired. It does not say which.
	ErrUnauthenticated = errors.New("the API key is not valid")
	// ErrInvalid says that what was asked to be stored breaks a rule. The error is an
	// *InvalidError.
	ErrInvalid = errors.New("invalid")
	// ErrUnknown says that there is no such workspace, key, endpoint or alert.
	ErrUnknown = errors.New("unknown")
	// ErrExists says that there is already one of that name.
	ErrExists = errors.New("exists already")
	// ErrLimit says that a limit of Config is reached.
	ErrLimit = errors.New("limit is reached")
)

// InvalidError is an ErrInvalid with everything that is wrong. It quotes no secret.
type InvalidError struct{ Faults []error }

// Error lists the faults.
func (e *InvalidError) Error() string { return fmt.Sprintf("%v: %s", ErrInvalid, e.Detail()) }

// Detail is the faults alone.
func (e *InvalidError) Detail() string {
	texts := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		texts[i] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap makes it an ErrInvalid, and what its faults are.
func (e *InvalidError) Unwrap() []error { return append([]error{ErrInvalid}, e.Faults...) }

// invalid is an ErrInvalid of all faults that are not nil, or nil if there are none.
func invalid(faults ...error) error {
	faults = slices.DeleteFunc(faults, func(fault error) bool { return fault == nil })
	if len(faults) == 0 {
		return nil
	}
	return &InvalidError{faults}
}
