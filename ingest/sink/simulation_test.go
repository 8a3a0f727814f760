//go:build synctests

package sink

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

var (
	simulationSeeds = flag.Int("seeds", 50, "simulated histories")
	simulationFirst = flag.Uint64("first-seed", 0, "first seed; with -seeds 1 it runs one alone")
)

// TestSimulation runs the real producer and the real sink, several at once, on an
// in-process broker in virtual time, against a store that fails in every way it
// can, while hosts stop, go on and lose their power, the broker refuses and forgets
// to answer, and now and then the topic is made anew, the group's offsets vanish or
// the store is restored from a backup. Whatever happened, what was accepted has to
// be there exactly once in the end, and no offset or report may have led the store
// at any time.
//
// A seed fixes what senders say and when, what befalls hosts and broker, and the
// shares of calls that fail. It does not fix how goroutines interleave, and so not
// which call it is that fails: a failing seed is likely, not certain, to fail again.
func TestSimulation(t *testing.T) {
	var mu sync.Mutex
	total := map[string]int{}
	var failed []uint64
	t.Run("seeds", func(t *testing.T) { // returns when all seeds are done
		for seed := range uint64(*simulationSeeds) {
			seed += *simulationFirst
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if t.Failed() {
						failed = append(failed, seed)
						t.Logf("this seed alone: make sim SEEDS=1 FIRST_SEED=%d", seed)
					}
				}()
				synctest.Test(t, func(t *testing.T) {
					calls := simulate(t, seed)
					mu.Lock()
					defer mu.Unlock()
					for what, n := range calls {
						total[what] += n
					}
				})
			})
		}
	})
	var lines strings.Builder
	for _, what := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(&lines, "\n  %8d %s", total[what], what)
	}
	t.Logf("%d seeds, %d failed:%s", *simulationSeeds, len(failed), &lines)
	for _, seed := range failed {
		t.Logf("failed: make sim SEEDS=1 FIRST_SEED=%d", seed)
	}
}

// simulate plays one seed and says what happened, how often.
func simulate(t *testing.T, seed uint64) map[string]int {
	w := newWorld(t, newPlan(seed))
	defer w.close()
	w.open(t)
	w.play(t)
	w.calm()
	w.awaitStored(t)
	w.shut()
	w.verify(t)
	return w.store.calls
}
