package ingest

import (
	"math"
	"sync/atomic"
	"time"
)

// clock gives the time of acceptance: UTC in microseconds, each greater than the
// one before, also when the wall clock stands still or is set back. It orders
// what one process accepts; versions are made of it.
type clock struct {
	now  func() time.Time
	last atomic.Int64 // Unix microseconds
}

func (c *clock) next() time.Time {
	for {
		last := c.last.Load()
		next := max(c.now().UnixMicro(), last+1)
		if c.last.CompareAndSwap(last, next) {
			return time.UnixMicro(next).UTC()
		}
	}
}

// version is that of a statement accepted at the time: the latest stands.
func version(at time.Time) int64 { return at.UnixMicro() }

// firstWins is that of a statement whose identity comes from an Idempotency-Key:
// the earliest stands, for what comes later is a retry.
func firstWins(at time.Time) int64 { return math.MaxInt64 - at.UnixMicro() }
