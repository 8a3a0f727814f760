package clickhouse

import "context"

// NextOffsets tells, for each of the slices that has any, the offset after the
// last statement that is stored of the topic.
func (s *Store) NextOffsets(ctx context.Context, topicID string, slices []int32) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.StateTimeout)
	defer cancel()
	next, err := s.nextOffsets(ctx, topicID, slices)
	return next, classify(err)
}
