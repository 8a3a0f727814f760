//go:build synctests

package sink

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

var (
	simulationSeeds = flag.Int("seeds", 50, "simulated histories")
	simulationFirst = flag.Uint64("first-seed", 0, "first seed; with -seeds 1 it runs one alone")
)

const (
	simulationTopic   = "events"
	simulationSlices  = 4
	simulationWorkers = 3
)

// TestSimulation runs the real sink, several at once, on an in-process broker in
// virtual time against a store that fails in every way it can, while workers
// crash, hang past their session and come back. Afterwards nothing may be lost,
// nothing counted twice, and no offset may ever have led the store.
//
// A seed fixes the faults, not the interleaving of goroutines: a failing seed is
// likely, not certain, to fail again.
func TestSimulation(t *testing.T) {
	var mu sync.Mutex
	total := map[string]int{}
	t.Run("seeds", func(t *testing.T) { // returns when all seeds are done
		for seed := range uint64(*simulationSeeds) {
			seed += *simulationFirst
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					calls := simulate(t, seed)
					mu.Lock()
					defer mu.Unlock()
					for what, n := range calls {
						total[what] += n
					}
				})
			})
		}
	})
	t.Logf("%d seeds: %v", *simulationSeeds, total)
}

func simulate(t *testing.T, seed uint64) map[string]int {
	random := rand.New(rand.NewPCG(seed, 1))
	var network kfake.VirtualNetwork
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(simulationSlices, simulationTopic), kfake.ListenFn(network.Listen))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	reach := func() []kgo.Opt {
		return []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(network.DialContext)}
	}
	store := newModel(seed, faults{before: 0.08, after: 0.08, tableOnly: 0.06, viewOnly: 0.06, dead: 0.004, slowMax: 2 * time.Second})
	watchCommits(t, cluster, store)

	stop := make(chan struct{})
	var workers sync.WaitGroup
	for n := range simulationWorkers {
		own := rand.New(rand.NewPCG(seed, uint64(10+n)))
		workers.Go(func() { lives(t, own, store, reach, stop) })
	}
	sent := produceHistory(t, random, reach)
	awaitStored(t, cluster, store, reach)
	close(stop)
	workers.Wait()
	verify(t, store, sent)
	return store.calls
}

// worker's store: a crash makes it refuse everything at once, while what is
// under way may still be applied.
type mortal struct {
	*model
	dead atomic.Bool
	hang atomic.Int64 // nanoseconds the next insert of rows takes longer
}

func (m *mortal) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	if hang := m.hang.Swap(0); hang > 0 {
		time.Sleep(time.Duration(hang)) // a stopped process does not see its deadline pass
	}
	if m.dead.Load() {
		return errFault
	}
	return m.model.InsertRows(ctx, rows)
}

func (m *mortal) InsertStatements(ctx context.Context, statements []clickhouse.Statement) error {
	if m.dead.Load() {
		return errFault
	}
	return m.model.InsertStatements(ctx, statements)
}

// lives runs one worker after another in one place: each lives for a while, hangs
// now and then for longer than its session, and ends in a crash.
func lives(t *testing.T, random *rand.Rand, store *model, reach func() []kgo.Opt, stop <-chan struct{}) {
	config := DefaultConfig()
	config.BatchRowsMax, config.CacheStatementsMax, config.BackoffMax = 40, 200, 2*time.Second
	for {
		mine := &mortal{model: store}
		quarantine := func(context.Context, stream.DeadLetter) error { return nil }
		s, err := New(config, simulationTopic, reach(), mine, quarantine, prometheus.NewRegistry(), zap.NewNop())
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		if random.IntN(3) == 0 {
			mine.hang.Store(int64(70+random.IntN(60)) * int64(time.Second))
		}
		select {
		case <-time.After(time.Duration(5+random.IntN(120)) * time.Second):
			mine.dead.Store(random.IntN(2) == 0)
			store.mu.Lock()
			store.calls["worker ended"]++
			store.mu.Unlock()
		case <-stop:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sink ended: %v", err)
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(5000)) * time.Millisecond):
		}
	}
}

