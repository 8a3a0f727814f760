package ingest

import (
	"context"
	"fmt"

	"revstream/connectors"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// place sees to it that each fact is in one group: it keeps where every fact is from now
// on, and returns what is to be published for that, which is the statements, without those
// that say nothing any more, and what takes facts back where they are no longer. The
// statements are of one workspace; facts are their FactIDs, and refuse is told of each
// that cannot be accepted. The list is changed.
//
// Placements are kept before the statements are published: a group that has a fact and
// that nobody knows of could never be taken back. If we die in between, the caller has no
// answer and sends the request again; whatever is then said of the fact retracts it in all
// groups where it may be. Until release no other request of this process has the facts.
//
// Other nodes may have, at the same time. The table has one order of changes: whoever
// comes later in it sees, before anything is published, what was put since the placement
// was read, and decides again. So nothing has to be asked of Kafka before: that this node
// has not read something yet shows when its own change has come back.
func (s *Server) place(ctx context.Context, events []revenue.Event, facts []string, refuse func(i int, fault *connectors.InvalidError)) (statements []revenue.Event, release func(), err error) {
	if len(events) == 0 {
		return nil, func() {}, nil
	}
	keys := make([]string, len(facts))
	for i, fact := range facts {
		keys[i] = events[0].Workspace + "|" + fact
	}
	places, err := s.placing.hold(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	release = func() { s.placing.release(keys, places) }
	decisions, err := s.settle(ctx, events, keys, places)
	if err != nil {
		release()
		return nil, nil, err
	}
	for i, decision := range decisions {
		if decision.err != nil {
			refuse(i, connectors.Misplaced(decision.err))
		}
	}
	return publishable(events, places, decisions), release, nil
}

// settle decides on the statements, and keeps where their facts are then.
func (s *Server) settle(ctx context.Context, events []revenue.Event, keys []string, places []*placed) ([]decision, error) {
	for i, place := range places {
		if place.first != i {
			continue
		}
		value, found, err := s.Placements.Get(keys[i])
		if err == nil && found {
			place.known, err = revenue.ParsePlacement(value)
		}
		if err != nil {
			return nil, fmt.Errorf("look up placement: %w", err)
		}
	}
	for range overtakenMax {
		decisions := decide(events, places)
		if err := s.Placements.PutAll(ctx, s.placing.changes(keys, places)); err != nil {
			return nil, wrap("keep placements", err)
		}
		if overtaken, err := s.placing.overtaken(places); !overtaken || err != nil {
			return decisions, err
		}
	}
	return nil, fmt.Errorf("%w: other nodes keep placing the same facts", stream.ErrBusy)
}

// overtakenMax is how often a request decides again.
const overtakenMax = 8

// decision is what becomes of a statement.
type decision struct {
	publish bool
	err     error // of revenue.Placement.Take
}

// decide takes one statement after the other.
func decide(events []revenue.Event, places []*placed) []decision {
	for _, place := range places {
		place.next = place.known
	}
	decisions := make([]decision, len(events))
	for i := range events {
		decisions[i].publish, decisions[i].err = places[i].next.Take(&events[i])
	}
	return decisions
}

// publishable are the statements that say something, and what takes their facts back in
// other groups.
func publishable(events []revenue.Event, places []*placed, decisions []decision) []revenue.Event {
	var retractions []revenue.Event
	for i, place := range places {
		if place.first == i {
			retractions = append(retractions, place.next.Retractions(&events[i])...)
		}
	}
	statements := events[:0]
	for i := range events {
		if decisions[i].publish {
			statements = append(statements, events[i])
		}
	}
	clear(events[len(statements):])
	return append(statements, retractions...)
}
