package clickhouse

import (
	"context"
	"fmt"
)

// NextOffsets tells, for each of the slices that has any, the offset after the
// last statement that is stored of the topic.
func (s *Store) NextOffsets(ctx context.Context, topicID string, slices []int32) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.StateTimeout)
	defer cancel()
	next, err := s.nextOffsets(ctx, topicID, slices)
	return next, classify(err)
}

// RowsUntil tells the offset before which every statement of the topic and slice
// that is stored has its ledger rows, too: one more than the highest that a batch
// with rows ended at. It reads two columns of the whole ledger: it is for a store
// that was restored from a backup, where NextOffset alone says too much.
func (s *Store) RowsUntil(ctx context.Context, topicID string, slice int32) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	until, err := selectRows[int64](ctx, s, s.sql.rowsUntil, Named{"topic_id", topicID}, Named{"slice", slice})
	if err != nil || len(until) != 1 {
		return 0, fmt.Errorf("reading until where slice %d has rows: %w", slice, err)
	}
	return until[0], nil
}
