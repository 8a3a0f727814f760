package stream

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"revstream/ingest/stream/kafkatest"
)

// A reader that waits for deliveries after a fetch went wrong does not keep others of
// its group from joining, nor from leaving: they wait for it, for as long as a
// rebalance may take.
func TestAReaderThatWaitsHoldsUpNobody(t *testing.T) {
	cfg := DefaultConfig()
	cluster := kafkatest.Fake(t, &cfg, kfake.SeedTopics(2, cfg.DeliveriesTopic))
	cfg.FetchWait, cfg.HeartbeatInterval = 20*time.Millisecond, 50*time.Millisecond
	var joined, refused atomic.Int32
	cluster.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		joined.Add(1)
		return nil, nil, false
	})
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fetch := request.(*kmsg.FetchRequest)
		cluster.KeepControl()
		if len(fetch.Topics) == 0 || refused.Load() >= 2 {
			return nil, nil, false
		}
		refused.Add(1)
		return refusedFetch(fetch), nil, true
	})
	first := startReader(t, cfg)
	awaitCount(t, "fetches refused", &refused, 2)
	before := joined.Load()
	second := startReader(t, cfg)
	awaitCount(t, "members of the second generation", &joined, before+2)
	for _, reader := range []*startedReader{second, first} {
		reader.leave()
		select {
		case <-reader.ended:
		case <-time.After(5 * time.Second):
			t.Fatal("a reader does not stop")
		}
	}
}

// TestAReaderThatCannotLeaveStops has the broker hold a reader's join, as it does behind
// a member that died, and the connection with it that the reader would leave by.
func TestAReaderThatCannotLeaveStops(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cluster := kafkatest.Fake(t, &cfg, kfake.SeedTopics(2, cfg.DeliveriesTopic))
	var joins atomic.Int32
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if joins.Add(1) == 2 { // the first only gives the member its name
			cluster.SleepControl(func() { <-over })
		}
		return nil, nil, false
	})
	reader := startReader(t, cfg)
	awaitCount(t, "joins", &joins, 2)
	reader.leave()
	select {
	case <-reader.ended:
	case <-time.After(4 * leaveTimeout):
		t.Fatal("the reader does not stop")
	}
}

// refusedFetch answers that nobody may read, which is no reason to give up.
func refusedFetch(request *kmsg.FetchRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	for _, asked := range request.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		for _, partition := range asked.Partitions {
			refused := kmsg.NewFetchResponseTopicPartition()
			refused.Partition, refused.ErrorCode = partition.Partition, kerr.TopicAuthorizationFailed.Code
			topic.Partitions = append(topic.Partitions, refused)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

type startedReader struct {
	leave context.CancelFunc
	ended chan struct{}
}

func startReader(t *testing.T, cfg Config) *startedReader {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	started := &startedReader{leave, make(chan struct{})}
	reader := DeliveryReader{
		Group: "readers", RowsMax: 100, WaitMax: 50 * time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond,
		Store:      func(context.Context, []Delivery) error { return nil },
		Quarantine: func(context.Context, DeadLetter) error { return nil },
	}
	go func() {
		defer close(started.ended)
		if err := reader.Read(ctx, cfg, zap.NewNop(), nil); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { leave(); <-started.ended })
	return started
}

func awaitCount(t *testing.T, what string, count *atomic.Int32, want int32) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); count.Load() < want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d, want %d", what, count.Load(), want)
		}
	}
}

// What failed for a while and then went well is over: the next failure is waited for as
// short as the first, not as long as the last.
func TestPausesBeginAnewAfterSuccess(t *testing.T) {
	cfg := DefaultConfig()
	cluster := kafkatest.Fake(t, &cfg, kfake.SeedTopics(1, cfg.DeliveriesTopic))
	cfg.FetchWait = 20 * time.Millisecond
	var commits atomic.Int32
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if n := commits.Add(1); n == 4 { // three fail, one goes well, and the rest fail
			return nil, nil, false
		}
		return refusedCommit(request.(*kmsg.OffsetCommitRequest)), nil, true
	})
	core, logs := observer.New(zapcore.WarnLevel)
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reader := DeliveryReader{
			Group: "readers", RowsMax: 1, WaitMax: 20 * time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: time.Second,
			Store:      func(context.Context, []Delivery) error { return nil },
			Quarantine: func(context.Context, DeadLetter) error { return nil },
		}
		if err := reader.Read(ctx, cfg, zap.New(core), nil); err != nil {
			t.Error(err)
		}
	}()
	producer, err := NewProducer(cfg, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	for range 2 {
		if err := producer.PublishDelivery(t.Context(), testDelivery("dlv_1", "{}")); err != nil {
			t.Fatal(err)
		}
	}
	awaitCount(t, "commits", &commits, 6)
	leave()
	<-ended
	var pauses []time.Duration
	for _, entry := range logs.FilterMessage("reading deliveries anew").All() {
		pauses = append(pauses, entry.ContextMap()["after"].(time.Duration))
	}
	want := []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, time.Millisecond}
	if len(pauses) < len(want) || !slices.Equal(pauses[:len(want)], want) {
		t.Errorf("paused for %v, want %v", pauses, want)
	}
}

// refusedCommit answers that nobody may commit.
func refusedCommit(request *kmsg.OffsetCommitRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, asked := range request.Topics {
		topic := kmsg.NewOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		for _, partition := range asked.Partitions {
			refused := kmsg.NewOffsetCommitResponseTopicPartition()
			refused.Partition, refused.ErrorCode = partition.Partition, kerr.TopicAuthorizationFailed.Code
			topic.Partitions = append(topic.Partitions, refused)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}
