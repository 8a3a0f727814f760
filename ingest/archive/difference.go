package archive

import (
	"context"
	"errors"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// saying is a statement by its content.
type saying struct {
	workspace, fact string
	digest          revenue.Digest
}

func sayingOf(e *revenue.Event) saying { return saying{e.Workspace, e.FactID(), e.Digest()} }

// compare finds what has to be withdrawn and what has to be said for a delivery to
// count as it reads today.
func (r Replay) compare(ctx context.Context, before, now *stream.Delivery) (Change, error) {
	change := Change{Delivery: before}
	known, err := r.known(ctx, append(append([]revenue.Event{}, before.Statements...), now.Statements...))
	if err != nil {
		return change, err
	}
	wanted := map[saying]bool{}
	for i := range now.Statements {
		s := sayingOf(&now.Statements[i])
		if !wanted[s] && !known.said[s] {
			change.Stated = append(change.Stated, now.Statements[i])
		}
		wanted[s] = true
	}
	for i := range before.Statements {
		e := &before.Statements[i]
		s := sayingOf(e)
		if wanted[s] || known.recorded[s] && !known.said[s] {
			continue // still so, or withdrawn already
		}
		wanted[s] = true // once
		supported, err := r.supported(ctx, before.ID, e)
		if err != nil {
			return change, err
		}
		if !supported {
			change.Withdrawn = append(change.Withdrawn, *e)
		}
	}
	return change, nil
}

// recorded is what the store has of statements: all that were ever made, and those
// that were not withdrawn since. What is on its way to it is in neither.
type recorded struct{ recorded, said map[saying]bool }

func (r Replay) known(ctx context.Context, events []revenue.Event) (recorded, error) {
	keys := map[revenue.GroupKey]bool{}
	var wanted []revenue.GroupKey
	for i := range events {
		if key := events[i].GroupKey(); !keys[key] {
			keys[key] = true
			wanted = append(wanted, key)
		}
	}
	found := recorded{map[saying]bool{}, map[saying]bool{}}
	if len(wanted) == 0 {
		return found, nil
	}
	states, err := r.Store.ReadGroups(ctx, wanted)
	if err != nil {
		return found, err
	}
	for _, state := range states {
		for i := range state.Events {
			found.recorded[sayingOf(&state.Events[i])] = true
		}
		for _, e := range revenue.Said(state.Events) {
			found.said[sayingOf(&e)] = true
		}
	}
	return found, nil
}

// supportersMax bounds how many other deliveries about an object are read.
const supportersMax = 200

// supported reports whether another kept delivery comes to the same statement today:
// twins tell of one thing, and what one of them no longer says the other may.
func (r Replay) supported(ctx context.Context, by string, e *revenue.Event) (bool, error) {
	others, err := Find(ctx, r.Store.Answers(), clickhouse.DeliveryFilter{Workspace: e.Workspace, Name: e.ObjectID}, supportersMax)
	if err != nil {
		return false, err
	}
	for i := range others {
		if others[i].ID == by || others[i].Refusal != "" || others[i].Provider != e.Provider {
			continue
		}
		now, err := r.read(ctx, &others[i])
		if errors.Is(err, ErrNotNow) {
			now, err = &others[i], nil // what it said once it says still
		}
		if err != nil {
			return false, err
		}
		for j := range now.Statements {
			if sayingOf(&now.Statements[j]) == sayingOf(e) {
				return true, nil
			}
		}
	}
	return false, nil
}
