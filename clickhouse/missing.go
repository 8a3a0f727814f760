package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MissingShardsError is an answer that cannot be given because some of the shards
// do not answer. A figure without them would be a random part of the revenue, so
// there is none. It is an ErrUnavailable.
type MissingShardsError struct {
	// Missing are the numbers of the shards, counted from 1, and Shards how many
	// there are in all.
	Missing []int
	Shards  int
	cause   error
}

// Error names the shards.
func (e *MissingShardsError) Error() string {
	return fmt.Sprintf("of %d shards these do not answer: %v: %v", e.Shards, e.Missing, e.cause)
}

// Unwrap gives ErrUnavailable and what was seen.
func (e *MissingShardsError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// missingTimeout bounds the look for shards that do not answer.
const missingTimeout = 2 * time.Second

// explain finds out which shards a failed question lacked. An error that has
// another reason stays as it is.
func (c *Cluster) explain(ctx context.Context, err error) error {
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// The question's own time may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), missingTimeout)
	defer cancel()
	if missing := c.missing(ctx); len(missing) > 0 {
		return &MissingShardsError{missing, len(c.shards), err}
	}
	return err
}

// missing asks all shards at once whether they are there.
func (c *Cluster) missing(ctx context.Context) []int {
	var mu sync.Mutex
	var missing []int
	var group sync.WaitGroup
	for i, shard := range c.shards {
		group.Go(func() {
			err := shard.Ping(ctx)
			if err != nil {
				// A connection of before a restart fails once, and is replaced.
				err = shard.Ping(ctx)
			}
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			missing = append(missing, i+1)
		})
	}
	group.Wait()
	slices.Sort(missing)
	return missing
}
