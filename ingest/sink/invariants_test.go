//go:build synctests

package sink

import (
	"context"
	"maps"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"revstream/ingest/revenue"
)

// awaitStored waits, in virtual time, until the store has the whole log and the
// group has committed its ends.
func (w *world) awaitStored(t *testing.T) {
	for range 1200 {
		time.Sleep(time.Second)
		if w.behind() == "" {
			return
		}
	}
	t.Errorf("not everything is stored and committed after 20 minutes: %s", w.behind())
}

// behind says what is missing of the log, in the store or in the commits.
func (w *world) behind() string {
	id := w.topicID()
	info := w.cluster.GroupInfo(DefaultConfig().Group)
	for slice := range int32(simulationSlices) {
		end := w.cluster.PartitionInfo(w.config.EventsTopic, slice).HighWatermark
		w.store.mu.Lock()
		stored := w.store.log(id, slice).next
		w.store.mu.Unlock()
		committed := int64(0)
		if info != nil {
			committed = info.Commits[w.config.EventsTopic][slice].Offset
		}
		if stored < end || committed < end {
			return "slice " + strconv.Itoa(int(slice)) + " ends at " + strconv.FormatInt(end, 10) + ", " +
				strconv.FormatInt(stored, 10) + " are stored, " + strconv.FormatInt(committed, 10) + " committed"
		}
	}
	return ""
}

// verify holds what the store has in the end against what was accepted.
func (w *world) verify(t *testing.T) {
	w.verifyLetters(t)
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, a := range w.accepted {
		if !w.store.knows(a.event) {
			t.Errorf("accepted at %v and lost: %+v", a.at, a.event)
		}
	}
	var said []revenue.Event
	var rows []revenue.LedgerRow
	for key, group := range w.store.data.groups {
		if key.Workspace == "" {
			continue // the places of quarantined records
		}
		said, rows = append(said, group.events()...), append(rows, group.ledger()...)
		if missing, foreign := group.difference(); len(missing)+len(foreign) > 0 {
			t.Errorf("group %v: the ledger lacks %d rows and has %d keys too many", key, len(missing), len(foreign))
		}
	}
	w.store.calls["statements stored"] += len(said)
	w.store.calls["ledger rows"] += len(rows)
	// Its figures, now and as they were known before, against the oracle.
	for _, until := range w.moments() {
		for _, line := range compare(believed(rows, until), oracle(said, until)) {
			t.Errorf("known until %v: %s", until, line)
		}
	}
	w.verifyDerived(t)
}

// moments are those whose knowledge is compared: the end, and two in between.
func (w *world) moments() []time.Time {
	var middle []time.Time
	for _, share := range []int{3, 2} {
		for _, s := range w.plan.history[len(w.plan.history)/share:] {
			if len(s.events) > 0 {
				middle = append(middle, s.events[0].ReceivedAt)
				break
			}
		}
	}
	return append(middle, time.UnixMicro(math.MaxInt64))
}

// verifyDerived adds up every derived table anew from the ledger.
func (w *world) verifyDerived(t *testing.T) {
	want := map[cell]measures{}
	for _, group := range w.store.data.groups {
		for i := range group.rows {
			for _, table := range derived {
				if c, counts := cellOf(table, &group.rows[i]); counts {
					want[c] = want[c].plus(measured(&group.rows[i]), 1)
				}
			}
		}
	}
	empty := func(_ cell, sum measures) bool { return sum == measures{} }
	got := maps.Clone(w.store.data.view)
	maps.DeleteFunc(want, empty)
	maps.DeleteFunc(got, empty)
	for c, sum := range want {
		if got[c] != sum {
			t.Errorf("%+v is %+v, the ledger says %+v", c, got[c], sum)
		}
		delete(got, c)
	}
	for c, sum := range got {
		t.Errorf("%+v is %+v, the ledger knows nothing of it", c, sum)
	}
}

// verifyLetters reads the dead letters: every poison record has one that says where
// it lies and why, and nothing else has.
func (w *world) verifyLetters(t *testing.T) {
	type spot struct {
		partition, offset string
		value             string
	}
	reasons := map[spot]string{}
	end := w.cluster.PartitionInfo(w.config.DeadLettersTopic, 0).HighWatermark
	client := w.client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.config.DeadLettersTopic: {0: kgo.NewOffset().AtStart()}}))
	defer client.Close()
	for read := int64(0); read < end; {
		for _, record := range client.PollFetches(context.Background()).Records() {
			at := spot{value: string(record.Value)}
			var reason string
			for _, header := range record.Headers {
				switch header.Key {
				case "partition":
					at.partition = string(header.Value)
				case "offset":
					at.offset = string(header.Value)
				case "reason":
					reason = string(header.Value)
				}
			}
			reasons[at] = reason
			read = record.Offset + 1
		}
	}
	sent := map[string]bool{}
	for _, p := range w.poisons {
		sent[string(p.value)] = true
		at := spot{strconv.Itoa(int(p.partition)), strconv.FormatInt(p.offset, 10), string(p.value)}
		if p.topicID == w.topicID() && reasons[at] != p.reason {
			t.Errorf("poison at %s/%s (%s) is in the dead letters as %q", at.partition, at.offset, p.reason, reasons[at])
		}
	}
	for at := range reasons {
		if !sent[at.value] {
			t.Errorf("a dead letter that is no poison: %+v", at)
		}
	}
	w.store.mu.Lock()
	w.store.calls["poison records"] += len(w.poisons)
	w.store.mu.Unlock()
}
