package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const topic = "revenue.events"

func testConfig(t testing.TB) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir = t.TempDir()
	return cfg
}

func startBroker(t testing.TB, cfg Config, around func(*Broker, func() error) error) *Broker {
	t.Helper()
	b, err := start(cfg, zap.NewNop(), nil, around)
	if err != nil {
		t.Fatalf("starting the broker: %v", err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func closeBroker(t testing.TB, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatalf("closing the broker: %v", err)
	}
}

func newClient(t testing.TB, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addr()),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.DisableClientMetrics(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t testing.TB, client *kgo.Client, name string, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(client).CreateTopic(testContext(t), partitions, 1, configs, name); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
}

func produce(t testing.TB, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := client.ProduceSync(testContext(t), records...).FirstErr(); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

// readAll returns the values of a topic's partition from its start to its end.
func readAll(t testing.TB, b *Broker, name string, partition int32) []*kgo.Record {
	t.Helper()
	info := b.cluster.PartitionInfo(name, partition)
	if info == nil {
		t.Fatalf("there is no %s/%d", name, partition)
	}
	client := newClient(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		name: {partition: kgo.NewOffset().AtStart()},
	}))
	defer client.Close()
	var records []*kgo.Record
	ctx := testContext(t)
	for next := info.LogStartOffset; next < info.HighWatermark; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading %s/%d: %v", name, partition, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, r)
			next = r.Offset + 1
		})
	}
	return records
}

// What is acknowledged, and what is shown to a consumer, was in the log
// before a sync began that has ended.
func TestNothingIsAcknowledgedOrShownBeforeItIsSynced(t *testing.T) {
	var durable [4]atomic.Int64 // by partition: the end of the log at the start of the last finished sync
	b := startBroker(t, testConfig(t), func(b *Broker, _ func() error) error {
		var ends [4]int64
		for _, info := range b.cluster.PartitionInfos(topic) {
			ends[info.Partition] = info.HighWatermark
		}
		time.Sleep(2 * time.Millisecond) // so that much happens during a sync
		for i, end := range ends {
			durable[i].Store(end)
		}
		return nil
	})
	admin := newClient(t, b)
	createTopic(t, admin, topic, 4, nil)

	const writers, each = 8, 100
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var seen atomic.Int64
	var readers, writersDone sync.WaitGroup
	consumer := newClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	readers.Go(func() {
		for seen.Load() < writers*each && ctx.Err() == nil {
			consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				seen.Add(1)
				if durable := durable[r.Partition].Load(); r.Offset >= durable {
					t.Errorf("a consumer saw %d/%d, durable is only what is before %d", r.Partition, r.Offset, durable)
				}
			})
		}
	})
	for w := range writers {
		client := newClient(t, b, kgo.ProducerBatchMaxBytes(1024))
		writersDone.Go(func() {
			acknowledged := func(record *kgo.Record, err error) {
				if err != nil {
					t.Errorf("producing: %v", err)
				} else if durable := durable[record.Partition].Load(); record.Offset >= durable {
					t.Errorf("acknowledged %d/%d, durable is only what is before %d", record.Partition, record.Offset, durable)
				}
			}
			for i := range each {
				// Not waiting for each: so a connection has several
				// requests in flight.
				client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: fmt.Appendf(nil, "%d/%d", w, i)}, acknowledged)
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			if err := client.Flush(ctx); err != nil {
				t.Errorf("flushing: %v", err)
			}
		})
	}
	writersDone.Wait()
	readers.Wait()
	if got := seen.Load(); got != writers*each {
		t.Errorf("the consumer saw %d records, want %d", got, writers*each)
	}
}

