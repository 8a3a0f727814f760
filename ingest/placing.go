package ingest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// placing is the facts whose group is being decided here. One request has a fact at a
// time, and is told of what other nodes put about it meanwhile. The zero value is ready.
type placing struct {
	mu   sync.Mutex
	held map[string]*placed // by the key of the placement
}

// placed is a fact that a request has. Its statements share it.
type placed struct {
	first       int // index of the first statement about it in the request
	known, next revenue.Placement
	done        chan struct{} // closed when the request lets go of its facts

	// Under the lock of placing: put is what the request put last, others what was put
	// by others since the request has the fact, and before those of them that were
	// before put in the order of all changes.
	put            []byte
	others, before [][]byte
}

// hold waits until nobody has any of the facts, and has them until release: what is known
// of each, one for all statements about it. The error is the context's. All or none are
// taken, so two requests do not wait for each other.
func (p *placing) hold(ctx context.Context, keys []string) ([]*placed, error) {
	for {
		places, wait := p.take(keys)
		if wait == nil {
			return places, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for an earlier request: %w", ctx.Err())
		}
	}
}

// take has the facts, or returns what is to be waited for.
func (p *placing) take(keys []string) (places []*placed, wait <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if holder := p.held[key]; holder != nil {
			return nil, holder.done
		}
	}
	if p.held == nil {
		p.held = map[string]*placed{}
	}
	places = make([]*placed, len(keys))
	all, done := make([]placed, len(keys)), make(chan struct{})
	for i, key := range keys {
		if places[i] = p.held[key]; places[i] == nil { // else it is in the request twice
			all[i].first, all[i].done = i, done
			places[i], p.held[key] = &all[i], &all[i]
		}
	}
	return places, nil
}

func (p *placing) release(keys []string, places []*placed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		delete(p.held, key)
	}
	close(places[0].done)
}

// changes is what the request has to keep.
func (p *placing) changes(keys []string, places []*placed) []stream.Pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	pairs := make([]stream.Pair, 0, len(keys))
	for i, place := range places {
		if place.first == i && (place.next.Version != place.known.Version || place.next.Group != place.known.Group || place.put != nil) {
			place.put, place.before = place.next.Append(nil), nil
			pairs = append(pairs, stream.Pair{Key: keys[i], Value: place.put})
		}
	}
	return pairs
}

// see is shown every change of the table, in their order.
func (p *placing) see(key string, value []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch place := p.held[key]; {
	case place == nil, value == nil: // nobody takes a placement out
	case bytes.Equal(value, place.put):
		place.before = append(place.before, place.others...)
		place.others = nil
	default:
		place.others = append(place.others, slices.Clone(value))
	}
}

// overtaken reports whether others have put something that the request did not know when
// it decided, and lets it know.
func (p *placing) overtaken(places []*placed) (overtaken bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, place := range places {
		for _, value := range place.before {
			other, err := revenue.ParsePlacement(value)
			if err != nil {
				return false, fmt.Errorf("read placement of another node: %w", err)
			}
			place.known.Merge(other)
			overtaken = true
		}
		place.before = nil
	}
	return overtaken, nil
}
