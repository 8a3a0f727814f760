package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

func TestPublish(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	var sent []revenue.Event
	for i := range 100 {
		e := payment()
		e.Group = fmt.Sprintf("g%d", i%10)
		e.ObjectID = fmt.Sprint(i)
		sent = append(sent, e)
	}
	before := time.Now().Add(-time.Minute)
	if err := p.Publish(within(t), sent...); err != nil {
		t.Fatal(err)
	}
	partitions := map[string]int32{}
	next := map[string]int{}
	for _, record := range consume(t, cfg, cfg.EventsTopic, len(sent)) {
		e, err := DecodeEvent(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		key := string(record.Key)
		if key != "acme|"+e.Group {
			t.Fatalf("key %q of group %q", key, e.Group)
		}
		if partition, seen := partitions[key]; seen && partition != record.Partition {
			t.Fatalf("group %s in partitions %d and %d", key, partition, record.Partition)
		}
		partitions[key] = record.Partition
		if number := fmt.Sprint(next[key]*10 + int(e.Group[1]-'0')); e.ObjectID != number {
			t.Fatalf("%s: %s where %s should be: order lost", key, e.ObjectID, number)
		}
		next[key]++
		if record.Timestamp.Before(before) {
			t.Fatalf("record timestamp %v: the event's time must not be it", record.Timestamp)
		}
		values := headers(record)
		if string(values["v"]) != "1" || string(values["workspace"]) != "acme" || string(values["kind"]) != "charge" {
			t.Fatalf("headers %v", record.Headers)
		}
	}
	if len(partitions) != 10 {
		t.Fatalf("%d groups arrived", len(partitions))
	}
}

// The partition of a key is part of stored coordinates. These were computed by
// Kafka's own murmur2 rule; a change would move every group.
func TestPartitionsArePinned(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	e := payment()
	place := map[string]int32{}
	publish := func() {
		for i := range 40 {
			e.Group = fmt.Sprint(i)
			if err := p.Publish(within(t), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish()
	for _, record := range consume(t, cfg, cfg.EventsTopic, 40) {
		place[string(record.Key)] = record.Partition
	}
	for key, want := range map[string]int32{"acme|0": murmurPartition("acme|0", 4), "acme|7": murmurPartition("acme|7", 4)} {
		if place[key] != want {
			t.Errorf("%s in partition %d, want %d", key, place[key], want)
		}
	}
	// Someone adds partitions under the running producer.
	admin := administer(t, cfg)
	if grown, err := admin.UpdatePartitions(within(t), 7, cfg.EventsTopic); err != nil || grown.Error() != nil {
		t.Fatal(err, grown.Error())
	}
	eventually(t, "there are 7 partitions", func() bool {
		topics, err := admin.ListTopics(within(t), cfg.EventsTopic)
		return err == nil && len(topics[cfg.EventsTopic].Partitions) == 7
	})
	p.clients.get().ForceMetadataRefresh()
	fresh := producer(t, cfg) // knows the new count from its first request
	p = fresh
	publish()
	for _, record := range consume(t, cfg, cfg.EventsTopic, 80) {
		if place[string(record.Key)] != record.Partition {
			t.Fatalf("%s moved from partition %d to %d", record.Key, place[string(record.Key)], record.Partition)
		}
	}
}

// murmurPartition is Kafka's default partitioner, written from its definition.
func murmurPartition(key string, partitions uint32) int32 {
	const m = 0x5bd1e995
	data := []byte(key)
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h & 0x7fffffff % partitions)
}

func TestPublishRejects(t *testing.T) {
	cfg := kafka(t)
	cfg.RecordBytesMax = 2000
	reg := prometheus.NewRegistry()
	p, err := NewProducer(cfg, reg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	good, invalid, large := payment(), payment(), payment()
	invalid.Workspace = ""
	large.Metadata = json.RawMessage(`{"x":"` + strings.Repeat("y", 2000) + `"}`)
	if err := p.Publish(within(t), good, invalid); !errors.Is(err, ErrInvalid) {
		t.Errorf("invalid: %v", err)
	}
	if err := p.Publish(within(t), good, large); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large: %v", err)
	}
	many := make([]revenue.Event, cfg.InFlightRecordsMax+1)
	for i := range many {
		many[i] = good
	}
	if err := p.Publish(within(t), many...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than can be in flight: %v", err)
	}
	if err := p.Publish(within(t)); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if got := written(t, cfg, cfg.EventsTopic); got != 0 {
		t.Errorf("%d records written by refused calls", got)
	}
	if err := p.Publish(within(t), good); err != nil {
		t.Error(err)
	}
	for label, want := range map[string]float64{"ok": 1, "invalid": 2, "too_large": 2 + float64(len(many))} {
		if got := testutil.ToFloat64(p.metrics.published.WithLabelValues(label)); got != want {
			t.Errorf("published{outcome=%s} is %v, want %v", label, got, want)
		}
	}
	if err := p.Close(within(t)); err != nil {
		t.Error(err)
	}
	if again, err := NewProducer(cfg, reg, zap.NewNop()); err != nil {
		t.Errorf("a second producer after the first was closed: %v", err)
	} else if err := again.Close(within(t)); err != nil {
		t.Error(err)
	}
}

func TestPublishBusy(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	cfg.ProduceTimeout = time.Second
	cfg.InFlightRecordsMax = 1000
	p := producer(t, cfg)
	e := payment()
	release := stall(t, cluster)

	if err := p.Publish(within(t), e); !errors.Is(err, ErrBusy) {
		t.Fatalf("kafka does not answer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := p.Publish(ctx, e); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller went away: %v", err)
	}
	if err := p.Publish(ctx, e); !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller was gone: %v", err)
	}
	// What was given up on is still in flight, so there is no room for this.
	fill := make([]revenue.Event, 999)
	for i := range fill {
		fill[i] = e
	}
	start := time.Now()
	if err := p.Publish(within(t), fill...); !errors.Is(err, ErrBusy) {
		t.Fatalf("full: %v", err)
	} else if waited := time.Since(start); waited > cfg.ProduceTimeout/2 {
		t.Errorf("full: refused after %v, not at once", waited)
	}
	release()
	eventually(t, "publishing works again and nothing stays in flight", func() bool {
		err := p.Publish(within(t), e)
		records, bytes := p.flight.load()
		return err == nil && records == 0 && bytes == 0
	})
}

// stall makes the broker hold produce requests until released.
func stall(t *testing.T, cluster *kfake.Cluster) (release func()) {
	t.Helper()
	held := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-held })
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	return release
}

