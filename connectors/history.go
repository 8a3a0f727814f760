package connectors

import (
	"context"
	"fmt"
	"time"

	"revstream/ingest/revenue"
)

// History is how a provider's past is read from its API: what happened before there
// was an endpoint, and while its deliveries were lost. What it comes to are the same
// statements that deliveries come to, so reading what is known already costs nothing.
type History struct {
	// Streams are the provider's lists, in the order to read them.
	Streams []Stream
	// Totals sums up the money that the provider says it moved, for comparison; nil if
	// it does not say.
	Totals func(ctx context.Context, past Past, window Window) ([]DayTotal, error)
}

// Stream is one list of a provider.
type Stream struct {
	Name string
	// KeptFor is how far back the provider still has it; zero is for ever.
	KeptFor time.Duration
	// Whole says that the list cannot be asked for a part of the past: it is read once,
	// and Page leaves out what lies outside the window.
	Whole bool
	// Page reads what was created within the window, from a cursor on, which is empty
	// at first. An error is temporary: the same page may be asked for again.
	Page func(ctx context.Context, past Past, window Window, cursor string) (Page, error)
}

// Window is a range of time, half open.
type Window struct{ From, Until time.Time }

// Contains reports whether a moment is in the range.
func (w Window) Contains(at time.Time) bool { return !at.Before(w.From) && at.Before(w.Until) }

// Page is a part of a list. Next is the cursor of what follows; empty at the end.
type Page struct {
	Items []Item
	Next  string
}

// Past says of whom the past is read, and how the API is reached.
type Past struct {
	// Delivery has the workspace, the endpoint with its account, mode and settings, and
	// as ReceivedAt the present moment.
	Delivery Delivery
	// Connected is the account to read on behalf of, for platforms; empty is the key's
	// own.
	Connected string
	// Heard is since when deliveries tell of changes. What a list says of an object's
	// state as it is now, it says of the time before.
	Heard time.Time
	// Client reaches the API: patiently, and no faster than it allows.
	Client Client
}

// Estimated is the note in the metadata of terms that are presumed, and EstimatedNote what
// it says: see Presume.
const (
	Estimated     = string(revenue.NoteEstimated)
	EstimatedNote = revenue.DetailEstimated
)

// IsEstimated reports whether a statement presumes: see Presume.
func IsEstimated(e *revenue.Event) bool {
	metadata, err := ParseObject(e.Metadata)
	return err == nil && e.Kind == revenue.KindSubscription && metadata.Text(Estimated) == EstimatedNote
}

// Presume states what a subscription must have been from a moment on of which nobody
// told: the terms of a later time, for lists know no others, and the metadata says so.
// Whatever an event said of the moment, or of one before, stands above it.
func (r *Reader) Presume(later revenue.Event, status revenue.Status, from time.Time) {
	e := later
	e.ObjectID, e.Version = fmt.Sprintf("%s@%d", later.Subscription, from.UnixMicro()), 0
	e.OccurredAt, e.Status, e.Reason, e.EndsAt, e.CancelRequestedAt, e.Presumed = from, status, "", nil, nil, true
	Noted(&e.Dimensions, Estimated, EstimatedNote)
	r.Emit(e)
}
