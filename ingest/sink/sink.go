// Package sink brings statements from Kafka into the ledger: poll, read what is
// known, fold, insert what is missing, commit, allow rebalance. It never knows
// who sent a statement or who asks for a figure.
//
// The order of Sink.process is the guarantee: the offset is committed only after
// the store has what lies before it, and every attempt emits the difference
// between what the ledger should hold and what it does hold, so that an attempt
// may be repeated after any part of an earlier one.
package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// Store is where statements and ledger rows are kept: ClickHouse, and in the
// simulation a model of it that fails on purpose. See clickhouse.Store for what
// each method promises.
type Store interface {
	TakeOver(ctx context.Context, topicID string, slices []int32) (map[int32]clickhouse.Takeover, error)
	RowsUntil(ctx context.Context, topicID string, slice int32) (int64, error)
	InsertStatements(ctx context.Context, statements []clickhouse.Statement) error
	InsertRows(ctx context.Context, rows []clickhouse.Row) error
	ReadGroups(ctx context.Context, keys []revenue.GroupKey) (map[revenue.GroupKey]clickhouse.GroupState, error)
	ReadRows(ctx context.Context, keys []revenue.GroupKey) ([]revenue.LedgerRow, error)
	GroupHashes(ctx context.Context, slice int32, each func([]uint64) error) error
	Equalise(ctx context.Context, scope clickhouse.Scope) (clickhouse.Repair, error)
	SaveProgress(ctx context.Context, progress []clickhouse.Progress) error
}

// Quarantine keeps a record that can never be stored where people find it. Nil
// means that it is kept durably.
type Quarantine func(ctx context.Context, letter stream.DeadLetter) error

// Sink is one member of the consumer group.
type Sink struct {
	config     Config
	topic      string
	opts       []kgo.Opt
	client     *kgo.Client
	leave      func() // ends the client
	admin      *kadm.Client
	store      Store
	quarantine Quarantine
	workspaces Workspaces // nil: there are all
	log        *zap.Logger
	metrics    *metrics
	cache      *cache
	// recordsMax is how many records a batch may have now: BatchRowsMax, or less
	// while the store fails to take as many (see adapt).
	recordsMax atomic.Int64

	mu       sync.Mutex // guards sessions against the callbacks of the group
	sessions map[int32]*session
	ends     chan logEnds // newest sight of the log's ends, at most one
}

// New joins nothing yet: Run does. The options carry how to reach Kafka (see
// stream.ConsumerOpts), and that nothing is committed, reset or rebalanced by itself; those
// of the group are the sink's own.
func New(config Config, topic string, opts []kgo.Opt, store Store, quarantine Quarantine,
	registry prometheus.Registerer, log *zap.Logger, options ...Option) (*Sink, error) {
	s := &Sink{
		config: config, topic: topic, store: store, quarantine: quarantine, log: log,
		metrics: newMetrics(registry), cache: newCache(config.CacheStatementsMax),
		sessions: map[int32]*session{}, ends: make(chan logEnds, 1),
	}
	for _, option := range options {
		option(s)
	}
	if config.shards > 1 {
		opts = append(opts, kgo.Balancers(newShardBalancer(config.shard, config.shards)))
	}
	s.opts = append(opts,
		kgo.ConsumerGroup(config.Group),
		kgo.ConsumeTopics(topic),
		kgo.SessionTimeout(config.SessionTimeout),
		kgo.RebalanceTimeout(config.RebalanceTimeout),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.revoked),
		kgo.AdjustFetchOffsetsFn(s.fetchOffsets),
	)
	s.recordsMax.Store(int64(config.BatchRowsMax))
	return s, s.connect()
}

// connect opens the client. A client keeps to the first topic of a name that it
// has seen, so a topic that was made anew needs another client.
func (s *Sink) connect() error {
	client, leave, err := stream.OpenConsumer(s.opts)
	if err != nil {
		return fmt.Errorf("create the sink's Kafka client: %w", err)
	}
	s.client, s.leave, s.admin = client, leave, kadm.NewClient(client)
	return nil
}

