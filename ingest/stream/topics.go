package stream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const (
	// metadataAgeMin is how soon a client may ask again where topics are; the
	// library's 5 s would make a failover that long.
	metadataAgeMin = 250 * time.Millisecond
	// topicPollInterval is how often a fresh topic is looked for.
	topicPollInterval = 50 * time.Millisecond
)

// layout is what a topic has to be.
type layout struct {
	topic      string
	partitions int32
	compacted  bool
	configs    map[string]*string // at creation; afterwards the operator's
}

// layouts are all topics. Tables and dead letters have one partition: their
// changes then have one order, and a barrier one number.
func (c Config) layouts() []layout {
	settings := func(own map[string]string) map[string]*string {
		configs := map[string]*string{
			"min.insync.replicas": new(strconv.Itoa(c.MinInsyncReplicas)),
			"max.message.bytes":   new(strconv.Itoa(c.batchBytesMax())),
		}
		if c.SegmentBytes > 0 {
			configs["segment.bytes"] = new(strconv.Itoa(c.SegmentBytes))
		}
		for name, value := range own {
			configs[name] = new(value)
		}
		return configs
	}
	compacted := map[string]string{
		"cleanup.policy":      "compact",
		"delete.retention.ms": strconv.FormatInt(c.TombstoneRetention.Milliseconds(), 10),
	}
	forever := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
	list := []layout{
		// Statements are never forgotten by age: the sink may be away for long.
		{c.EventsTopic, c.Partitions, false, settings(forever)},
		// There is a placement for each fact, and few have a second. To compact them would
		// free little, and the embedded broker holds all keys in memory to do it.
		{c.PlacementsTopic, 1, false, settings(forever)},
		// A dead letter stays until it is retried or discarded, which writes a tombstone.
		{c.DeadLettersTopic, 1, true, settings(compacted)},
		{c.DeliveriesTopic, c.DeliveriesPartitions, false, settings(map[string]string{
			"cleanup.policy": "delete", "retention.bytes": "-1",
			"retention.ms": strconv.FormatInt(c.DeliveriesRetention.Milliseconds(), 10),
		})},
	}
	for _, topic := range c.compactedTopics() {
		list = append(list, layout{topic, 1, true, settings(compacted)})
	}
	return list
}

// EnsureTopics creates the topics that are missing, waits until all can be seen,
// and holds those that exist against what they must be. Another partition count
// or cleanup policy is an ErrTopic: it is for a person to decide. An unreachable
// Kafka is an ErrBusy.
func EnsureTopics(ctx context.Context, cfg Config) error {
	client, err := newClient(cfg, "admin", zap.NewNop(), nil)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := ensureTopics(ctx, cfg, kadm.NewClient(client)); err != nil {
		return fmt.Errorf("ensure topics: %w", err)
	}
	return nil
}

func ensureTopics(ctx context.Context, cfg Config, admin *kadm.Client) error {
	layouts := cfg.layouts()
	found, err := describeTopics(ctx, cfg, admin, layouts)
	if err != nil {
		return err
	}
	created := false
	for _, want := range layouts {
		if _, known := found[want.topic]; known {
			continue
		}
		if err := createTopic(ctx, cfg, admin, want); err != nil {
			return err
		}
		created = true
	}
	if created {
		if found, err = awaitTopics(ctx, cfg, admin, layouts); err != nil {
			return err
		}
	}
	// Brokers hear of a topic one after the other: the next may not know it yet.
	return untilKnown(ctx, cfg, func() error { return checkTopics(ctx, cfg, admin, found, layouts) })
}

// untilKnown repeats a question while a broker says that there is no such topic, for
// as long as ReadTimeout.
func untilKnown(ctx context.Context, cfg Config, ask func() error) error {
	deadline := time.Now().Add(cfg.ReadTimeout)
	for {
		err := ask()
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(topicPollInterval):
		case <-ctx.Done():
			return err
		}
	}
}

// checkTopics holds the topics against what they must be.
func checkTopics(ctx context.Context, cfg Config, admin *kadm.Client, found kadm.TopicDetails, layouts []layout) error {
	for _, want := range layouts {
		if got := int32(len(found[want.topic].Partitions)); got != want.partitions {
			return fmt.Errorf("%w: topic %s has %d partitions and %d are configured: keys would move between partitions; "+
				"configure its own count, or make a new topic", ErrTopic, want.topic, got, want.partitions)
		}
	}
	return checkPolicies(ctx, cfg, admin, layouts)
}

