//go:build synctests

package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

const (
	simulationSlices     = 4
	simulationWorkers    = 3
	simulationStatements = 220
)

// calamity is what happens at most once in a simulation.
type calamity int

const (
	nothing calamity = iota
	topicRecreated
	offsetsLost
	storeRestored
	calamities
)

// plan is what a seed decides.
type plan struct {
	seed     uint64
	history  []sending
	calamity calamity
	// strikes is before which sending the calamity comes, backup before which the
	// store is backed up for it.
	strikes, backup int
	faults          faults
	pauses          float64 // share of a worker's calls around which its host is stopped
	broker          brokerFaults
}

func newPlan(seed uint64) plan {
	random := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, history: newHistory(random, simulationStatements)}
	p.calamity = calamity(random.IntN(int(calamities)))
	p.strikes = len(p.history)/4 + random.IntN(len(p.history)/2)
	p.backup = random.IntN(p.strikes)
	share := func(most float64) float64 { return float64(random.IntN(3)) / 2 * most }
	p.faults = faults{before: share(0.15), after: share(0.15), partly: share(0.2), dead: share(0.01),
		slowMax: []time.Duration{0, time.Second, 4 * time.Second}[random.IntN(3)], deadMax: 2 * time.Minute}
	p.pauses = share(0.06)
	p.broker = newBrokerFaults(random)
	return p
}

// world is everything of one simulation.
type world struct {
	plan    plan
	network kfake.VirtualNetwork
	cluster *kfake.Cluster
	config  stream.Config
	store   *model
	ingest  *ingestNode
	letters *ingestNode
	broken  *kfake.FaultHandle

	workers sync.WaitGroup
	closed  chan struct{}
	opened  uint64

	mu       sync.Mutex
	topic    string // id
	accepted []acceptance
	unsure   []revenue.Event // whose senders gave up
	// unseen are what was accepted, by slice, and not yet found in the store when
	// a report of progress said that it should be there.
	unseen  map[int32][]acceptance
	through map[int32]time.Time // what the last report of each slice said
	poisons []buried
}

// acceptance is a statement that was answered with success, and when.
type acceptance struct {
	event revenue.Event
	at    time.Time
}

// buried is a poison record and where it lies.
type buried struct {
	poison
	topicID   string
	partition int32
	offset    int64
}

// ingestNode is a process that accepts: all there is of it is its producer.
type ingestNode struct{ producer *stream.Producer }

func (n *ingestNode) quarantine(ctx context.Context, letter stream.DeadLetter) error {
	return n.producer.Quarantine(ctx, letter)
}

func newWorld(t *testing.T, p plan) *world {
	w := &world{plan: p, config: stream.DefaultConfig(), unseen: map[int32][]acceptance{}, through: map[int32]time.Time{}}
	w.config.Partitions, w.config.ProduceTimeout = simulationSlices, 4*time.Second
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(w.network.Listen))
	if err != nil {
		t.Fatal(err)
	}
	w.cluster, w.config.Brokers = cluster, cluster.ListenAddrs()
	compacted := "compact"
	for topic, partitions := range map[string]int32{w.config.EventsTopic: simulationSlices, w.config.DeadLettersTopic: 1} {
		configs := map[string]string{}
		if partitions == 1 {
			configs["cleanup.policy"] = compacted
		}
		if err := cluster.CreateTopic(topic, partitions, configs); err != nil {
			t.Fatal(err)
		}
	}
	w.store, w.topic = newModel(p.seed, p.faults), w.topicID()
	w.store.saved = func(progress []clickhouse.Progress) { w.checkProgress(t, progress) }
	w.watchProduce(t)
	w.watchCommits(t)
	w.broken = w.breakBroker()
	w.ingest, w.letters = w.newIngest(t), w.newIngest(t)
	return w
}

func (w *world) newIngest(t *testing.T) *ingestNode {
	producer, err := stream.NewProducer(w.config, prometheus.NewRegistry(), zap.NewNop(), kgo.Dialer(w.network.DialContext))
	if err != nil {
		t.Fatal(err)
	}
	return &ingestNode{producer}
}

