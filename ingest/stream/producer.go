package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

// The headers of an event record, for readers that choose without decoding.
const (
	headerVersion   = "v"
	headerWorkspace = "workspace"
	headerKind      = "kind"
)

// Producer publishes statements and dead letters. It is safe for concurrent use.
type Producer struct {
	cfg        Config
	clients    clients
	flight     flight
	metrics    *producerMetrics
	unregister func()
}

// NewProducer opens a producer. It does not wait for Kafka: while Kafka cannot be
// reached, Publish is ErrBusy. Options say how to reach Kafka otherwise than cfg
// does, over another network for one; they do not change what is promised.
func NewProducer(cfg Config, reg prometheus.Registerer, log *zap.Logger, reach ...kgo.Opt) (*Producer, error) {
	p := &Producer{cfg: cfg}
	p.flight.recordsMax, p.flight.bytesMax = cfg.InFlightRecordsMax, cfg.InFlightBytesMax
	p.metrics = newProducerMetrics(&p.flight)
	var err error
	if p.unregister, err = register(reg, p.metrics.collectors()); err != nil {
		return nil, fmt.Errorf("register producer metrics: %w", err)
	}
	p.clients.open = func() (*kgo.Client, error) {
		return newClient(cfg, "producer", log, reg, append(reach, producerOpts(cfg)...)...)
	}
	if p.clients.current, err = p.clients.open(); err != nil {
		p.unregister()
		return nil, err
	}
	return p, nil
}

// producerOpts make a produced record durable before it is acknowledged, and in
// its key's partition. The client is idempotent by default, which acks=all needs.
func producerOpts(cfg Config) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(pinned{kgo.StickyKeyPartitioner(nil), cfg}),
		// A lone request must be quick; batches form while a request is under way.
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(int32(cfg.batchBytesMax())),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		// Our own limits refuse; the client's would block, so they lie above.
		kgo.MaxBufferedRecords(2*cfg.InFlightRecordsMax + recordsPerCallMax),
		kgo.RecordDeliveryTimeout(cfg.ProduceTimeout),
		kgo.ProduceRequestTimeout(cfg.ProduceTimeout),
	}
}

// pinned hashes keys over the configured number of partitions of the events
// topic, whatever number the brokers report: if someone adds partitions under a
// running producer, every group stays where it is.
type pinned struct {
	kgo.Partitioner
	cfg Config
}

func (p pinned) ForTopic(topic string) kgo.TopicPartitioner {
	inner := p.Partitioner.ForTopic(topic)
	if topic != p.cfg.EventsTopic {
		return inner
	}
	return pinnedTopic{inner, int(p.cfg.Partitions)}
}

type pinnedTopic struct {
	kgo.TopicPartitioner
	partitions int
}

func (p pinnedTopic) RequiresConsistency(*kgo.Record) bool { return true }

func (p pinnedTopic) Partition(r *kgo.Record, _ int) int {
	return p.TopicPartitioner.Partition(r, p.partitions)
}

