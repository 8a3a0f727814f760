package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// clock gives the time of acceptance: UTC in microseconds, each greater than the
// one before, also when the wall clock stands still or is set back. It orders
// what one node accepts; versions are made of it.
//
// So that this holds over a restart, too, times are only given out up to a moment
// that was written down before, in a file, a little ahead of time. The next process
// begins there: after a crash its first times may be ahead by that much.
type clock struct {
	now  func() time.Time
	log  *zap.Logger
	last atomic.Int64 // Unix microseconds

	reserving sync.Mutex
	reserved  atomic.Int64 // Unix microseconds; what is in the file
	file      *os.File     // nil: nothing is written down
}

const (
	// clockTerm is how far ahead times are reserved.
	clockTerm = 2 * time.Second
	// clockTick is how often it is looked whether to reserve more, so that requests
	// seldom have to wait for it.
	clockTick = 250 * time.Millisecond
	// clockLayout has a fixed length, so that one text takes the place of another.
	clockLayout = "2006-01-02T15:04:05.000000Z\n"
)

// newClock goes on from where the clock in the file has come to. Without a path it
// keeps nothing.
func newClock(now func() time.Time, path string, log *zap.Logger) (*clock, error) {
	c := &clock{now: now, log: log}
	c.reserved.Store(math.MaxInt64)
	if path == "" {
		return c, nil
	}
	var err error
	if c.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_SYNC, 0o600); err != nil {
		return nil, fmt.Errorf("open the clock's file: %w", err)
	}
	text, err := io.ReadAll(c.file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the clock's file: %w", err), c.file.Close())
	}
	if len(text) == 0 {
		c.reserved.Store(0)
		return c, nil
	}
	until, err := time.Parse(strings.TrimSpace(clockLayout), strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no time of the clock's; without it times may go back: %w", path, err), c.file.Close())
	}
	c.last.Store(until.UnixMicro())
	c.reserved.Store(until.UnixMicro())
	if ahead := until.Sub(now()); ahead > clockTerm {
		log.Error("the clock has been set back since times were last given out: they go on from there until it has caught up",
			zap.Duration("ahead", ahead), zap.Time("from", until))
	}
	return c, nil
}

func (c *clock) next() time.Time {
	for {
		last := c.last.Load()
		next := max(c.now().UnixMicro(), last+1)
		if next > c.reserved.Load() {
			c.reserve(next)
		}
		if c.last.CompareAndSwap(last, next) {
			return time.UnixMicro(next).UTC()
		}
	}
}

// reserve writes down that times are given out until a term after the moment. If the
// disk does not take it, that is logged, and accepting goes on: times then rise as
// long as this process lives.
func (c *clock) reserve(moment int64) {
	c.reserving.Lock()
	defer c.reserving.Unlock()
	if moment <= c.reserved.Load() {
		return
	}
	until := moment + clockTerm.Microseconds()
	c.write(until)
	c.reserved.Store(until)
}

func (c *clock) write(until int64) {
	if _, err := c.file.WriteAt([]byte(time.UnixMicro(until).UTC().Format(clockLayout)), 0); err != nil {
		c.log.Warn("write down how far the clock has come", zap.Error(err))
	}
}

// ahead is by how much the times given out are ahead of the wall clock, never
// negative.
func (c *clock) ahead() time.Duration {
	return max(0, time.UnixMicro(c.last.Load()).Sub(c.now()))
}

// keep reserves ahead of the requests, as long as there are any, until ctx ends.
// Then it writes down where the clock is, so that the next process begins there.
func (c *clock) keep(ctx context.Context) {
	if c.file == nil {
		return
	}
	ticker := time.NewTicker(clockTick)
	defer ticker.Stop()
	for seen := c.last.Load(); ; {
		select {
		case <-ctx.Done():
			c.settle()
			return
		case <-ticker.C:
		}
		if last := c.last.Load(); last != seen {
			seen = last
			if until := last + clockTerm.Microseconds()/2; until > c.reserved.Load() {
				c.reserve(until)
			}
		}
	}
}

// settle takes back what was reserved and not given out.
func (c *clock) settle() {
	c.reserving.Lock()
	defer c.reserving.Unlock()
	if last := c.last.Load(); last > 0 {
		c.reserved.Store(last)
		c.write(max(last, c.last.Load()))
	}
}

// version is that of a statement accepted at the time: the latest stands.
func version(at time.Time) int64 { return at.UnixMicro() }

// firstWins is that of a statement whose identity comes from an Idempotency-Key:
// the earliest stands, for what comes later is a retry.
func firstWins(at time.Time) int64 { return math.MaxInt64 - at.UnixMicro() }
