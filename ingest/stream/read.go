package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// Topics of one partition, which tables and dead letters are, have it here.
const onlyPartition = 0

// offsetLatest asks ListOffsets for the end, offsetEarliest for the start.
const (
	offsetLatest   = -1
	offsetEarliest = -2
)

// topicEnd is the offset after the last record of a topic of one partition that
// every in-sync replica has: everything acknowledged before the call lies below.
func topicEnd(ctx context.Context, cfg Config, client *kgo.Client, topic string) (int64, error) {
	return topicOffset(ctx, cfg, client, topic, offsetLatest)
}

func topicOffset(ctx context.Context, cfg Config, client *kgo.Client, topic string, which int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	// One request to the leader; kadm would ask for metadata first, each time.
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition = onlyPartition
	partition.Timestamp = which
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	asked.Partitions = append(asked.Partitions, partition)
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, asked)

	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("ask where topic %s ends: %w: %w", topic, ErrBusy, err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("ask where topic %s ends: %w: no answer about it", topic, ErrBusy)
	}
	answer := response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return 0, fmt.Errorf("ask where topic %s ends: %w: %w", topic, ErrBusy, err)
	}
	return answer.Offset, nil
}

// readTopic reads a topic of one partition from its start to the end given.
func readTopic(ctx context.Context, cfg Config, topic string, end int64, fn func(*kgo.Record) error) error {
	if end == 0 {
		return nil
	}
	client, err := newClient(cfg, "reader", zap.NewNop(), nil, readOpts(cfg, topic, kgo.NewOffset().AtStart(), cfg.FetchPartitionBytesMax)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read topic %s: %w: %w", topic, ErrBusy, err)
		}
		for _, failed := range fetches.Errors() {
			return fmt.Errorf("read topic %s: %w: %w", topic, ErrBusy, failed.Err)
		}
		for _, record := range fetches.Records() {
			if record.Offset >= end {
				return nil
			}
			if err := fn(record); err != nil {
				return err
			}
			if record.Offset == end-1 {
				return nil
			}
		}
	}
}

// readOpts read the only partition of a topic from an offset, without a group.
func readOpts(cfg Config, topic string, from kgo.Offset, bytesMax int) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {onlyPartition: from}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.FetchMaxBytes(int32(bytesMax)),
		kgo.FetchMaxPartitionBytes(int32(bytesMax)),
		kgo.MaxConcurrentFetches(1),
		kgo.FetchMaxWait(cfg.FetchWait),
	}
}

// lost reports whether an error of fetching says that the topic is not the one,
// or not as long, as it was.
func lost(err error) bool {
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) ||
		errors.Is(err, kerr.InconsistentTopicID)
}
