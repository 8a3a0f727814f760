package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

// DeadLetter is a record that could not be read, kept until a person or a later
// version of the program deals with it.
type DeadLetter struct {
	// Topic, Partition and Offset are where it lay.
	Topic     string
	Partition int32
	Offset    int64
	// Reason is one of the Reason constants, or a word of the one who quarantined
	// it. Error is the whole text.
	Reason string
	Error  string
	// Key and Value are the record's own, unchanged.
	Key   []byte
	Value []byte
	// At is when it was quarantined.
	At time.Time
	// Attempts is how often it was retried before.
	Attempts int
	// Truncated says that Value is only the beginning: the record was larger than
	// a dead letter can be. It lies whole in its topic, and cannot be retried.
	Truncated bool
}

// The headers of a dead letter, and of a record that was retried.
const (
	headerTopic     = "topic"
	headerPartition = "partition"
	headerOffset    = "offset"
	headerReason    = "reason"
	headerError     = "error"
	headerKey       = "key"
	headerNoValue   = "no_value"
	headerAt        = "at"
	headerAttempts  = "attempts"
	headerTruncated = "truncated"
)

// errorBytesMax bounds the text of an error in a dead letter, so that the largest
// record fits with its headers.
const errorBytesMax = 2048

// keyBytesMax bounds the key of a letter that has to be truncated.
const keyBytesMax = 4096

// NewDeadLetter makes a dead letter of a consumed record.
func NewDeadLetter(record *kgo.Record, reason string, cause error, at time.Time) DeadLetter {
	return DeadLetter{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset,
		Reason: reason, Error: cause.Error(),
		Key: record.Key, Value: record.Value,
		At: at, Attempts: int(headerNumber(headers(record), headerAttempts)),
	}
}

// name is the letter's own key: coordinates and content. Quarantining a record
// again, after a crash before the commit, then replaces the letter; and a record
// with the coordinates of another, of a topic made anew, does not.
func (d *DeadLetter) name() []byte {
	return fmt.Appendf(nil, "%s|%d|%d|%016x", d.Topic, d.Partition, d.Offset, xxhash.Sum64(d.Value))
}

// Quarantine writes the dead letter and returns nil when it is acknowledged; then
// the record may be committed past. The error is an ErrBusy: a letter that is too
// large is truncated, for a poison record must not block its partition for ever.
func (p *Producer) Quarantine(ctx context.Context, d DeadLetter) error {
	err := p.sendLetter(ctx, letterRecord(p.cfg, &d))
	if errors.Is(err, ErrTooLarge) {
		d.Truncated = true
		d.Key = d.Key[:min(len(d.Key), keyBytesMax)]
		d.Value = d.Value[:min(len(d.Value), p.cfg.RecordBytesMax/2)]
		err = p.sendLetter(ctx, letterRecord(p.cfg, &d))
	}
	if err != nil {
		return fmt.Errorf("quarantine %s/%d@%d: %w", d.Topic, d.Partition, d.Offset, err)
	}
	p.metrics.quarantined.WithLabelValues(d.Reason).Inc()
	return nil
}

// Retry publishes the record of a dead letter again as it was, and then removes
// the letter. A record that still cannot be read comes back as a new letter with
// one more attempt. If the removal is what fails, the record has been published
// and the letter stays; retrying once more is harmless.
func (p *Producer) Retry(ctx context.Context, d DeadLetter) error {
	if d.Topic != p.cfg.EventsTopic {
		return fmt.Errorf("retry dead letter of topic %s: %w: only %s is retried", d.Topic, ErrInvalid, p.cfg.EventsTopic)
	}
	if d.Truncated {
		return fmt.Errorf("retry dead letter: %w: its record was truncated", ErrInvalid)
	}
	record := &kgo.Record{Topic: d.Topic, Key: d.Key, Value: d.Value}
	if e, err := DecodeEvent(d.Value); err == nil {
		records, err := p.cfg.eventRecords([]revenue.Event{e})
		if err != nil {
			return fmt.Errorf("retry dead letter: %w", err)
		}
		record = records[0]
		record.Value = d.Value // as it was, with members that this version does not know
	}
	record.Headers = append(record.Headers, kgo.RecordHeader{Key: headerAttempts, Value: strconv.AppendInt(nil, int64(d.Attempts)+1, 10)})
	if err := p.sendLetter(ctx, record); err != nil {
		return fmt.Errorf("retry %s/%d@%d: %w", d.Topic, d.Partition, d.Offset, err)
	}
	p.metrics.retried.Inc()
	return p.Discard(ctx, d)
}