// ErrLogLost says that Kafka no longer has records that the store has not seen.
var ErrLogLost = errors.New("records that were never stored are gone from Kafka")

// errTopicRecreated says that the topic is not the one that the client reads.
var errTopicRecreated = errors.New("the topic was deleted and made anew")

// Run consumes until the context ends, then stores and commits what it holds and
// leaves the group. It returns an error only for what needs people: ErrLogLost, or
// shards that are not as configured.
func (s *Sink) Run(ctx context.Context) error {
	for {
		err := s.join(ctx)
		if !errors.Is(err, errTopicRecreated) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		s.metrics.recreations.Inc()
		s.log.Error("reading the new topic from its beginning", zap.String("topic", s.topic), zap.Error(err))
		if err := s.connect(); err != nil {
			return err
		}
	}
}

// join is Run as one member of the group, until the topic is made anew.
func (s *Sink) join(ctx context.Context) error {
	defer s.leave()
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watchEnds(watching) })
	defer watcher.Wait()
	defer stop()

	backoff := s.config.BackoffMin
	for {
		err := s.consume(ctx)
		s.client.AllowRebalance()
		switch {
		case errors.Is(err, ErrLogLost), errors.Is(err, errTopicRecreated), errors.Is(err, clickhouse.ErrLayout):
			return err
		case ctx.Err() != nil:
			return nil
		case err == nil:
			backoff = s.config.BackoffMin
		default:
			select {
			case <-ctx.Done():
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, s.config.BackoffMax)
		}
	}
}

// consume stores one batch, and if that was full further ones, each being read
// and decoded while the one before is stored. It returns with nothing in hand:
// all is committed, or given back because of the error that it returns. So far
// rebalances are held up, which TurnMax bounds.
func (s *Sink) consume(ctx context.Context) error {
	finishing := context.WithoutCancel(ctx) // what is in hand is finished
	begin := time.Now()
	stored := make(chan error, 1)
	stored <- nil
	var before *batch
	for {
		next, lost := s.gather(ctx)
		next.decode()
		if err := <-stored; err != nil {
			s.giveBack(err, before, next)
			return err
		}
		if lost != nil {
			return lost
		}
		// Slices are taken over here, where nothing else is in hand.
		bounded, cancel := context.WithTimeout(finishing, s.config.StoreTimeout)
		parts, err := s.prepare(bounded, next)
		cancel()
		go func() {
			if err == nil {
				err = s.process(finishing, parts)
				s.adapt(len(parts) > 0, err)
			}
			stored <- err
		}()
		if !next.full(s.config.BatchBytesMax) || time.Since(begin) > s.config.TurnMax || ctx.Err() != nil {
			if err := <-stored; err != nil {
				s.giveBack(err, next)
				return err
			}
			return nil
		}
		before = next
	}
}

// adapt halves the batches when one failed that this member could begin to store:
// it took too much memory, or too long, for the server as it is now. Each success
// makes them a quarter larger again. So whatever a batch needs, in the end one is
// small enough.
func (s *Sink) adapt(stored bool, err error) {
	now := s.recordsMax.Load()
	switch {
	case err == nil && stored:
		s.recordsMax.Store(min(now+now/4+1, int64(s.config.BatchRowsMax)))
	case err != nil && !errors.Is(err, clickhouse.ErrFenced):
		s.recordsMax.Store(max(now/2, 1))
	}
}

// prepare makes the slices of the batch this member's own, and returns the parts
// to store.
func (s *Sink) prepare(ctx context.Context, b *batch) ([]*part, error) {
	if err := s.takeOver(ctx); err != nil {
		return nil, err
	}
	if err := s.displace(ctx); err != nil {
		return nil, err
	}
	if err := s.sift(ctx, b); err != nil {
		return nil, err
	}
	return s.current(ctx, b)
}

// process makes the store hold what the parts say and then commits them. After an
// error nothing is known of the store: the slices have to be taken over again.
func (s *Sink) process(ctx context.Context, parts []*part) error {
	if len(parts) > 0 {
		work, err := s.insert(ctx, parts)
		if err != nil {
			return err
		}
		if scope, uncertain := work.uncertain(parts); uncertain {
			if err := s.equalise(ctx, scope); err != nil {
				return err
			}
		}
		s.commit(ctx, parts)
		s.remember(parts, work)
	}
	bounded, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	defer cancel()
	return s.reportFreshness(bounded)
}

