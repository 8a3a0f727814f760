package sink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
	"revstream/ingest/stream/kafkatest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// rig is a Kafka and a store of a test's own.
type rig struct {
	config   stream.Config
	group    string // of its sinks
	store    *clickhouse.Store
	producer *stream.Producer
	log      *zap.Logger
}

func newRig(t testing.TB, engine *embedded.Engine, database string) *rig {
	t.Helper()
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	config := stream.DefaultConfig()
	group := kafkatest.Use(t, &config) + "sink"
	config.Partitions, config.ReplicationFactor, config.MinInsyncReplicas = 4, 1, 1
	if err := stream.EnsureTopics(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(config, prometheus.NewRegistry(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	r := &rig{config: config, group: group, store: openStore(t, engine, database, log), producer: producer, log: log}
	if err := r.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func openStore(t testing.TB, engine *embedded.Engine, database string, log *zap.Logger) *clickhouse.Store {
	t.Helper()
	config := clickhouse.DefaultConfig()
	config.Addresses, config.Database, config.Durable = []string{engine.Addr()}, database, false
	config.User = embedded.AdminUser
	config.Password, _ = engine.Password(embedded.AdminUser)
	store, err := clickhouse.Open(t.Context(), config, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// start runs a sink until the returned function is called, which waits for its end.
func (r *rig) start(t testing.TB, config Config) (stop func()) {
	t.Helper()
	return r.startWith(t, config, r.store)
}

func (r *rig) startWith(t testing.TB, config Config, store Store) (stop func()) {
	t.Helper()
	opts, err := stream.ConsumerOpts(r.config, "sink", r.log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	config.Group = r.group
	s, err := New(config, r.config.EventsTopic, opts, store, r.producer.Quarantine, prometheus.NewRegistry(), r.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("sink: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func quick() Config {
	config := DefaultConfig()
	config.BatchWaitMax, config.FreshnessInterval, config.BackoffMax = 50*time.Millisecond, 50*time.Millisecond, time.Second
	return config
}

// await waits until everything published so far is in the answers.
func (r *rig) await(t testing.TB) {
	t.Helper()
	since := time.Now()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		through, err := r.store.CompleteThrough(t.Context(), int(r.config.Partitions))
		if err == nil && through.After(since) {
			return
		}
	}
	t.Fatal("the answers are not complete after 90 s")
}

type sums struct {
	Currency string `ch:"currency"`
	Kind     string `ch:"kind"`
	Entries  int64  `ch:"entries"`
	Amount   int64  `ch:"amount"`
	MRR      int64  `ch:"mrr"`
}

// holds compares ledger, entries and rollups with the fold of what was sent.
func (r *rig) holds(t testing.TB, sent []revenue.Event) {
	t.Helper()
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, e := range sent {
		groups[e.GroupKey()] = append(groups[e.GroupKey()], e)
	}
	want := map[string]sums{}
	for _, events := range groups {
		for _, entry := range revenue.Fold(events) {
			s := want[entry.Currency+string(entry.Kind)]
			s.Currency, s.Kind = entry.Currency, string(entry.Kind)
			s.Entries, s.Amount, s.MRR = s.Entries+1, s.Amount+entry.Amount, s.MRR+entry.MRR
			want[entry.Currency+string(entry.Kind)] = s
		}
	}
	for table, sql := range map[string]string{
		"ledger":  "SELECT currency, kind, sum(sign)::Int64 AS entries, sum(sign*amount)::Int64 AS amount, sum(sign*mrr)::Int64 AS mrr FROM ledger GROUP BY currency, kind HAVING entries != 0",
		"entries": "SELECT currency, kind, sum(sign)::Int64 AS entries, sum(sign*amount)::Int64 AS amount, sum(sign*mrr)::Int64 AS mrr FROM entries GROUP BY currency, kind HAVING entries != 0",
		"rollups": `SELECT currency, kind, sum(n)::Int64 AS entries, sum(amount)::Int64 AS amount, sum(mrr)::Int64 AS mrr FROM (
			SELECT currency, kind, entries AS n, amount, 0 AS mrr FROM revenue_hourly UNION ALL
			SELECT currency, kind, entries AS n, 0 AS amount, mrr FROM mrr_daily) GROUP BY currency, kind HAVING entries != 0`,
	} {
		rows, _, err := clickhouse.Select[sums](t.Context(), r.store, sql)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]sums{}
		for _, row := range rows {
			got[row.Currency+row.Kind] = row
		}
		for key, s := range want {
			if got[key] != s {
				t.Errorf("%s: %+v, want %+v", table, got[key], s)
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("%s has more: %v", table, got)
		}
	}
	report, err := r.store.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("check: %+v", report)
	}
	if report, err = r.store.CheckLedger(t.Context(), nil); err != nil || !report.OK() {
		t.Errorf("the ledger is not what its statements come to: %+v, %v", report, err)
	}
}

// scenario is statements of payments, customers and corrections.
func scenario(seed uint64, n int) []revenue.Event {
	random := rand.New(rand.NewPCG(seed, 0))
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	events := make([]revenue.Event, 0, n)
	for i := range n {
		at := begin.Add(time.Duration(random.IntN(2*365*24)) * time.Hour)
		e := revenue.Event{Workspace: "w", Provider: "p", Livemode: true, ObjectID: fmt.Sprintf("o%d", random.IntN(n/2+1)),
			Version: int64(random.IntN(3)), Deleted: random.IntN(20) == 0, OccurredAt: at,
			ReceivedAt: begin.Add(time.Duration(i) * time.Millisecond), Currency: []string{"USD", "EUR"}[random.IntN(2)]}
		customer := fmt.Sprintf("c%d", random.IntN(n/20+1))
		switch random.IntN(5) {
		case 0, 1:
			e.Kind, e.Amount, e.Group = revenue.KindCharge, int64(random.IntN(100_000)), e.ObjectID
		case 2:
			e.Kind, e.Amount, e.Original, e.Group = revenue.KindRefund, int64(random.IntN(10_000)), e.ObjectID, e.ObjectID
		case 3:
			end := at.AddDate(0, 1, 0)
			e.Kind, e.MRR, e.PeriodStart, e.PeriodEnd = revenue.KindPeriod, int64(1+random.IntN(10_000))*revenue.MRRScale, &at, &end
			e.Group, e.Customer, e.Recurring = customer, customer, true
		case 4:
			e.Kind, e.MRR, e.Status, e.Subscription = revenue.KindSubscription, int64(random.IntN(10_000))*revenue.MRRScale, revenue.StatusActive, "s-"+customer
			e.Group, e.Customer = customer, customer
		}
		events = append(events, e)
	}
	return events
}

func (r *rig) publish(t testing.TB, events []revenue.Event) {
	t.Helper()
	for begin := 0; begin < len(events); begin += 500 {
		if err := r.producer.Publish(t.Context(), events[begin:min(begin+500, len(events))]...); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything twice and in another order comes to the same figures; what was accepted
// before the group had ever read is no exception, though nothing may come after it.
func TestTwiceAndShuffled(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	events := scenario(1, 3000)
	again := append([]revenue.Event{}, events...)
	rand.New(rand.NewPCG(2, 0)).Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	r.publish(t, again)
	r.start(t, quick())
	r.await(t)
	r.holds(t, events)
	r.publish(t, events)
	r.await(t)
	r.holds(t, events)
}

// What a late deletion undoes is taken back once, however often it is said: here
// the group comes to nothing, not even to history, for the deletion was received
// before the charge.
func TestRetractedOnce(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	charge := revenue.Event{Workspace: "w", Provider: "p", Livemode: true, ObjectID: "o", Group: "o", Kind: revenue.KindCharge,
		Amount: 100, Currency: "USD", Version: 1, OccurredAt: at, ReceivedAt: at.Add(time.Second)}
	deletion := charge
	deletion.Version, deletion.Deleted, deletion.ReceivedAt = 2, true, at
	r.start(t, quick())
	for _, event := range []revenue.Event{charge, deletion, deletion, charge, deletion} {
		r.publish(t, []revenue.Event{event})
		r.await(t)
	}
	r.holds(t, []revenue.Event{charge, deletion})
}

// A sink that is stopped and started in the middle, and two at once, lose and
// repeat nothing.
func TestRestartsInTheMiddle(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	events := scenario(3, 4000)
	config := quick()
	config.BatchRowsMax = 200
	var publishing sync.WaitGroup
	publishing.Go(func() { r.publish(t, events) })
	for range 3 {
		stop := r.start(t, config)
		time.Sleep(400 * time.Millisecond)
		second := r.start(t, config)
		time.Sleep(300 * time.Millisecond)
		stop()
		second()
	}
	publishing.Wait()
	r.start(t, config)
	r.await(t)
	r.holds(t, events)
}

// The engine's child is killed while batches are written; the sink backs off and
// goes on when it is back.
func TestEngineKilledInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	config := enginetest.Config(dir)
	engine, err := embedded.Start(t.Context(), config, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, engine, "killed")
	events := scenario(4, 4000)
	small := quick()
	small.BatchRowsMax = 100
	r.start(t, small)
	config.NativePort, config.HTTPPort = portOf(t, engine.Addr()), portOf(t, engine.HTTPAddr())
	for round := range 4 {
		share := events[round*1000 : (round+1)*1000]
		r.publish(t, share)
		time.Sleep(time.Duration(50+100*round) * time.Millisecond)
		kill(t, engine)
		if engine, err = embedded.Start(t.Context(), config, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = engine.Stop(context.Background()) })
	r.await(t)
	r.holds(t, events)
}

// A topic that was deleted and made again is read from its beginning, by the sink
// that runs and by one that comes later; what the old one brought stays.
func TestTopicMadeAnew(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	r.config.ProduceTimeout = 2 * time.Second // how long publishers wait for the old one
	var err error
	if r.producer, err = stream.NewProducer(r.config, nil, r.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.producer.Close(context.Background()) })
	events := scenario(6, 900)
	stop := r.start(t, quick())
	r.publish(t, events[:300])
	r.await(t)
	r.recreate(t)
	r.publish(t, events[300:600])
	r.await(t)
	r.holds(t, events[:600])
	stop()
	r.recreate(t)
	r.publish(t, events[600:])
	r.start(t, quick())
	r.await(t)
	r.holds(t, events)
}

// admin asks and changes what the broker has, for as long as the test runs.
func (r *rig) admin(t testing.TB) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// recreate deletes the events topic and makes it again, and waits until it can be
// written to.
func (r *rig) recreate(t testing.TB) {
	t.Helper()
	admin := r.admin(t)
	if deleted, err := admin.DeleteTopics(t.Context(), r.config.EventsTopic); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if found, err := admin.ListTopics(t.Context(), r.config.EventsTopic); err == nil && !found.Has(r.config.EventsTopic) {
			break
		} else if time.Since(begin) > 20*time.Second {
			t.Fatalf("the deleted topic is still there: %v", err)
		}
	}
	if err := stream.EnsureTopics(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; {
		err := r.producer.Publish(t.Context(), scenario(6, 900)[0])
		if err == nil {
			return
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatal(err)
		}
	}
}

// A record that can never be read goes to the dead letters and blocks nothing.
func TestPoisonIsQuarantined(t *testing.T) {
	r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
	events := scenario(5, 100)
	r.publish(t, events[:50])
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	poison := [][]byte{[]byte("not json"), []byte(`{"v":99}`), []byte(`{"v":1,"workspace":"w"}`), nil}
	for i, value := range poison {
		record := &kgo.Record{Topic: r.config.EventsTopic, Key: fmt.Appendf(nil, "k%d", i), Value: value}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r.publish(t, events[50:])
	r.start(t, quick())
	r.await(t)
	r.holds(t, events)
	letters := 0
	if err := stream.DeadLetters(t.Context(), r.config, func(letter stream.DeadLetter) error {
		letters++
		if letter.Reason == "" || letter.Topic != r.config.EventsTopic {
			t.Errorf("letter without reason or place: %+v", letter)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if letters != len(poison) {
		t.Errorf("%d dead letters, want %d", letters, len(poison))
	}
}

// TestClocksDisagree stores what nodes accepted whose clocks are up to a day apart,
// so that what was received later may say that it was earlier, in two orders: the
// figures, and what was known when, do not depend on them.
func TestClocksDisagree(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	events := scenario(7, 800)
	for i := range events {
		events[i].ReceivedAt = events[i].ReceivedAt.Add(time.Duration(random.IntN(3)-1) * 12 * time.Hour)
	}
	var histories [2]string
	for order := range histories {
		r := newRig(t, enginetest.Start(t), enginetest.DatabaseName(t))
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		small := quick()
		small.BatchRowsMax = 300
		r.start(t, small)
		r.publish(t, events)
		r.await(t)
		r.holds(t, events)
		rows, _, err := clickhouse.Select[string](t.Context(), r.store,
			`SELECT toString(groupBitXor(cityHash64(row, known_at, held))) FROM
				(SELECT row, known_at, sum(sign) AS held FROM ledger GROUP BY row, known_at HAVING held != 0)`)
		if err != nil || len(rows) != 1 || rows[0] == "0" {
			t.Fatal(rows, err)
		}
		histories[order] = rows[0]
	}
	if histories[0] != histories[1] {
		t.Errorf("what was known when depends on the order: %v", histories)
	}
}
