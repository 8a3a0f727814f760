// Package backfill reads a provider's past from its API into statements, window by
// window, and compares what the provider says it moved with the ledger. It can be cut
// off anywhere and goes on from its last checkpoint; what it says twice counts once.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"revstream/connectors"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// PastOf is the past of an endpoint's account, or of one connected to it, as its API is
// spoken to with patience. The error is a fault of the endpoint's settings.
func PastOf(connector connectors.Connector, endpoint control.Endpoint, connected string, patience Patience, now time.Time) (connectors.Past, error) {
	settings, err := connector.Settle(endpoint.Settings())
	if err != nil {
		return connectors.Past{}, fmt.Errorf("settings of endpoint %s: %w", endpoint.ID, err)
	}
	return connectors.Past{
		Delivery: connectors.Delivery{
			Workspace: endpoint.Workspace, Integration: endpoint.ID, Account: endpoint.Account, Livemode: endpoint.Mode != control.ModeTest,
			Settings: settings, ReceivedAt: now.UTC(),
		},
		Connected: connected, Heard: endpoint.CreatedAt, Client: patience.Client(),
	}, nil
}

// WindowLength is how much of the past is asked for at a time.
const WindowLength = 30 * 24 * time.Hour

// Run reads the past.
type Run struct {
	History *connectors.History
	Past    connectors.Past
	// Window is the past that is wanted.
	Window connectors.Window
	// Accepts says whether statements of a mode are wanted.
	Accepts func(livemode bool) bool
	// Publish makes statements durable; nil counts them and publishes nothing.
	Publish func(context.Context, ...revenue.Event) error
	// Save keeps a checkpoint after each page; From is the one to go on from.
	Save func(Checkpoint) error
	From Checkpoint
	// Progress hears of each page; it may be nil.
	Progress func(Checkpoint, Extent)
}

// Checkpoint is how far a run has come. What lies before it is durable.
type Checkpoint struct {
	// Stream and Window are the positions of the list and of the part of the past that
	// are being read, Cursor where in them.
	Stream int    `json:"stream"`
	Window int    `json:"window"`
	Cursor string `json:"cursor,omitempty"`
	Counts
}

// Counts are what a run has read until now.
type Counts struct {
	Objects    int64 `json:"objects"`
	Statements int64 `json:"statements"`
	// Unreadable could not be read, OtherMode was of another mode than the endpoint's.
	Unreadable int64 `json:"unreadable"`
	OtherMode  int64 `json:"other_mode"`
	// Estimated of the statements presume of a time before what a list shows of later.
	Estimated int64 `json:"estimated"`
}

// Extent is all that there is to read: Windows of each stream, by its name.
type Extent struct {
	Streams []string
	Windows []int
}

// Done is the share that the checkpoint has behind it, 0 to 1.
func (e Extent) Done(at Checkpoint) float64 {
	total, done := 0, 0
	for i, windows := range e.Windows {
		total += windows
		if i < at.Stream {
			done += windows
		}
	}
	return float64(done+at.Window) / float64(max(1, total))
}

// Unreadable is an object that cannot be read.
type Unreadable struct {
	Stream, ID string
	Err        error
}

// Error names the object.
func (u *Unreadable) Error() string { return fmt.Sprintf("%s %s: %v", u.Stream, u.ID, u.Err) }

// Unwrap is why.
func (u *Unreadable) Unwrap() error { return u.Err }

// unreadableMax bounds how many unreadable objects are named; all are counted.
const unreadableMax = 100

// Do reads until the end. The error is what stopped it, after which it can be run again
// from the last checkpoint; or, at the end, an *Unreadable for each object that could
// not be read (as far as they are named), with all others read.
func (r Run) Do(ctx context.Context) (Checkpoint, error) {
	at := r.From
	r.Past.Heard = r.heard()
	extent, windows := r.extent()
	var faults []error
	for ; at.Stream < len(windows); at.Stream, at.Window = at.Stream+1, 0 {
		for ; at.Window < len(windows[at.Stream]); at.Window++ {
			found, err := r.window(ctx, &at, windows[at.Stream][at.Window], extent)
			if len(faults) < unreadableMax {
				faults = append(faults, found...)
			}
			if err != nil {
				return at, fmt.Errorf("reading %s of %s: %w", extent.Streams[at.Stream],
					windows[at.Stream][at.Window].From.Format(time.DateOnly), err)
			}
		}
	}
	return at, errors.Join(faults...)
}

