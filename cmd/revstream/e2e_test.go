package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"revstream/analytics"
	"revstream/ingest/stream/kafkatest"
)

// TestTour is the README's tour and all that a first user does: every API, a
// webhook, exact figures from the API and over SQL, the tools beside the running
// service, an orderly restart.
func TestTour(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := startService(t, folder)
	demo := s.client
	demo.must(registration)
	for _, call := range append(steps(), anyOrder()...) {
		demo.must(call)
	}
	story := loadScenario(t, "refund_of_renewal")
	for _, delivery := range story.deliveries(t, demo) {
		demo.must(delivery)
	}
	want := revenueSummary{
		Currency: "USD", GrossRevenueCents: trafficGross + 2000, RefundCents: trafficRefunds + 2000,
		NetRevenueCents: trafficGross - trafficRefunds, PurchaseCount: 6, SubscriptionPurchaseCount: 1, RenewalCount: 1,
		RefundCount: 3, PositiveChargeCount: 8, RecurringNetCents: 8999,
	}
	s.awaitSummary(demo, want)
	first, err := demo.revenue("")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("mrr lasts as long as its term", func(t *testing.T) { checkTerm(t, demo) })
	if s.demo != nil {
		t.Run("sql client sees its workspace only", func(t *testing.T) { checkSQL(t, s) })
	}
	t.Run("second process is refused", func(t *testing.T) { checkSecondProcess(t, s) })
	t.Run("operator's commands", func(t *testing.T) { checkCommands(t, s) })
	t.Run("twice and shuffled in another workspace", func(t *testing.T) { checkShuffled(t, s, first) })
	t.Run("a fact moves", func(t *testing.T) { checkMoves(t, s) })
	t.Run("what is not known is shown", func(t *testing.T) { checkUncertain(t, s) })
	t.Run("restart", func(t *testing.T) {
		s.stop()
		checkStopOrder(t, s.output.String())
		again := startService(t, folder)
		for _, name := range []string{demoSecretKey, demoPublicKey, demoStripeSecret} {
			if again.demo[name] != s.demo[name] {
				t.Errorf("%s has changed over a restart", name)
			}
		}
		answer, err := again.client.revenue("")
		if err != nil || !reflect.DeepEqual(answer, first) {
			t.Errorf("after a restart: %+v, %v\nbefore: %+v", answer, err, first)
		}
		again.checkStored()
		again.stop()
	})
}

// stopOrder is the order of startAll's comment, read upwards.
var stopOrder = []string{
	"http", "alerts", "sweep of idempotency keys", "producer", "reconciliation", "archive", "sink", "producer of dead letters",
	"table placements", "table idempotency", "table transactions", "table messages", "table control",
	"trimming", "broker", "clickhouse pools", "engine", "http listener", "data folder",
}

func checkStopOrder(t *testing.T, output string) {
	var stopped []string
	for _, match := range regexp.MustCompile(`stopped.*"part": "([^".]+)(?:[^"]*\.([^"]+))?"`).FindAllStringSubmatch(output, -1) {
		part := match[1]
		if match[2] != "" { // a table, whose topic has a prefix
			part = "table " + match[2]
		}
		stopped = append(stopped, part)
	}
	want := slices.DeleteFunc(slices.Clone(stopOrder), func(part string) bool {
		return kafkatest.Real() != nil && (part == "trimming" || part == "broker") // not ours
	})
	if !slices.Equal(stopped, want) {
		t.Errorf("stopped in the order\n%q, want\n%q", stopped, want)
	}
}

// awaitSummary waits until the summary is as wanted; MRR and subscriptions depend
// on the day and are looked at elsewhere.
func (s *service) awaitSummary(c client, want revenueSummary) {
	s.t.Helper()
	s.await("the figures", 30*time.Second, func() error {
		answer, err := c.revenue("")
		if err != nil {
			return err
		}
		got := answer.Summary
		got.MRRCents, got.UniqueActiveSubs = want.MRRCents, want.UniqueActiveSubs
		if got != want {
			return fmt.Errorf("\n got %+v\nwant %+v", got, want)
		}
		return nil
	})
}

// checkTerm asks for MRR within and after the paid month.
func checkTerm(t *testing.T, c client) {
	for until, want := range map[string]int64{"2025-05-31": 0, "2025-06-15": 8999, "2025-07-01": 0} {
		status, body, err := c.get("/revenue?workspaceSlug=demo&provider=thrivestack&since=2025-05-01&until=" + until)
		var answer revenueAnswer
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err != nil || status != http.StatusOK || answer.Summary.MRRCents != want {
			t.Errorf("MRR until %s: %d %v, got %d, want %d", until, status, err, answer.Summary.MRRCents, want)
		}
	}
}

