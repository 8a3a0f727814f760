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

// gather polls until the batch is full or due. Its error says that the topic was made
// anew; the batch may be empty, but is never nil.
func (s *Sink) gather(ctx context.Context) (*batch, error) {
	b := newBatch(int(s.recordsMax.Load()), s.config.RecordBytesMax)
	deadline := time.Now().Add(s.config.BatchWaitMax)
	for !b.full(s.config.BatchBytesMax) && time.Now().Before(deadline) && ctx.Err() == nil {
		polling, cancel := context.WithDeadline(ctx, deadline)
		fetches := s.client.PollRecords(polling, b.recordsMax-b.records)
		cancel()
		displaced, err := s.fetchErrors(fetches)
		if err != nil {
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
		if displaced {
			return b, nil // each poll would say so again at once
		}
	}
	return b, nil
}

// fetchErrors sorts out what polling reports: passing faults are the client's to
// retry; a position that the log does not have is not, and marks its session.
func (s *Sink) fetchErrors(fetches kgo.Fetches) (displaced bool, fatal error) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &loss):
			displaced = true
			s.log.Warn("the log does not have the position", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
			s.mu.Lock()
			if session := s.sessions[partition]; session != nil {
				session.displaced.Store(true)
			}
			s.mu.Unlock()
		case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
			fatal = fmt.Errorf("%s[%d]: %w: %w", topic, partition, errTopicRecreated, err)
		default:
			s.log.Warn("poll", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
		}
	})
	return displaced, fatal
}

// displace looks at the slices whose position the log did not have: what lay between is
// lost for good, or the log has been cut short.
func (s *Sink) displace(ctx context.Context) error {
	for _, session := range s.live() {
		if !session.displaced.Load() {
			continue
		}
		start, err := s.logStart(ctx, session.slice)
		if err != nil {
			return err
		}
		if from := session.readsFrom(); from < start {
			return fmt.Errorf("slice %d: %w: it begins at %d, and is stored up to %d", session.slice, ErrLogLost, start, from)
		}
		if err := s.readCutLog(ctx, session, start); err != nil {
			return err
		}
		session.displaced.Store(false)
	}
	return nil
}

// readCutLog reads a log from its beginning that is shorter than what is stored of it:
// what was accepted since has offsets that were others' before, and what is stored
// already adds nothing.
func (s *Sink) readCutLog(ctx context.Context, session *session, start int64) error {
	stored := session.readsFrom()
	s.metrics.cuts.Inc()
	s.log.Error("the log is shorter than what is stored of it: Kafka has lost records that it had acknowledged. It is read from its "+
		"beginning, and what was accepted later than completeThrough has to be sent again",
		zap.Int32("slice", session.slice), zap.Int64("stored", stored))
	session.committed.Store(stored)
	session.next, session.rewindTo, session.target = -1, start, sight{}
	// At once: if nothing new comes, nothing else would bring the old records back.
	s.seek(map[int32]kgo.EpochOffset{session.slice: {Epoch: -1, Offset: start}})
	return s.commitBack(ctx, session)
}