func TestUnacknowledgedProduceDoesNotConfuseTheAnswers(t *testing.T) {
	b := startBroker(t, testConfig(t), nil)
	admin := newClient(t, b)
	createTopic(t, admin, topic, 1, nil)
	client := newClient(t, b, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	for i := range 50 {
		produce(t, client, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(i))})
		if i%10 == 0 {
			if err := client.Ping(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce(t, admin, &kgo.Record{Topic: topic, Value: []byte("last")})
	if got := len(readAll(t, b, topic, 0)); got != 51 {
		t.Errorf("%d records, want 51", got)
	}
}

func TestAFailedSyncAcknowledgesNothingForGood(t *testing.T) {
	diskGone := errors.New("input/output error")
	var broken atomic.Bool
	b := startBroker(t, testConfig(t), func(*Broker, func() error) error {
		if broken.CompareAndSwap(true, false) { // fails once, like the kernel
			return diskGone
		}
		return nil
	})
	client := newClient(t, b, kgo.DisableIdempotentWrite(),
		kgo.RecordDeliveryTimeout(time.Second), kgo.RecordRetries(2))
	createTopic(t, client, topic, 1, nil)
	produce(t, client, &kgo.Record{Topic: topic, Value: []byte("good")})
	broken.Store(true)
	for range 3 {
		if err := client.ProduceSync(testContext(t), &kgo.Record{Topic: topic, Value: []byte("lost")}).FirstErr(); err == nil {
			t.Fatal("acknowledged after a sync had failed")
		}
	}
	select {
	case err := <-b.Wait():
		if !errors.Is(err, diskGone) {
			t.Errorf("Wait yields %v, want the reason", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Wait yields nothing")
	}
}

func TestARestartKeepsRecordsOffsetsAndTopicID(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *Broker, cfg Config) Config{
		"closed": func(t *testing.T, b *Broker, cfg Config) Config {
			closeBroker(t, b)
			return cfg
		},
		// What a kill leaves behind is what is in the files now.
		"killed": func(t *testing.T, _ *Broker, cfg Config) Config {
			after := cfg
			after.Dir = t.TempDir()
			if err := os.CopyFS(after.Dir, os.DirFS(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			return after
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			b := startBroker(t, cfg, nil)
			client := newClient(t, b)
			createTopic(t, client, topic, 4, nil)
			for i := range 40 {
				produce(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: []byte(strconv.Itoa(i))})
			}
			offsets := kadm.Offsets{}
			offsets.AddOffset(topic, 2, 7, -1)
			if err := kadm.NewClient(client).CommitAllOffsets(testContext(t), "sink", offsets); err != nil {
				t.Fatal(err)
			}
			id := b.cluster.TopicInfo(topic).TopicID

			again := startBroker(t, end(t, b, cfg), nil)
			if got := again.cluster.TopicInfo(topic).TopicID; got != id {
				t.Errorf("topic id is %x, was %x", got, id)
			}
			for partition := range int32(4) {
				records := readAll(t, again, topic, partition)
				if len(records) != 10 {
					t.Fatalf("partition %d has %d records, want 10", partition, len(records))
				}
				for i, r := range records {
					if want := strconv.Itoa(4*i + int(partition)); string(r.Value) != want {
						t.Errorf("%d/%d is %s, want %s", partition, i, r.Value, want)
					}
				}
			}
			committed, err := kadm.NewClient(newClient(t, again)).FetchOffsets(testContext(t), "sink")
			if err != nil {
				t.Fatal(err)
			}
			if at, _ := committed.Lookup(topic, 2); at.At != 7 {
				t.Errorf("committed offset is %d, want 7", at.At)
			}
		})
	}
}

func TestTwoBrokersOnOneFolderAreRefused(t *testing.T) {
	cfg := testConfig(t)
	first := startBroker(t, cfg, nil)
	if _, err := Start(cfg, zap.NewNop(), nil); !errors.Is(err, ErrFolderInUse) {
		t.Fatalf("the second gives %v, want ErrFolderInUse", err)
	}
	closeBroker(t, first)
	second := startBroker(t, cfg, nil)
	closeBroker(t, second)
}

func TestAPortInUseIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cfg := testConfig(t)
	cfg.Addr = listener.Addr().String()
	if _, err := Start(cfg, zap.NewNop(), nil); !errors.Is(err, ErrPortInUse) {
		t.Fatalf("it gives %v, want ErrPortInUse", err)
	}
	cfg.Addr = "127.0.0.1:0"
	closeBroker(t, startBroker(t, cfg, nil)) // the folder is free again
}

func TestTopicsAreNeverCreatedByAsking(t *testing.T) {
	b := startBroker(t, testConfig(t), nil)
	client := newClient(t, b, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0), kgo.RecordDeliveryTimeout(2*time.Second))
	if err := client.ProduceSync(testContext(t), &kgo.Record{Topic: "typo", Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("a topic was created by producing to it")
	}
	if info := b.cluster.TopicInfo("typo"); info != nil {
		t.Error("a topic was created by asking for it")
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"another machine could connect": func(c *Config) { c.Addr = "0.0.0.0:9092" },
		"a name is not an address":      func(c *Config) { c.Addr = "localhost:9092" },
		"no folder":                     func(c *Config) { c.Dir = "" },
		"no room for two segments":      func(c *Config) { c.LogBytesMax = c.SegmentBytes },
		"no partition":                  func(c *Config) { c.Partitions = 0 },
	} {
		cfg := DefaultConfig()
		cfg.Dir = filepath.Join("some", "where")
		if err := cfg.Validate(); err != nil {
			t.Fatalf("the defaults are refused: %v", err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
