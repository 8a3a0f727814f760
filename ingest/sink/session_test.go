package sink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// bench is a sink at hand: a broker with a topic of one slice, and a model for a
// store.
type bench struct {
	cluster  *kfake.Cluster
	config   stream.Config
	producer *stream.Producer
	store    *model
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &bench{cluster: cluster, config: stream.DefaultConfig(), store: newModel(1, faults{})}
	b.config.Brokers, b.config.Partitions = cluster.ListenAddrs(), 1
	if err := stream.EnsureTopics(t.Context(), b.config); err != nil {
		t.Fatal(err)
	}
	if b.producer, err = stream.NewProducer(b.config, prometheus.NewRegistry(), zaptest.NewLogger(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.producer.Close(context.Background()) })
	return b
}

func (b *bench) sink(t *testing.T) *Sink {
	t.Helper()
	return b.sinkOf(t, quick())
}

func (b *bench) sinkOf(t *testing.T, config Config) *Sink {
	t.Helper()
	log := zaptest.NewLogger(t)
	opts, err := stream.ConsumerOpts(b.config, "sink", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(config, b.config.EventsTopic, opts, b.store, b.producer.Quarantine, prometheus.NewRegistry(), log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) publish(t *testing.T, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if err := b.producer.Publish(t.Context(), payment(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// payment is the statement that lies at an offset.
func payment(offset int) revenue.Event {
	id := fmt.Sprintf("o%d", offset)
	return revenue.Event{Workspace: "w", Provider: "p", Livemode: true, ObjectID: id, Group: id, Kind: revenue.KindCharge,
		Version: 1, OccurredAt: historyBegin, ReceivedAt: historyBegin, Amount: 100, Currency: "USD"}
}

// committed is the group's offset, or -1.
func (b *bench) committed() int64 {
	info := b.cluster.GroupInfo(DefaultConfig().Group)
	if info == nil {
		return -1
	}
	commit, known := info.Commits[b.config.EventsTopic][0]
	if !known {
		return -1
	}
	return commit.Offset
}

// run runs a sink until the group has committed an offset, or it ends by itself.
func (b *bench) run(t *testing.T, until int64) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	ended := make(chan error, 1)
	s := b.sink(t)
	go func() { ended <- s.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond):
			if b.committed() == until {
				stop()
			}
		}
	}
}

// firstBatch is the first batch that the sink reads.
func firstBatch(t *testing.T, s *Sink) *batch {
	t.Helper()
	for {
		b, err := s.gather(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.records > 0 {
			b.decode()
			return b
		}
	}
}

// What a session still holds when it has ended is not committed, even though the
// client is alive and Kafka would take it.
func TestAnEndedSessionCommitsNothing(t *testing.T) {
	b := newBench(t)
	b.publish(t, 0, 3)
	s := b.sink(t)
	defer s.client.CloseAllowingRebalance()
	batch := firstBatch(t, s)
	parts, err := s.prepare(t.Context(), batch)
	if err != nil || len(parts) != 1 {
		t.Fatalf("prepared %d parts: %v", len(parts), err)
	}
	parts[0].session.alive.Store(false)
	s.commit(t.Context(), parts)
	if got := b.committed(); got != -1 {
		t.Errorf("the ended session has committed %d", got)
	}
	parts[0].session.alive.Store(true)
	s.commit(t.Context(), parts)
	if got, want := b.committed(), parts[0].last+1; got != want {
		t.Errorf("the live session has committed %d, want %d: the test shows nothing", got, want)
	}
}

// A client may still hand out what it read of a topic before that was made anew. It is
// none of the new one's: its offsets would say that the new log is stored up to there.
func TestRecordsOfAnotherTopicAreRefused(t *testing.T) {
	b := newBench(t)
	b.publish(t, 0, 3)
	s := b.sink(t)
	defer s.client.CloseAllowingRebalance()
	batch := firstBatch(t, s)
	own := batch.topicID
	batch.topicID = stream.TopicIDText([16]byte{1})
	if _, err := s.prepare(t.Context(), batch); !errors.Is(err, errTopicRecreated) {
		t.Errorf("the records of another topic: %v, want %v", err, errTopicRecreated)
	}
	batch.topicID = own
	if parts, err := s.prepare(t.Context(), batch); err != nil || len(parts) != 1 {
		t.Errorf("its own records: %d parts and %v: the test shows nothing", len(parts), err)
	}
}

// A session that was fenced and takes its slice over again knows what the other
// writer has stored meanwhile, and does not take it for new.
func TestWhatAnotherWriterStoredIsNotNew(t *testing.T) {
	b := newBench(t)
	b.publish(t, 0, 4)
	config := quick()
	config.BatchRowsMax, config.TurnMax = 1, time.Nanosecond
	s := b.sinkOf(t, config)
	defer s.client.CloseAllowingRebalance()
	stored := func() int64 { return b.store.log(topicIDOf(b), 0).next }
	for stored() < 1 {
		if err := s.consume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := stored()
	taken, err := b.store.TakeOver(t.Context(), topicIDOf(b), []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	for offset := first; offset < 4; offset++ {
		position := clickhouse.Position{TopicID: topicIDOf(b), Slice: 0, Epoch: taken[0].Epoch, Offset: offset}
		event := payment(int(offset))
		rows := revenue.Ledger([]revenue.Event{event})
		if err := errors.Join(b.store.InsertStatements(t.Context(), []clickhouse.Statement{{Position: position, Event: &event}}),
			b.store.InsertRows(t.Context(), []clickhouse.Row{{Position: position, LedgerRow: &rows[0]}})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.consume(t.Context()); first < 4 && !errors.Is(err, clickhouse.ErrFenced) {
		t.Fatalf("the session is not fenced: %v", err)
	}
	for b.committed() < 4 {
		if err := s.consume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for key, group := range b.store.data.groups {
		if len(group.rows) != 1 {
			t.Errorf("%v has %d rows, want 1", key, len(group.rows))
		}
	}
}

// A store that was restored from a backup has to be read again from there by whoever
// reads the slice next, who no longer sees that anything is missing once something
// later is stored: the group's offset is back before the first insert.
func TestTheOffsetGoesBackBeforeAnythingIsStored(t *testing.T) {
	b := newBench(t)
	b.publish(t, 0, 5)
	if err := b.run(t, 5); err != nil {
		t.Fatal(err)
	}
	b.store.backup = b.store.data.copy()
	b.publish(t, 5, 5)
	if err := b.run(t, 10); err != nil {
		t.Fatal(err)
	}
	b.store.restore()
	b.publish(t, 10, 1)
	s := b.sink(t)
	defer s.client.CloseAllowingRebalance()
	if _, err := s.prepare(t.Context(), firstBatch(t, s)); err != nil {
		t.Fatal(err)
	}
	if got := b.committed(); got != 5 {
		t.Errorf("the store ends at 5, nothing was inserted since, and the group has committed %d", got)
	}
}

// Records that the store never had and Kafka no longer has stop the sink: it never
// goes on behind them as if nothing were missing.
func TestRecordsGoneFromKafkaStopTheSink(t *testing.T) {
	for _, test := range []struct {
		name          string
		offsetsLost   bool
		before, start int64 // how many are stored, and where the log then begins; there are ten
		want          error
	}{
		{"the log begins behind the committed offset", false, 5, 7, ErrLogLost},
		{"nothing is left of the log", false, 5, 10, ErrLogLost},
		{"the same without offsets", true, 5, 7, ErrLogLost},
		{"nothing is left of the log, and no offsets", true, 5, 10, ErrLogLost},
		{"only what is stored is gone", false, 5, 3, nil},
		{"only what is stored is gone, and the offsets", true, 5, 5, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.publish(t, 0, int(test.before))
			if err := b.run(t, test.before); err != nil {
				t.Fatal(err)
			}
			b.publish(t, int(test.before), int(10-test.before))
			if err := b.cluster.DeleteRecords(b.config.EventsTopic, 0, test.start); err != nil {
				t.Fatal(err)
			}
			if test.offsetsLost {
				b.loseOffsets(t)
			}
			if err := b.run(t, 10); !errors.Is(err, test.want) {
				t.Errorf("the sink ended with %v, want %v", err, test.want)
			}
			if stored := b.store.log(topicIDOf(b), 0).next; test.want != nil && stored != test.before {
				t.Errorf("%d are stored, want %d", stored, test.before)
			}
		})
	}
}

// A log that ends before what is stored of it has lost what it had acknowledged, and
// gives its offsets out again: the sink reads what there is from the beginning.
func TestALogThatWasCutIsReadAgain(t *testing.T) {
	b := newBench(t)
	b.publish(t, 0, 10)
	if err := b.run(t, 10); err != nil {
		t.Fatal(err)
	}
	taken, err := b.store.TakeOver(t.Context(), topicIDOf(b), []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	for offset := range int64(20) { // ten that Kafka does not have any more
		event := payment(int(offset) + 100)
		statement := clickhouse.Statement{Event: &event,
			Position: clickhouse.Position{Slice: 0, Epoch: taken[0].Epoch, Offset: offset, TopicID: topicIDOf(b)}}
		if err := b.store.InsertStatements(t.Context(), []clickhouse.Statement{statement}); err != nil {
			t.Fatal(err)
		}
	}
	b.commit(t, 20)
	if err := b.run(t, 10); err != nil || b.committed() != 10 {
		t.Errorf("of a log of 10 records, 20 of which were stored, %d are committed: %v", b.committed(), err)
	}
}

// commit moves the group's offset while nobody is a member.
func (b *bench) commit(t *testing.T, offset int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.config.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var offsets kadm.Offsets
	offsets.AddOffset(b.config.EventsTopic, 0, offset, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), DefaultConfig().Group, offsets); err != nil {
		t.Fatal(err)
	}
}

func topicIDOf(b *bench) string {
	return stream.TopicIDText(b.cluster.TopicInfo(b.config.EventsTopic).TopicID)
}

func (b *bench) loseOffsets(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.config.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	response, err := kadm.NewClient(client).DeleteGroup(t.Context(), DefaultConfig().Group)
	if err = errors.Join(err, response.Err); err != nil {
		t.Fatal(err)
	}
}
