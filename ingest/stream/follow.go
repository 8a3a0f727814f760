package stream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// storeRetryWait is how long a table waits before it tries a failed write of its
// local copy again; the disk may be full.
const storeRetryWait = time.Second

// follow reads the topic into the store until the table is closed or the topic
// is not what it was.
func (t *Table) follow(ctx context.Context) {
	defer close(t.stopped)
	for {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		for _, failed := range fetches.Errors() {
			t.metrics.fetchErrors.Inc()
			if lost(failed.Err) {
				t.log.Error("topic is not what it was; the table has to be opened anew", zap.Error(failed.Err))
				t.breakOff(fmt.Errorf("read topic %s: %w: %w", t.topic, ErrTopic, failed.Err))
				return
			}
			t.log.Warn("reading topic", zap.Error(failed.Err))
		}
		if records := fetches.Records(); len(records) > 0 && !t.applyUntilDone(ctx, records) {
			return
		}
	}
}

// applyUntilDone stores the records, again and again if the disk does not take
// them: to skip them would be to lose them. It is false when the table is closed.
func (t *Table) applyUntilDone(ctx context.Context, records []*kgo.Record) bool {
	for {
		err := t.apply(records)
		if err == nil {
			return true
		}
		t.metrics.storeErrors.Inc()
		t.log.Error("storing what was read", zap.Int64("offset", records[0].Offset), zap.Error(err))
		select {
		case <-time.After(storeRetryWait):
		case <-ctx.Done():
			return false
		}
	}
}

// apply stores the records, shows them to the watchers, and then lets those pass
// who wait for them.
func (t *Table) apply(records []*kgo.Record) error {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	if err := t.store.apply(records); err != nil {
		return err
	}
	for _, record := range records {
		if len(record.Key) == 0 {
			continue
		}
		for _, watch := range t.watchers {
			watch(string(record.Key), record.Value)
		}
	}
	t.metrics.applied.Add(float64(len(records)))
	t.progressMu.Lock()
	defer t.progressMu.Unlock()
	t.applied = records[len(records)-1].Offset + 1
	t.announce()
	return nil
}

// breakOff lets everyone who waits know that nothing more will come.
func (t *Table) breakOff(cause error) {
	t.progressMu.Lock()
	defer t.progressMu.Unlock()
	if t.broken == nil {
		t.broken = cause
		t.announce()
	}
}

// announce wakes the waiters; progressMu is held.
func (t *Table) announce() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// barrier lets callers share a question to Kafka. A caller may only share one
// that starts after it arrived: an answer to an earlier question may be older
// than a write that the caller knows of. So while one question is under way,
// arrivals gather for the next.
type barrier struct {
	ask func() (int64, error)

	mu      sync.Mutex
	running bool
	next    *question
}

type question struct {
	done chan struct{}
	end  int64
	err  error
}

// wait returns an end of the topic that was asked for after wait was called.
func (b *barrier) wait(ctx context.Context) (int64, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &question{done: make(chan struct{})}
	}
	mine := b.next
	if !b.running {
		b.running = true
		go b.run()
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.end, mine.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// run asks until nobody waits. Each question is bounded in time, so it ends.
func (b *barrier) run() {
	for {
		b.mu.Lock()
		current := b.next
		b.next = nil
		b.running = current != nil
		b.mu.Unlock()
		if current == nil {
			return
		}
		current.end, current.err = b.ask()
		close(current.done)
	}
}