func (n *ingestNode) stop() {
	ended, cancel := context.WithCancel(context.Background())
	cancel() // what is in flight is given up, as when a process ends
	_ = n.producer.Close(ended)
}

// close ends what runs beside the workers.
func (w *world) close() {
	w.ingest.stop()
	w.letters.stop()
	w.cluster.Close()
}

// open starts the workers, shut stops them and waits for their end.
func (w *world) open(t *testing.T) {
	w.closed = make(chan struct{})
	for n := range uint64(simulationWorkers) {
		own, closed := rand.New(rand.NewPCG(w.plan.seed, 10+n+w.opened)), w.closed
		w.workers.Go(func() { w.lives(t, own, closed) })
	}
	w.opened += simulationWorkers
}

func (w *world) shut() {
	close(w.closed)
	w.workers.Wait()
}

func (w *world) count(what string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.calls[what]++
}

// client reaches the broker from outside all hosts.
func (w *world) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.config.Brokers...), kgo.Dialer(w.network.DialContext), kgo.DisableClientMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// play sends the history, over two lanes that do not wait for each other, and lets
// the calamity strike on its way.
func (w *world) play(t *testing.T) {
	strike := min(w.plan.strikes, len(w.plan.history))
	w.send(t, w.plan.history[:w.plan.backup])
	w.store.beginBackup()
	w.send(t, w.plan.history[w.plan.backup:strike])
	again := w.strike(t)
	w.send(t, append(again, w.plan.history[strike:]...))
}

func (w *world) send(t *testing.T, list []sending) {
	var lanes sync.WaitGroup
	for lane := range 2 {
		random := rand.New(rand.NewPCG(w.plan.seed, 100+uint64(lane)))
		lanes.Go(func() {
			for i := lane; i < len(list); i += 2 {
				time.Sleep(list[i].after)
				if list[i].poison != nil {
					w.poison(t, *list[i].poison)
				} else {
					w.publish(t, random, list[i].events)
				}
			}
		})
	}
	lanes.Wait()
}

// publish is what a sender does: it tries until it is told that its statements are
// accepted, or gives up without knowing what became of them.
func (w *world) publish(t *testing.T, random *rand.Rand, events []revenue.Event) {
	for {
		err := w.ingest.producer.Publish(context.Background(), events...)
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range events {
				a := acceptance{e, time.Now()}
				w.accepted = append(w.accepted, a)
				w.unseen[sliceOf(e)] = append(w.unseen[sliceOf(e)], a)
			}
			return
		}
		if !errors.Is(err, stream.ErrBusy) {
			t.Errorf("publish: %v", err)
			return
		}
		w.count("publishes refused")
		if random.IntN(8) == 0 {
			w.count("senders that gave up")
			w.mu.Lock()
			defer w.mu.Unlock()
			w.unsure = append(w.unsure, events...)
			return
		}
		time.Sleep(time.Duration(500+random.IntN(3000)) * time.Millisecond)
	}
}

var partitioner = kgo.StickyKeyPartitioner(nil).ForTopic("")

// sliceOf is where a statement's group lies.
func sliceOf(e revenue.Event) int32 {
	return int32(partitioner.Partition(&kgo.Record{Key: []byte(e.GroupKey().String())}, simulationSlices))
}

// poison writes a record past ingest, until the broker has it.
func (w *world) poison(t *testing.T, p poison) {
	client := w.client(t)
	defer client.Close()
	record := &kgo.Record{Topic: w.config.EventsTopic, Key: []byte(p.key), Value: p.value}
	for {
		id := w.topicID()
		if err := client.ProduceSync(context.Background(), record).FirstErr(); err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.poisons = append(w.poisons, buried{p, id, record.Partition, record.Offset})
			return
		}
		time.Sleep(time.Second)
	}
}

func (w *world) topicID() string {
	info := w.cluster.TopicInfo(w.config.EventsTopic)
	if info == nil {
		return ""
	}
	return stream.TopicIDText(info.TopicID)
}
