package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Table is a topic of one partition that keeps at least the last value of each key,
// materialised in a local store. Every node has its own copy and reads the same
// topic, so all see the same changes in the same order. The copy can be thrown
// away at any time. A Table is safe for concurrent use.
//
// Get answers from what has been read so far, with or without Kafka. GetLatest
// first waits for everything that was acknowledged, by any node, before it was
// asked.
type Table struct {
	cfg     Config
	topic   string
	log     *zap.Logger
	metrics *tableMetrics
	store   *store
	client  *kgo.Client
	barrier barrier

	// applyMu is held while a batch is stored and shown to the watchers, so that a
	// new watcher sees each change once: in its first look or after.
	applyMu  sync.Mutex
	watchers []func(key string, value []byte)

	progressMu sync.Mutex
	applied    int64         // the offset after the last stored record
	moved      chan struct{} // closed and replaced when applied or broken changes
	broken     error         // why the topic is read no more

	stop       context.CancelFunc
	stopped    chan struct{}
	unregister func()
}

// OpenTable opens the local copy of the topic in a folder of its name under dir,
// brings it up to what was acknowledged when it was called, and goes on reading
// until Close. A copy that is damaged, of another topic, ahead of the topic, or
// too old to have seen all deletions is built anew.
//
// Errors: ErrBusy if Kafka does not answer, ErrTopic if the topic is absent or has
// several partitions; others are of the local disk, such as the folder being in
// use by another process.
func OpenTable(ctx context.Context, cfg Config, topic, dir string, log *zap.Logger, reg prometheus.Registerer) (*Table, error) {
	if !isTopicName(topic) {
		return nil, fmt.Errorf("open table: %w: %q is not a topic name", ErrTopic, topic)
	}
	labelled := reg
	if reg != nil {
		labelled = prometheus.WrapRegistererWith(prometheus.Labels{"topic": topic}, reg)
	}
	t := &Table{
		cfg: cfg, topic: topic, log: log.Named("table").With(zap.String("topic", topic)),
		metrics: newTableMetrics(), moved: make(chan struct{}), stopped: make(chan struct{}),
	}
	t.barrier.ask = t.end
	var err error
	if t.unregister, err = register(labelled, t.metrics.collectors()); err != nil {
		return nil, fmt.Errorf("register metrics of table %s: %w", topic, err)
	}
	if err := t.open(ctx, dir, reg); err != nil {
		t.unregister()
		return nil, fmt.Errorf("open table %s: %w", topic, err)
	}
	if err := t.Refresh(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("catch up table %s: %w", topic, err), t.Close())
	}
	return t, nil
}

// open finds out which topic there is, opens the store for it and starts reading.
func (t *Table) open(ctx context.Context, dir string, reg prometheus.Registerer) error {
	id, earliest, end, err := t.describe(ctx)
	if err != nil {
		return err
	}
	source := source{id: id, earliest: earliest, end: end, staleAfter: t.cfg.TombstoneRetention / 2}
	if t.store, err = openStore(t.cfg, t.topic, dir, source, t.metrics, t.log); err != nil {
		return err
	}
	t.applied = t.store.markNow().offset
	from := kgo.NewOffset().At(t.applied)
	opts := append(producerOpts(t.cfg), readOpts(t.cfg, t.topic, from, tableFetchBytes)...)
	// The client's own metrics have a label topic already, so the name tells the
	// clients of several tables apart.
	if t.client, err = newClient(t.cfg, "table-"+t.topic, t.log, reg, opts...); err != nil {
		return errors.Join(err, t.store.close())
	}
	run, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	go t.follow(run)
	return nil
}

func (t *Table) describe(ctx context.Context) (id string, earliest, end int64, err error) {
	client, err := newClient(t.cfg, "admin", t.log, nil)
	if err != nil {
		return "", 0, 0, err
	}
	defer client.Close()
	err = untilKnown(ctx, t.cfg, func() (err error) {
		if id, err = topicID(ctx, t.cfg, client, t.topic); err != nil {
			return err
		}
		if earliest, err = topicOffset(ctx, t.cfg, client, t.topic, offsetEarliest); err != nil {
			return err
		}
		end, err = topicEnd(ctx, t.cfg, client, t.topic)
		return err
	})
	return id, earliest, end, err
}

// Get returns the value of the key as far as the topic has been read, and whether
// there is one. The value must not be changed. The error is of the local disk.
func (t *Table) Get(key string) (value []byte, ok bool, err error) {
	return t.store.get(key)
}

// GetLatest is Get after everything that was acknowledged anywhere before the
// call has been read: what one node has written, every node sees. The error is
// an ErrBusy if Kafka does not say in time where the topic ends, or reading it
// does not get there.
func (t *Table) GetLatest(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := t.Refresh(ctx); err != nil {
		return nil, false, fmt.Errorf("get latest of table %s: %w", t.topic, err)
	}
	return t.store.get(key)
}

// Refresh waits until everything acknowledged anywhere before the call has been
// read. Callers that wait at the same time share one question to Kafka, asked
// after they arrived. Errors are those of GetLatest.
func (t *Table) Refresh(ctx context.Context) error {
	start := time.Now()
	end, err := t.barrier.wait(ctx)
	if err == nil {
		err = t.reach(ctx, end)
	}
	t.metrics.barriers.WithLabelValues(outcome(err)).Inc()
	if err != nil {
		return err
	}
	t.store.seen(start)
	t.metrics.barrierSeconds.Observe(time.Since(start).Seconds())
	return nil
}

