package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clients is a client that is replaced when a topic was deleted and made again. A
// client holds on to the topic it saw first and refuses the new one for good; and to
// let go of the old one by itself it would number its records from the beginning,
// which a broker may take for repetitions. Another client has another identity.
type clients struct {
	open func() (*kgo.Client, error)

	mu      sync.RWMutex
	current *kgo.Client
	closed  bool
}

func (c *clients) get() *kgo.Client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.current
}

// judge passes on what came of producing with a client, which it replaces if that
// cannot succeed any more. What else the client had under way is given up: its
// callers are told to send it again.
func (c *clients) judge(used *kgo.Client, outcome error) error {
	if !errors.Is(outcome, kerr.UnknownTopicID) && !errors.Is(outcome, kgo.ErrClientClosed) {
		return outcome
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.current != used {
		return outcome
	}
	used.Close() // before the next is opened: they have the same metrics
	next, err := c.open()
	if err != nil { // certificate files, perhaps; the closed one brings us here again
		return errors.Join(outcome, fmt.Errorf("replace the producer's client: %w", err))
	}
	c.current = next
	return outcome
}

// close waits until what is under way is acknowledged or given up.
func (c *clients) close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	err := c.current.Flush(ctx)
	c.current.Close()
	return err
}
