package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

func openTable(t *testing.T, cfg Config, dir string) *Table {
	t.Helper()
	table, err := OpenTable(within(t), cfg, cfg.MessagesTopic, dir, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func put(t *testing.T, table *Table, key, value string) {
	t.Helper()
	if err := table.Put(within(t), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

// get is the value of a key, "-" if there is none.
func get(t *testing.T, table *Table, key string) string {
	t.Helper()
	value, ok, err := table.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return "-"
	}
	return string(value)
}

func contents(t *testing.T, table *Table, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := table.Range(prefix, func(key string, value []byte) bool {
		found[key] = string(value)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTablePutAndGet(t *testing.T) {
	cfg := kafka(t)
	table := openTable(t, cfg, t.TempDir())
	if got := get(t, table, "a"); got != "-" {
		t.Fatalf("empty table: %s", got)
	}
	for _, value := range []string{"1", "2", ""} {
		put(t, table, "a", value)
		for range 2 { // from the store, then from the cache
			if got := get(t, table, "a"); got != value {
				t.Fatalf("put %q, got %q", value, got)
			}
		}
	}
	if err := table.Put(within(t), "a", nil); err != nil {
		t.Fatal(err)
	}
	if got := get(t, table, "a"); got != "-" {
		t.Fatalf("deleted, got %q", got)
	}
	if err := table.Put(within(t), "", []byte("x")); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty key: %v", err)
	}
	if err := table.Put(within(t), "k", make([]byte, cfg.RecordBytesMax)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large value: %v", err)
	}
}

func TestTablePutAll(t *testing.T) {
	cfg := kafka(t)
	a, b := openTable(t, cfg, t.TempDir()), openTable(t, cfg, t.TempDir())
	var seen []string
	a.Follow(func(key string, value []byte) { seen = append(seen, key+string(value)) })
	put(t, b, "a", "0")
	if err := a.PutAll(within(t), []Pair{{"a", []byte("1")}, {"b", []byte("2")}, {"a", []byte("3")}}); err != nil {
		t.Fatal(err)
	}
	if err := a.PutAll(within(t), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	want := map[string]string{"a": "3", "b": "2"}
	if got := contents(t, a, ""); !maps.Equal(got, want) {
		t.Errorf("at once %v", got)
	}
	if _, _, err := b.GetLatest(within(t), "a"); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, b, ""); !maps.Equal(got, want) {
		t.Errorf("on another node %v", got)
	}
	for _, pair := range []Pair{{"", nil}, {"k", make([]byte, cfg.RecordBytesMax)}} {
		if err := a.PutAll(within(t), []Pair{{"c", nil}, pair}); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("key %q: %v", pair.Key, err)
		}
	}
	if !slices.Equal(seen, []string{"a0", "a1", "b2", "a3"}) {
		t.Errorf("saw %q", seen)
	}
}

func TestTableRange(t *testing.T) {
	cfg := kafka(t)
	table := openTable(t, cfg, t.TempDir())
	for _, key := range []string{"a/2", "a/1", "b/1", "a", "a\xff", "a/\xff\xff"} {
		put(t, table, key, "of "+key)
	}
	if got := contents(t, table, "a/"); !maps.Equal(got, map[string]string{"a/1": "of a/1", "a/2": "of a/2", "a/\xff\xff": "of a/\xff\xff"}) {
		t.Errorf("a/: %v", got)
	}
	if got := len(contents(t, table, "")); got != 6 {
		t.Errorf("all: %d", got)
	}
	if got := len(contents(t, table, "a\xff")); got != 1 {
		t.Errorf("a and the last byte: %d", got)
	}
	calls := 0
	if err := table.Range("a/", func(string, []byte) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("stopped after %d calls, %v", calls, err)
	}
}

// What one node has written, another sees at once if it asks for the latest.
func TestTableOfTwoNodes(t *testing.T) {
	cfg := kafka(t)
	a, b := openTable(t, cfg, t.TempDir()), openTable(t, cfg, t.TempDir())
	for i := range 100 {
		want := fmt.Sprint(i)
		put(t, a, "k", want)
		value, ok, err := b.GetLatest(within(t), "k")
		if err != nil || !ok || string(value) != want {
			t.Fatalf("put %s on a, got %q, %v, %v on b", want, value, ok, err)
		}
	}
	if err := b.Put(within(t), "k", nil); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := a.GetLatest(within(t), "k"); ok || err != nil {
		t.Fatalf("deleted on b, on a %v, %v", ok, err)
	}
}

// Writers and readers on both nodes: whoever reads the latest after a write was
// acknowledged reads it or a later one, and barriers are shared.
func TestTableConcurrently(t *testing.T) {
	cfg := kafka(t)
	nodes := []*Table{openTable(t, cfg, t.TempDir()), openTable(t, cfg, t.TempDir())}
	var questions atomic.Int64
	for _, node := range nodes {
		node.barrier.ask = func() (int64, error) {
			questions.Add(1)
			return node.end()
		}
	}
	ctx := within(t)
	var group sync.WaitGroup
	failures := make(chan error, 32)
	const rounds, readers = 30, 8
	for w := range 4 {
		key := fmt.Sprint("k", w)
		group.Go(func() {
			for i := range rounds {
				want := []byte{byte(i)}
				if err := nodes[w%2].Put(ctx, key, want); err != nil {
					failures <- err
					return
				}
				var readings sync.WaitGroup
				for r := range readers {
					readings.Go(func() {
						value, ok, err := nodes[r%2].GetLatest(ctx, key)
						if err != nil || !ok || !bytes.Equal(value, want) {
							failures <- fmt.Errorf("%s: put %v, got %v %v %w", key, want, value, ok, err)
						}
					})
				}
				readings.Wait()
			}
		})
	}
	group.Wait()
	select {
	case err := <-failures:
		t.Fatal(err)
	default:
	}
	if asked, reads := questions.Load(), int64(4*rounds*readers); asked > reads/2 {
		t.Errorf("%d questions for %d reads: barriers are not shared", asked, reads)
	}
	if a, b := contents(t, nodes[0], ""), contents(t, nodes[1], ""); !maps.Equal(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
}

// A question that was under way when a reader arrived must not answer it.
func TestBarrierAsksAfterArrival(t *testing.T) {
	started, release := make(chan int64), make(chan struct{})
	var asked int64
	b := barrier{ask: func() (int64, error) {
		asked++
		answer := asked
		started <- answer
		<-release
		return answer, nil
	}}
	results := make(chan int64, 3)
	wait := func() {
		end, err := b.wait(context.Background())
		if err != nil {
			end = -1
		}
		results <- end
	}
	go wait()
	<-started // the first question is under way
	go wait()
	go wait()
	eventually(t, "both wait for the next question", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.next != nil
	})
	time.Sleep(20 * time.Millisecond) // lets the third arrive; it gets 2 or 3, never 1
	release <- struct{}{}
	if got := <-results; got != 1 {
		t.Fatalf("the first got %d", got)
	}
	<-started
	close(release)
	go func() {
		for range started { // a question of a reader that came very late
		}
	}()
	for range 2 {
		if got := <-results; got < 2 {
			t.Fatalf("a later reader got the answer of question %d", got)
		}
	}
}

func TestTableRestart(t *testing.T) {
	cfg := kafka(t)
	dir := t.TempDir()
	table := openTable(t, cfg, dir)
	for i := range 50 {
		put(t, table, fmt.Sprint(i), "old")
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Get("1"); err == nil {
		t.Error("a closed table answers")
	}
	if err := table.Put(within(t), "1", []byte("x")); !errors.Is(err, ErrBusy) {
		t.Errorf("put into a closed table: %v", err)
	}
	other := openTable(t, cfg, t.TempDir())
	put(t, other, "1", "new")
	if err := other.Put(within(t), "2", nil); err != nil {
		t.Fatal(err)
	}
	again := openTable(t, cfg, dir)
	if got := testutil.ToFloat64(again.metrics.applied); got != 2 {
		t.Errorf("read %v records after the restart, not the 2 that it missed", got)
	}
	if get(t, again, "1") != "new" || get(t, again, "2") != "-" || get(t, again, "3") != "old" {
		t.Errorf("%v", contents(t, again, ""))
	}
	if _, err := OpenTable(within(t), cfg, cfg.MessagesTopic, dir, zap.NewNop(), nil); err == nil {
		t.Error("two tables in one folder")
	}
}

func TestTableIsRebuilt(t *testing.T) {
	for reason, spoil := range map[string]func(*testing.T, Config, string){
		"another_topic": func(t *testing.T, cfg Config, _ string) {
			deleteTopic(t, cfg, cfg.MessagesTopic)
			if err := EnsureTopics(within(t), cfg); err != nil {
				t.Fatal(err)
			}
			put(t, openTable(t, cfg, t.TempDir()), "new", "topic")
		},
		"damaged": func(t *testing.T, _ Config, folder string) {
			files, err := filepath.Glob(filepath.Join(folder, "*.sst"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%v, %v", files, err)
			}
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		},
		"absent": func(t *testing.T, _ Config, folder string) {
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
		},
		"topic_trimmed": func(t *testing.T, cfg Config, _ string) {
			put(t, openTable(t, cfg, t.TempDir()), "new", "topic")
			put(t, openTable(t, cfg, t.TempDir()), "last", "record")
			trim(t, cfg, cfg.MessagesTopic, 3)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			cfg := kafka(t)
			dir := t.TempDir()
			table := openTable(t, cfg, dir)
			put(t, table, "a", "1")
			put(t, table, "b", "2")
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t, cfg, filepath.Join(dir, cfg.MessagesTopic))
			again := openTable(t, cfg, dir)
			if got := testutil.ToFloat64(again.metrics.rebuilds.WithLabelValues(reason)); got != 1 {
				t.Errorf("rebuilds{reason=%s} is %v", reason, got)
			}
			fresh := openTable(t, cfg, t.TempDir())
			if a, b := contents(t, again, ""), contents(t, fresh, ""); !maps.Equal(a, b) || len(a) == 0 {
				t.Errorf("rebuilt %v, fresh %v", a, b)
			}
		})
	}
}

// trim deletes the records of a compacted topic before an offset, as an operator may
// who is out of disk. Kafka wants to be told first that they may be deleted.
func trim(t *testing.T, cfg Config, topic string, offset int64) {
	t.Helper()
	admin := administer(t, cfg)
	for _, policy := range []string{"compact,delete", "compact"} {
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}
		if altered, err := admin.AlterTopicConfigs(within(t), change, topic); err != nil || altered[0].Err != nil {
			t.Fatal(err, altered)
		}
		if policy == "compact" {
			continue
		}
		eventually(t, "records may be deleted", func() bool {
			trimmed, err := admin.DeleteRecords(within(t), kadm.Offsets{topic: {onlyPartition: {Topic: topic, At: offset}}})
			return err == nil && trimmed.Error() == nil
		})
	}
}

func TestMarkUnfit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	from := source{id: "x", earliest: 10, end: 20, staleAfter: time.Hour}
	good := mark{format: storeFormat, offset: 15, at: now, id: "x"}
	for want, spoil := range map[string]func(*mark){
		"":               func(*mark) {},
		"format":         func(m *mark) { m.format++ },
		"another_topic":  func(m *mark) { m.id = "y" },
		"ahead_of_topic": func(m *mark) { m.offset = 21 },
		"topic_trimmed":  func(m *mark) { m.offset = 9 },
		"stale":          func(m *mark) { m.at = now.Add(-2 * time.Hour) },
	} {
		m := good
		spoil(&m)
		decoded, err := decodeMark(m.encode())
		if err != nil || !decoded.at.Equal(m.at) {
			t.Fatalf("%+v, %v", decoded, err)
		}
		if got := decoded.unfit(from, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for n := range len(good.encode()) - 2 {
		if m, err := decodeMark(good.encode()[:n]); err == nil && m.unfit(from, now) == "" {
			t.Errorf("%d bytes of a mark are good enough", n)
		}
	}
}

func TestTableWatch(t *testing.T) {
	cfg := kafka(t)
	a, b := openTable(t, cfg, t.TempDir()), openTable(t, cfg, t.TempDir())
	put(t, a, "x", "1")
	put(t, a, "y", "1")
	if err := b.Refresh(within(t)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	err := b.Watch(func(key string, value []byte) {
		mu.Lock()
		defer mu.Unlock()
		if value == nil {
			value = []byte("-")
		}
		seen = append(seen, key+string(value))
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, "x", "2")
	if err := a.Put(within(t), "y", nil); err != nil {
		t.Fatal(err)
	}
	put(t, b, "z", "3") // shown before Put returns, and so is all before it
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"x1", "y1", "x2", "y-", "z3"}; !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
}

func TestTableWhileKafkaIsDown(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	cfg.ReadTimeout, cfg.ProduceTimeout = 500*time.Millisecond, time.Second
	table := openTable(t, cfg, t.TempDir())
	put(t, table, "a", "1")
	cluster.Close()
	if got := get(t, table, "a"); got != "1" {
		t.Errorf("Get: %q", got)
	}
	if _, _, err := table.GetLatest(within(t), "a"); !errors.Is(err, ErrBusy) {
		t.Errorf("GetLatest: %v", err)
	}
	if err := table.Put(within(t), "a", []byte("2")); !errors.Is(err, ErrBusy) {
		t.Errorf("Put: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := table.GetLatest(ctx, "a"); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("GetLatest of one who went away: %v", err)
	}
	if got := testutil.ToFloat64(table.metrics.barriers.WithLabelValues("busy")); got != 2 {
		t.Errorf("barriers{outcome=busy} is %v", got)
	}
	if got := testutil.ToFloat64(table.metrics.puts.WithLabelValues("busy")); got != 1 {
		t.Errorf("puts{outcome=busy} is %v", got)
	}
	if _, err := OpenTable(within(t), cfg, cfg.MessagesTopic, t.TempDir(), zap.NewNop(), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("OpenTable: %v", err)
	}
}

func TestTableOfLostTopicSaysSo(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	table := openTable(t, cfg, t.TempDir())
	put(t, table, "a", "1")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: cfg.MessagesTopic, Err: kerr.OffsetOutOfRange, Count: -1})
	eventually(t, "the table notices", func() bool { return errors.Is(table.Err(), ErrTopic) })
	if err := table.Put(within(t), "a", []byte("2")); !errors.Is(err, ErrBusy) {
		t.Errorf("Put: %v", err)
	}
	if got := get(t, table, "a"); got != "1" {
		t.Errorf("Get: %q", got)
	}
	if got := testutil.ToFloat64(table.metrics.fetchErrors); got < 1 {
		t.Errorf("fetch errors: %v", got)
	}
}

func TestTableExpire(t *testing.T) {
	cfg := kafka(t)
	table := openTable(t, cfg, t.TempDir())
	for i := range 5 {
		put(t, table, fmt.Sprint(i), "x")
	}
	if n, err := table.Expire(within(t), time.Now().Add(-time.Hour), 10); n != 0 || err != nil {
		t.Errorf("nothing is old: %d, %v", n, err)
	}
	later := time.Now().Add(time.Hour)
	if n, err := table.Expire(within(t), later, 3); n != 3 || err != nil {
		t.Errorf("limit: %d, %v", n, err)
	}
	if n, err := table.Expire(within(t), later, 3); n != 2 || err != nil || len(contents(t, table, "")) != 0 {
		t.Errorf("rest: %d, %v", n, err)
	}
}

func TestTableNameIsAFolder(t *testing.T) {
	if _, err := OpenTable(within(t), DefaultConfig(), "../x", t.TempDir(), zap.NewNop(), nil); !errors.Is(err, ErrTopic) {
		t.Errorf("%v", err)
	}
}
