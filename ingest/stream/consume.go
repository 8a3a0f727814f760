package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// DeliveryReader says how the deliveries topic is read: in which group, in batches of
// which size, and where to.
type DeliveryReader struct {
	Group string
	// RowsMax and WaitMax end a batch, whichever comes first.
	RowsMax int
	WaitMax time.Duration
	// BackoffMin and BackoffMax bound the wait between attempts to store a batch.
	BackoffMin, BackoffMax time.Duration
	// Store keeps a batch. It may get one again, so it has to be idempotent. While it
	// fails the batch is tried again.
	Store func(context.Context, []Delivery) error
	// Quarantine takes what is no delivery.
	Quarantine func(context.Context, DeadLetter) error
}

// Read reads until ctx ends, and commits what is stored. It never gives up: the
// records wait in Kafka.
func (r DeliveryReader) Read(ctx context.Context, cfg Config, log *zap.Logger, reg prometheus.Registerer) error {
	opts, err := clientOpts(cfg, "deliveries", log, reg)
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(cfg.DeliveriesTopic),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		// What the topic has forgotten is lost to search, and to nothing else.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(int32(cfg.FetchPartitionBytesMax)), kgo.FetchMaxPartitionBytes(int32(cfg.FetchPartitionBytesMax)),
		kgo.MaxConcurrentFetches(1), kgo.FetchMaxWait(cfg.FetchWait),
		kgo.SessionTimeout(cfg.SessionTimeout), kgo.HeartbeatInterval(cfg.HeartbeatInterval), kgo.RebalanceTimeout(cfg.RebalanceTimeout),
	)
	for pause := r.BackoffMin; ctx.Err() == nil; pause = min(2*pause, r.BackoffMax) {
		client, leave, err := OpenConsumer(opts)
		if err != nil {
			return fmt.Errorf("open kafka client deliveries: %w", err)
		}
		// A client keeps to the topic that it saw first, so one that was made anew
		// needs another.
		stored, err := r.read(ctx, client)
		leave()
		if stored {
			pause = r.BackoffMin // what failed before is over
		}
		if ctx.Err() == nil {
			log.Warn("reading deliveries anew", zap.Duration("after", pause), zap.Error(err))
			sleep(ctx, pause)
		}
	}
	return nil
}

// read reads until something fails, and says whether anything was stored and committed
// before.
func (r DeliveryReader) read(ctx context.Context, client *kgo.Client) (stored bool, err error) {
	for ctx.Err() == nil {
		records, err := r.gather(ctx, client)
		if err != nil {
			return stored, err
		}
		if err := r.keep(ctx, records); err != nil {
			return stored, err
		}
		if len(records) > 0 {
			if err := client.CommitRecords(ctx, records...); err != nil {
				return stored, fmt.Errorf("commit %d deliveries: %w", len(records), err)
			}
			stored = true
		}
		client.AllowRebalance()
	}
	return stored, ctx.Err()
}

// gather polls until the batch is full or due.
func (r DeliveryReader) gather(ctx context.Context, client *kgo.Client) ([]*kgo.Record, error) {
	var records []*kgo.Record
	bounded := ctx // the first may take its time
	for len(records) < r.RowsMax && bounded.Err() == nil {
		fetches := client.PollRecords(bounded, r.RowsMax-len(records))
		for _, failed := range fetches.Errors() {
			if lost(failed.Err) || errors.Is(failed.Err, kgo.ErrClientClosed) {
				return nil, fmt.Errorf("fetch deliveries: %w", failed.Err)
			}
		}
		first := len(records) == 0
		records = append(records, fetches.Records()...)
		switch {
		case len(records) == 0:
			// A poll that brought nothing but errors holds rebalances back as well,
			// and the next may last for ever: others would neither join nor leave.
			client.AllowRebalance()
		case first:
			var cancel context.CancelFunc
			bounded, cancel = context.WithTimeout(ctx, r.WaitMax)
			defer cancel()
		}
	}
	return records, nil
}

// heldBytesMax is how much of bodies is held before it is stored: compressed ones come to
// far more than what was fetched.
const heldBytesMax = 32 << 20

// keep stores a batch, in parts where it is large.
func (r DeliveryReader) keep(ctx context.Context, records []*kgo.Record) error {
	var deliveries []Delivery
	held := 0
	for _, record := range records {
		d, err := DecodeDelivery(record.Value)
		if err == nil {
			deliveries = append(deliveries, d)
			if held += len(d.Body); held > heldBytesMax {
				if err := r.store(ctx, deliveries); err != nil {
					return err
				}
				deliveries, held = nil, 0
			}
			continue
		}
		if err := r.Quarantine(ctx, NewDeadLetter(record, PoisonReason(err), err, time.Now().UTC())); err != nil {
			return err
		}
	}
	return r.store(ctx, deliveries)
}

// store stores deliveries, as often as it takes.
func (r DeliveryReader) store(ctx context.Context, deliveries []Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	for pause := r.BackoffMin; ; pause = min(2*pause, r.BackoffMax) {
		err := r.Store(ctx, deliveries)
		if err == nil || ctx.Err() != nil {
			return err
		}
		sleep(ctx, pause)
	}
}

// sleep waits, but not beyond the end of ctx.
func sleep(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}
