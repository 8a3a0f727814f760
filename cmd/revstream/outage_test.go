//go:build kafka

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"revstream/cmd/simulation"
	"revstream/ingest/stream"
)

// quickRefusals make a service say soon that Kafka does not take something.
var quickRefusals = []string{
	"REVSTREAM_KAFKA_PRODUCE_TIMEOUT=2s", "REVSTREAM_KAFKA_READ_TIMEOUT=2s", "REVSTREAM_LOG_LEVEL=info",
}

// TestTooFewReplicas takes two of three brokers away, with min.insync.replicas=2:
// every API refuses in its contract's shape and asks to come back, answers go on,
// and when the brokers are back and everything has been sent again, it is there once.
func TestTooFewReplicas(t *testing.T) {
	f := startFailover(t, quickRefusals...)
	f.awaitInSync()
	f.client.must(registration)
	for _, call := range steps()[:2] { // what is changed below has to be there
		f.client.must(call)
	}
	story := loadScenario(t, "refund_of_renewal")
	calls := append(append(steps(), anyOrder()...), story.deliveries(t, f.client)...)
	leader := f.leader()
	for _, n := range f.cluster.Brokers() {
		if n != leader {
			f.must(n.Kill())
		}
	}
	f.awaitShrunk()
	for _, call := range calls {
		f.refused(call)
	}
	if _, err := f.client.revenue(""); err != nil {
		t.Errorf("answers need Kafka: %v", err)
	}
	for _, n := range f.cluster.Brokers() {
		if n != leader {
			f.must(n.Start())
		}
	}
	f.awaitInSync()
	for _, call := range calls {
		f.accepted(call)
	}
	f.awaitSummary(f.client, revenueSummary{
		Currency: "USD", GrossRevenueCents: trafficGross + 2000, RefundCents: trafficRefunds + 2000,
		NetRevenueCents: trafficGross - trafficRefunds, PurchaseCount: 6, SubscriptionPurchaseCount: 1, RenewalCount: 1,
		RefundCount: 3, PositiveChargeCount: 8, RecurringNetCents: 8999,
	})
	records := f.checkStored()
	t.Logf("%d calls refused with 503, then accepted; %d records in Kafka; difference 0", len(calls), records)
	f.stop()
}

// awaitShrunk waits until the cluster knows that one replica is left.
func (f *failover) awaitShrunk() {
	f.t.Helper()
	f.await("replicas to be given up", 2*60*time.Second, func() error {
		topics, err := brokers.admin.ListTopics(f.t.Context(), f.topics...)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			for _, partition := range topic.Partitions {
				if len(partition.ISR) > 1 {
					return fmt.Errorf("%s/%d: in sync are %v", topic.Topic, partition.Partition, partition.ISR)
				}
			}
		}
		return nil
	})
}

// refusals are what a door's contract says when revenue cannot be stored now: the
// members of the body that have to be there, by the beginning of the path.
var refusals = map[string]map[string]string{
	"/api/v2/":              {"success": `false`, "code": `"unavailable"`, "error": ""},
	"/v2/":                  {"success": `false`, "code": `"unavailable"`, "error": ""},
	"/revenue/transactions": {"success": `false`, "error": `"unavailable"`, "message": ""},
	"/api/ingest":           {"error": ""},
	"/v1/events":            {"status": `503`, "code": `"unavailable"`, "title": `"Service Unavailable"`},
	"http":                  {"status": `503`, "code": `"unavailable"`}, // a webhook's whole address
}

// refused sends a call and wants a 503 with Retry-After in the shape of its door.
func (f *failover) refused(c call) {
	f.t.Helper()
	status, header, body, err := f.client.exchange(c)
	if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		f.t.Errorf("%s %s without enough replicas: %d, Retry-After %q, %s, %v", c.method, c.path, status, header.Get("Retry-After"), body, err)
		return
	}
	for path, members := range refusals {
		if !strings.HasPrefix(c.path, path) {
			continue
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(body, &got); err != nil {
			f.t.Errorf("%s %s: %v in %s", c.method, c.path, err, body)
		}
		for name, want := range members {
			if value, there := got[name]; !there || want != "" && string(value) != want {
				f.t.Errorf("%s %s: %s is %s, want %s, in %s", c.method, c.path, name, value, want, body)
			}
		}
		return
	}
	f.t.Errorf("nobody says how %s refuses", c.path)
}

