package embedded

import (
	"fmt"
	"sync"
	"time"
)

// ticket is the number of a sync. Something that was written before the
// ticket was taken is on disk when the sync of that number has finished.
type ticket uint64

// groupCommit lets many writers share one sync of the disk. A sync covers
// what was written before it started; so whoever has just written takes the
// ticket of the next sync to start, and waits until that has finished. While
// one runs, the others gather for the next: the more load, the more of them
// share one.
//
// A sync that fails is never tried again: after an error the kernel may
// have dropped the dirty pages, and the next sync would succeed without them.
// The group commit stays failed, no ticket is honoured any more, and the
// broker has to be started again from what is on disk.
type groupCommit struct {
	sync     func() error
	observe  func(time.Duration)
	onFailed func(error)

	// running is held by a sync, and by whoever must not be overlapped by
	// one (see exclusive).
	running sync.Mutex
	wake    chan struct{} // capacity 1
	quit    chan struct{}
	stopped chan struct{}

	mu       sync.Mutex
	wanted   ticket // the highest handed out
	started  ticket
	finished ticket
	failed   error
	changed  chan struct{} // closed and replaced when finished or failed move

	// writing counts requests that may be changing the log at this moment;
	// lastWrite is the ticket of the latest change that was answered.
	writing   int
	lastWrite ticket
}

func newGroupCommit(sync func() error, observe func(time.Duration), onFailed func(error)) *groupCommit {
	g := &groupCommit{
		sync: sync, observe: observe, onFailed: onFailed,
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		// What the previous process left in the page cache when it was
		// killed has not been synced by anybody.
		lastWrite: 1,
	}
	go g.run()
	return g
}

// run is the one goroutine that syncs.
func (g *groupCommit) run() {
	defer close(g.stopped)
	for {
		select {
		case <-g.quit:
			return
		case <-g.wake:
		}
		for g.syncOnce() {
		}
	}
}

// syncOnce runs one sync if somebody waits for one, and reports whether to
// look again.
func (g *groupCommit) syncOnce() bool {
	g.running.Lock()
	defer g.running.Unlock()
	g.mu.Lock()
	if g.wanted <= g.started || g.failed != nil {
		g.mu.Unlock()
		return false
	}
	g.started++
	number := g.started
	g.mu.Unlock()

	began := time.Now()
	err := g.sync()
	g.observe(time.Since(began))
	if err != nil {
		g.fail(fmt.Errorf("syncing the log: %w", err))
		return false
	}
	g.mu.Lock()
	g.finished = number
	close(g.changed)
	g.changed = make(chan struct{})
	g.mu.Unlock()
	return true
}

// fail ends the honouring of tickets for good.
func (g *groupCommit) fail(err error) {
	g.mu.Lock()
	first := g.failed == nil
	if first {
		g.failed = err
		close(g.changed)
		g.changed = make(chan struct{})
	}
	g.mu.Unlock()
	if first {
		g.onFailed(err)
	}
}

// take returns the ticket of the next sync to start, and asks for it.
func (g *groupCommit) take() ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.takeLocked()
}

func (g *groupCommit) takeLocked() ticket {
	next := g.started + 1
	if next > g.wanted {
		g.wanted = next
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return next
}

// wait returns nil when the sync of that ticket has finished, the error of
// the group commit if it never will, and errConnClosed when done is closed.
func (g *groupCommit) wait(t ticket, done <-chan struct{}) error {
	for {
		g.mu.Lock()
		finished, failed, changed := g.finished, g.failed, g.changed
		g.mu.Unlock()
		if finished >= t {
			return nil
		}
		if failed != nil {
			return failed
		}
		select {
		case <-changed:
		case <-done:
			return errConnClosed
		}
	}
}

func (g *groupCommit) isFinished(t ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.finished >= t
}

// writeBegan is called before a request that may change the log is handed to
// the broker.
func (g *groupCommit) writeBegan() {
	g.mu.Lock()
	g.writing++
	g.mu.Unlock()
}

// writeEnded is called when such a request has been answered, and returns
// the ticket that its answer has to wait for.
func (g *groupCommit) writeEnded() ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing--
	g.lastWrite = g.takeLocked()
	return g.lastWrite
}

// readTicket returns the ticket that an answer with records has to wait for.
// A consumer must not see what a power cut could still take away: its offset
// would be given to another record, which the consumer would then take for
// one it has seen.
func (g *groupCommit) readTicket() ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writing > 0 {
		return g.takeLocked()
	}
	if g.lastWrite > g.finished {
		g.takeLocked()
	}
	return g.lastWrite
}

// exclusive runs something during which no ticket is honoured: nothing that
// is written meanwhile is acknowledged before it has returned. An error of it
// fails the group commit.
func (g *groupCommit) exclusive(do func() error) error {
	g.running.Lock()
	defer g.running.Unlock()
	g.mu.Lock()
	failed := g.failed
	g.mu.Unlock()
	if failed != nil {
		return failed
	}
	if err := do(); err != nil {
		g.fail(err)
		return err
	}
	return nil
}

// stop ends the syncing; tickets still out are not honoured.
func (g *groupCommit) stop() {
	close(g.quit)
	<-g.stopped
}
