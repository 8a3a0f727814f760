package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	connectorregistry "revstream/connectors/registry"
	"revstream/ingest"
	"revstream/ingest/control"
	"revstream/ingest/stream"
	"revstream/ingest/stream/embedded"
)

const (
	benchCallers  = 64 // connections, each with one request under way
	benchMessages = 500
	benchRecords  = 100 // of a bulk request
	floorTopic    = "floor"
)

// BenchmarkAcceptSingle is one record a request, by Trackly's contract and by our
// own, beside the floor.
func BenchmarkAcceptSingle(b *testing.B) {
	b.Run("trackly", func(b *testing.B) { newAcceptance(b).compare(b, "/api/v2/revenue", 1, 16*benchCallers, trackly) })
	b.Run("native", func(b *testing.B) { newAcceptance(b).compare(b, "/v1/events", 1, 16*benchCallers, native) })
}

// BenchmarkAcceptBulk is 100 records a request, by Trackly's contract and by our own,
// beside the floor.
func BenchmarkAcceptBulk(b *testing.B) {
	bulk := func(begin string, record func(i int) string, end string) func(i int) string {
		return func(i int) string {
			records := make([]string, benchRecords)
			for n := range records {
				records[n] = record(benchRecords*i + n)
			}
			return begin + strings.Join(records, ",") + end
		}
	}
	b.Run("trackly", func(b *testing.B) {
		newAcceptance(b).compare(b, "/api/v2/revenue/bulk", benchRecords, 5*benchCallers, bulk(`{"records":[`, trackly, `]}`))
	})
	b.Run("native", func(b *testing.B) {
		newAcceptance(b).compare(b, "/v1/events", benchRecords, 5*benchCallers, bulk(`[`, native, `]`))
	})
}

func trackly(i int) string {
	return fmt.Sprintf(`{"message_id":"m%07d","revenue":%d.%02d,"offer_id":"offer_123","attribution_type":"sale","timestamp":"2026-02-08T12:%02d:%02dZ"}`,
		i%benchMessages, i%900, i%100, i/60%60, i%60)
}

func native(i int) string {
	return fmt.Sprintf(`{"kind":"charge","provider":"shop","object_id":"pay_%08d","amount":%d,"tax":19,"currency":"USD",`+
		`"occurred_at":"2026-02-08T12:%02d:%02dZ","customer":"cus_%d","product":"prod_1","external_id":"order_%d"}`,
		i, 100+i%9900, i/60%60, i%60, i%5000, i)
}

// acceptance is the ingest role and its floor, each listening on loopback, both
// writing to one durable embedded broker.
type acceptance struct {
	secret      string
	role, floor string // addresses
}

