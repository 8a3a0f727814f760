package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/stream"
)

// session is one assignment of a slice to this member. Another assignment of the
// same slice is another session; what an ended one still holds is refused by the
// commit guard and by the store's fence.
type session struct {
	slice int32
	alive atomic.Bool
	// committed is the group's offset when the session began, or -1.
	committed atomic.Int64
	// displaced says that Kafka did not have the position that was read from.
	displaced atomic.Bool

	// The following belong to the goroutine of Run.

	// owned says that the slice was taken over and nothing failed since.
	owned   bool
	epoch   uint64
	topicID string
	// uncertainUntil is the offset before which an earlier attempt may have
	// written some of its rows, or some of what views derive from them.
	uncertainUntil int64
	// rewindTo is where the slice has to be read from at the latest, if that is not
	// where the group has come to, or -1.
	rewindTo int64
	// next is the offset up to which everything is stored, or -1 if not known yet.
	next int64
	// filter knows every group of the records before filterUntil: those that were
	// stored when it was filled, and those that this session has seen since.
	filter      *filter
	filterUntil int64
	// target is a sight of the log's end that has still to be reached; complete is
	// the moment of the latest one that was.
	target   sight
	complete time.Time
}

var errSessionEnded = errors.New("the slice's session has ended")

// position is where the session writes what it read at an offset.
func (session *session) position(offset int64) clickhouse.Position {
	return clickhouse.Position{Slice: session.slice, Epoch: session.epoch, Offset: offset, TopicID: session.topicID}
}

// readsFrom is the offset that the slice is read from: everything before it is stored, or
// has to be read again.
func (session *session) readsFrom() int64 {
	if session.rewindTo >= 0 {
		return session.rewindTo
	}
	return max(session.next, session.committed.Load())
}

func (s *Sink) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slice := range partitions[s.topic] {
		fresh := &session{slice: slice, rewindTo: -1, next: -1}
		fresh.alive.Store(true)
		fresh.committed.Store(-1)
		s.sessions[slice] = fresh
	}
}

func (s *Sink) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slice := range partitions[s.topic] {
		if ended := s.sessions[slice]; ended != nil {
			ended.alive.Store(false)
			delete(s.sessions, slice)
		}
		s.metrics.lag.DeleteLabelValues(strconv.Itoa(int(slice)))
	}
}

// fetchOffsets notes the committed offsets. A group without one starts at the
// beginning of the log: what the store holds already adds nothing.
func (s *Sink) fetchOffsets(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slice, offset := range offsets[s.topic] {
		if session := s.sessions[slice]; session != nil {
			session.committed.Store(offset.EpochOffset().Offset)
		}
	}
	return offsets, nil
}

// live returns the sessions in order of their slices.
func (s *Sink) live() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := make([]*session, 0, len(s.sessions))
	for _, session := range s.sessions {
		sessions = append(sessions, session)
	}
	slices.SortFunc(sessions, func(a, b *session) int { return int(a.slice) - int(b.slice) })
	return sessions
}