// produceHistory sends statements of a few groups, with corrections, deletions,
// repeats and disorder, and returns the set that was accepted.
func produceHistory(t *testing.T, random *rand.Rand, reach func() []kgo.Opt) []revenue.Event {
	producer, err := kgo.NewClient(append(reach(), kgo.DefaultProduceTopic(simulationTopic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	const statements = 300
	sent := make([]revenue.Event, 0, statements)
	for n := range statements {
		event := randomStatement(random, n)
		if n > 0 && random.IntN(5) == 0 {
			event = sent[random.IntN(len(sent))] // a repeat
		}
		value, err := stream.EncodeEvent(nil, &event)
		if err != nil {
			t.Fatal(err)
		}
		record := &kgo.Record{Key: []byte(event.GroupKey().String()), Value: value}
		if err := producer.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, event)
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
	}
	return sent
}

func randomStatement(random *rand.Rand, n int) revenue.Event {
	kinds := []revenue.Kind{revenue.KindCharge, revenue.KindCharge, revenue.KindRefund, revenue.KindSubscription, revenue.KindPeriod, revenue.KindMRRDelta}
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	at := begin.Add(time.Duration(random.IntN(24*60)) * time.Hour)
	event := revenue.Event{
		Workspace: fmt.Sprintf("w%d", random.IntN(2)), Provider: "p", Livemode: true,
		Group: fmt.Sprintf("g%d", random.IntN(20)), Kind: kinds[random.IntN(len(kinds))],
		ObjectID: fmt.Sprintf("o%d", random.IntN(6)), Version: int64(random.IntN(4)), Deleted: random.IntN(10) == 0,
		OccurredAt: at, ReceivedAt: begin.Add(time.Duration(n) * time.Minute), Currency: []string{"USD", "EUR"}[random.IntN(2)],
		Amount: int64(random.IntN(10_000)), Recurring: random.IntN(2) == 0,
	}
	event.Original, event.Subscription = fmt.Sprintf("o%d", random.IntN(6)), fmt.Sprintf("s%d", random.IntN(2))
	switch event.Kind {
	case revenue.KindSubscription, revenue.KindMRRDelta:
		event.Amount, event.MRR = 0, int64(random.IntN(5000))*revenue.MRRScale
	case revenue.KindPeriod:
		end := at.Add(30 * 24 * time.Hour)
		event.Amount, event.MRR, event.PeriodStart, event.PeriodEnd = 0, int64(random.IntN(5000))*revenue.MRRScale, &at, &end
	}
	return event
}

// watchCommits checks every offset commit against what the store holds: a
// committed offset must never lead it.
func watchCommits(t *testing.T, cluster *kfake.Cluster, store *model) {
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		store.mu.Lock()
		defer store.mu.Unlock()
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			for _, partition := range topic.Partitions {
				for offset := range partition.Offset {
					if !store.stored[partition.Partition][offset] {
						t.Errorf("slice %d: offset %d committed, %d is not stored", partition.Partition, partition.Offset, offset)
						return nil, nil, false
					}
				}
			}
		}
		return nil, nil, false
	})
}

// awaitStored waits, in virtual time, until the group has committed the ends.
func awaitStored(t *testing.T, cluster *kfake.Cluster, store *model, reach func() []kgo.Opt) {
	config := DefaultConfig()
	for range 3600 {
		time.Sleep(time.Second)
		done := true
		for slice := range int32(simulationSlices) {
			info := cluster.PartitionInfo(simulationTopic, slice)
			store.mu.Lock()
			for offset := range info.HighWatermark {
				done = done && store.stored[slice][offset]
			}
			store.mu.Unlock()
		}
		if done && committed(t, config.Group, cluster, reach) {
			return
		}
	}
	t.Error("not everything is stored and committed after an hour")
}

func committed(t *testing.T, group string, cluster *kfake.Cluster, reach func() []kgo.Opt) bool {
	client, err := kgo.NewClient(reach()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = group
	request.Groups = append(request.Groups, asked)
	response, err := request.RequestWith(context.Background(), client)
	if err != nil {
		return false
	}
	reached := 0
	for _, g := range response.Groups {
		for _, topic := range g.Topics {
			for _, partition := range topic.Partitions {
				if info := cluster.PartitionInfo(simulationTopic, partition.Partition); partition.Offset == info.HighWatermark {
					reached++
				}
			}
		}
	}
	return reached == simulationSlices
}

// verify holds the store against the set of accepted statements.
func verify(t *testing.T, store *model, sent []revenue.Event) {
	store.mu.Lock()
	defer store.mu.Unlock()
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range sent {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	held := map[revenue.GroupKey][]revenue.LedgerRow{}
	for i := range store.ledger {
		key := revenue.GroupKey{Workspace: store.ledger[i].Workspace, Group: store.ledger[i].Group}
		held[key] = append(held[key], *store.ledger[i].LedgerRow)
	}
	for key, events := range groups {
		missing, foreign := revenue.Difference(revenue.Ledger(events), revenue.HeldOf(held[key]))
		if len(missing)+len(foreign) > 0 {
			t.Errorf("group %v: the ledger lacks %d rows and has %d keys too many", key, len(missing), len(foreign))
		}
	}
	want := store.rollup()
	for key := range store.view {
		if _, ok := want[key]; !ok {
			want[key] = 0
		}
	}
	keys := make([]cell, 0, len(want))
	for key := range want {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b cell) int { return int(a.hour - b.hour) })
	for _, key := range keys {
		if store.view[key] != want[key] {
			t.Errorf("rollup %+v is %d, the ledger says %d", key, store.view[key], want[key])
		}
	}
}
