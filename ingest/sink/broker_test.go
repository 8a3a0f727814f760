//go:build synctests

package sink

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// brokerFaults are the shares of requests that go wrong, and the times, since the
// beginning, during which nothing is taken at all.
type brokerFaults struct {
	refused, unanswered, commits, fetches, heartbeats float64
	outages                                           [][2]time.Duration
}

func newBrokerFaults(random *rand.Rand) brokerFaults {
	share := func(most float64) float64 { return float64(random.IntN(3)) / 2 * most }
	f := brokerFaults{refused: share(0.2), unanswered: share(0.2), commits: share(0.2), fetches: share(0.05), heartbeats: share(0.02)}
	for range random.IntN(3) {
		from := time.Duration(random.IntN(60)) * time.Second
		f.outages = append(f.outages, [2]time.Duration{from, from + time.Duration(1+random.IntN(20))*time.Second})
	}
	return f
}

// breakBroker makes the broker refuse, before or after it did what it was asked.
func (w *world) breakBroker() *kfake.FaultHandle {
	f, begin := w.plan.broker, time.Now()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(w.plan.seed, 3))
	fault := func(key kmsg.Key, err *kerr.Error, share float64) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: -1, When: func(kmsg.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64() < share
		}}
	}
	return w.cluster.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1, When: func(kmsg.Request) bool {
			for _, outage := range f.outages {
				if since := time.Since(begin); since >= outage[0] && since < outage[1] {
					return true
				}
			}
			return false
		}},
		fault(kmsg.Produce, kerr.NotEnoughReplicas, f.refused),
		fault(kmsg.Produce, kerr.NotEnoughReplicasAfterAppend, f.unanswered),
		fault(kmsg.OffsetCommit, kerr.CoordinatorNotAvailable, f.commits/2),
		fault(kmsg.OffsetCommit, kerr.RequestTimedOut, f.commits/2),
		fault(kmsg.Fetch, kerr.NotLeaderForPartition, f.fetches),
		fault(kmsg.ListOffsets, kerr.NotLeaderForPartition, f.fetches),
		kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: -1, TopLevel: true, When: func(kmsg.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64() < f.heartbeats
		}},
	)
}

// calm ends all faults, so that what is left to do can be done.
func (w *world) calm() {
	w.broken.Remove()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.faults = faults{}
	w.store.deadUntil = time.Time{}
}

// watchProduce holds every produce request to what acceptance promises: all in-sync
// replicas have it. The broker here has no replicas to lose it on.
func (w *world) watchProduce(t *testing.T) {
	w.cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if acks := request.(*kmsg.ProduceRequest).Acks; acks != -1 {
			t.Errorf("a produce request asks for %d acknowledgements, not for all", acks)
		}
		return nil, nil, false
	})
}

// watchCommits checks every offset commit against what the store holds: a
// committed offset must never lead it.
func (w *world) watchCommits(t *testing.T) {
	w.cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		id := w.topicID()
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.calls["commits"]++
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			if topic.TopicID != ([16]byte{}) && stream.TopicIDText(topic.TopicID) != id {
				continue // of a topic that is no more
			}
			for _, partition := range topic.Partitions {
				if next := w.store.log(id, partition.Partition).next; partition.Offset > next {
					t.Errorf("slice %d: offset %d is committed, %d is not stored", partition.Partition, partition.Offset, next)
				}
			}
		}
		return nil, nil, false
	})
}

// checkProgress checks every report of completeness, under the store's lock: what
// was accepted before it is stored, and the tables of its slice agree.
func (w *world) checkProgress(t *testing.T, progress []clickhouse.Progress) {
	w.store.calls["reports of progress"]++
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range progress {
		w.through[p.Slice] = p.CompleteThrough
		rest, arrived := w.unseen[p.Slice][:0], map[revenue.GroupKey]bool{}
		for _, a := range w.unseen[p.Slice] {
			switch {
			case w.store.knows(a.event):
				arrived[a.event.GroupKey()] = true
			case a.at.Before(p.CompleteThrough):
				t.Errorf("slice %d is said to be complete through %v, and lacks what was accepted at %v", p.Slice, p.CompleteThrough, a.at)
			default:
				rest = append(rest, a)
			}
		}
		w.unseen[p.Slice] = rest
		// The topic may have been made anew, and its reader not know yet.
		topicID := w.store.takenOver[p.Epoch]
		if w.store.fenced(p.Slice, p.Epoch) || w.store.log(topicID, p.Slice).high > p.Offset {
			continue // others, or another attempt, are at work on what came later
		}
		for key := range arrived {
			group := w.store.data.groups[key]
			if group.of(topicID) && !group.agrees() {
				t.Errorf("slice %d is said to be complete through %v, and the ledger of %v is not what its statements come to",
					p.Slice, p.CompleteThrough, key)
			}
		}
		for c := range w.store.data.differing {
			if c.slice == p.Slice {
				t.Errorf("slice %d is said to be complete through %v, and %+v differs from the ledger", p.Slice, p.CompleteThrough, c)
			}
		}
	}
}