// Publish writes the statements, all at once and in no order between groups, and
// returns nil only when every one is acknowledged by all in-sync replicas. Else
// some may have been written all the same, which is harmless: statements are
// idempotent, and the caller's client sends them again.
//
// Errors: ErrInvalid or ErrTooLarge, before anything is written; ErrBusy at once
// when the limits in flight are reached, or after ProduceTimeout, or when ctx
// ends, whose error it then wraps.
func (p *Producer) Publish(ctx context.Context, events ...revenue.Event) error {
	start := time.Now()
	err := p.publish(ctx, events)
	p.metrics.published.WithLabelValues(outcome(err)).Add(float64(len(events)))
	if err != nil {
		return fmt.Errorf("publish %d statements: %w", len(events), err)
	}
	p.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

func (p *Producer) publish(ctx context.Context, events []revenue.Event) error {
	records, err := p.cfg.eventRecords(events)
	if err != nil {
		return err
	}
	return p.produce(ctx, records)
}

// eventBytes is room for the key and value of an ordinary statement: the least have 480.
const eventBytes = 768

// eventRecords encodes statements for the events topic. The records have no timestamp
// of their own, so they get that of sending: with the event's time, a broker that keeps
// records by age would delete backdated revenue unread. They share their memory: many
// small pieces of it were a tenth of what a record of a large request costs.
func (c Config) eventRecords(events []revenue.Event) ([]*kgo.Record, error) {
	const headersEach = 3
	list := make([]*kgo.Record, len(events))
	records := make([]kgo.Record, len(events))
	headers := make([]kgo.RecordHeader, headersEach*len(events))
	buffer := make([]byte, 0, eventBytes*len(events))
	piece := func(from int) []byte { return buffer[from:len(buffer):len(buffer)] }
	version := strconv.AppendInt(nil, revenue.EncodingVersion, 10)
	for i := range events {
		e := &events[i]
		begin := len(buffer)
		buffer = e.GroupKey().Append(buffer)
		key := piece(begin)
		workspace := key[:len(e.Workspace):len(e.Workspace)]
		begin = len(buffer)
		buffer = append(buffer, e.Kind...)
		kind := piece(begin)
		begin = len(buffer)
		var err error
		if buffer, err = EncodeEvent(buffer, e); err != nil {
			return nil, err
		}
		own := headers[headersEach*i : headersEach*(i+1) : headersEach*(i+1)]
		own[0] = kgo.RecordHeader{Key: headerVersion, Value: version}
		own[1] = kgo.RecordHeader{Key: headerWorkspace, Value: workspace}
		own[2] = kgo.RecordHeader{Key: headerKind, Value: kind}
		records[i] = kgo.Record{Topic: c.EventsTopic, Key: key, Value: piece(begin), Headers: own}
		list[i] = &records[i]
	}
	return list, nil
}

// produce hands over all records and waits for all.
func (p *Producer) produce(ctx context.Context, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	total := 0
	for _, record := range records {
		size := len(record.Key) + len(record.Value)
		if most := p.cfg.recordBytesMax(record.Topic); size > most {
			return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, most)
		}
		total += size
	}
	if err := p.flight.admit(len(records), total); err != nil {
		return err
	}

	call := &call{left: len(records), done: make(chan struct{})}
	client := p.clients.get()
	for _, record := range records {
		size := len(record.Key) + len(record.Value)
		// Not the caller's context: a record that is under way cannot be taken back,
		// and cancelling one fails its neighbours in the partition.
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			p.flight.leave(1, size)
			call.acknowledge(err)
		})
	}
	return p.clients.judge(client, call.wait(ctx, p.cfg.ProduceTimeout))
}

// Close waits until what was handed to Kafka is acknowledged or given up, and
// closes the connections. If ctx ends before, it closes at once and says so.
func (p *Producer) Close(ctx context.Context) error {
	err := p.clients.close(ctx)
	p.unregister()
	if err != nil {
		return fmt.Errorf("flush producer: %w", err)
	}
	return nil
}

// call is the wait of one caller for its records.
type call struct {
	mu   sync.Mutex
	left int
	err  error
	done chan struct{}
}

func (c *call) acknowledge(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.err == nil {
		c.err = err
	}
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// wait returns the class of the first error, or ErrBusy when time is up.
func (c *call) wait(ctx context.Context, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("%w: not acknowledged within %v", ErrBusy, timeout)
	}
	return classify(c.err)
}

// classify wraps an error of producing in its class.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrBusy, err)
}

// flight counts what is under way, against its limits.
type flight struct {
	recordsMax, bytesMax int

	mu             sync.Mutex
	records, bytes int
}

// admit takes the records in, all or none.
func (f *flight) admit(records, bytes int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case records > f.recordsMax || bytes > f.bytesMax:
		return fmt.Errorf("%w: %d records of %d bytes in one call", ErrTooLarge, records, bytes)
	case f.records+records > f.recordsMax || f.bytes+bytes > f.bytesMax:
		return fmt.Errorf("%w: %d records and %d bytes are in flight", ErrBusy, f.records, f.bytes)
	}
	f.records += records
	f.bytes += bytes
	return nil
}

func (f *flight) leave(records, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records -= records
	f.bytes -= bytes
}

func (f *flight) load() (records, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records, f.bytes
}
