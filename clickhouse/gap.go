package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"revstream/ingest/revenue"
)

// ErrGap: the gap is not where the store ends, so accepting it would lose what is not
// lost, or nothing.
var ErrGap = errors.New("not the gap that there is")

// LostRange is a range of a topic's log that is lost for good, and whose loss somebody has
// accepted: the sink goes on behind it.
type LostRange struct {
	Topic   string `json:"topic"`
	TopicID string `json:"topic_id"`
	Slice   int32  `json:"slice"`
	// From and To are offsets: the first that is lost, and the one after the last.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// By and Note say who has accepted it, and why.
	By         string    `json:"by"`
	Note       string    `json:"note"`
	AcceptedAt time.Time `json:"accepted_at"`
}

// Records is how many are lost.
func (g LostRange) Records() int64 { return g.To - g.From }

// kindGap marks the end of an accepted gap among the statements, so that they say how
// far the log was read. It belongs to no workspace.
const kindGap revenue.Kind = "gap"

// AcceptGap notes that a range of the log is lost and that reading goes on behind it.
// It takes the slice over, so any writer has to take it back. ErrGap unless the range
// begins where the store ends; noting one again does nothing.
func (s *Store) AcceptGap(ctx context.Context, gap LostRange) error {
	if gap.From < 0 || gap.To <= gap.From {
		return fmt.Errorf("%w: from %d to %d is no range", ErrGap, gap.From, gap.To)
	}
	noted, err := s.Gaps(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(noted, func(other LostRange) bool {
		return other.TopicID == gap.TopicID && other.Slice == gap.Slice && other.From == gap.From && other.To == gap.To
	}) {
		return nil
	}
	return s.ownSlice(ctx, gap.Slice, func(epoch uint64) error {
		next, err := s.NextOffsets(ctx, gap.TopicID, []int32{gap.Slice})
		if err != nil {
			return err
		}
		if next[gap.Slice] != gap.From {
			return fmt.Errorf("%w: slice %d is stored up to offset %d, not %d", ErrGap, gap.Slice, next[gap.Slice], gap.From)
		}
		text, err := json.Marshal(gap)
		if err != nil {
			return fmt.Errorf("encoding a gap: %w", err)
		}
		return s.InsertStatements(ctx, []Statement{{
			Position: Position{Slice: gap.Slice, Epoch: epoch, Offset: gap.To - 1, TopicID: gap.TopicID},
			Event:    &revenue.Event{Kind: kindGap, OccurredAt: gap.AcceptedAt, ReceivedAt: gap.AcceptedAt},
			Encoded:  text,
		}})
	})
}

// Gaps lists the gaps that were accepted, by slice and offset.
func (s *Store) Gaps(ctx context.Context) ([]LostRange, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.StateTimeout)
	defer cancel()
	type row struct {
		Slice     uint16 `ch:"slice"`
		Statement string `ch:"statement"`
	}
	rows, err := selectRows[row](ctx, s, s.sql.gaps, Named{"kind", string(kindGap)})
	if err != nil {
		return nil, fmt.Errorf("listing accepted gaps: %w", err)
	}
	gaps := make([]LostRange, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal([]byte(r.Statement), &gaps[i]); err != nil {
			return nil, fmt.Errorf("reading an accepted gap of slice %d: %w", r.Slice, err)
		}
	}
	return gaps, nil
}