// Discard removes a dead letter without publishing its record.
func (p *Producer) Discard(ctx context.Context, d DeadLetter) error {
	if err := p.sendLetter(ctx, &kgo.Record{Topic: p.cfg.DeadLettersTopic, Key: d.name()}); err != nil {
		return fmt.Errorf("remove dead letter %s/%d@%d: %w", d.Topic, d.Partition, d.Offset, err)
	}
	return nil
}

// sendLetter is produce without the limit of a record, which the poisoned one may
// break, and counts failures.
func (p *Producer) sendLetter(ctx context.Context, record *kgo.Record) error {
	call := &call{left: 1, done: make(chan struct{})}
	client := p.clients.get()
	client.Produce(context.Background(), record, func(_ *kgo.Record, err error) { call.acknowledge(err) })
	err := p.clients.judge(client, call.wait(ctx, p.cfg.ProduceTimeout))
	if err != nil {
		p.metrics.deadFailures.Inc()
	}
	return err
}

func letterRecord(cfg Config, d *DeadLetter) *kgo.Record {
	cause := d.Error
	if len(cause) > errorBytesMax {
		cause = cause[:errorBytesMax]
	}
	record := &kgo.Record{Topic: cfg.DeadLettersTopic, Key: d.name(), Value: d.Value}
	add := func(key, value string) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(headerTopic, d.Topic)
	add(headerPartition, strconv.FormatInt(int64(d.Partition), 10))
	add(headerOffset, strconv.FormatInt(d.Offset, 10))
	add(headerReason, d.Reason)
	add(headerError, cause)
	add(headerAt, d.At.UTC().Format(time.RFC3339Nano))
	add(headerAttempts, strconv.Itoa(d.Attempts))
	if d.Truncated {
		add(headerTruncated, "true")
	}
	if d.Key != nil {
		add(headerKey, string(d.Key))
	}
	if d.Value == nil {
		// A record without value would remove the letter instead of writing it.
		record.Value = []byte{}
		add(headerNoValue, "true")
	}
	return record
}

// readLetter is the inverse of letterRecord.
func readLetter(record *kgo.Record) DeadLetter {
	values := headers(record)
	d := DeadLetter{
		Topic:     string(values[headerTopic]),
		Partition: int32(headerNumber(values, headerPartition)),
		Offset:    headerNumber(values, headerOffset),
		Reason:    string(values[headerReason]),
		Error:     string(values[headerError]),
		Key:       values[headerKey],
		Value:     record.Value,
		Attempts:  int(headerNumber(values, headerAttempts)),
	}
	d.At, _ = time.Parse(time.RFC3339Nano, string(values[headerAt]))
	_, d.Truncated = values[headerTruncated]
	if _, none := values[headerNoValue]; none {
		d.Value = nil
	}
	return d
}

func headers(record *kgo.Record) map[string][]byte {
	values := make(map[string][]byte, len(record.Headers))
	for _, header := range record.Headers {
		values[header.Key] = header.Value
	}
	return values
}

// headerNumber is 0 if the header is absent or no number: whoever wrote it, a
// letter has to be listed.
func headerNumber(values map[string][]byte, key string) int64 {
	number, _ := strconv.ParseInt(string(values[key]), 10, 64)
	return number
}

// DeadLetters calls fn for every dead letter that stands, oldest first, as of the
// call. It stops at fn's error and returns it. Other errors are ErrBusy, or
// ErrTopic if there is no such topic.
func DeadLetters(ctx context.Context, cfg Config, fn func(DeadLetter) error) error {
	client, err := newClient(cfg, "dead-letters", zap.NewNop(), nil)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := topicID(ctx, cfg, client, cfg.DeadLettersTopic); err != nil {
		return err
	}
	end, err := topicEnd(ctx, cfg, client, cfg.DeadLettersTopic)
	if err != nil {
		return err
	}
	// Two passes: the offset of the last word on each letter takes few bytes, the
	// letters themselves may be many and large.
	last := map[string]int64{}
	err = readTopic(ctx, cfg, cfg.DeadLettersTopic, end, func(record *kgo.Record) error {
		last[string(record.Key)] = record.Offset
		if record.Value == nil {
			delete(last, string(record.Key))
		}
		return nil
	})
	if err != nil || len(last) == 0 {
		return err
	}
	return readTopic(ctx, cfg, cfg.DeadLettersTopic, end, func(record *kgo.Record) error {
		if offset, stands := last[string(record.Key)]; !stands || offset != record.Offset || record.Value == nil {
			return nil
		}
		return fn(readLetter(record))
	})
}
