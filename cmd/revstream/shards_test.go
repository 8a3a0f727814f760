//go:build cluster

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/cmd/simulation"
	"revstream/ingest/sink"
	"revstream/ingest/stream"
)

var (
	shardRounds = flag.Int("shard-rounds", 3, "how often a shard or a sink is killed or stopped in TestShardedService")
	shardEvents = flag.Int("shard-events", 2500, "how many events are simulated meanwhile")
)

// deployment is every role as a process of its own, two sinks, a broker, and two
// ClickHouse servers as shards.
type deployment struct {
	*service
	shards    *enginetest.Shards
	kafka     stream.Config
	processes map[string]*exec.Cmd
	at        map[string]string // HTTP addresses by process
}

func startDeployment(t testing.TB) *deployment {
	d := &deployment{
		service:   &service{t: t, folder: t.TempDir(), client: client{t: t}},
		shards:    enginetest.StartShards(t, 2),
		processes: map[string]*exec.Cmd{}, at: map[string]string{},
	}
	broker := freeAddr(t)
	d.kafka = stream.DefaultConfig()
	d.kafka.Brokers = []string{broker}
	d.settings = []string{"REVSTREAM_CLICKHOUSE_SHARDS=" + strings.Join(d.shards.Addresses(), ","), "REVSTREAM_CLICKHOUSE_CLUSTER=" + enginetest.ClusterName,
		"REVSTREAM_CLICKHOUSE_USER=" + embedded.AdminUser, "REVSTREAM_CLICKHOUSE_PASSWORD=" + enginetest.ClusterPassword,
		"REVSTREAM_CLICKHOUSE_INSERT_TIMEOUT=5s", "REVSTREAM_CLICKHOUSE_INSERT_STALL_TIMEOUT=2s", "REVSTREAM_QUERY_QUERY_TIMEOUT=5s",
		"REVSTREAM_SINK_SESSION_TIMEOUT=6s", "REVSTREAM_KAFKA_HEARTBEAT_INTERVAL=1s", "REVSTREAM_SINK_BACKOFF_MAX=1s", "REVSTREAM_LOG_ACCESS_PER_SECOND_MAX=1"}
	d.start("broker", "broker", "REVSTREAM_BROKER_ADDR="+broker)
	d.settings = append(d.settings, "REVSTREAM_KAFKA_BROKERS="+broker)
	d.revstream(exitOK, "migrate")
	for _, name := range []string{"ingest", "sink", "sink-2", "query"} {
		d.start(name, strings.TrimSuffix(name, "-2"))
	}
	// What stands before the roles in a real deployment: one address for callers.
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role := "ingest"
		if r.URL.Path == "/revenue" && r.Method == http.MethodGet || strings.HasPrefix(r.URL.Path, "/v1/metrics") {
			role = "query"
		}
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.at[role]}).ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	d.url = front.URL
	return d
}