// accepted sends a call until it is answered as it says, as its sender would.
func (f *failover) accepted(c call) {
	f.t.Helper()
	f.await(c.method+" "+c.path+" to be accepted", 60*time.Second, func() error {
		status, body, err := f.client.send(c)
		if err != nil || status != c.status {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
}

// TestKafkaForgets deletes the group's offsets, and then the topic itself with all
// its records, which is made again: either way everything is read from the
// beginning, nothing is counted twice, and what comes after is counted, too.
func TestKafkaForgets(t *testing.T) {
	f := startFailover(t)
	f.awaitInSync()
	var sum paid
	pay := func(name string) {
		t.Helper()
		p := startPayerNamed(name, f.client)
		p.until(f.service, 300)
		p.end()
		sum.add(p)
	}
	pay("first")
	f.counted(sum)

	f.stop()
	if _, err := brokers.admin.DeleteGroup(t.Context(), f.group()); err != nil {
		t.Fatal(err)
	}
	f.again()
	pay("offsets-gone")
	records := f.counted(sum)
	t.Logf("offsets deleted: %d records read again, difference 0", records)

	recreate := func() {
		t.Helper()
		deleted, err := brokers.admin.DeleteTopics(t.Context(), f.eventsTopic())
		if err != nil || deleted.Error() != nil {
			t.Fatal(err, deleted.Error())
		}
		f.await("the topic to be gone", 30*time.Second, func() error {
			if topics, err := brokers.admin.ListTopics(t.Context(), f.eventsTopic()); err != nil || topics.Has(f.eventsTopic()) {
				return fmt.Errorf("still there, %w", err)
			}
			return nil
		})
		f.must(stream.EnsureTopics(t.Context(), f.streamConfig()))
		f.awaitInSync()
	}
	f.stop()
	recreate()
	f.again()
	pay("topic-new")
	f.counted(sum)
	t.Logf("topic made anew while revstream was away: difference 0")

	recreate()
	pay("topic-new-again")
	f.counted(sum)
	t.Logf("topic made anew under a running revstream: difference 0")
	f.stop()
}

// again starts the service on its folder and topics.
func (f *failover) again() {
	f.t.Helper()
	f.service = startServiceOn(f.t, f.folder, f.settings)
}

// streamConfig is the service's, of topics.
func (f *failover) streamConfig() stream.Config {
	config := stream.DefaultConfig()
	config.Brokers = f.cluster.Addrs()
	config.ReplicationFactor, config.MinInsyncReplicas = replicas, 2
	config.EventsTopic, config.DeadLettersTopic, config.ControlTopic = f.topics[0], f.topics[1], f.topics[2]
	config.MessagesTopic, config.TransactionsTopic, config.IdempotencyTopic = f.topics[3], f.topics[4], f.topics[5]
	config.DeliveriesTopic, config.PlacementsTopic = f.topics[6], f.topics[7]
	return config
}

// TestAnotherPartitionCount starts no process on a topic with another count of
// partitions than configured.
func TestAnotherPartitionCount(t *testing.T) {
	f := startFailover(t)
	beside := &service{t: t, folder: t.TempDir(), settings: f.settings}
	for _, role := range []string{"run", "ingest"} {
		output := beside.revstream(exitFailure, role, "--set", "kafka.partitions=8")
		if want := "topic " + f.eventsTopic() + " has 4 partitions and 8 are configured"; !strings.Contains(output, want) {
			t.Errorf("%s: %q does not say %q", role, output, want)
		}
	}
	f.stop()
}

// TestSimulateWhileBrokersFail plays businesses over all doors while one mishap
// follows another, and compares every figure with the truth that was told.
func TestSimulateWhileBrokersFail(t *testing.T) {
	f := startFailover(t)
	f.startSink()
	f.awaitInSync()
	simulate := exec.Command(binary, "simulate", "--events", fmt.Sprint(*failoverEvents), "--rate", "60", "--seed", "7", "--json",
		"--url", f.url, "--secret-key", f.client.secret, "--workspace", f.client.workspace,
		"--stripe-endpoint", f.client.stripeEndpoint, "--stripe-secret", f.client.stripeSecret)
	simulate.Env = serviceEnvironment(t.TempDir(), freeAddr(t))
	var report, progress lockedBuffer
	simulate.Stdout, simulate.Stderr = &report, &progress
	f.must(simulate.Start())
	t.Cleanup(func() { _ = simulate.Process.Kill() })
	over := make(chan error, 1)
	go func() { over <- simulate.Wait() }()
	happened := map[string]int{}
	var failure error
	for round, running := 0, true; running; round++ {
		what := mishaps[round%len(mishaps)]
		mend := what.strike(f)
		select {
		case failure = <-over:
			running = false
		case <-time.After(6 * time.Second):
		}
		mend()
		f.awaitInSync()
		happened[what.name]++
	}
	var outcome simulation.Report
	if err := json.Unmarshal([]byte(report.String()), &outcome); err != nil || failure != nil || !outcome.Exact() {
		t.Fatalf("simulate: %v, %v\n%s\n%s", failure, err, &report, &progress)
	}
	records := f.checkStored()
	t.Logf("mishaps %v: %d events in %d deliveries, %d of them repetitions, %d attempts repeated, %d records in Kafka; %d figures compared, %d differ",
		happened, outcome.Events, outcome.Deliveries, outcome.Repeated, outcome.Retried, records, outcome.Compared, len(outcome.Differences))
	f.stop()
}
