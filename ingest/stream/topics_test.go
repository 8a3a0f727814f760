package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

func TestEnsureTopics(t *testing.T) {
	cluster, cfg := kafka(t)
	events := cluster.TopicInfo(cfg.EventsTopic)
	for name, want := range map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "min.insync.replicas": "1",
	} {
		if got := events.Configs[name]; got == nil || *got != want {
			t.Errorf("events: %s is %v, want %s", name, got, want)
		}
	}
	if got := len(cluster.PartitionInfos(cfg.EventsTopic)); got != 4 {
		t.Errorf("events has %d partitions", got)
	}
	for _, topic := range append(cfg.tableTopics(), cfg.DeadLettersTopic) {
		if got := cluster.TopicInfo(topic).Configs["cleanup.policy"]; got == nil || *got != "compact" {
			t.Errorf("%s: cleanup.policy is %v", topic, got)
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
			cluster, cfg := bareKafka(t)
			if err := cluster.CreateTopic(c.topic(cfg), c.partitions, map[string]string{"cleanup.policy": c.policy}); err != nil {
				t.Fatal(err)
			}
			if err := EnsureTopics(within(t), cfg); !errors.Is(err, ErrTopic) {
				t.Fatalf("got %v, want an ErrTopic", err)
			}
		})
	}
}

func TestTopicID(t *testing.T) {
	cluster, cfg := kafka(t)
	first, err := TopicID(within(t), cfg, cfg.EventsTopic)
	if err != nil || len(first) != 22 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, _ := TopicID(within(t), cfg, cfg.EventsTopic); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if err := cluster.DeleteTopic(cfg.EventsTopic); err != nil {
		t.Fatal(err)
	}
	if _, err := TopicID(within(t), cfg, cfg.EventsTopic); !errors.Is(err, ErrTopic) {
		t.Errorf("absent: %v", err)
	}
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	if second, err := TopicID(within(t), cfg, cfg.EventsTopic); err != nil || second == first {
		t.Errorf("made anew: %q, %v", second, err)
	}
	cluster.Close()
	cfg.ReadTimeout = 200 * time.Millisecond
	if _, err := TopicID(within(t), cfg, cfg.EventsTopic); !errors.Is(err, ErrBusy) {
		t.Errorf("kafka down: %v", err)
	}
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			_, cfg := bareKafka(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "revstream", "secret"))
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
	_, cfg := kafka(t)
	e := payment()
	if err := producer(t, cfg).Publish(within(t), e); err != nil {
		t.Fatal(err)
	}
	opts, err := ConsumerOpts(cfg, zap.NewNop(), nil)
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
