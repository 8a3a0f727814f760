package stream

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/stream/kafkatest"
)

// patience bounds every wait of a test; none is expected to come near it.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// kafka is the configuration that leads to a Kafka, with its topics: a kfake of the
// test's own, or the real one of this run.
func kafka(t *testing.T) Config {
	t.Helper()
	cfg := bareKafka(t)
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// bareKafka is kafka without topics.
func bareKafka(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig()
	kafkatest.Use(t, &cfg)
	return valid(t, cfg)
}

// fakeKafka is kafka for tests that break the protocol, which only a kfake lets them.
func fakeKafka(t *testing.T) (*kfake.Cluster, Config) {
	t.Helper()
	cluster, cfg := bareFakeKafka(t)
	if err := EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	return cluster, cfg
}

func bareFakeKafka(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, Config) {
	t.Helper()
	cfg := DefaultConfig()
	cluster := kafkatest.Fake(t, &cfg, opts...)
	return cluster, valid(t, cfg)
}

func valid(t *testing.T, cfg Config) Config {
	t.Helper()
	cfg.FetchWait = 100 * time.Millisecond
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// administer is for what an operator does to topics.
func administer(t *testing.T, cfg Config) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func producer(t *testing.T, cfg Config) *Producer {
	t.Helper()
	p, err := NewProducer(cfg, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx) // a test may have taken Kafka away
	})
	return p
}

// consume reads as many records of a topic from its start.
func consume(t *testing.T, cfg Config, topic string, count int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := within(t)
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// written is how many records a topic has ever been given.
func written(t *testing.T, cfg Config, topic string) (total int64) {
	t.Helper()
	ends, err := administer(t, cfg).ListEndOffsets(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	return total
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
