package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// commit moves the group's offsets past the parts. A commit that does not get
// through costs a replay, never money, so it is counted and not retried.
func (s *Sink) commit(ctx context.Context, parts []*part) {
	offsets := make(map[*session]kgo.EpochOffset, len(parts))
	for _, p := range parts {
		offsets[p.session] = kgo.EpochOffset{Epoch: p.leaderEpoch, Offset: p.last + 1}
	}
	if err := s.commitOffsets(ctx, offsets); err != nil {
		s.log.Warn("commit offsets", zap.Error(err))
	}
}

// commitBack moves the group's offset back to where the session has to read from,
// before anything of what lies there is stored: whoever reads the slice next has to
// begin there as well, and can then no longer see why.
func (s *Sink) commitBack(ctx context.Context, again *session) error {
	if again.committed.Load() <= again.rewindTo {
		return nil
	}
	back := kgo.EpochOffset{Epoch: -1, Offset: again.rewindTo}
	if err := s.commitOffsets(ctx, map[*session]kgo.EpochOffset{again: back}); err != nil {
		return fmt.Errorf("move the offset of slice %d back to %d: %w", again.slice, again.rewindTo, err)
	}
	again.committed.Store(again.rewindTo)
	return nil
}

// commitOffsets commits behind a guard that refuses it if any of the sessions has
// ended meanwhile: Kafka itself would take a stale commit of a member that has
// rejoined.
func (s *Sink) commitOffsets(ctx context.Context, sessions map[*session]kgo.EpochOffset) (failure error) {
	offsets := make(map[int32]kgo.EpochOffset, len(sessions))
	for session, offset := range sessions {
		offsets[session.slice] = offset
	}
	guard := func(*kmsg.OffsetCommitRequest) error {
		for session := range sessions {
			if !session.alive.Load() {
				return fmt.Errorf("slice %d: %w", session.slice, errSessionEnded)
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	defer cancel()
	begin := time.Now()
	s.client.CommitOffsetsSync(kgo.PreCommitFnContext(ctx, guard), map[string]map[int32]kgo.EpochOffset{s.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			var outcome string
			outcome, failure = commitOutcome(response, err)
			s.metrics.commits.WithLabelValues(outcome).Inc()
		})
	s.metrics.seconds.WithLabelValues("commit").Observe(time.Since(begin).Seconds())
	return failure
}

// commitOutcome names the outcome of a commit for its counter.
func commitOutcome(response *kmsg.OffsetCommitResponse, err error) (string, error) {
	if errors.Is(err, errSessionEnded) {
		return "refused", err
	}
	if err != nil {
		return "failed", err
	}
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return "failed", fmt.Errorf("partition %d: %w", partition.Partition, err)
			}
		}
	}
	return "done", nil
}