// checkMoves states a sale, and then says whose it was, in a correction that belongs to
// another group, and of whom else; each time it counts once.
func checkMoves(t *testing.T, s *service) {
	shop := s.newWorkspace("moves")
	sale := func(amount int, of string) {
		t.Helper()
		shop.must(call{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted,
			body: fmt.Sprintf(`{"kind":"charge","object_id":"ord_1","occurred_at":"2026-01-15","amount":%d%s}`, amount, of)})
	}
	sale(2499, ``)
	s.awaitSummary(shop, revenueSummary{Currency: "USD", GrossRevenueCents: 2499, NetRevenueCents: 2499, PurchaseCount: 1, PositiveChargeCount: 1})
	sale(2500, `,"customer":"cus_1","subscription":"sub_1"`)
	sale(2600, `,"customer":"cus_2","subscription":"sub_1"`)
	s.awaitSummary(shop, revenueSummary{
		Currency: "USD", GrossRevenueCents: 2600, NetRevenueCents: 2600, RecurringNetCents: 2600, SubscriptionPurchaseCount: 1, PositiveChargeCount: 1,
	})
}

// checkUncertain posts a subscription whose tiers only an API key could tell.
func checkUncertain(t *testing.T, s *service) {
	tiers := loadScenario(t, "api_tiers")
	tiers.Deliveries = tiers.Deliveries[:1]
	for _, delivery := range tiers.deliveries(t, s.client) {
		s.client.must(delivery)
	}
	s.await("what is uncertain", 30*time.Second, func() error {
		status, body, err := s.client.get("/v1/uncertain?workspaceSlug=demo")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		var answer analytics.Uncertain
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if len(answer.Rows) != 1 || answer.Rows[0].Note != "mrr_unknown" || answer.Rows[0].FactCount != 1 || answer.Rows[0].Amounts != nil ||
			!strings.Contains(answer.Rows[0].Detail, "tiers") || answer.Rows[0].Examples[0].Subscription != "sub_1" {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
}

// sql runs one statement over ClickHouse's HTTP interface: as the demo user, or as
// the service's own if there is none.
func (s *service) sql(statement string) (int, string) {
	s.t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	user, password := place.ClickHouseUser, place.ClickHousePasswd
	if s.demo != nil {
		dsn := s.demo[demoClickHouseDSN]
		rest, found := strings.CutPrefix(dsn, "clickhouse://")
		var hasPassword bool
		user, password, hasPassword = strings.Cut(rest[:max(0, strings.Index(rest, "@"))], ":")
		if !found || !hasPassword {
			s.t.Fatalf("the DSN %q is not clickhouse://user:password@host:port/database", dsn)
		}
	}
	return s.sqlAs(user, password, statement)
}

// sqlAs is sql by a user of ClickHouse.
func (s *service) sqlAs(user, password, statement string) (int, string) {
	s.t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer, err := s.client.send(call{
		method: http.MethodPost, path: place.ClickHouseHTTP + "/?database=revstream", body: statement,
		header: map[string]string{"X-ClickHouse-User": user, "X-ClickHouse-Key": password, "X-Api-Key": ""},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return status, strings.TrimSpace(string(answer))
}

func checkSQL(t *testing.T, s *service) {
	for statement, want := range map[string]string{
		"SELECT sum(sign * amount) FROM entries WHERE amount > 0":          fmt.Sprint(trafficGross + 2000),
		"SELECT sum(amount) FROM revenue_daily":                            fmt.Sprint(trafficGross - trafficRefunds),
		"SELECT uniqExact(workspace) FROM ledger":                          "1",
		"SELECT count() > 10 FROM events":                                  "1",
		"SELECT sum(sign * amount) FROM ledger WHERE provider = 'trackly'": "3749",
	} {
		if status, got := s.sql(statement); status != http.StatusOK || got != want {
			t.Errorf("%s: %d %s, want %s", statement, status, got, want)
		}
	}
	for _, statement := range []string{
		"INSERT INTO progress (slice) VALUES (1)", "DROP TABLE entries", "SELECT * FROM file('/etc/hostname', 'LineAsString')",
		"SELECT * FROM default.`/etc/hostname`", "ALTER TABLE ledger DELETE WHERE 1", "SELECT * FROM system.users",
	} {
		if status, got := s.sql(statement); status == http.StatusOK {
			t.Errorf("%s: allowed, answers %q", statement, got)
		}
	}
}

func checkSecondProcess(t *testing.T, s *service) {
	output := s.revstream(exitRunning, "run")
	if want := fmt.Sprintf("already running with pid %d", s.command.Process.Pid); !strings.Contains(output, want) {
		t.Errorf("%q does not say %q", output, want)
	}
	if strings.Count(output, "already running") != 1 {
		t.Errorf("the error is not printed once: %q", output)
	}
}

// revstream runs a command of the binary on the service's data folder.
func (s *service) revstream(code int, args ...string) string {
	s.t.Helper()
	return s.revstreamOn("", code, args...)
}

// revstreamOn is revstream with a standard input.
func (s *service) revstreamOn(input string, code int, args ...string) string {
	s.t.Helper()
	command := exec.Command(binary, args...)
	command.Stdin = strings.NewReader(input)
	command.Env = append(serviceEnvironment(s.folder, freeAddr(s.t)), s.settings...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	if exited := new(exec.ExitError); err != nil && !errors.As(err, &exited) {
		s.t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("revstream %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, &output)
	}
	return output.String()
}

func checkCommands(t *testing.T, s *service) {
	s.revstream(exitOK, "migrate")
	s.revstream(exitOK, "check", "--wait", "20s")
	if output := s.revstream(exitOK, "dead-letters", "list"); !strings.Contains(output, "no dead letters") {
		t.Errorf("dead-letters list: %s", output)
	}
	if output := s.revstream(exitOK, "workspaces", "list"); !strings.Contains(output, "demo") {
		t.Errorf("workspaces list: %s", output)
	}
	published := filepath.Join(t.TempDir(), "eurofxref-hist.csv")
	if err := os.WriteFile(published, []byte("Date,ISK,JPY,\n2026-03-13,144.50,163.10,\n2026-03-12,N/A,163.42,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output := s.revstream(exitOK, "rates", "load", published); !strings.Contains(output, "3 rates loaded") {
		t.Errorf("rates load: %s", output)
	}
	if output := s.revstream(exitOK, "rates", "list"); !regexp.MustCompile(`EUR +ISK +144\.5 +2026-03-13 +2026-03-13 +1 +ecb`).MatchString(output) {
		t.Errorf("rates list: %s", output)
	}
	s.revstream(exitUsage, "rates", "load")
	output := s.revstream(exitOK, "keys", "list", "--workspace", "demo")
	if strings.Contains(output, s.client.secret) {
		t.Errorf("keys list shows a secret: %s", output)
	}
	s.revstream(exitUsage, "keys", "create")
	s.revstream(exitUsage, "no-such-command")
	s.revstream(exitUsage, "run", "--no-such-flag")
}

// newWorkspace makes another workspace with the operator's commands.
func (s *service) newWorkspace(slug string) client {
	s.t.Helper()
	s.revstream(exitOK, "workspaces", "create", slug, "--currency", "USD")
	return s.newKeys(slug)
}

// newKeys makes an API key and a Stripe endpoint of a workspace.
func (s *service) newKeys(slug string) client {
	s.t.Helper()
	var key struct{ Secret string }
	s.decode(s.revstream(exitOK, "keys", "create", "--workspace", slug, "--scopes", "revenue:write,read", "--json"), &key)
	var endpoint struct{ URL, Secret string }
	s.decode(s.revstream(exitOK, "endpoints", "create", "--workspace", slug, "--provider", "stripe", "--json"), &endpoint)
	return client{t: s.t, url: s.url, workspace: slug, secret: key.Secret, stripeEndpoint: endpoint.URL, stripeSecret: endpoint.Secret}
}

func (s *service) decode(text string, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("%v in %q", err, text)
	}
}

// checkShuffled sends the same traffic to another workspace, everything twice and
// in any order, and wants the same answers. It also shows that the demo user of
// ClickHouse does not see the other workspace.
func checkShuffled(t *testing.T, s *service, want revenueAnswer) {
	_, before := s.sql("SELECT count() FROM ledger")
	other := s.newWorkspace("other")
	other.must(registration)
	for _, call := range steps() {
		other.must(call)
	}
	calls := append(anyOrder(), loadScenario(t, "refund_of_renewal").deliveries(t, other)...)
	calls = append(calls, calls...)
	rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	for _, call := range calls {
		other.must(call)
	}
	s.revstream(exitOK, "check", "--wait", "20s")
	got, err := other.revenue("")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("sent twice and shuffled: %+v, %v\nsent once in order: %+v", got, err, want)
	}
	if _, after := s.sql("SELECT count() FROM ledger"); s.demo != nil && after != before {
		t.Errorf("the demo user of ClickHouse saw %s rows and sees %s after another workspace has got revenue", before, after)
	}
	if status, _, _ := other.get("/revenue?workspaceSlug=demo"); status != http.StatusForbidden && status != http.StatusNotFound {
		t.Errorf("another workspace's figures: %d", status)
	}
}

// payer sends charges of its own, each until it is answered 2xx, and knows what
// was accepted. Whatever happens to the service, that much must be counted, once.
type payer struct {
	name     string       // begins the ids of its charges
	attempts atomic.Int64 // requests, repeated ones too
	slowest  atomic.Int64 // how long a charge took until it was accepted, in nanoseconds
	client   atomic.Pointer[client]
	stop     atomic.Bool
	accepted atomic.Int64 // charges
	cents    atomic.Int64
	group    sync.WaitGroup
}

const payerSenders = 4

func startPayer(c client) *payer { return startPayerNamed("pay", c) }

// startPayerNamed is for several payers in one workspace.
func startPayerNamed(name string, c client) *payer {
	p := &payer{name: name}
	p.client.Store(&c)
	for sender := range payerSenders {
		p.group.Go(func() {
			for number := 1; !p.stop.Load(); number++ {
				p.pay(sender, number)
			}
		})
	}
	return p
}

// pay sends one charge of a few cents until it is accepted.
func (p *payer) pay(sender, number int) {
	cents := int64(1 + (sender*7919+number*104729)%9973)
	request := call{method: http.MethodPost, path: "/v1/events", body: fmt.Sprintf(
		`{"kind":"charge","object_id":"%s_%d_%d","amount":%d,"currency":"USD","occurred_at":"2025-07-01T00:00:00Z","version":1}`, p.name, sender, number, cents)}
	began := time.Now()
	for {
		p.attempts.Add(1)
		status, _, err := p.client.Load().send(request)
		if err == nil && status == http.StatusAccepted {
			p.accepted.Add(1)
			p.cents.Add(cents)
			if took := int64(time.Since(began)); took > p.slowest.Load() {
				p.slowest.Store(took) // of two at once one may be missed
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// until waits for so many more charges to be accepted.
func (p *payer) until(s *service, more int64) {
	s.t.Helper()
	goal := p.accepted.Load() + more
	s.await(fmt.Sprintf("%d accepted charges", goal), 60*time.Second, func() error {
		if have := p.accepted.Load(); have < goal {
			return fmt.Errorf("only %d", have)
		}
		return nil
	})
}

// end stops paying when what is under way has been accepted.
func (p *payer) end() {
	p.stop.Store(true)
	p.group.Wait()
}

// finish stops paying and holds the service's figures against what it accepted.
func (p *payer) finish(s *service) {
	s.t.Helper()
	p.end()
	count, cents := p.accepted.Load(), p.cents.Load()
	s.awaitSummary(s.client, revenueSummary{
		Currency: "USD", GrossRevenueCents: cents, NetRevenueCents: cents, PurchaseCount: count, PositiveChargeCount: count,
	})
	s.checkStored()
	s.t.Logf("%d charges, %d.%02d USD, each counted once", count, cents/100, cents%100)
}

// TestEngineKilled kills the ClickHouse child in the middle of traffic, twice:
// accepting goes on meanwhile, the child comes back on the same ports, and
// everything accepted is counted once.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	s := startService(t, t.TempDir())
	before, err := loadPlaces(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	p := startPayer(s.client)
	for range 2 {
		p.until(s, 300)
		pid, err := s.enginePID()
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.until(s, 300)
		s.await("another engine", 30*time.Second, func() error {
			if now, err := s.enginePID(); err != nil || now == pid {
				return fmt.Errorf("still pid %d, %w", now, err)
			}
			return nil
		})
	}
	p.finish(s)
	if status, answer := s.sql("SELECT 1"); status != http.StatusOK {
		t.Errorf("the reader's DSN after the engine came back: %d %s", status, answer)
	}
	if after, err := loadPlaces(s.folder); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the places changed from %+v to %+v, %v", before, after, err)
	}
	s.stop()
}

// TestServiceKilled kills revstream itself in the middle of traffic, twice: its
// engine child follows it, and after a start every charge that was answered 2xx
// is counted once.
func TestServiceKilled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := startService(t, folder)
	p := startPayer(s.client)
	for range 2 {
		p.until(s, 400)
		engine, err := s.enginePID()
		if err != nil {
			t.Fatal(err)
		}
		s.kill()
		s.await("the engine child to follow", 15*time.Second, func() error {
			// A process that nobody has waited for yet is over all the same.
			state, _ := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(engine)).Output()
			if text := strings.TrimSpace(string(state)); text != "" && !strings.HasPrefix(text, "Z") {
				return fmt.Errorf("pid %d is still there: %s", engine, text)
			}
			return nil
		})
		s = startService(t, folder)
		p.client.Store(&s.client)
	}
	p.until(s, 200)
	p.finish(s)
	s.stop()
}
