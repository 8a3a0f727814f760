//go:build kafka

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"revstream/ingest/stream/apachekafka"
)

// The tests of this file and of outage_test.go run on an Apache Kafka of three
// brokers: see `make test-kafka`.

var (
	failoverRounds = flag.Int("failover-rounds", 16, "rounds of TestBrokersFail")
	failoverEvents = flag.Int("failover-events", 4000, "events of TestSimulateWhileBrokersFail")
)

const replicas = 3

// brokers is the Apache Kafka that the tests of this binary share.
var brokers struct {
	once    sync.Once
	cluster *apachekafka.Cluster
	admin   *kadm.Client
	err     error
}

func startBrokers(t *testing.T) *apachekafka.Cluster {
	t.Helper()
	brokers.once.Do(func() {
		var folder string
		if folder, brokers.err = os.MkdirTemp("", "revstream-kafka-"); brokers.err != nil {
			return
		}
		atEnd = append(atEnd, func() { _ = os.RemoveAll(folder) })
		brokers.cluster, brokers.err = apachekafka.Start(context.Background(), apachekafka.Config{Dir: folder, Brokers: replicas})
		if brokers.err != nil {
			return
		}
		atEnd = append(atEnd, func() { _ = brokers.cluster.Stop() })
		var client *kgo.Client
		if client, brokers.err = kgo.NewClient(kgo.SeedBrokers(brokers.cluster.Addrs()...), kgo.MetadataMinAge(100*time.Millisecond)); brokers.err == nil {
			brokers.admin = kadm.NewClient(client)
		}
	})
	if brokers.err != nil {
		t.Fatalf("starting Apache Kafka: %v", brokers.err)
	}
	return brokers.cluster
}

// failover is a revstream on three brokers, with a sink of its own to be killed.
type failover struct {
	*service
	cluster *apachekafka.Cluster
	topics  []string
	sink    *exec.Cmd
}

func startFailover(t *testing.T, settings ...string) *failover {
	t.Helper()
	cluster := startBrokers(t)
	folder := t.TempDir()
	environment := append(kafkaEnvironment(cluster.Addrs(), folder),
		fmt.Sprintf("REVSTREAM_KAFKA_REPLICATION_FACTOR=%d", replicas), "REVSTREAM_KAFKA_MIN_INSYNC_REPLICAS=2")
	f := &failover{cluster: cluster}
	t.Cleanup(func() { // before the service's, which prints what it has said
		if t.Failed() {
			t.Logf("Apache Kafka:\n%s", cluster.Output())
		}
	})
	f.service = startServiceOn(t, folder, environment, settings...)
	for _, variable := range environment {
		if name, value, _ := strings.Cut(variable, "="); strings.HasSuffix(name, "_TOPIC") {
			f.topics = append(f.topics, value)
		}
	}
	return f
}

// eventsTopic is where statements go.
func (f *failover) eventsTopic() string { return f.topics[0] }

// partitions are those of the events topic.
func (f *failover) partitions() kadm.PartitionDetails {
	f.t.Helper()
	var found kadm.PartitionDetails
	f.await("the events topic's leaders", 30*time.Second, func() error {
		topics, err := brokers.admin.ListTopics(f.t.Context(), f.eventsTopic())
		if err != nil {
			return err
		}
		found = topics[f.eventsTopic()].Partitions
		for _, partition := range found {
			if partition.Err != nil {
				return fmt.Errorf("partition %d: %w", partition.Partition, partition.Err)
			}
		}
		return topics[f.eventsTopic()].Err
	})
	return found
}

// awaitInSync waits until every broker has everything.
func (f *failover) awaitInSync() {
	f.t.Helper()
	if err := f.cluster.Await(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.await("all replicas in sync", 2*60*time.Second, func() error {
		topics, err := brokers.admin.ListTopics(f.t.Context(), f.topics...)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			for _, partition := range topic.Partitions {
				if len(partition.ISR) < replicas || partition.Err != nil {
					return fmt.Errorf("%s/%d: in sync are %v, %w", topic.Topic, partition.Partition, partition.ISR, partition.Err)
				}
			}
		}
		return nil
	})
}

// mishap is something that happens to a cluster, and its end.
type mishap struct {
	name   string
	strike func(*failover) (mend func())
}

// mishaps are what TestBrokersFail plays, one a round.
var mishaps = []mishap{
	{"leader killed", func(f *failover) func() { return f.kill(f.leader()) }},
	{"sink killed", (*failover).killSink},
	{"leader frozen", func(f *failover) func() { return f.freeze(f.leader()) }},
	{"leaders moved", (*failover).moveLeaders},
	{"coordinator killed", func(f *failover) func() { return f.kill(f.coordinator()) }},
	{"controller killed", func(f *failover) func() { return f.kill(f.cluster.Controller()) }},
	{"leader slow", func(f *failover) func() { return f.slow(f.leader()) }},
	{"broker leaves", func(f *failover) func() { return f.leave(f.leader()) }},
}

func (f *failover) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// leader is the broker that leads a partition of the events topic.
func (f *failover) leader() *apachekafka.Node {
	f.t.Helper()
	return f.cluster.Broker(f.partitions()[int32(rand.IntN(4))].Leader)
}

// coordinator is the broker that keeps the sinks' group.
func (f *failover) coordinator() *apachekafka.Node {
	f.t.Helper()
	var node int32
	f.await("the group's coordinator", 30*time.Second, func() error {
		found := brokers.admin.FindGroupCoordinators(f.t.Context(), f.group())
		node = found[f.group()].NodeID
		return found.Error()
	})
	return f.cluster.Broker(node)
}

