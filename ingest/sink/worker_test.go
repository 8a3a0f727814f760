//go:build synctests

package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// host is the machine of one worker. It can be stopped for a while and go on, as by
// SIGSTOP and SIGCONT, and it can lose its power.
type host struct {
	network func(context.Context, string, string) (net.Conn, error)

	mu    sync.Mutex
	runs  chan struct{} // closed while it runs
	dead  bool
	conns map[net.Conn]struct{}
}

var errDead = errors.New("the host has lost its power")

func newHost(network func(context.Context, string, string) (net.Conn, error)) *host {
	h := &host{network: network, runs: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(h.runs)
	return h
}

// pause stops the host for a while.
func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stopped := make(chan struct{})
	h.runs = stopped
	time.AfterFunc(d, func() { close(stopped) })
}

// kill takes the power away: nothing leaves the host any more, and nothing says
// goodbye.
func (h *host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = true
	for conn := range h.conns {
		_ = conn.Close()
	}
}

// running waits while the host is stopped, and fails once it is dead.
func (h *host) running() error {
	h.mu.Lock()
	runs := h.runs
	h.mu.Unlock()
	<-runs
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return errDead
	}
	return nil
}

func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := h.running(); err != nil {
		return nil, err
	}
	conn, err := h.network(ctx, network, address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[conn] = struct{}{}
	return &hostConn{conn, h}, nil
}

// hostConn neither hears nor speaks while its host is stopped.
type hostConn struct {
	net.Conn
	host *host
}

func (c *hostConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if dead := c.host.running(); dead != nil {
		return 0, dead
	}
	return n, err
}

func (c *hostConn) Write(b []byte) (int, error) {
	if err := c.host.running(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *hostConn) Close() error {
	c.host.mu.Lock()
	delete(c.host.conns, c.Conn)
	c.host.mu.Unlock()
	return c.Conn.Close()
}

// hosted is the store and the dead letters as a worker sees them from its host. The
// host may be stopped right before or right after any call, which are the worst
// moments.
type hosted struct {
	store   Store
	letters Quarantine
	host    *host
	mu      sync.Mutex
	random  *rand.Rand
	pauses  float64 // share of calls around which the host is stopped
}

func (h *hosted) around(do func() error) error {
	h.mu.Lock()
	before, after := h.random.Float64() < h.pauses/2, h.random.Float64() < h.pauses/2
	length := 5*time.Second + time.Duration(h.random.Int64N(int64(40*time.Second)))
	h.mu.Unlock()
	if before {
		h.host.pause(length)
	}
	if err := h.host.running(); err != nil {
		return err
	}
	err := do()
	if after {
		h.host.pause(length)
	}
	return errors.Join(err, h.host.running())
}

func (h *hosted) TakeOver(ctx context.Context, topicID string, slices []int32) (taken map[int32]clickhouse.Takeover, err error) {
	err = h.around(func() (err error) { taken, err = h.store.TakeOver(ctx, topicID, slices); return err })
	return taken, err
}

func (h *hosted) RowsUntil(ctx context.Context, topicID string, slice int32) (until int64, err error) {
	err = h.around(func() (err error) { until, err = h.store.RowsUntil(ctx, topicID, slice); return err })
	return until, err
}

func (h *hosted) InsertStatements(ctx context.Context, statements []clickhouse.Statement) error {
	return h.around(func() error { return h.store.InsertStatements(ctx, statements) })
}

func (h *hosted) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	return h.around(func() error { return h.store.InsertRows(ctx, rows) })
}

func (h *hosted) ReadGroups(ctx context.Context, keys []revenue.GroupKey) (states map[revenue.GroupKey]clickhouse.GroupState, err error) {
	err = h.around(func() (err error) { states, err = h.store.ReadGroups(ctx, keys); return err })
	return states, err
}

func (h *hosted) ReadRows(ctx context.Context, keys []revenue.GroupKey) (rows []revenue.LedgerRow, err error) {
	err = h.around(func() (err error) { rows, err = h.store.ReadRows(ctx, keys); return err })
	return rows, err
}

func (h *hosted) GroupHashes(ctx context.Context, slice int32, each func([]uint64) error) error {
	return h.around(func() error { return h.store.GroupHashes(ctx, slice, each) })
}

func (h *hosted) Equalise(ctx context.Context, scope clickhouse.Scope) (repair clickhouse.Repair, err error) {
	err = h.around(func() (err error) { repair, err = h.store.Equalise(ctx, scope); return err })
	return repair, err
}

func (h *hosted) SaveProgress(ctx context.Context, progress []clickhouse.Progress) error {
	return h.around(func() error { return h.store.SaveProgress(ctx, progress) })
}

func (h *hosted) quarantine(ctx context.Context, letter stream.DeadLetter) error {
	return h.around(func() error { return h.letters(ctx, letter) })
}

// simulatedConfig has the limits of a sink such that a simulation meets them.
func simulatedConfig(random *rand.Rand) Config {
	config := DefaultConfig()
	config.BatchRowsMax = []int{1, 7, 40, 400}[random.IntN(4)]
	config.CacheStatementsMax = []int{0, 30, 300}[random.IntN(3)]
	config.StoreTimeout, config.SessionTimeout, config.RebalanceTimeout = 4*time.Second, 10*time.Second, 12*time.Second
	config.BackoffMax, config.FreshnessInterval = 2*time.Second, 3*time.Second
	return config
}

// lives runs one worker after another in one place until the place is closed: each
// lives for a while and then leaves in good order or loses its power.
func (w *world) lives(t *testing.T, random *rand.Rand, closed <-chan struct{}) {
	for {
		h := newHost(w.network.DialContext)
		seen := &hosted{store: w.store, letters: w.letters.quarantine, host: h, pauses: w.plan.pauses,
			random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		opts, err := stream.ConsumerOpts(w.config, "sink", zap.NewNop(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		config := simulatedConfig(random)
		if err := config.Validate(); err != nil {
			t.Error(err)
			return
		}
		s, err := New(config, w.config.EventsTopic, append(opts, kgo.Dialer(h.dial)),
			seen, seen.quarantine, prometheus.NewRegistry(), zap.NewNop(), WithWorkspaces(knownWorkspaces))
		if err != nil {
			t.Error(err)
			return
		}
		life, absence := time.Duration(3+random.IntN(60))*time.Second, time.Duration(random.IntN(4000))*time.Millisecond
		dies := random.IntN(2) == 0
		ctx, leave := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		select {
		case <-time.After(life):
			if dies {
				h.kill()
			}
		case err := <-ended:
			t.Errorf("a sink ended by itself: %v", err)
			ended <- nil
		case <-closed:
		}
		leave()
		if err := <-ended; err != nil {
			t.Errorf("sink: %v", err)
		}
		w.count("workers ended")
		select {
		case <-closed:
			return
		case <-time.After(absence):
		}
	}
}
