package control

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"revstream/ingest/stream"
)

// misses lets all who look for what is not in memory share one refresh of the
// table, at most one per interval: whoever presents bad keys waits, and Kafka is
// asked no more often for a thousand of them than for one.
type misses struct {
	refresh    func(context.Context) error
	interval   time.Duration
	timeout    time.Duration
	waitingMax int
	// absent holds what was not there after a refresh. It stays true: keys and
	// endpoints have random names that nobody knows before they exist.
	absent *lru.Cache[string, struct{}]

	mu      sync.Mutex
	waiting int
	running bool
	last    time.Time // when the last refresh began
	next    *refreshment
}

type refreshment struct {
	done chan struct{}
	err  error
}

func (m *misses) configure(cfg Config, refresh func(context.Context) error) {
	m.refresh, m.interval, m.timeout, m.waitingMax = refresh, cfg.MissInterval, cfg.MissTimeout, cfg.MissesWaitingMax
}

// miss looks once more after everything that was acknowledged before the call has
// been read. A nil error says that found has told the truth about now.
func (d *Directory) miss(name string, found func() bool) error {
	if d.misses.absent.Contains(name) {
		return nil
	}
	d.metrics.misses.Inc()
	if err := d.misses.wait(); err != nil {
		d.metrics.missFailures.Inc()
		return err
	}
	if !found() {
		d.misses.absent.Add(name, struct{}{})
	}
	return nil
}

// wait returns after a refresh that began after it was called.
func (m *misses) wait() error {
	mine, err := m.join()
	if err != nil {
		return err
	}
	defer m.leave()
	timer := time.NewTimer(m.timeout)
	defer timer.Stop()
	select {
	case <-mine.done:
		return mine.err
	case <-timer.C:
		return fmt.Errorf("%w: the control plane was not up to date within %v", stream.ErrBusy, m.timeout)
	}
}

func (m *misses) join() (*refreshment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting >= m.waitingMax {
		return nil, fmt.Errorf("%w: %d lookups are waiting", stream.ErrBusy, m.waiting)
	}
	m.waiting++
	if m.next == nil {
		m.next = &refreshment{done: make(chan struct{})}
	}
	if !m.running {
		m.running = true
		go m.run()
	}
	return m.next, nil
}

func (m *misses) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting--
}

// run refreshes until nobody waits. Whoever arrives before a refresh begins is
// served by it; pause and refresh are bounded, so it ends.
func (m *misses) run() {
	for {
		m.pause()
		m.mu.Lock()
		current := m.next
		m.next = nil
		m.running = current != nil
		m.last = time.Now()
		m.mu.Unlock()
		if current == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), m.timeout)
		current.err = m.refresh(ctx)
		cancel()
		close(current.done)
	}
}

// pause keeps the interval since the last refresh.
func (m *misses) pause() {
	m.mu.Lock()
	idle := m.next == nil
	rest := m.interval - time.Since(m.last)
	m.mu.Unlock()
	if !idle && rest > 0 {
		time.Sleep(rest)
	}
}
