package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/stream"
)

// gather polls until the batch is full or due. Its error says that records, or the
// topic, are lost; the batch may be empty, but is never nil.
func (s *Sink) gather(ctx context.Context) (*batch, error) {
	b := newBatch(int(s.recordsMax.Load()), s.config.RecordBytesMax)
	deadline := time.Now().Add(s.config.BatchWaitMax)
	for !b.full(s.config.BatchBytesMax) && time.Now().Before(deadline) && ctx.Err() == nil {
		polling, cancel := context.WithDeadline(ctx, deadline)
		fetches := s.client.PollRecords(polling, b.recordsMax-b.records)
		cancel()
		if err := s.fetchError(fetches); err != nil {
			return b, err
		}
		if b.records == 0 && !fetches.Empty() {
			deadline = time.Now().Add(s.config.BatchWaitMax) // from the first record on
		}
		fetches.EachTopic(func(t kgo.FetchTopic) {
			if t.TopicID != ([16]byte{}) {
				b.topicID = stream.TopicIDText(t.TopicID)
			}
			t.EachPartition(func(p kgo.FetchPartition) { b.add(p.Partition, p.Records) })
		})
	}
	return b, nil
}

// fetchError sorts out what polling reports: passing faults are the client's to
// retry; a position that the log no longer has is not.
func (s *Sink) fetchError(fetches kgo.Fetches) error {
	var lost error
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		case isOutOfRange(err):
			lost = fmt.Errorf("%s[%d]: %w: %w", topic, partition, ErrLogLost, err)
		case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
			lost = fmt.Errorf("%s[%d]: %w: %w", topic, partition, errTopicRecreated, err)
		default:
			s.log.Warn("poll", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
		}
	})
	return lost
}