func createTopic(ctx context.Context, cfg Config, admin *kadm.Client, want layout) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	_, err := admin.CreateTopic(ctx, want.partitions, cfg.ReplicationFactor, want.configs, want.topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists): // another node was quicker
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor), errors.Is(err, kerr.PolicyViolation),
		errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Errorf("create topic %s: %w: %w", want.topic, ErrTopic, err)
	}
	return fmt.Errorf("create topic %s: %w: %w", want.topic, ErrBusy, err)
}

// awaitTopics waits until the brokers know the fresh topics.
func awaitTopics(ctx context.Context, cfg Config, admin *kadm.Client, layouts []layout) (kadm.TopicDetails, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	for {
		found, err := describeTopics(ctx, cfg, admin, layouts)
		if err != nil || len(found) == len(layouts) {
			return found, err
		}
		select {
		case <-time.After(topicPollInterval):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: created topics do not appear: %w", ErrBusy, ctx.Err())
		}
	}
}

// describeTopics asks for the topics, and leaves out those that do not exist.
func describeTopics(ctx context.Context, cfg Config, admin *kadm.Client, layouts []layout) (kadm.TopicDetails, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	var names []string
	for _, want := range layouts {
		names = append(names, want.topic)
	}
	found, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w: %w", ErrBusy, err)
	}
	for topic, detail := range found {
		switch {
		case errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			delete(found, topic)
		case detail.Err != nil:
			return nil, fmt.Errorf("describe topic %s: %w: %w", topic, ErrBusy, detail.Err)
		}
	}
	return found, nil
}

// checkPolicies refuses a compacted topic of statements, which would forget all
// but the last of a group, and a table whose keys are deleted by age.
func checkPolicies(ctx context.Context, cfg Config, admin *kadm.Client, layouts []layout) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.ReadTimeout)
	defer cancel()
	compacted := map[string]bool{}
	var names []string
	for _, want := range layouts {
		compacted[want.topic] = want.compacted
		names = append(names, want.topic)
	}
	described, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("describe settings of topics: %w: %w", ErrBusy, err)
	}
	for _, found := range described {
		if found.Err != nil {
			return fmt.Errorf("describe settings of topic %s: %w: %w", found.Name, ErrBusy, found.Err)
		}
		for _, config := range found.Configs {
			if config.Key != "cleanup.policy" {
				continue
			}
			policy := config.MaybeValue()
			if want := compacted[found.Name]; want && policy != "compact" || !want && strings.Contains(policy, "compact") {
				return fmt.Errorf("%w: topic %s has cleanup.policy %q", ErrTopic, found.Name, policy)
			}
		}
	}
	return nil
}

// TopicID is the id of a topic, as Kafka's own tools print it. A topic that was
// deleted and made again has another, so it is part of every coordinate. The
// error is an ErrTopic if there is none, an ErrBusy if Kafka does not answer.
func TopicID(ctx context.Context, cfg Config, topic string) (string, error) {
	client, err := newClient(cfg, "admin", zap.NewNop(), nil)
	if err != nil {
		return "", err
	}
	defer client.Close()
	return topicID(ctx, cfg, client, topic)
}

func topicID(ctx context.Context, cfg Config, client *kgo.Client, topic string) (string, error) {
	found, err := describeTopic(ctx, cfg, kadm.NewClient(client), topic)
	if err != nil {
		return "", fmt.Errorf("look up id of topic %s: %w", topic, err)
	}
	if found.ID == (kadm.TopicID{}) {
		return "", fmt.Errorf("look up id of topic %s: %w: the broker is too old to have ids", topic, ErrTopic)
	}
	return TopicIDText(found.ID), nil
}

// TopicIDText is the text of a topic's id, as Kafka's own tools print it and as
// it stands beside every offset that is stored.
func TopicIDText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// describeTopic is describeTopics of one, whose absence is an ErrTopic.
func describeTopic(ctx context.Context, cfg Config, admin *kadm.Client, topic string) (kadm.TopicDetail, error) {
	found, err := describeTopics(ctx, cfg, admin, []layout{{topic: topic}})
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	detail, known := found[topic]
	if !known {
		return kadm.TopicDetail{}, fmt.Errorf("%w: there is no topic %s: %w", ErrTopic, topic, kerr.UnknownTopicOrPartition)
	}
	return detail, nil
}
