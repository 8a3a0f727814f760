package stream

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
)

// Position is how far a consumer group has come in one partition of the events
// topic. All are offsets.
type Position struct {
	// Start is the first record that Kafka still has, End the one after the last.
	Start, End int64
	// Committed is the next record of the group, or -1 if it has committed none.
	Committed int64
}

// Lag is how many records the group has not committed.
func (p Position) Lag() int64 { return p.End - max(p.Committed, p.Start) }

// Positions tells how far the groups are, by partition of the events topic; of
// groups that share it, the furthest in each partition. The error is an ErrBusy if
// Kafka does not answer, an ErrTopic if the topic is absent.
func Positions(ctx context.Context, cfg Config, groups ...string) (map[int32]Position, error) {
	client, err := newClient(cfg, "admin", zap.NewNop(), nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	// The commits first: an end that is read later is never before them.
	committed, err := commits(ctx, admin, cfg.EventsTopic, groups)
	if err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, cfg.EventsTopic)
	if err != nil {
		return nil, fmt.Errorf("list where topic %s starts: %w: %w", cfg.EventsTopic, ErrBusy, err)
	}
	ends, err := admin.ListEndOffsets(ctx, cfg.EventsTopic)
	if err != nil {
		return nil, fmt.Errorf("list where topic %s ends: %w: %w", cfg.EventsTopic, ErrBusy, err)
	}
	if len(ends[cfg.EventsTopic]) == 0 {
		return nil, fmt.Errorf("%w: there is no topic %s", ErrTopic, cfg.EventsTopic)
	}
	positions := make(map[int32]Position, len(ends[cfg.EventsTopic]))
	for partition, end := range ends[cfg.EventsTopic] {
		start, known := starts.Lookup(cfg.EventsTopic, partition)
		if end.Err != nil || !known || start.Err != nil {
			return nil, fmt.Errorf("find the ends of %s/%d: %w", cfg.EventsTopic, partition, ErrBusy)
		}
		position := Position{Start: start.Offset, End: end.Offset, Committed: -1}
		if at, found := committed[partition]; found {
			position.Committed = at
		}
		positions[partition] = position
	}
	return positions, nil
}

// commits are the furthest offsets that any of the groups has committed.
func commits(ctx context.Context, admin *kadm.Client, topic string, groups []string) (map[int32]int64, error) {
	furthest := map[int32]int64{}
	for _, group := range groups {
		committed, err := admin.FetchOffsetsForTopics(ctx, group, topic)
		if err != nil {
			return nil, fmt.Errorf("fetch the offsets of group %s: %w: %w", group, ErrBusy, err)
		}
		for partition, commit := range committed[topic] {
			if commit.Err != nil {
				return nil, fmt.Errorf("fetch the offset of group %s in %s/%d: %w: %w", group, topic, partition, ErrBusy, commit.Err)
			}
			if at, known := furthest[partition]; !known || commit.At > at {
				furthest[partition] = commit.At
			}
		}
	}
	return furthest, nil
}
