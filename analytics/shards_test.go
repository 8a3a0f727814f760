package analytics

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

// newShardedFixture is a fixture on two shards.
func newShardedFixture(t testing.TB, engines *enginetest.Shards) (f *fixture, shards []*fixture) {
	t.Helper()
	config := clickhouse.DefaultConfig()
	config.Addresses, config.Shards, config.Cluster = nil, engines.Addresses(), enginetest.ClusterName
	config.User, config.Password, config.Durable = embedded.AdminUser, enginetest.ClusterPassword, false
	cluster, err := clickhouse.OpenCluster(t.Context(), config, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	if err := cluster.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for shard, store := range cluster.Shards() {
		var own []int32
		for slice := range int32(slicesCount) {
			if clickhouse.ShardOf(slice, len(cluster.Shards())) == shard {
				own = append(own, slice)
			}
		}
		epochs, err := store.TakeOver(t.Context(), "topic", own)
		if err != nil {
			t.Fatal(err)
		}
		shards = append(shards, &fixture{t: t, store: store, epochs: epochs})
	}
	f = &fixture{t: t, store: cluster.Answers()}
	f.server, f.app = newApp(t, f.store)
	f.server.log = zap.NewNop() // the errors that it logs are what is tested
	return f, shards
}

// saying is an answer as the caller gets it.
func (f *fixture) saying(path, parameters string) string {
	f.t.Helper()
	response := f.ask(path, parameters)
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get(HeaderCompleteThrough), body)
}

// randomQuestions are one for each endpoint.
func randomQuestions(random *rand.Rand) map[string]string {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	period := randomPeriod(random)
	within := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s", escape(period.Since), escape(period.Until)) +
		pick("", "&provider=stripe", "&asOf=2026-03-01")
	series := within + pick("&interval=day", "&interval=month", "&customer=x7", "&currency=USD")
	return map[string]string{
		PathRevenue: within + "&pageSize=20&page=" + pick("1", "2", "3") + "&sortBy=" + pick("amountCents", "occurredAt"),
		PathExplain: within + "&figure=" + pick("mrrCents", "refundCents", "refundCents&refundBasis=original", "closingMrrCents", "mrrCents&pastDueDays=0", "retainedMrrCents&profile=stripe",
			"netRevenueCents&changedSince=2026-02-01&interval=year&measure=revenue&cohort=unassigned"),
		PathMetricsMRR: series + pick("", "&pastDueDays=7&churnTiming=request", "&discounts=ignored"), PathMetricsRefunds: series + pick("", "&refundBasis=original"), PathMetricsRevenue: series,
		PathRetention: "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-03-31",
		PathCohorts:   "workspaceSlug=acme&interval=month&since=2026-01-01&until=2026-03-31&basis=" + pick("calendar", "relative") + pick("", "&measure=revenue", "&profile=stripe"),
		PathUncertain: "workspaceSlug=acme" + pick("", "&asOf=2026-03-01", "&provider=stripe"),
		PathTrials:    series, PathChurn: series, PathCommitted: series, PathTables: within + "&by=" + pick("currency", "customer", "kind", "plan&pastDueDays=0"),
	}
}