// takeOver makes this member the only writer of every slice it does not own yet:
// the store raises the slice's epoch, refuses and kills the inserts of older
// ones, and says what it holds.
func (s *Sink) takeOver(ctx context.Context) error {
	var waiting []*session
	var numbers []int32
	for _, session := range s.live() {
		if !session.owned {
			waiting = append(waiting, session)
			numbers = append(numbers, session.slice)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	topicID, err := s.topicID(ctx)
	if err != nil {
		return err
	}
	for _, session := range waiting {
		if session.topicID != "" && session.topicID != topicID {
			return fmt.Errorf("take over slice %d: %w: it was %s and is %s", session.slice, errTopicRecreated, session.topicID, topicID)
		}
	}
	taken, err := s.store.TakeOver(ctx, topicID, numbers)
	if err != nil {
		s.metrics.takeovers.WithLabelValues("failed").Inc()
		return fmt.Errorf("take over slices %v: %w", numbers, err)
	}
	for _, session := range waiting {
		session.topicID = topicID
		if err := s.begin(ctx, session, taken[session.slice]); err != nil {
			return err
		}
	}
	s.metrics.takeovers.WithLabelValues("done").Inc()
	s.log.Info("slices taken over", zap.Int32s("slices", numbers))
	return nil
}

// begin prepares a session for what the store holds of its slice.
func (s *Sink) begin(ctx context.Context, session *session, taken clickhouse.Takeover) error {
	s.cache.drop(session.slice)
	// Another writer may have stored more while this session was away.
	if session.filter == nil || taken.NextOffset > session.filterUntil {
		if err := s.fillFilter(ctx, session, taken.NextOffset); err != nil {
			return err
		}
	}
	session.epoch, session.uncertainUntil = taken.Epoch, taken.NextOffset
	if err := s.place(ctx, session, taken); err != nil {
		return err
	}
	session.owned = true
	return nil
}

// fillFilter reads the groups of a slice of which everything before an offset is
// stored.
func (s *Sink) fillFilter(ctx context.Context, session *session, until int64) error {
	filter := newFilter(s.config.FilterErrorRate)
	err := s.store.GroupHashes(ctx, session.slice, func(hashes []uint64) error {
		for _, hash := range hashes {
			filter.add(hash)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the groups of slice %d: %w", session.slice, err)
	}
	session.filter, session.filterUntil = filter, until
	return nil
}

// place decides where the session reads from: where the group has come to, unless
// the store and the group do not belong together.
func (s *Sink) place(ctx context.Context, session *session, taken clickhouse.Takeover) error {
	// What the group has come to: as this session knows if it has stored something,
	// else as the group said when it began.
	committed := max(session.committed.Load(), session.next)
	switch {
	case taken.TopicChanged:
		s.log.Error("the topic is not the one that the slice was read from: it is read from its beginning, and what "+
			"was accepted later than completeThrough has to be sent again", zap.Int32("slice", session.slice))
		session.rewindTo = 0
		return errors.Join(s.commitBack(ctx, session), s.equaliseWhole(ctx, session))
	case session.next >= 0 && session.next <= taken.NextOffset: // another attempt of a session that has come somewhere
		return nil
	case committed < 0:
		session.rewindTo = taken.NextOffset // what lies between was never stored
		return nil
	case committed <= taken.NextOffset:
		session.next = committed
		return nil
	}
	// Another store, or one restored from a backup, which may have caught it
	// between the statements of a batch and its rows.
	from, err := s.store.RowsUntil(ctx, session.topicID, session.slice)
	if err != nil {
		return err
	}
	session.rewindTo = min(from, taken.NextOffset)
	session.next, session.target = -1, sight{}
	session.committed.Store(committed)
	// At once: if nothing new comes, nothing else would bring the old records back.
	s.seek(map[int32]kgo.EpochOffset{session.slice: {Epoch: -1, Offset: session.rewindTo}})
	s.log.Error("the store holds less than the group committed: reading again", zap.Int32("slice", session.slice),
		zap.Int64("committed", committed), zap.Int64("stored", taken.NextOffset), zap.Int64("from", session.rewindTo))
	return errors.Join(s.commitBack(ctx, session), s.equaliseWhole(ctx, session))
}

// equaliseWhole makes all derived cells of the slice agree with the ledger.
func (s *Sink) equaliseWhole(ctx context.Context, session *session) error {
	return s.equalise(ctx, clickhouse.Scope{
		Slices: []int32{session.slice}, Epochs: map[int32]uint64{session.slice: session.epoch}})
}

func (s *Sink) topicID(ctx context.Context) (string, error) {
	topics, err := s.admin.ListTopics(ctx, s.topic)
	if err != nil {
		return "", fmt.Errorf("ask for the id of topic %s: %w", s.topic, err)
	}
	detail := topics[s.topic]
	if detail.Err != nil {
		return "", fmt.Errorf("ask for the id of topic %s: %w", s.topic, detail.Err)
	}
	return stream.TopicIDText(detail.ID), nil
}

// current returns the parts of the batch whose slices are owned by a live
// session, without records that are stored already. Records of another topic than
// the one that was taken over are none of its: the client read them before it was
// made anew.
func (s *Sink) current(ctx context.Context, b *batch) ([]*part, error) {
	var parts []*part
	rewind := map[int32]kgo.EpochOffset{}
	for _, session := range s.live() {
		p := b.parts[session.slice]
		if p == nil {
			continue
		}
		if b.topicID != "" && b.topicID != session.topicID {
			return nil, fmt.Errorf("read slice %d: %w: its records are of %s, it is %s", session.slice, errTopicRecreated, b.topicID, session.topicID)
		}
		if session.rewindTo >= 0 && p.records[0].Offset > session.rewindTo {
			rewind[session.slice] = kgo.EpochOffset{Epoch: -1, Offset: session.rewindTo}
			session.rewindTo = -1
			delete(b.parts, session.slice) // not to be given back: it is read again from further back
			continue
		}
		if err := s.follows(ctx, session, p.records[0].Offset); err != nil {
			return nil, err
		}
		session.rewindTo = -1
		p.session = session
		parts = append(parts, p)
	}
	s.seek(rewind)
	return parts, nil
}

// follows fails if records between what is stored and the offset are gone from the log.
// The client says so only if it asks for them: it does not where the brokers told it
// that its offset was never theirs, and then begins anew where the log does.
func (s *Sink) follows(ctx context.Context, session *session, offset int64) error {
	if session.next < 0 || session.rewindTo >= 0 || offset <= session.next {
		return nil
	}
	start, err := s.logStart(ctx, session.slice)
	if err != nil {
		return err
	}
	return session.lost(start)
}

// logStart is the first offset that Kafka has of a slice.
func (s *Sink) logStart(ctx context.Context, slice int32) (int64, error) {
	starts, err := s.admin.ListStartOffsets(ctx, s.topic)
	if err != nil {
		return 0, fmt.Errorf("ask where the log of slice %d begins: %w", slice, err)
	}
	start, known := starts.Lookup(s.topic, slice)
	if !known || start.Err != nil {
		return 0, fmt.Errorf("ask where the log of slice %d begins: %w", slice, start.Err)
	}
	return start.Offset, nil
}

// lost is an ErrLogLost if the log begins behind what is stored.
func (session *session) lost(start int64) error {
	if session.next < 0 || start <= session.next {
		return nil
	}
	return fmt.Errorf("slice %d: %w: it begins at %d, and is stored up to %d", session.slice, ErrLogLost, start, session.next)
}
