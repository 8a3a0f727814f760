package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

func TestEnsureTopics(t *testing.T) {
	cfg := kafka(t)
	for _, topic := range []string{cfg.EventsTopic, cfg.PlacementsTopic} {
		kept := settings(t, cfg, topic)
		for name, want := range map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "min.insync.replicas": "1",
		} {
			if got := kept[name]; got != want {
				t.Errorf("%s: %s is %q, want %s", topic, name, got, want)
			}
		}
	}
	topics, err := administer(t, cfg).ListTopics(within(t), cfg.EventsTopic)
	if got := len(topics[cfg.EventsTopic].Partitions); err != nil || got != 4 {
		t.Errorf("events has %d partitions, %v", got, err)
	}
	for _, topic := range append(cfg.compactedTopics(), cfg.DeadLettersTopic) {
		if got := settings(t, cfg, topic)["cleanup.policy"]; got != "compact" {
			t.Errorf("%s: cleanup.policy is %q", topic, got)
		}
	}
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Errorf("a second time: %v", err)
	}
	cfg.Partitions = 8
	if err := EnsureTopics(within(t), cfg); !errors.Is(err, ErrTopic) || !strings.Contains(err.Error(), "4 partitions and 8") {
		t.Errorf("another partition count: %v", err)
	}
}

// settings are those of a topic, by name.
func settings(t *testing.T, cfg Config, topic string) map[string]string {
	t.Helper()
	described, err := administer(t, cfg).DescribeTopicConfigs(within(t), topic)
	if err != nil || len(described) != 1 || described[0].Err != nil {
		t.Fatalf("settings of %s: %+v, %v", topic, described, err)
	}
	values := map[string]string{}
	for _, config := range described[0].Configs {
		values[config.Key] = config.MaybeValue()
	}
	return values
}

func TestEnsureTopicsRefusesPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		topic      func(Config) string
		partitions int32
		policy     string
	}{
		"compacted statements": {func(c Config) string { return c.EventsTopic }, 4, "compact"},
		"table without order":  {func(c Config) string { return c.ControlTopic }, 3, "compact"},
		"deleted table":        {func(c Config) string { return c.ControlTopic }, 1, "delete"},
		"table deleted by age": {func(c Config) string { return c.ControlTopic }, 1, "compact,delete"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := bareKafka(t)
			policy := map[string]*string{"cleanup.policy": &c.policy}
			if _, err := administer(t, cfg).CreateTopic(within(t), c.partitions, 1, policy, c.topic(cfg)); err != nil {
				t.Fatal(err)
			}
			if err := EnsureTopics(within(t), cfg); !errors.Is(err, ErrTopic) {
				t.Fatalf("got %v, want an ErrTopic", err)
			}
		})
	}
}

// A broker that has not heard of a fresh topic yet is asked again.
func TestEnsureTopicsOnSlowBrokers(t *testing.T) {
	cluster, cfg := bareFakeKafka(t)
	fault := cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.UnknownTopicOrPartition, Count: 2,
	})
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	if got := fault.Hits(); got != 2 {
		t.Errorf("the broker did not know the topics %d times, not 2", got)
	}
}

func TestTopicID(t *testing.T) {
	cfg := kafka(t)
	first, err := TopicID(within(t), cfg, cfg.EventsTopic)
	if err != nil || len(first) != 22 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, _ := TopicID(within(t), cfg, cfg.EventsTopic); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	deleteTopic(t, cfg, cfg.EventsTopic)
	if _, err := TopicID(within(t), cfg, cfg.EventsTopic); !errors.Is(err, ErrTopic) {
		t.Errorf("absent: %v", err)
	}
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	if second, err := TopicID(within(t), cfg, cfg.EventsTopic); err != nil || second == first {
		t.Errorf("made anew: %q, %v", second, err)
	}
	cfg.Brokers = []string{"127.0.0.1:1"} // nobody's
	cfg.ReadTimeout = 200 * time.Millisecond
	if _, err := TopicID(within(t), cfg, cfg.EventsTopic); !errors.Is(err, ErrBusy) {
		t.Errorf("kafka down: %v", err)
	}
}

// deleteTopic deletes a topic and waits until it is gone.
func deleteTopic(t *testing.T, cfg Config, topic string) {
	t.Helper()
	admin := administer(t, cfg)
	if deleted, err := admin.DeleteTopics(within(t), topic); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	eventually(t, topic+" is gone", func() bool {
		topics, err := admin.ListTopics(within(t), topic)
		return err == nil && !topics.Has(topic)
	})
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			_, cfg := bareFakeKafka(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "revstream", "secret"))
			cfg.SASL = SASL{Mechanism: mechanism, User: "revstream", Password: "secret"}
			if err := EnsureTopics(within(t), cfg); err != nil {
				t.Fatal(err)
			}
			cfg.SASL.Password = "wrong"
			cfg.ReadTimeout = 500 * time.Millisecond
			if err := EnsureTopics(within(t), cfg); !errors.Is(err, ErrBusy) {
				t.Fatalf("wrong password: %v", err)
			}
		})
	}
}

func TestConsumerOpts(t *testing.T) {
	cfg := kafka(t)
	e := payment()
	if err := producer(t, cfg).Publish(within(t), e); err != nil {
		t.Fatal(err)
	}
	opts, err := ConsumerOpts(cfg, "sink", zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.ConsumerGroup("g"), kgo.ConsumeTopics(cfg.EventsTopic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseAllowingRebalance()
	fetches := client.PollFetches(within(t))
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 {
		t.Fatalf("a group without commits: %d records, %v", fetches.NumRecords(), err)
	}
	record := fetches.Records()[0]
	client.AllowRebalance()

	// An offset that Kafka does not have is an error, not a jump.
	ahead := map[string]map[int32]kgo.EpochOffset{cfg.EventsTopic: {record.Partition: {Epoch: -1, Offset: 100}}}
	client.SetOffsets(ahead)
	fetches = client.PollFetches(within(t))
	if !errors.Is(fetches.Err(), kerr.OffsetOutOfRange) || fetches.NumRecords() > 0 {
		t.Fatalf("an offset ahead of the end: %d records, %v", fetches.NumRecords(), fetches.Err())
	}
}
