package sink

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// TestTheOracleAgreesWithTheLedger holds the fold against the oracle on the
// histories of the simulation, without sink, broker or store: at the end and at
// moments in between. Where they disagree one of the two is wrong.
func TestTheOracleAgreesWithTheLedger(t *testing.T) {
	kinds := map[revenue.EntryKind]int{}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var said []revenue.Event
		groups := map[revenue.GroupKey][]revenue.Event{}
		for _, s := range newHistory(random, 200) {
			said = append(said, s.events...)
			for _, e := range s.events {
				groups[e.GroupKey()] = append(groups[e.GroupKey()], e)
			}
		}
		var rows []revenue.LedgerRow
		for _, events := range groups {
			rows = append(rows, revenue.Ledger(events)...)
		}
		for i := range rows {
			kinds[rows[i].Kind]++
		}
		for _, until := range []time.Time{said[len(said)/3].ReceivedAt, said[len(said)-1].ReceivedAt} {
			for _, line := range compare(believed(rows, until), oracle(said, until)) {
				t.Errorf("seed %d, known until %v: %s", seed, until, line)
			}
		}
		if t.Failed() {
			return
		}
	}
	if len(kinds) < 18 { // all kinds of entries but a few that need more than a history
		t.Errorf("the histories come to %d kinds of entries only: %v", len(kinds), kinds)
	}
}

// A history follows from its seed alone.
func TestAHistoryFollowsFromItsSeed(t *testing.T) {
	for seed := range uint64(20) {
		a := newHistory(rand.New(rand.NewPCG(seed, 1)), 200)
		b := newHistory(rand.New(rand.NewPCG(seed, 1)), 200)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d gives two histories", seed)
		}
	}
}

// compare lists what differs between the figures that are and those that should be.
func compare(got, want figures) (lines []string) {
	for key, sum := range want {
		if got[key] != sum {
			lines = append(lines, fmt.Sprintf("%+v is %+v, want %+v", key, got[key], sum))
		}
	}
	for key, sum := range got {
		if _, known := want[key]; !known {
			lines = append(lines, fmt.Sprintf("%+v is %+v, want nothing", key, sum))
		}
	}
	return lines
}