// end asks where the topic ends; it is what the barrier shares.
func (t *Table) end() (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.ReadTimeout)
	defer cancel()
	return topicEnd(ctx, t.cfg, t.client, t.topic)
}

// Pair is a key of a table with a value.
type Pair struct {
	Key   string
	Value []byte
}

// Put writes the value of a key and returns nil when it is acknowledged by all
// in-sync replicas and visible to Get here; nil deletes the key. On an ErrBusy the
// change may have been made all the same, or be made yet. Other errors: ErrInvalid
// for an empty key, ErrTooLarge.
func (t *Table) Put(ctx context.Context, key string, value []byte) error {
	return t.PutAll(ctx, []Pair{{key, value}})
}

// PutAll is Put of several pairs at once, which share the wait. On an error any of
// the changes may have been made.
func (t *Table) PutAll(ctx context.Context, pairs []Pair) error {
	if len(pairs) == 0 {
		return nil
	}
	err := t.put(ctx, pairs)
	t.metrics.puts.WithLabelValues(outcome(err)).Add(float64(len(pairs)))
	if err != nil {
		return fmt.Errorf("put into table %s: %w", t.topic, err)
	}
	return nil
}

func (t *Table) put(ctx context.Context, pairs []Pair) error {
	records := make([]kgo.Record, len(pairs))
	for i, pair := range pairs {
		switch size := len(pair.Key) + len(pair.Value); {
		case pair.Key == "":
			return fmt.Errorf("%w: empty key", ErrInvalid)
		case size > t.cfg.RecordBytesMax:
			return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, t.cfg.RecordBytesMax)
		}
		records[i] = kgo.Record{Topic: t.topic, Key: []byte(pair.Key), Value: pair.Value}
	}
	call := &call{left: len(records), done: make(chan struct{})}
	for i := range records {
		t.client.TryProduce(context.Background(), &records[i], func(_ *kgo.Record, err error) { call.acknowledge(err) })
	}
	if err := call.wait(ctx, t.cfg.ProduceTimeout); err != nil {
		return err
	}
	end := int64(0)
	for i := range records {
		end = max(end, records[i].Offset+1)
	}
	return t.reach(ctx, end)
}

// reach waits until records below the offset are stored and shown to watchers.
func (t *Table) reach(ctx context.Context, offset int64) error {
	timer := time.NewTimer(t.cfg.ReadTimeout)
	defer timer.Stop()
	for {
		applied, moved, broken := t.progress()
		if applied >= offset {
			return nil
		}
		if broken != nil {
			return fmt.Errorf("%w: %w", ErrBusy, broken)
		}
		select {
		case <-moved:
			timer.Reset(t.cfg.ReadTimeout) // a long way is fine while there is progress
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
		case <-timer.C:
			return fmt.Errorf("%w: reading stands at offset %d, before %d", ErrBusy, applied, offset)
		}
	}
}

func (t *Table) progress() (applied int64, moved <-chan struct{}, broken error) {
	t.progressMu.Lock()
	defer t.progressMu.Unlock()
	return t.applied, t.moved, t.broken
}

// Range calls fn for every key with the prefix in the order of bytes, as of one
// moment, until fn returns false. The value is valid during the call only. The
// error is of the local disk.
func (t *Table) Range(prefix string, fn func(key string, value []byte) bool) error {
	return t.store.ascend(prefix, func(key string, value []byte, _ time.Time) bool { return fn(key, value) })
}

// Watch calls fn for every key there is, then for every change in the order of
// the topic, each once and never two at a time; a nil value says that the key was
// deleted. The value is valid during the call only. A change has been shown to fn
// before a Put of it, or a GetLatest or Refresh asked after it, returns. fn must
// be quick and must not use the table. The error is of the local disk; then fn
// has not been registered.
func (t *Table) Watch(fn func(key string, value []byte)) error {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	err := t.store.ascend("", func(key string, value []byte, _ time.Time) bool {
		fn(key, value)
		return true
	})
	if err != nil {
		return fmt.Errorf("watch table %s: %w", t.topic, err)
	}
	t.watchers = append(t.watchers, fn)
	return nil
}

// Follow is Watch for the changes from now on alone.
func (t *Table) Follow(fn func(key string, value []byte)) {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	t.watchers = append(t.watchers, fn)
}

// Expire deletes, for all nodes, up to limit keys that were last written before
// the moment, and returns how many it deleted.
func (t *Table) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	var keys []string
	err := t.store.ascend("", func(key string, _ []byte, written time.Time) bool {
		if written.Before(before) {
			keys = append(keys, key)
		}
		return len(keys) < limit
	})
	if err != nil {
		return 0, fmt.Errorf("expire table %s: %w", t.topic, err)
	}
	for done, key := range keys {
		if err := t.Put(ctx, key, nil); err != nil {
			return done, err
		}
	}
	return len(keys), nil
}

// Err is why the table has stopped reading its topic, or nil while it reads.
// Then Get goes on with what it has, everything else is ErrBusy, and opening the
// table again is what helps.
func (t *Table) Err() error {
	_, _, broken := t.progress()
	return broken
}

// Close stops reading, and writes to disk what has been read.
func (t *Table) Close() error {
	t.stop()
	<-t.stopped
	t.client.Close()
	t.breakOff(errClosed)
	t.unregister()
	if err := t.store.close(); err != nil {
		return fmt.Errorf("close table %s: %w", t.topic, err)
	}
	return nil
}

// tableFetchBytes bounds a fetch of a table, and so the batches it stores.
const tableFetchBytes = 1 << 20

var errClosed = errors.New("table is closed")