// start runs a role as a process and waits until it is ready.
func (d *deployment) start(name, role string, settings ...string) {
	d.t.Helper()
	addr, output := freeAddr(d.t), &lockedBuffer{}
	command := exec.Command(binary, role)
	command.Stdout, command.Stderr = output, output
	command.Env = append(append(serviceEnvironment(d.folder+"/"+name, addr), d.settings...), settings...)
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.processes[name], d.at[name] = command, addr
	d.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if text := output.String(); d.t.Failed() {
			d.t.Logf("output of %s, the end:\n%s", name, text[max(0, len(text)-8000):])
		}
	})
	d.await(name+" to be ready", 60*time.Second, func() error {
		status, body, err := d.client.send(call{method: http.MethodGet, path: "http://" + addr + "/readyz"})
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
}

// progress is how many records of each shard's slices are accepted and committed.
type progress struct{ accepted, committed [2]int64 }

func (d *deployment) progress() (p progress, err error) {
	positions, err := stream.Positions(d.t.Context(), d.kafka, sink.DefaultConfig().Groups(2)...)
	for slice, position := range positions {
		shard := clickhouse.ShardOf(slice, 2)
		p.accepted[shard] += position.End
		p.committed[shard] += max(0, position.Committed)
	}
	return p, err
}

// flows waits until records of all slices are accepted, and those of the shards
// stored, more than there were when it began.
func (d *deployment) flows(what string, shards ...int) {
	d.t.Helper()
	before, err := d.progress()
	if err != nil {
		d.t.Fatal(err)
	}
	d.await(what, 60*time.Second, func() error {
		now, err := d.progress()
		for shard := range 2 {
			if now.accepted[shard] < before.accepted[shard]+20 {
				return fmt.Errorf("shard %d: %d records accepted, %d before, %w", shard+1, now.accepted[shard], before.accepted[shard], err)
			}
		}
		for _, shard := range shards {
			if now.committed[shard] < before.accepted[shard] {
				return fmt.Errorf("shard %d: %d records stored of %d, %w", shard+1, now.committed[shard], before.accepted[shard], err)
			}
		}
		return err
	})
}

// withoutShard is what has to hold while a shard is away: revenue is accepted, the
// other shard's is stored, and no figure is told.
func (d *deployment) withoutShard(shard int) {
	d.t.Helper()
	before, err := d.progress()
	if err != nil {
		d.t.Fatal(err)
	}
	d.flows("revenue to flow on without a shard", 1-shard)
	if now, err := d.progress(); err != nil || now.committed[shard] > before.accepted[shard] {
		d.t.Errorf("shard %d is away, yet %d of its records are committed, %d were accepted then; %v", shard+1, now.committed[shard], before.accepted[shard], err)
	}
	d.await("the answer that a shard is missing", 30*time.Second, func() error {
		status, body, err := d.client.get("/revenue?workspaceSlug=" + d.client.workspace)
		var problem struct{ Missing []int }
		if err == nil {
			err = json.Unmarshal(body, &problem)
		}
		if status == http.StatusOK {
			d.t.Fatalf("with shard %d away the answer is %s", shard+1, body)
		}
		if err != nil || status != http.StatusServiceUnavailable || len(problem.Missing) != 1 || problem.Missing[0] != shard+1 {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
	d.await("/readyz of the query role to name it", 10*time.Second, func() error {
		status, body, err := d.client.send(call{method: http.MethodGet, path: "http://" + d.at["query"] + "/readyz"})
		if want := fmt.Sprintf("clickhouse of shard %d", shard+1); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), want) {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
}

// disturb does one round of harm and waits for everything to flow again.
func (d *deployment) disturb(round int, done map[string]int) {
	d.t.Helper()
	shard := round / 3 % 2
	switch round % 3 {
	case 0:
		done["shards killed"]++
		d.shards.Kill(d.t, shard)
		d.withoutShard(shard)
		d.shards.Start(d.t, shard)
	case 1:
		done["sinks killed"]++
		name := []string{"sink", "sink-2"}[shard]
		_ = d.processes[name].Process.Kill()
		_ = d.processes[name].Wait()
		d.flows("the other sink to take over", 0, 1)
		d.start(name, "sink")
	case 2:
		done["shards stopped and continued"]++
		process := d.shards.Engine(shard).PID()
		if err := syscall.Kill(process, syscall.SIGSTOP); err != nil {
			d.t.Fatal(err)
		}
		d.withoutShard(shard)
		if err := syscall.Kill(process, syscall.SIGCONT); err != nil {
			d.t.Fatal(err)
		}
	}
	d.flows("both shards to take everything again", 0, 1)
}

// simulate plays to a workspace in the background; the report is there when the
// returned function returns.
func (d *deployment) simulate(c client) (finish func() simulation.Report) {
	output, errors := &lockedBuffer{}, &lockedBuffer{}
	command := exec.Command(binary, "simulate", "--url", c.url, "--workspace", c.workspace, "--secret-key", c.secret, "--stripe-endpoint", c.stripeEndpoint,
		"--stripe-secret", c.stripeSecret, "--events", fmt.Sprint(*shardEvents), "--rate", "120", "--seed", "5", "--json")
	command.Env, command.Stdout, command.Stderr = serviceEnvironment(d.folder, freeAddr(d.t)), output, errors
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	wait := sync.OnceValue(command.Wait)
	d.t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = wait()
	})
	return func() (report simulation.Report) {
		d.t.Helper()
		if err := wait(); err != nil {
			d.t.Errorf("simulate: %v\n%s", err, errors)
		}
		d.decode(output.String(), &report)
		return report
	}
}

// TestShardedService kills and stops shards and sinks in the middle of traffic over
// all APIs. Accepting never stops, the living shard's slices flow on, no figure is
// told that lacks a shard; in the end everything that was accepted is counted once,
// to the cent, a falsified rollup is found on either shard and mended while revenue
// flows. More rounds: make test-cluster.
func TestShardedService(t *testing.T) {
	t.Parallel()
	began := time.Now()
	d := startDeployment(t)
	told := d.newWorkspace("told")
	d.client = d.newWorkspace("paid")
	finish := d.simulate(told)
	p := startPayer(d.client)
	d.flows("revenue to flow", 0, 1)
	done := map[string]int{}
	for round := range *shardRounds {
		d.disturb(round, done)
	}
	d.mends()
	report := finish()
	p.stop.Store(true)
	p.group.Wait()
	count, cents := p.accepted.Load(), p.cents.Load()
	d.awaitSummary(d.client, revenueSummary{
		Currency: "USD", GrossRevenueCents: cents, NetRevenueCents: cents, PurchaseCount: count, PositiveChargeCount: count,
	})
	d.checkStored()
	if report.Compared == 0 || !report.Exact() {
		t.Errorf("simulate compared %d figures, %d differ: %v", report.Compared, len(report.Differences), report.Differences)
	}
	for shard := range 2 {
		rows := enginetest.Exec(t, d.shards.Engine(shard), "SELECT count() FROM revstream_shard.ledger")
		t.Logf("shard %d of 2 holds %s ledger rows", shard+1, rows)
	}
	t.Logf("%d events simulated over all APIs, %d figures compared, difference = %d; %d charges, %d.%02d USD, difference = 0; %v; %v",
		report.Events, report.Compared, len(report.Differences), count, cents/100, cents%100, done, time.Since(began).Round(time.Second))
}

// mends falsifies a rollup on both shards, wants check to find it and rebuild to
// mend it, all while revenue flows.
func (d *deployment) mends() {
	for shard := range 2 {
		// Of a workspace that no batch touches: a takeover would mend it.
		enginetest.Exec(d.t, d.shards.Engine(shard), "INSERT INTO revstream_shard.revenue_daily SELECT * REPLACE ('nobody' AS workspace) FROM revstream_shard.revenue_daily LIMIT 5")
	}
	if output := d.revstream(exitDifferences, "check", "--json"); strings.Count(output, `"Table":"revenue_daily"`) < 2 {
		d.t.Errorf("check does not list the falsified cells: %s", output)
	}
	d.revstream(exitOK, "rebuild", "revenue_daily")
	d.revstream(exitOK, "check")
}