// insert folds the parts and inserts what the store lacks, within StoreTimeout.
func (s *Sink) insert(ctx context.Context, parts []*part) (*work, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	defer cancel()
	work, err := s.assemble(ctx, parts)
	if err != nil {
		return nil, err
	}
	// The statements need not wait for the fold: they are true whatever it
	// comes to, and a failure of either sends the batch back.
	var both errgroup.Group
	both.Go(func() error { return s.insertStatements(ctx, work) })
	both.Go(func() error { return s.resolve(ctx, work) })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	return work, s.insertRows(ctx, work)
}

func (s *Sink) insertStatements(ctx context.Context, work *work) error {
	if err := s.timed("statements", func() error { return s.store.InsertStatements(ctx, work.statements) }); err != nil {
		return fmt.Errorf("insert %d statements: %w", len(work.statements), err)
	}
	return nil
}

// insertRows writes the ledger rows, after their statements.
func (s *Sink) insertRows(ctx context.Context, work *work) error {
	if len(work.rows) > 0 {
		if err := s.timed("rows", func() error { return s.store.InsertRows(ctx, work.rows) }); err != nil {
			return fmt.Errorf("insert %d ledger rows: %w", len(work.rows), err)
		}
	}
	s.metrics.batches.WithLabelValues("stored").Inc()
	s.metrics.batchRows.Observe(float64(len(work.statements)))
	s.metrics.statements.Add(float64(len(work.statements)))
	s.metrics.rows.Add(float64(len(work.rows)))
	return nil
}

// equalise makes the derived tables agree with the ledger, where an earlier attempt
// may have been cut short. How long that takes grows with the ledger, so StoreTimeout
// does not bound it: each attempt would be cut off at the same point, for ever. A
// worker that is thrown out of the group meanwhile is refused by the fence.
func (s *Sink) equalise(ctx context.Context, scope clickhouse.Scope) error {
	return s.timed("equalise", func() error {
		repair, err := s.store.Equalise(context.WithoutCancel(ctx), scope)
		if cells := repair.Total(); cells > 0 {
			s.metrics.repaired.Add(float64(cells))
			s.log.Info("derived tables made equal to the ledger", zap.Int64("cells", cells), zap.Int32s("slices", scope.Slices))
		}
		if err != nil {
			return fmt.Errorf("equalise derived tables: %w", err)
		}
		return nil
	})
}

// giveBack forgets what an attempt may have half done: the slices are taken over
// anew and read again from the first records of the batches.
func (s *Sink) giveBack(cause error, batches ...*batch) {
	outcome := "failed"
	if errors.Is(cause, clickhouse.ErrFenced) {
		outcome = "fenced"
	}
	s.metrics.batches.WithLabelValues(outcome).Inc()
	s.reportLag(s.newestEnds())
	s.mu.Lock()
	for _, session := range s.sessions {
		session.owned = false
	}
	s.mu.Unlock()
	records := 0
	rewind := map[int32]kgo.EpochOffset{}
	for _, b := range batches {
		records += b.records
		for slice, p := range b.parts {
			if _, earlier := rewind[slice]; !earlier {
				rewind[slice] = kgo.EpochOffset{Epoch: -1, Offset: p.records[0].Offset}
			}
		}
	}
	s.log.Warn("batch given back", zap.Int("records", records), zap.Error(cause))
	s.seek(rewind)
}

// seek sets where consumption goes on. It is called while rebalances are blocked.
func (s *Sink) seek(offsets map[int32]kgo.EpochOffset) {
	if len(offsets) > 0 {
		s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.topic: offsets})
	}
}

func (s *Sink) timed(stage string, do func() error) error {
	begin := time.Now()
	err := do()
	s.metrics.seconds.WithLabelValues(stage).Observe(time.Since(begin).Seconds())
	return err
}