// heard is since when events tell of changes: deliveries, or those that this run reads of
// the provider's own list. Nothing has to be presumed of what began after.
func (r Run) heard() time.Time {
	heard := r.Past.Heard
	for _, s := range r.History.Streams {
		if s.KeptFor == 0 || r.Window.Until.Before(r.Past.Heard) {
			continue // no list of events, or one that leaves a time between untold
		}
		if since := r.since(s); since.Before(heard) {
			heard = since
		}
	}
	return heard
}

// since is from when on a stream is read: as far back as the provider has it.
func (r Run) since(s connectors.Stream) time.Time {
	if oldest := r.Past.Delivery.ReceivedAt.Add(-s.KeptFor); s.KeptFor > 0 && r.Window.From.Before(oldest) {
		return oldest.Truncate(time.Second)
	}
	return r.Window.From
}

// window reads one part of the past of one stream.
func (r Run) window(ctx context.Context, at *Checkpoint, window connectors.Window, extent Extent) (faults []error, err error) {
	for {
		page, err := r.History.Streams[at.Stream].Page(ctx, r.Past, window, at.Cursor)
		if err != nil {
			return faults, err
		}
		var events []revenue.Event
		for _, item := range page.Items {
			at.Objects++
			switch {
			case item.Err != nil:
				at.Unreadable++
				faults = append(faults, &Unreadable{extent.Streams[at.Stream], item.ID, item.Err})
			case !r.acceptsAll(item.Events):
				at.OtherMode++
			default:
				events = append(events, item.Events...)
			}
		}
		if err := r.publish(ctx, events); err != nil {
			return faults, err
		}
		at.Statements += int64(len(events))
		at.Estimated += estimated(events)
		at.Cursor = page.Next
		if r.Progress != nil {
			r.Progress(*at, extent)
		}
		next := *at
		if at.Cursor == "" {
			next.Window++
		}
		if err := r.Save(next); err != nil || at.Cursor == "" {
			return faults, err
		}
	}
}

func estimated(events []revenue.Event) (n int64) {
	for i := range events {
		if connectors.IsEstimated(&events[i]) {
			n++
		}
	}
	return n
}

func (r Run) acceptsAll(events []revenue.Event) bool {
	for i := range events {
		if !r.Accepts(events[i].Livemode) {
			return false
		}
	}
	return true
}

// Publishing: how many statements at once, and how long to wait when Kafka is busy.
const (
	publishMax   = 500
	publishPause = time.Second
)

// publish makes statements durable, however long Kafka takes.
func (r Run) publish(ctx context.Context, events []revenue.Event) error {
	for len(events) > 0 && r.Publish != nil {
		part := events[:min(publishMax, len(events))]
		err := r.Publish(ctx, part...)
		switch {
		case err == nil:
			events = events[len(part):]
		case !errors.Is(err, stream.ErrBusy):
			return err
		default:
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(publishPause):
			}
		}
	}
	return nil
}

// extent cuts the past of each stream into windows, oldest first.
func (r Run) extent() (Extent, [][]connectors.Window) {
	var extent Extent
	var all [][]connectors.Window
	for _, s := range r.History.Streams {
		from := r.since(s)
		var windows []connectors.Window
		for from.Before(r.Window.Until) {
			until := from.Add(WindowLength)
			if s.Whole || until.After(r.Window.Until) {
				until = r.Window.Until
			}
			windows = append(windows, connectors.Window{From: from, Until: until})
			from = until
		}
		all = append(all, windows)
		extent.Streams, extent.Windows = append(extent.Streams, s.Name), append(extent.Windows, len(windows))
	}
	return extent, all
}
