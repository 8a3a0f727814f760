package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
)

// Position is how far a consumer group has come in one partition of a topic. All are
// offsets.
type Position struct {
	// Start is the first record that Kafka still has, End the one after the last.
	Start, End int64
	// Committed is the next record of the group, or -1 if it has committed none.
	Committed int64
}

// Lag is how many records the group has not committed.
func (p Position) Lag() int64 { return p.End - max(p.Committed, p.Start) }

// Positions is PositionsIn the events topic.
func Positions(ctx context.Context, cfg Config, groups ...string) (map[int32]Position, error) {
	return PositionsIn(ctx, cfg, cfg.EventsTopic, groups...)
}

// PositionsIn tells how far the groups are, by partition of a topic; of groups that
// share it, the furthest in each partition. The error is an ErrBusy if Kafka does not
// answer, an ErrTopic if the topic is absent.
func PositionsIn(ctx context.Context, cfg Config, topic string, groups ...string) (map[int32]Position, error) {
	client, err := newClient(cfg, "admin", zap.NewNop(), nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	// The commits first: an end that is read later is never before them.
	committed, err := commits(ctx, admin, topic, groups)
	if err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list where topic %s starts: %w: %w", topic, ErrBusy, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list where topic %s ends: %w: %w", topic, ErrBusy, err)
	}
	if len(ends[topic]) == 0 {
		return nil, fmt.Errorf("%w: there is no topic %s", ErrTopic, topic)
	}
	positions := make(map[int32]Position, len(ends[topic]))
	for partition, end := range ends[topic] {
		start, known := starts.Lookup(topic, partition)
		if end.Err != nil || !known || start.Err != nil {
			return nil, fmt.Errorf("find the ends of %s/%d: %w", topic, partition, ErrBusy)
		}
		position := Position{Start: start.Offset, End: end.Offset, Committed: -1}
		if at, found := committed[partition]; found {
			position.Committed = at
		}
		positions[partition] = position
	}
	return positions, nil
}

// ErrGroupActive says that a consumer group has members, whose offsets are theirs.
var ErrGroupActive = errors.New("the consumer group has members")

// MoveGroup sets where a consumer group without members goes on in a partition of the
// events topic. Errors: ErrGroupActive, ErrBusy.
func MoveGroup(ctx context.Context, cfg Config, group string, partition int32, offset int64) error {
	client, err := newClient(cfg, "admin", zap.NewNop(), nil)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w: %w", group, ErrBusy, err)
	}
	if members := len(described[group].Members); members > 0 {
		return fmt.Errorf("move group %s: %w: %d", group, ErrGroupActive, members)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(cfg.EventsTopic, partition, offset, -1)
	committed, err := admin.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return fmt.Errorf("move group %s in %s/%d: %w: %w", group, cfg.EventsTopic, partition, ErrBusy, err)
	}
	return nil
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
