package stream

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Leader has one of several processes do what one at a time should: the member of a
// consumer group that Kafka gives the first partition of a topic to. Nothing is read
// from the topic. For the moment that it takes to notice a loss there may be two, so the
// work has to bear that.
type Leader struct {
	Group, Topic string
}

// Run does the work while this process leads, until ctx ends: work gets a context that
// ends with the leadership, and has to return then. It may begin and end several times.
// The error is of the configuration.
func (l Leader) Run(ctx context.Context, cfg Config, log *zap.Logger, reg prometheus.Registerer, work func(context.Context)) error {
	term := &term{ctx: ctx, work: work, log: log}
	opts, err := clientOpts(cfg, "leader-"+l.Group, log, reg)
	if err != nil {
		return fmt.Errorf("run as leader of %s: %w", l.Group, err)
	}
	client, leave, err := OpenConsumer(append(opts,
		kgo.ConsumerGroup(l.Group), kgo.ConsumeTopics(l.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.SessionTimeout(cfg.SessionTimeout), kgo.HeartbeatInterval(cfg.HeartbeatInterval), kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) { term.begin(given[l.Topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) { term.end(taken[l.Topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) { term.end(taken[l.Topic]) }),
	))
	if err != nil {
		return fmt.Errorf("run as leader of %s: %w", l.Group, err)
	}
	client.PauseFetchTopics(l.Topic) // who has the partition is all that matters
	<-ctx.Done()
	leave()
	term.end([]int32{0})
	return nil
}

// term is the time for which this process leads, if it does.
type term struct {
	ctx  context.Context
	work func(context.Context)
	log  *zap.Logger

	mu   sync.Mutex
	stop context.CancelFunc
	done chan struct{}
}

func (t *term) begin(partitions []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(partitions, 0) || t.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(t.ctx)
	done := make(chan struct{})
	t.stop, t.done = stop, done
	t.log.Info("leads")
	go func() {
		defer close(done)
		t.work(ctx)
	}()
}

// end returns when the work has.
func (t *term) end(partitions []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(partitions, 0) || t.stop == nil {
		return
	}
	t.stop()
	<-t.done
	t.stop = nil
	t.log.Info("leads no more")
}