// difference is what the ledger of the group lacks of the fold, history and all, and
// what it has too much.
func (g groupContents) difference() (missing []revenue.LedgerRow, foreign revenue.Held) {
	return revenue.Difference(revenue.Ledger(g.events()), revenue.HeldOf(g.ledger()))
}

// agrees reports whether the group's ledger is what its statements come to.
func (g groupContents) agrees() bool {
	missing, foreign := g.difference()
	return len(missing)+len(foreign) == 0
}

// of reports whether all that is known of the group was read from the topic. What
// was half stored of another one waits to be sent again.
func (g groupContents) of(topicID string) bool {
	return !slices.ContainsFunc(g.statements, func(s clickhouse.Statement) bool { return s.TopicID != topicID })
}

// knows reports whether the statement is stored, under the lock.
func (m *model) knows(e revenue.Event) bool {
	for _, s := range m.data.groups[e.GroupKey()].statements {
		if s.Event.FactID() == e.FactID() && s.Event.Digest() == e.Digest() {
			return true
		}
	}
	return false
}

// strike lets the calamity happen and returns what senders have to send again.
func (w *world) strike(t *testing.T) (again []sending) {
	switch w.plan.calamity {
	case topicRecreated:
		w.count("topics recreated")
		again = w.recreateTopic(t)
	case offsetsLost:
		w.count("offsets lost")
		w.shut()
		w.loseOffsets(t)
		w.open(t)
	case storeRestored:
		w.count("stores restored")
		w.shut() // as the runbook asks
		w.store.restore()
		if !w.committedBeyond() { // or else the sink cannot tell
			w.loseOffsets(t)
		}
		w.mu.Lock()
		clear(w.unseen)
		for _, a := range w.accepted {
			w.unseen[sliceOf(a.event)] = append(w.unseen[sliceOf(a.event)], a)
		}
		w.mu.Unlock()
		w.open(t)
	}
	return again
}

// committedBeyond reports whether the group has committed more of every slice than
// the store has.
func (w *world) committedBeyond() bool {
	id, info := w.topicID(), w.cluster.GroupInfo(DefaultConfig().Group)
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for slice := range int32(simulationSlices) {
		if info == nil || info.Commits[w.config.EventsTopic][slice].Offset <= w.store.log(id, slice).high {
			return false
		}
	}
	return true
}

func (w *world) loseOffsets(t *testing.T) {
	client := w.client(t)
	defer client.Close()
	group := DefaultConfig().Group
	for range 100 { // a dead member keeps the group from being deleted for a while
		if response, err := kadm.NewClient(client).DeleteGroup(context.Background(), group); err == nil && response.Err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	t.Error("the group cannot be deleted")
}

// recreateTopic deletes the topic and makes it anew while everybody works with it.
// What was not stored is lost with the old topic, so those who
// sent something since the answers were complete are asked to do so again, as the
// runbook says; some others do so unasked.
func (w *world) recreateTopic(t *testing.T) (again []sending) {
	w.store.mu.Lock() // nothing is stored between the look at what is and the deletion
	if err := w.cluster.DeleteTopic(w.config.EventsTopic); err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	random := rand.New(rand.NewPCG(w.plan.seed, 4))
	kept := w.accepted[:0]
	clear(w.unseen)
	for _, a := range w.accepted {
		if w.store.knows(a.event) {
			kept = append(kept, a)
		}
		if !a.at.Before(w.through[sliceOf(a.event)]) || random.IntN(3) == 0 {
			again = append(again, sending{events: []revenue.Event{a.event}})
		}
	}
	for _, e := range w.unsure {
		again = append(again, sending{events: []revenue.Event{e}})
	}
	w.accepted = kept
	w.mu.Unlock()
	w.store.mu.Unlock()
	if err := w.cluster.CreateTopic(w.config.EventsTopic, simulationSlices, nil); err != nil {
		t.Error(err)
	}
	topic := w.topicID()
	w.mu.Lock()
	w.topic = topic
	w.mu.Unlock()
	return again
}
