package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Progress says how far a slice has come.
type Progress struct {
	Slice int32
	Epoch uint64
	// Offset is the next one to be consumed.
	Offset int64
	// CompleteThrough: everything accepted before it that belongs to the slice is
	// in the ledger and in the derived tables.
	CompleteThrough time.Time
}

// SaveProgress records how far slices have come. It is no part of exactness:
// what is lost of it makes answers look older than they are.
func (s *Store) SaveProgress(ctx context.Context, list []Progress) error {
	if len(list) == 0 {
		return nil
	}
	slices, epochs := make([]int32, len(list)), make([]uint64, len(list))
	offsets, through := make([]int64, len(list)), make([]int64, len(list))
	for i, p := range list {
		slices[i], epochs[i], offsets[i] = p.Slice, p.Epoch, p.Offset
		if !p.CompleteThrough.IsZero() {
			through[i] = storable(p.CompleteThrough).UnixMicro()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	err := s.conn.Exec(ctx, s.sql.saveProgress, bind([]Named{
		{"slices", slices}, {"epochs", epochs}, {"offsets", offsets}, {"through", through},
	})...)
	if err != nil {
		return fmt.Errorf("saving the progress of %d slices: %w", len(list), classify(err))
	}
	return nil
}

// CompleteThrough is the moment up to which answers are complete: everything
// accepted before it is in the tables, whatever its slice. It is the zero time
// while any of the slices 0 to sliceCount-1 has not reported.
func (s *Store) CompleteThrough(ctx context.Context, sliceCount int) (time.Time, error) {
	type row struct {
		Slices        uint64 `ch:"slices"`
		ThroughMicros int64  `ch:"through_micros"`
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.QueryTimeout)
	defer cancel()
	rows, err := selectRows[row](ctx, s, s.sql.completeThrough, Named{"slices", sliceCount})
	if err != nil {
		return time.Time{}, fmt.Errorf("reading how complete answers are: %w", err)
	}
	if len(rows) != 1 || rows[0].Slices < uint64(sliceCount) || rows[0].ThroughMicros == 0 {
		return time.Time{}, nil
	}
	return time.UnixMicro(rows[0].ThroughMicros).UTC(), nil
}