func (f *failover) group() string {
	for _, variable := range f.settings {
		if group, found := strings.CutPrefix(variable, "REVSTREAM_SINK_GROUP="); found {
			return group
		}
	}
	f.t.Fatal("no group in the environment")
	return ""
}

func (f *failover) kill(n *apachekafka.Node) (mend func()) {
	f.must(n.Kill())
	return func() { f.must(n.Start()) }
}

// leave ends a broker in order: it hands its partitions over first.
func (f *failover) leave(n *apachekafka.Node) (mend func()) {
	f.must(n.Leave())
	return func() { f.must(n.Start()) }
}

// freeze stops a broker for longer than the others wait for it, and than publishers
// do: as a disk that does not answer.
func (f *failover) freeze(n *apachekafka.Node) (mend func()) {
	f.must(n.Freeze())
	thawed := make(chan error, 1)
	time.AfterFunc(7*time.Second, func() { thawed <- n.Thaw() })
	return func() { f.must(<-thawed) }
}

// slow lets a broker run for a tenth of the time, in short turns, so that it answers
// everything, and late.
func (f *failover) slow(n *apachekafka.Node) (mend func()) {
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			err := n.Freeze()
			time.Sleep(450 * time.Millisecond)
			if err == nil {
				err = n.Thaw()
			}
			if err != nil {
				ended <- err
				return
			}
			select {
			case <-stop:
				ended <- nil
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(stop)
		f.must(<-ended)
	}
}

// moveLeaders makes another replica of every partition the leader.
func (f *failover) moveLeaders() (mend func()) {
	var change kadm.AlterPartitionAssignmentsReq
	partitions := kadm.TopicsSet{}
	before := f.partitions()
	for _, partition := range before {
		// The first one is preferred: any but the leader of now.
		order := slices.DeleteFunc(slices.Clone(partition.Replicas), func(id int32) bool { return id == partition.Leader })
		order = append(order, partition.Leader)
		change.Assign(f.eventsTopic(), partition.Partition, order)
		partitions.Add(f.eventsTopic(), partition.Partition)
	}
	if answer, err := brokers.admin.AlterPartitionAssignments(f.t.Context(), change); err != nil || answer.Error() != nil {
		f.t.Fatalf("changing the preferred leaders: %v, %v", err, answer.Error())
	}
	f.await("other leaders", 30*time.Second, func() error {
		if _, err := brokers.admin.ElectLeaders(f.t.Context(), kadm.ElectPreferredReplica, partitions); err != nil {
			return err
		}
		for _, now := range f.partitions() {
			if now.Leader == before[now.Partition].Leader {
				return fmt.Errorf("%d still leads partition %d", now.Leader, now.Partition)
			}
		}
		return nil
	})
	return func() {}
}

func (f *failover) killSink() (mend func()) {
	f.must(f.sink.Process.Kill())
	_ = f.sink.Wait()
	return f.startSink
}

func (f *failover) startSink() {
	f.t.Helper()
	var addr string
	f.sink, addr = f.startRole("sink", f.t.TempDir())
	f.awaitRole("sink", addr)
}

// paid is what all payers of a test have got accepted.
type paid struct {
	count, cents, attempts int64
}

func (p *paid) add(payer *payer) {
	p.count += payer.accepted.Load()
	p.cents += payer.cents.Load()
	p.attempts += payer.attempts.Load()
}

// counted wants what was paid in the answers, in the ledger and in the rollups,
// each once and to the cent, and everything in Kafka stored. It returns how many
// records there are.
func (f *failover) counted(sum paid) (records int64) {
	f.t.Helper()
	f.awaitSummary(f.client, revenueSummary{
		Currency: "USD", GrossRevenueCents: sum.cents, NetRevenueCents: sum.cents, PurchaseCount: sum.count, PositiveChargeCount: sum.count,
	})
	// An insert reaches one rollup after the other, and is committed when it has.
	records = f.checkStored()
	for _, statement := range []string{
		"SELECT sum(sign), sum(sign * amount) FROM revstream.ledger",
		"SELECT sum(entries), sum(amount) FROM revstream.revenue_hourly",
		"SELECT sum(entries), sum(amount) FROM revstream.revenue_daily",
	} {
		if _, got := f.sql(statement); got != fmt.Sprintf("%d\t%d", sum.count, sum.cents) {
			f.t.Errorf("%s: %s, want %d and %d", statement, got, sum.count, sum.cents)
		}
	}
	return records
}

// TestBrokersFail lets one mishap after the other happen while charges are sent, and
// counts after each.
func TestBrokersFail(t *testing.T) {
	f := startFailover(t)
	f.startSink()
	f.awaitInSync()
	var sum paid
	records := int64(0)
	for round := range *failoverRounds {
		what := mishaps[round%len(mishaps)]
		began := time.Now()
		p := startPayerNamed(fmt.Sprint("r", round), f.client)
		p.until(f.service, 100)
		mend := what.strike(f)
		p.until(f.service, 200)
		mend()
		f.awaitInSync()
		p.until(f.service, 100)
		p.end()
		sum.add(p)
		before := records
		records = f.counted(sum)
		t.Logf("round %2d  %-18s  %5d accepted  %4d requests repeated  %4d records repeated  slowest %4.1f s  difference 0  (%.0f s)",
			round+1, what.name, p.accepted.Load(), p.attempts.Load()-p.accepted.Load(), records-before-p.accepted.Load(),
			time.Duration(p.slowest.Load()).Seconds(), time.Since(began).Seconds())
	}
	t.Logf("%d rounds: %d charges of %d.%02d USD accepted in %d requests, %d records in Kafka, each charge counted once, difference 0",
		*failoverRounds, sum.count, sum.cents/100, sum.cents%100, sum.attempts, records)
	f.stop()
}
