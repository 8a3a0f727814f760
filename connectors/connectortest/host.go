package connectortest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Host is a connectors.Host in memory, which accepts a call a second.
type Host struct {
	calls         int
	versions      int64
	idempotency   string // key of the call
	registered    map[connectors.Name][]byte
	states        map[connectors.Name][]byte
	firstAccepted map[string]sighting
	placements    map[string]revenue.Placement // by the id of the fact
}

// sighting is what an event said when it was first accepted.
type sighting struct {
	content []byte
	at      time.Time
}

// NewHost returns one to whom nothing has been said.
func NewHost() *Host {
	return &Host{registered: map[connectors.Name][]byte{}, states: map[connectors.Name][]byte{}, firstAccepted: map[string]sighting{},
		placements: map[string]revenue.Placement{}}
}

// clone is a host of the same memory, which goes its own way from here.
func (h *Host) clone() *Host {
	return &Host{h.calls, h.versions, "", maps.Clone(h.registered), maps.Clone(h.states), maps.Clone(h.firstAccepted), maps.Clone(h.placements)}
}

// Accept reads a call and keeps what it wants kept. The call's own members that are set
// stand.
func (h *Host) Accept(ctx context.Context, operation connectors.Operation, idempotencyKey string, call connectors.Call) (*connectors.Reading, error) {
	call.Workspace, call.Alias, call.Integration = "acme", "acme.example", "key_1"
	call.Currency, call.RecordsMax = cmp.Or(call.Currency, "USD"), 1000
	h.idempotency, h.calls = idempotencyKey, h.calls+1
	call.ReceivedAt, call.Host = h.now(), h
	reading := &connectors.Reading{}
	if err := operation.Decode(ctx, call, reading); err != nil {
		return nil, err
	}
	for _, step := range reading.Register {
		keep(h.registered, step)
	}
	keep(h.states, reading.Before)
	keep(h.states, reading.After)
	return reading, nil
}

func keep(kept map[connectors.Name][]byte, entries []connectors.Entry) {
	for _, entry := range entries {
		kept[entry.Name] = entry.Value
	}
}

func (h *Host) now() time.Time { return ReceivedAt.Add(time.Duration(h.calls) * time.Second) }

// Identity is of the idempotency key, of whose statements the first stands, or of the
// number of the call.
func (h *Host) Identity(index int) (id string, version int64) {
	if h.idempotency != "" {
		return fmt.Sprintf("made-of-%s-%d", h.idempotency, index), math.MaxInt64 - h.now().UnixMicro()
	}
	return fmt.Sprintf("made-%d-%d", h.calls, index), h.now().UnixMicro()
}

// NextVersion is of the time and of how many there were.
func (h *Host) NextVersion() int64 {
	h.versions++
	return h.now().UnixMicro() + h.versions
}

// FirstAccepted remembers everything.
func (h *Host) FirstAccepted(id string, content []byte) time.Time {
	if first, found := h.firstAccepted[id]; found && bytes.Equal(first.content, content) {
		return first.at
	}
	h.firstAccepted[id] = sighting{bytes.Clone(content), h.now()}
	return h.now()
}

// Registered finds what an earlier call has registered.
func (h *Host) Registered(_ context.Context, name, _ connectors.Name) ([]byte, bool, error) {
	value, found := h.registered[name]
	return value, found, nil
}

// Hold finds what an earlier call has kept.
func (h *Host) Hold(_ context.Context, name connectors.Name) ([]byte, bool, error) {
	if name.ID == "" {
		return nil, false, errors.New("nothing is held")
	}
	state, found := h.states[name]
	return state, found, nil
}

// Place decides one statement after the other.
func (h *Host) Place(_ context.Context, reading *connectors.Reading) error {
	statements, first := []revenue.Event{}, map[string]*revenue.Event{}
	var facts []string
	for i := range reading.Items {
		events := reading.Items[i].Events
		for j := range events {
			said, fact := &events[j], events[j].FactID()
			placement := h.placements[fact]
			if first[fact] == nil {
				facts, first[fact] = append(facts, fact), said
			}
			publish, err := placement.Take(said)
			if err != nil {
				reading.Items[i] = connectors.Item{Err: connectors.Misplaced(err)}
				continue
			}
			if h.placements[fact] = placement; publish {
				statements = append(statements, *said)
			}
		}
	}
	for _, fact := range facts {
		placement := h.placements[fact]
		statements = append(statements, placement.Retractions(first[fact])...)
	}
	reading.Statements = statements
	return nil
}
