package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
)

// Query ids of writes are "revstream-s<slice>.<epoch>-…-<process>-<sequence>".
const writePrefix = "revstream-"

func appendWriter(id *strings.Builder, slice int32, epoch uint64) {
	id.WriteByte('s')
	id.WriteString(strconv.Itoa(int(slice)))
	id.WriteByte('.')
	id.WriteString(strconv.FormatUint(epoch, 10))
	id.WriteByte('-')
}

// writers reads back the slices and epochs of a write's query id.
func writers(id string) map[int32]uint64 {
	id, ours := strings.CutPrefix(id, writePrefix)
	if !ours {
		return nil
	}
	epochs := map[int32]uint64{}
	for part := range strings.SplitSeq(id, "-") {
		slice, epoch, ok := strings.Cut(strings.TrimPrefix(part, "s"), ".")
		if !ok {
			break
		}
		s, err := strconv.ParseInt(slice, 10, 32)
		e, err2 := strconv.ParseUint(epoch, 10, 64)
		if err == nil && err2 == nil {
			epochs[int32(s)] = e
		}
	}
	return epochs
}

// Takeover is what a new writer of a slice starts from.
type Takeover struct {
	// Epoch is the writer's own. It is higher than any before it, and no other
	// writer has the same.
	Epoch uint64
	// NextOffset is one more than the highest offset in `events` of the topic and
	// slice; 0 if there is none.
	NextOffset int64
	// TopicChanged says that `events` has statements of the slice, and none of
	// this topic: it was made anew. What was being written of the old one may be
	// half done, and nobody will come to read it again.
	TopicChanged bool
}

// epochRandomBits of an epoch are random, so that two takers who count up from
// the same number do not end up with the same epoch.
const epochRandomBits = 32

// nextEpoch is a new epoch above the given one.
func nextEpoch(current uint64) uint64 {
	var random [4]byte
	rand.Read(random[:])
	return (current>>epochRandomBits+1)<<epochRandomBits | uint64(binary.LittleEndian.Uint32(random[:]))
}

// TakeOver makes the caller the one writer of the slices: from its return on, no
// insert of anybody else into `events` or `ledger` for these slices can land, and
// none is still under way. It ends inserts of older epochs that are running, so
// their derived tables may be left half fed (see Equalise). While a rebuild is at
// work on a slice it waits. ErrFenced if another writer took over in the
// meantime, ErrUnavailable if a wait took longer than TakeOverTimeout.
func (s *Store) TakeOver(ctx context.Context, topicID string, slices []int32) (map[int32]Takeover, error) {
	if len(slices) == 0 {
		return map[int32]Takeover{}, nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.config.TakeOverTimeout)
	defer cancel()
	if err := s.awaitReservations(waiting, slices); err != nil {
		return nil, err
	}
	return s.takeOver(ctx, topicID, slices)
}

// takeOver is TakeOver without regard for a rebuild.
func (s *Store) takeOver(ctx context.Context, topicID string, slices []int32) (map[int32]Takeover, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.TakeOverTimeout)
	defer cancel()
	if err := s.confirmPlace(ctx, slices); err != nil {
		return nil, err
	}
	highest, err := s.highestEpochs(ctx, slices)
	if err != nil {
		return nil, fmt.Errorf("reading the highest epochs: %w", err)
	}
	epochs, err := s.raiseFence(ctx, slices, highest)
	if err != nil {
		return nil, fmt.Errorf("raising the fence: %w", err)
	}
	if err := s.endOtherWrites(ctx, epochs); err != nil {
		return nil, fmt.Errorf("ending the inserts of other epochs: %w", err)
	}
	next, err := s.nextOffsets(ctx, topicID, slices)
	if err != nil {
		return nil, fmt.Errorf("reading the high water: %w", err)
	}
	// Read back last: whoever raised the fence over ours meanwhile may have ended
	// our inserts, but we none of theirs.
	held, err := s.fence(ctx, slices)
	if err != nil {
		return nil, fmt.Errorf("reading the fence: %w", err)
	}
	taken := make(map[int32]Takeover, len(slices))
	for _, slice := range slices {
		if held[slice] != epochs[slice] {
			return nil, fmt.Errorf("slice %d has epoch %d, not %d: %w", slice, held[slice], epochs[slice], ErrFenced)
		}
		taken[slice] = Takeover{Epoch: epochs[slice], NextOffset: next[slice], TopicChanged: next[slice] == 0 && highest[slice] > 0}
	}
	s.metrics.takeOvers.Add(float64(len(slices)))
	return taken, nil
}