// Two shards answer every question as one server does, word for word. Without one
// of them there is no answer at all, and it is said which is missing.
func TestShardsAnswerAsOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	events := slices.Concat(randomEvents(random, 250), troubled(random, 50), doubtful(0, 30))
	whole := newFixture(t)
	whole.write(events...)
	whole.say(events...)
	engines := enginetest.StartShards(t, 2)
	sharded, shards := newShardedFixture(t, engines)
	parts := make([][]revenue.Event, len(shards))
	for _, event := range events {
		slice := int32(clickhouse.GroupHash(event.GroupKey()) % slicesCount)
		at := clickhouse.ShardOf(slice, len(shards))
		parts[at] = append(parts[at], event)
	}
	for i, shard := range shards {
		shard.write(parts[i]...)
		shard.say(parts[i]...)
	}
	for _, f := range append(shards, whole) {
		var progress []clickhouse.Progress
		for slice, taken := range f.epochs {
			progress = append(progress, clickhouse.Progress{Slice: slice, Epoch: taken.Epoch, CompleteThrough: testNow.Add(-time.Duration(slice) * time.Second)})
		}
		if err := f.store.SaveProgress(t.Context(), progress); err != nil {
			t.Fatal(err)
		}
	}
	compare := func(rounds int) {
		t.Helper()
		for n := range rounds {
			for path, parameters := range randomQuestions(random) {
				want := whole.saying(path, parameters)
				if got := sharded.saying(path, parameters); got != want || got[:3] != "200" {
					t.Fatalf("%d: %s?%s\n%s\nwant\n%s", n, path, parameters, got, want)
				}
			}
		}
	}
	compare(5)
	for _, parameters := range []string{"asOf=2026-06-30&format=ndjson", "table=events&asOf=2026-06-30&format=ndjson", "asOf=2026-02-15&format=ndjson&provider=stripe"} {
		want, got := exportedRows(whole, parameters), exportedRows(sharded, parameters+"&limit=70")
		if len(want) < 50 || !slices.Equal(got, want) {
			t.Errorf("export %s: %d rows of shards, %d of one server", parameters, len(got), len(want))
		}
	}

	engines.Kill(t, 1)
	for path, parameters := range randomQuestions(random) {
		response := sharded.ask(path, parameters)
		problem := problemOf(t, response)
		if response.StatusCode != http.StatusServiceUnavailable || !slices.Equal(problem.Missing, []int{2}) || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s without shard 2: %d, %+v", path, response.StatusCode, problem)
		}
	}
	engines.Start(t, 1)
	for deadline := time.Now().Add(20 * time.Second); sharded.ask(PathRevenue, "workspaceSlug=acme").StatusCode != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no answer although the shard is back")
		}
	}
	compare(1)
	streamOfShards(t, sharded, shards, random)
}

// offsetMember is where a statement was in its slice, which each shard counts for itself here.
var offsetMember = regexp.MustCompile(`"offset":"?\d+"?`)

// exportedRows are the rows of an export, in no order but their text's.
func exportedRows(f *fixture, parameters string) (rows []string) {
	f.t.Helper()
	for _, part := range f.exported(parameters) {
		for line := range strings.Lines(string(part)) {
			rows = append(rows, offsetMember.ReplaceAllString(line, ""))
		}
	}
	slices.Sort(rows)
	return rows
}

// streamOfShards is told every row once, whichever shard has it, across reconnections, at
// the cost of what is new.
func streamOfShards(t *testing.T, sharded *fixture, shards []*fixture, random *rand.Rand) {
	t.Helper()
	for _, shard := range shards {
		shard.offset += 10_000
		shard.complete(testNow)
	}
	quick(&sharded.server.config)
	url, _ := sharded.serve()
	l := sharded.listen(url, readKey, "")
	l.await("figures", func(m message) bool { return m.event == "figures" })
	for n := range 8 {
		if random.IntN(2) == 0 {
			l.close()
			l = sharded.listen(url, readKey, l.lastID)
		}
		event := charge(fmt.Sprint("told", n), "2026-03-20T00:00:00Z", 700)
		slice := int32(clickhouse.GroupHash(event.GroupKey()) % slicesCount)
		shard := shards[clickhouse.ShardOf(slice, len(shards))]
		shard.write(event)
		for _, one := range shards {
			one.complete(testNow)
		}
		told := entryOf(t, l.await("a row", func(m message) bool { return m.event == "entry" }))
		l.await("its id", func(m message) bool { return m.id != "" })
		if told.ObjectID != event.ObjectID {
			t.Errorf("told of %s, want %s", told.ObjectID, event.ObjectID)
		}
	}
	l.close()
}
