package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// Replay reads deliveries again as they would be read today, and publishes the
// difference: statements that they no longer come to are withdrawn, new ones made. What
// is the same as before is not said again, so that a second replay says nothing.
type Replay struct {
	// Clusters' questions about all revenue, and each shard's about its groups.
	Store *clickhouse.Cluster
	// Publish sends statements and the delivery as it is read now.
	Publish func(context.Context, *stream.Delivery, ...revenue.Event) error
	// Decode reads a delivery with the mapping and the settings of today, and returns
	// beside its items what the provider's API said of it. An ErrNotNow is for one that
	// cannot be read again at all.
	Decode func(context.Context, *stream.Delivery) ([]connectors.Item, map[string]json.RawMessage, error)
	// Accepts says whether the endpoint is for statements of the mode.
	Accepts func(d *stream.Delivery, livemode bool) bool
	Now     func() time.Time
	// DryRun publishes nothing.
	DryRun bool
	// Progress hears of each delivery; it may be nil.
	Progress func(Change)
}

// ErrNotNow says that a delivery cannot be read again: its endpoint's settings are
// gone, it was too large to be kept whole, or the provider's API now refuses what it told.
var ErrNotNow = errors.New("the delivery cannot be read again")

// Change is what a replay made of a delivery.
type Change struct {
	Delivery *stream.Delivery
	// Withdrawn and Stated are the statements that were published.
	Withdrawn, Stated []revenue.Event
	// Skipped is why it was left as it is; nil if it was not.
	Skipped error
}

// Total sums up a replay.
type Total struct {
	Deliveries, Changed, Skipped int
	Withdrawn, Stated            int
}

const replayPage = 200

// Run replays what the filter chooses, oldest first. It stops at the first error that
// trying again may mend; what was done until then stays, and is not done again.
func (r Replay) Run(ctx context.Context, filter clickhouse.DeliveryFilter) (Total, error) {
	var total Total
	err := each(ctx, r.Store.Answers(), filter, replayPage, func(deliveries []stream.Delivery) error {
		for i := range deliveries {
			change, err := r.one(ctx, &deliveries[i])
			if err != nil {
				return fmt.Errorf("replaying delivery %s: %w", deliveries[i].ID, err)
			}
			total.add(change)
			if r.Progress != nil {
				r.Progress(change)
			}
		}
		return nil
	})
	return total, err
}

func (t *Total) add(change Change) {
	t.Deliveries++
	t.Withdrawn += len(change.Withdrawn)
	t.Stated += len(change.Stated)
	switch {
	case change.Skipped != nil:
		t.Skipped++
	case len(change.Withdrawn)+len(change.Stated) > 0:
		t.Changed++
	}
}

// one replays a delivery.
func (r Replay) one(ctx context.Context, d *stream.Delivery) (Change, error) {
	if d.Refusal != "" {
		return Change{Delivery: d, Skipped: fmt.Errorf("%w: it did not verify", ErrNotNow)}, nil
	}
	now, err := r.read(ctx, d)
	if errors.Is(err, ErrNotNow) {
		return Change{Delivery: d, Skipped: err}, nil
	}
	if err != nil {
		return Change{}, err
	}
	change, err := r.compare(ctx, d, now)
	if err != nil || r.DryRun || len(change.Withdrawn)+len(change.Stated) == 0 && sameOutcomes(d.Items, now.Items) {
		return change, err
	}
	at := r.Now().UTC().Truncate(time.Microsecond)
	now.Revision = at.UnixMicro()
	said := make([]revenue.Event, 0, len(change.Withdrawn)+len(change.Stated))
	for _, e := range change.Withdrawn {
		e.Withdrawn = true
		said = append(said, e)
	}
	said = append(said, change.Stated...)
	for i := range said {
		said[i].Revision, said[i].ReceivedAt = now.Revision, at
	}
	return change, r.Publish(ctx, now, said...)
}

// read is the delivery as it reads today. An event that was read once and cannot be any
// more is not taken for one that says nothing: an object may be gone from the provider's
// API, but what it said was true.
func (r Replay) read(ctx context.Context, d *stream.Delivery) (*stream.Delivery, error) {
	if d.Truncated {
		return nil, fmt.Errorf("%w: it was too large to be kept whole", ErrNotNow)
	}
	items, answers, err := r.Decode(ctx, d)
	if errors.Is(err, connectors.ErrMalformed) {
		items, err = []connectors.Item{{Err: err}}, nil
	}
	if err != nil {
		return nil, err
	}
	now := *d
	now.Items, now.Statements, now.Answers = nil, nil, answers
	for position, item := range items {
		kept := keptItem(item)
		before := stream.DeliveredItem{}
		if position < len(d.Items) {
			before = d.Items[position]
		}
		switch {
		case before.Outcome == string(connectors.OutcomeRefused): // it did not verify, and never will
			kept = before
		case item.Err != nil && before.Outcome != string(connectors.OutcomeQuarantined):
			return nil, fmt.Errorf("%w: event %d was read before: %w", ErrNotNow, position+1, item.Err)
		case item.Lacks != nil && before.Outcome == string(connectors.OutcomeBooked):
			return nil, fmt.Errorf("%w: more was known of event %d: %w", ErrNotNow, position+1, item.Lacks)
		case !r.acceptsAll(d, item.Events):
			kept.Outcome = string(connectors.OutcomeOtherMode)
		default:
			now.Statements = append(now.Statements, item.Events...)
		}
		now.Items = append(now.Items, kept)
	}
	now.Statements, err = asPublished(now.Statements)
	return &now, err
}

func (r Replay) acceptsAll(d *stream.Delivery, events []revenue.Event) bool {
	for i := range events {
		if !r.Accepts(d, events[i].Livemode) {
			return false
		}
	}
	return true
}

// keptItem is an event of a delivery as it is kept.
func keptItem(item connectors.Item) stream.DeliveredItem {
	kept := stream.DeliveredItem{ID: item.ID, Type: item.Type, APIVersion: item.APIVersion, At: item.At, Outcome: string(item.Outcome())}
	if trouble := cmp.Or(item.Err, item.Lacks); trouble != nil {
		kept.Error = trouble.Error()
	}
	return kept
}

func sameOutcomes(a, b []stream.DeliveredItem) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Outcome != b[i].Outcome {
			return false
		}
	}
	return true
}

// asPublished is what readers of the topic see of statements, so that they compare.
func asPublished(events []revenue.Event) ([]revenue.Event, error) {
	for i := range events {
		text, err := stream.EncodeEvent(nil, &events[i])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotNow, err)
		}
		if events[i], err = stream.DecodeEvent(text); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotNow, err)
		}
	}
	return events, nil
}