// fence reads the epochs that may write now; a slice that nobody ever took over
// is not in it.
func (s *Store) fence(ctx context.Context, slices []int32) (map[int32]uint64, error) {
	type row struct {
		Slice uint16 `ch:"slice"`
		Epoch uint64 `ch:"epoch"`
	}
	rows, err := selectRows[row](ctx, s, s.sql.fence, Named{"slices", slices})
	if err != nil {
		return nil, err
	}
	epochs := make(map[int32]uint64, len(rows))
	for _, r := range rows {
		epochs[int32(r.Slice)] = r.Epoch
	}
	return epochs, nil
}

// raiseFence writes new epochs over the current ones. A Join table cannot be read
// by the statement that writes to it, so this is no compare-and-set: a taker who
// slept between the two may write over a later one. That costs the later one an
// ErrFenced and another TakeOver; it never leaves two writers, because epochs are
// unique and the constraint asks for equality. The new epochs are above the highest
// given, too: the fence itself may be older than what was written under it, for it
// is not synced to disk.
func (s *Store) raiseFence(ctx context.Context, slices []int32, highest map[int32]uint64) (map[int32]uint64, error) {
	current, err := s.fence(ctx, slices)
	if err != nil {
		return nil, err
	}
	epochs := make(map[int32]uint64, len(slices))
	raised := make([]uint64, len(slices))
	for i, slice := range slices {
		epochs[slice] = nextEpoch(max(current[slice], highest[slice]))
		raised[i] = epochs[slice]
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	err = s.conn.Exec(ctx, s.sql.raiseFence, bind([]Named{{"slices", slices}, {"epochs", raised}})...)
	return epochs, classify(err)
}

// endOtherWrites kills the running writes of any other epoch to the slices and
// returns when none is left. A killed write is gone at its next step, or, if it
// waits for a client that fell silent, after InsertStallTimeout.
func (s *Store) endOtherWrites(ctx context.Context, epochs map[int32]uint64) error {
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		running, doomed, err := s.otherWrites(ctx, epochs)
		if err != nil {
			return err
		}
		if running == 0 {
			return nil
		}
		if len(doomed) > 0 {
			s.log.Warn("ending inserts of other epochs", zap.Strings("query_ids", doomed))
			if err := s.conn.Exec(ctx, s.sql.killWrites, bind([]Named{{"ids", doomed}})...); err != nil {
				return classify(err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d inserts of other epochs are still running: %w", running, errors.Join(ErrUnavailable, ctx.Err()))
		case <-time.After(pause):
		}
	}
}

// otherWrites counts the running writes of other epochs and lists those that
// were not killed yet.
func (s *Store) otherWrites(ctx context.Context, epochs map[int32]uint64) (running int, doomed []string, err error) {
	type write struct {
		ID        string `ch:"query_id"`
		Cancelled bool   `ch:"cancelled"`
	}
	list, err := selectRows[write](ctx, s, s.sql.runningWrites, Named{"prefix", writePrefix})
	for _, w := range list {
		for slice, epoch := range writers(w.ID) {
			if mine, ok := epochs[slice]; ok && mine != epoch {
				running++
				if !w.Cancelled {
					doomed = append(doomed, w.ID)
				}
				break
			}
		}
	}
	return running, doomed, err
}

type slicePosition struct {
	Slice  uint16 `ch:"slice"`
	Epoch  uint64 `ch:"epoch"`
	Offset int64  `ch:"offset"`
}

func (s *Store) nextOffsets(ctx context.Context, topicID string, slices []int32) (map[int32]int64, error) {
	rows, err := selectRows[slicePosition](ctx, s, s.sql.highWater, Named{"topic_id", topicID}, Named{"slices", slices})
	if err != nil {
		return nil, err
	}
	next := make(map[int32]int64, len(rows))
	for _, r := range rows {
		next[int32(r.Slice)] = r.Offset + 1
	}
	return next, nil
}

func (s *Store) highestEpochs(ctx context.Context, slices []int32) (map[int32]uint64, error) {
	rows, err := selectRows[slicePosition](ctx, s, s.sql.highestEpochs, Named{"slices", slices})
	if err != nil {
		return nil, err
	}
	highest := make(map[int32]uint64, len(rows))
	for _, r := range rows {
		highest[int32(r.Slice)] = r.Epoch
	}
	return highest, nil
}