func newAcceptance(b *testing.B) *acceptance {
	b.Helper()
	cfg := embedded.DefaultConfig()
	cfg.Dir = b.TempDir()
	log := zap.NewNop()
	broker, err := embedded.Start(cfg, log, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := broker.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	streamCfg := stream.DefaultConfig()
	streamCfg.Brokers = []string{broker.Addr()}
	a := &acceptance{}
	a.role = listen(b, a.service(b, streamCfg, log))
	a.floor = listen(b, floorApp(b, broker.Addr()))
	return a
}

// service is the whole ingest role, as cmd puts it together.
func (a *acceptance) service(b *testing.B, cfg stream.Config, log *zap.Logger) *fiber.App {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	registry := prometheus.NewRegistry()
	if err := stream.EnsureTopics(ctx, cfg); err != nil {
		b.Fatal(err)
	}
	producer, err := stream.NewProducer(cfg, registry, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := producer.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	dir := b.TempDir()
	table := func(topic string) *stream.Table {
		table, err := stream.OpenTable(ctx, cfg, topic, filepath.Join(dir, "tables"), log, registry)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = table.Close() })
		return table
	}
	directory, err := control.Open(ctx, table(cfg.ControlTopic))
	if err != nil {
		b.Fatal(err)
	}
	workspace, err := directory.CreateWorkspace(ctx, "bench", control.NewWorkspace{Slug: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	_, secret, err := directory.CreateKey(ctx, "bench", control.NewKey{
		Workspace: workspace.ID, Name: "bench", Scopes: []control.Scope{control.ScopeRevenueWrite}, RatePerSecond: 1e6, Burst: 1_000_000,
	})
	if err != nil {
		b.Fatal(err)
	}
	a.secret = secret.Reveal()
	server, err := ingest.New(ingest.DefaultConfig(), ingest.Dependencies{
		Producer: producer, Directory: directory,
		Messages: table(cfg.MessagesTopic), Transactions: table(cfg.TransactionsTopic), Idempotency: table(cfg.IdempotencyTopic),
		Placements: table(cfg.PlacementsTopic),
		APIs:       connectorregistry.APIs(), Registerer: registry, Log: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	app := ingest.NewApp(ingest.DefaultConfig(), connectorregistry.APIs()...)
	server.Routes(app)
	return app
}

// floorRecord is what the floor reads of a record of either form.
type floorRecord struct {
	MessageID       string      `json:"message_id"`
	Revenue         json.Number `json:"revenue"`
	OfferID         string      `json:"offer_id"`
	AttributionType string      `json:"attribution_type"`
	Timestamp       string      `json:"timestamp"`

	Kind       string      `json:"kind"`
	Provider   string      `json:"provider"`
	ObjectID   string      `json:"object_id"`
	Amount     json.Number `json:"amount"`
	Tax        json.Number `json:"tax"`
	Currency   string      `json:"currency"`
	OccurredAt string      `json:"occurred_at"`
	Customer   string      `json:"customer"`
	Product    string      `json:"product"`
	ExternalID string      `json:"external_id"`
}

// floorApp is the least that can be done: the body read with encoding/json, each
// record produced as it came and acknowledged by the disk.
func floorApp(b *testing.B, broker string) *fiber.App {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	if _, err := kadm.NewClient(client).CreateTopic(b.Context(), stream.DefaultConfig().Partitions, 1, nil, floorTopic); err != nil {
		b.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	var accepted atomic.Int64
	produce := func(c *fiber.Ctx, texts ...json.RawMessage) error {
		records := make([]*kgo.Record, len(texts))
		for i, text := range texts {
			records[i] = &kgo.Record{Topic: floorTopic, Key: strconv.AppendInt(nil, accepted.Add(1), 10), Value: text}
		}
		if err := client.ProduceSync(c.UserContext(), records...).FirstErr(); err != nil {
			return err
		}
		return c.JSON(fiber.Map{"success": true})
	}
	many := func(c *fiber.Ctx, texts []json.RawMessage) error {
		for _, text := range texts {
			var record floorRecord
			if err := json.Unmarshal(text, &record); err != nil {
				return err
			}
		}
		return produce(c, texts...)
	}
	single := func(c *fiber.Ctx) error {
		if bytes.HasPrefix(c.Body(), []byte("[")) {
			var texts []json.RawMessage
			if err := json.Unmarshal(c.Body(), &texts); err != nil {
				return err
			}
			return many(c, texts)
		}
		var record floorRecord
		if err := json.Unmarshal(c.Body(), &record); err != nil {
			return err
		}
		return produce(c, bytes.Clone(c.Body()))
	}
	app.Post("/api/v2/revenue", single)
	app.Post("/v1/events", single)
	app.Post("/api/v2/revenue/bulk", func(c *fiber.Ctx) error {
		var body struct {
			Records []json.RawMessage `json:"records"`
		}
		if err := json.Unmarshal(c.Body(), &body); err != nil {
			return err
		}
		return many(c, body.Records)
	})
	return app
}

func listen(b *testing.B, app *fiber.App) (addr string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Listener(listener) }()
	b.Cleanup(func() {
		if err := app.Shutdown(); err != nil {
			b.Error(err)
		}
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return listener.Addr().String()
}

// compare measures rounds of requests to the role, and between them, with
// the clock stopped, the same rounds to the floor: on a shared machine only what
// is measured side by side can be compared. x_floor is the share of the floor's
// throughput that is reached, x_floor_cpu the floor's processor time beside ours.
func (a *acceptance) compare(b *testing.B, path string, records, requests int, body func(i int) string) {
	bodies := make([][]byte, requests)
	sets := 0
	fresh := func() { // what is accepted is new, as it nearly always is
		for i := range bodies {
			text := body(sets*requests + i)
			bodies[i] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				path, a.secret, len(text), text)
		}
		sets++
	}
	role, floor := newCallers(b, a.role), newCallers(b, a.floor)
	role.post(b, [][]byte{a.registration()})
	for range 2 { // nobody is measured while topics, pools and caches are filled
		fresh()
		role.post(b, bodies)
		floor.post(b, bodies)
	}
	fresh()
	var onRole, onFloor cost
	rounds := 0
	for b.Loop() {
		onRole.add(b, func() { role.post(b, bodies) })
		b.StopTimer()
		onFloor.add(b, func() { floor.post(b, bodies) })
		rounds++
		fresh()
		b.StartTimer()
	}
	sent := float64(rounds * requests * records)
	b.ReportMetric(sent/onRole.elapsed.Seconds(), "records/s")
	b.ReportMetric(sent/onFloor.elapsed.Seconds(), "floor_records/s")
	b.ReportMetric(onFloor.elapsed.Seconds()/onRole.elapsed.Seconds(), "x_floor")
	b.ReportMetric(onRole.processor.Seconds()*1e6/sent, "cpu_us/record")
	b.ReportMetric(onFloor.processor.Seconds()/onRole.processor.Seconds(), "x_floor_cpu")
	b.ReportMetric(residentMiB(b), "rss_MiB")
}

// cost is what something took: time on the clock, and time of the processors in
// this process, which neighbours on a shared machine change less.
type cost struct{ elapsed, processor time.Duration }

func (c *cost) add(b *testing.B, do func()) {
	b.Helper()
	before, begin := processorTime(b), time.Now()
	do()
	c.elapsed += time.Since(begin)
	c.processor += processorTime(b) - before
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// registration is the request that registers what the Trackly records refer to.
func (a *acceptance) registration() []byte {
	body := bytes.NewBufferString(`{"contacts":[{"id":"con_1"}],"offers":[{"id":"off_1","external_id":"offer_123"}],"messages":[`)
	for i := range benchMessages {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(body, `{"id":"m%07d","contact_id":"con_1","campaign":"spring"}`, i)
	}
	body.WriteString(`]}`)
	return fmt.Appendf(nil, "POST /api/v2/messages HTTP/1.1\r\nHost: bench\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n%s", a.secret, body.Len(), body)
}

// callers are connections that stay open. They write prepared requests, so that
// the clients, who share the processors with what is measured, cost little.
type callers []*caller

type caller struct {
	net.Conn
	reader *bufio.Reader
}

func newCallers(b *testing.B, addr string) callers {
	b.Helper()
	all := make(callers, benchCallers)
	for i := range all {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		all[i] = &caller{conn, bufio.NewReader(conn)}
	}
	return all
}

// post sends all requests, each once, and waits for the answers.
func (c callers) post(b *testing.B, requests [][]byte) {
	b.Helper()
	var next atomic.Int64
	var group errgroup.Group
	for _, one := range c {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
				if err := one.exchange(requests[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func (c *caller) exchange(request []byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	// One record refused in a bulk request is an answer of success too.
	if err == nil && (answer.StatusCode >= http.StatusMultipleChoices || bytes.Contains(text, []byte(`"index":0,"code"`))) {
		err = fmt.Errorf("answer %d: %s", answer.StatusCode, text)
	}
	return err
}

// residentMiB is the memory of this process: the role, the broker, the floor and
// the clients together.
func residentMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kibibytes float64
	if _, err := fmt.Fscan(bytes.NewReader(after), &kibibytes); err != nil {
		b.Fatal(err)
	}
	return kibibytes / 1024
}