func TestPublishPartialFailure(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	cfg.ProduceTimeout = time.Second
	p := producer(t, cfg)
	a, b := payment(), payment()
	for i := 0; ; i++ {
		b.Group = fmt.Sprint(i)
		if murmurPartition(b.GroupKey().String(), 4) != murmurPartition(a.GroupKey().String(), 4) {
			break
		}
	}
	cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: cfg.EventsTopic,
		Partitions: []int32{murmurPartition(b.GroupKey().String(), 4)}, Err: kerr.InvalidRecord, Count: -1,
	})
	if err := p.Publish(within(t), a, b); !errors.Is(err, ErrBusy) {
		t.Fatalf("one of two was refused: %v", err)
	}
	if got := written(t, cfg, cfg.EventsTopic); got != 1 {
		t.Errorf("%d records written", got)
	}
}

func TestPublishWhileKafkaIsDown(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	cluster.Close()
	cfg.ProduceTimeout = time.Second
	p := producer(t, cfg)
	start := time.Now()
	if err := p.Publish(within(t), payment()); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if waited := time.Since(start); waited > 3*time.Second {
		t.Errorf("gave up after %v", waited)
	}
}

// A topic that was deleted and made again takes statements without a restart: the
// first attempts may be refused, and say so.
func TestPublishToTopicMadeAnew(t *testing.T) {
	cfg := kafka(t)
	cfg.ProduceTimeout = 2 * time.Second
	p, err := NewProducer(cfg, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		eventually(t, "publishing works", func() bool {
			err := p.Publish(within(t), payment())
			if err != nil && !errors.Is(err, ErrBusy) {
				t.Fatal(err)
			}
			return err == nil
		})
		if got := len(consume(t, cfg, cfg.EventsTopic, 1)); got < 1 {
			t.Fatalf("%d records", got)
		}
		deleteTopic(t, cfg, cfg.EventsTopic)
		if err := EnsureTopics(within(t), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(within(t)); err != nil {
		t.Error(err)
	}
	if err := p.Publish(within(t), payment()); !errors.Is(err, ErrBusy) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPublishConcurrently(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	var group sync.WaitGroup
	failures := make(chan error, 64)
	for i := range 64 {
		group.Go(func() {
			e := payment()
			for j := range 20 {
				e.Group = fmt.Sprintf("%d-%d", i, j)
				if err := p.Publish(context.Background(), e, e); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	if got := written(t, cfg, cfg.EventsTopic); got != 64*20*2 {
		t.Errorf("%d records", got)
	}
	if records, bytes := p.flight.load(); records != 0 || bytes != 0 {
		t.Errorf("%d records, %d bytes still in flight", records, bytes)
	}
}

// A caller waits for every record, whatever the order of acknowledgements.
func TestCallWaitsForAll(t *testing.T) {
	c := &call{left: 2, done: make(chan struct{})}
	c.acknowledge(nil)
	if err := c.wait(context.Background(), time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Fatalf("one of two is acknowledged: %v", err)
	}
	c.acknowledge(kerr.MessageTooLarge)
	if err := c.wait(context.Background(), patience); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("the second was refused: %v", err)
	}
}
