package ingest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/connectors/registry"
	"revstream/ingest"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
	"revstream/ingest/stream/kafkatest"
)

// patience bounds every wait of a test; none is expected to come near it.
const patience = 20 * time.Second

// service is a whole ingest role on a Kafka of its own, or on the real one of this run.
type service struct {
	t        *testing.T
	app      *fiber.App
	server   *ingest.Server
	fake     *kfake.Cluster // if it was asked for
	stream   stream.Config
	registry *prometheus.Registry
	keys     keys
}

// settings change a service before it starts.
type settings struct {
	ingest     func(*ingest.Config)
	stream     func(*stream.Config)
	connectors []connectors.Connector
	now        func() time.Time
	clockFile  string
	currency   string
	// fake is for tests that take Kafka away or make it refuse.
	fake bool
}

func start(t *testing.T, with settings) *service {
	t.Helper()
	s := &service{t: t, registry: prometheus.NewRegistry(), stream: stream.DefaultConfig()}
	if with.fake {
		s.fake = kafkatest.Fake(t, &s.stream)
	} else {
		kafkatest.Use(t, &s.stream)
	}
	s.stream.FetchWait = 50 * time.Millisecond
	if with.stream != nil {
		with.stream(&s.stream)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := stream.EnsureTopics(ctx, s.stream); err != nil {
		t.Fatal(err)
	}
	s.serve(ctx, with, func(table *stream.Table) *control.Directory { return s.direct(ctx, table, with.currency) })
	return s
}

// beside is another node of the service: all that they have in common is Kafka.
func (s *service) beside() *service {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	other := &service{t: s.t, registry: prometheus.NewRegistry(), stream: s.stream, keys: s.keys}
	other.serve(ctx, settings{}, func(table *stream.Table) *control.Directory {
		directory, err := control.Open(ctx, table)
		if err != nil {
			s.t.Fatal(err)
		}
		return directory
	})
	return other
}

// serve starts the role on topics that are there.
func (s *service) serve(ctx context.Context, with settings, direct func(*stream.Table) *control.Directory) {
	t := s.t
	t.Helper()
	log := zap.NewNop()
	producer, err := stream.NewProducer(s.stream, s.registry, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = producer.Close(ctx) // a test may have taken Kafka away
	})
	dir := t.TempDir()
	table := func(topic string) *stream.Table {
		table, err := stream.OpenTable(ctx, s.stream, topic, filepath.Join(dir, "tables"), log, s.registry)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = table.Close() })
		return table
	}
	cfg := ingest.DefaultConfig()
	if with.ingest != nil {
		with.ingest(&cfg)
	}
	directory := direct(table(s.stream.ControlTopic))
	s.server, err = ingest.New(cfg, ingest.Dependencies{
		Producer: producer, Directory: directory,
		Messages: table(s.stream.MessagesTopic), Transactions: table(s.stream.TransactionsTopic), Idempotency: table(s.stream.IdempotencyTopic),
		Placements: table(s.stream.PlacementsTopic),
		Connectors: with.connectors, APIs: registry.APIs(), Registerer: s.registry, Log: log, Now: with.now, ClockFile: with.clockFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app = ingest.NewApp(cfg, registry.APIs()...)
	s.server.Routes(s.app)
}

// response is an answer, read.
type response struct {
	status int
	header http.Header
	body   string
}

// call sends a request with headers given as name, value pairs.
func (s *service) call(method, path, body string, headers ...string) response {
	s.t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.app.Test(request, int(patience.Milliseconds()))
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	declared(s.t, method, path, answer.StatusCode)
	return read(s.t, answer)
}

// post sends JSON with the secret key.
func (s *service) post(path, body string, headers ...string) response {
	s.t.Helper()
	return s.call(http.MethodPost, path, body, append([]string{"X-Api-Key", s.keys.secret}, headers...)...)
}

// expect holds the answer against a status and a body.
func (r response) expect(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status || r.body != body {
		t.Errorf("got %d %s\nwant %d %s", r.status, r.body, status, body)
	}
}

// field is a member of the answer's JSON object, as text.
func (r response) field(t *testing.T, name string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		t.Fatalf("answer %d %q: %v", r.status, r.body, err)
	}
	return strings.Trim(string(members[name]), `"`)
}

// published reads every statement of the events topic, in order of acceptance.
func (s *service) published() []revenue.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.stream.Brokers...), kgo.ConsumeTopics(s.stream.EventsTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, s.stream.EventsTopic)
	if err != nil {
		s.t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var events []revenue.Event
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			left--
			event, err := stream.DecodeEvent(record.Value)
			if err != nil {
				s.t.Errorf("record %s: %v", record.Value, err)
			}
			if string(record.Key) != event.GroupKey().String() {
				s.t.Errorf("record key %q, want %q", record.Key, event.GroupKey())
			}
			events = append(events, event)
		})
	}
	slices.SortStableFunc(events, func(a, b revenue.Event) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return events
}

// cash folds everything published: amounts by kind of entry, in minor units.
func (s *service) cash() map[revenue.EntryKind]int64 {
	s.t.Helper()
	totals := map[revenue.EntryKind]int64{}
	for _, entry := range s.entries() {
		if entry.Kind.Family() == revenue.FamilyCash {
			totals[entry.Kind] += entry.Amount
		}
	}
	return totals
}

func (s *service) entries() []revenue.Entry {
	s.t.Helper()
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range s.published() {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	var entries []revenue.Entry
	for _, events := range groups {
		entries = append(entries, revenue.Fold(events)...)
	}
	return entries
}

// metric is the value of a counter of the ingest role, summed over the series
// that have the labels, given as name, value pairs.
func (s *service) metric(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, series := range family.GetMetric() {
			matching := 0
			for _, label := range series.GetLabel() {
				for i := 0; i+1 < len(labels); i += 2 {
					if label.GetName() == labels[i] && label.GetValue() == labels[i+1] {
						matching++
					}
				}
			}
			if matching == len(labels)/2 {
				total += series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return total
}

// messages registers what the Trackly tests refer to.
func (s *service) messages() {
	s.t.Helper()
	s.post("/api/v2/messages", `{
		"contacts":[{"id":"con_1"}],
		"offers":[{"id":"off_1","external_id":"offer_123"}],
		"short_links":[{"id":"t.ly/x","offer_id":"offer_123"}],
		"messages":[{"id":"a1b2c3d4","contact_id":"con_1","short_link":"t.ly/x"},{"id":"e5f6g7h8"},{"id":"nocontac","contact_id":"con_9"}]}`).
		expect(s.t, 201, `{"success":true,"registered":{"messages":3,"contacts":1,"offers":1,"short_links":1}}`)
}

// refuse makes the fake broker refuse everything written to the topic until undone.
func (s *service) refuse(topic string) (undo func()) {
	fault := s.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.InvalidRecord, Count: -1})
	return fault.Remove
}
