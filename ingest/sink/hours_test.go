//go:build synctests

package sink

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/stream"
)

// TestHoursWithoutTheStore takes the store away for nine hours of virtual time, under
// traffic that goes on: nothing is refused, the lag is reported and nothing is said to
// be complete meanwhile, the sink keeps asking without haste, and when the store is
// back it catches up within minutes, exactly.
func TestHoursWithoutTheStore(t *testing.T) {
	const away = 9 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		p := plan{seed: 1, history: newHistory(rand.New(rand.NewPCG(1, 1)), 900)}
		w := newWorld(t, p)
		defer w.close()
		registry := prometheus.NewRegistry()
		host, stop := w.sinkBeside(t, registry)

		third := len(p.history) / 3
		w.send(t, p.history[:third])
		w.awaitStored(t)
		time.Sleep(time.Minute) // and reported
		if w.reported().IsZero() {
			t.Fatal("nothing was reported to be complete")
		}

		begin, earlier := time.Now(), len(w.accepted)+len(w.poisons)
		host.lose()
		spread := append([]sending{}, p.history[third:2*third]...)
		for i := range spread {
			spread[i].after = 2 * away / time.Duration(len(spread)) // there are two lanes
		}
		w.send(t, spread)
		if took := time.Since(begin); took < away-time.Minute {
			t.Fatalf("only %v have passed", took)
		}
		waiting := len(w.accepted) + len(w.poisons) - earlier
		time.Sleep(time.Minute) // and the last of them are seen
		if lag := gathered(t, registry, "revstream_sink_lag_records"); waiting < 100 || int(lag) != waiting {
			t.Errorf("a lag of %v is reported, %d records wait", lag, waiting)
		}
		if through := w.reported(); through.After(begin) {
			t.Errorf("complete through %v is reported, the store is away since %v", through, begin)
		}
		failed := gathered(t, registry, "revstream_sink_batches_total")
		if most := float64(away / DefaultConfig().BackoffMax); failed < most/10 || failed > 2*most {
			t.Errorf("the store was tried %v times", failed)
		}

		back := time.Now()
		host.regain()
		w.awaitStored(t)
		caughtUp := time.Since(back)
		if caughtUp > 2*time.Minute {
			t.Errorf("catching up took %v", caughtUp)
		}
		w.send(t, p.history[2*third:])
		w.awaitStored(t)
		time.Sleep(time.Minute)
		if through := w.reported(); through.Before(back) {
			t.Errorf("complete through %v only, the store is back since %v", through, back)
		}
		if n := w.store.calls["publishes refused"]; n > 0 {
			t.Errorf("%d publishes were refused", n)
		}
		stop()
		w.verify(t)
		t.Logf("%v without the store: %d records waited, %v attempts failed, all caught up after %v", away, waiting, failed, caughtUp)
	})
}

// sinkBeside runs one sink until it is stopped, whose store can be taken away: what
// it is asked for then does not happen.
func (w *world) sinkBeside(t *testing.T, registry *prometheus.Registry) (way *host, stop func()) {
	way = newHost(nil)
	seen := &hosted{store: w.store, letters: w.letters.quarantine, host: way, random: rand.New(rand.NewPCG(1, 0))}
	opts, err := stream.ConsumerOpts(w.config, "sink", zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	config := DefaultConfig()
	config.FreshnessInterval = 10 * time.Second
	s, err := New(config, w.config.EventsTopic, append(opts, kgo.Dialer(w.network.DialContext)), seen, w.letters.quarantine, registry, zap.NewNop(),
		WithWorkspaces(knownWorkspaces))
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return way, func() {
		leave()
		if err := <-ended; err != nil {
			t.Errorf("sink: %v", err)
		}
	}
}

func (h *host) lose() { h.kill() }

func (h *host) regain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = false
}

// reported is until when everything is said to be complete, in all slices; zero if
// one has not said.
func (w *world) reported() time.Time {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var least time.Time
	for slice := range int32(simulationSlices) {
		if at, said := w.through[slice]; !said {
			return time.Time{}
		} else if least.IsZero() || at.Before(least) {
			least = at
		}
	}
	return least
}

// gathered is the sum of a metric's series.
func gathered(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, series := range family.GetMetric() {
				sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
			}
		}
	}
	return sum
}
