package control

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"

	"revstream/ingest/stream"
	"revstream/ingest/stream/kafkatest"
)

// patience bounds every wait of a test; none is expected to come near it.
const patience = 20 * time.Second

const tester Actor = "test"

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// kafka is the configuration that leads to a Kafka, with its topics: a kfake of the
// test's own, or the real one of this run.
func kafka(t *testing.T) stream.Config {
	t.Helper()
	cfg := stream.DefaultConfig()
	kafkatest.Use(t, &cfg)
	return prepared(t, cfg)
}

// fakeKafka is kafka for tests that take it away or look into it.
func fakeKafka(t *testing.T) (*kfake.Cluster, stream.Config) {
	t.Helper()
	cfg := stream.DefaultConfig()
	cluster := kafkatest.Fake(t, &cfg)
	return cluster, prepared(t, cfg)
}

func prepared(t *testing.T, cfg stream.Config) stream.Config {
	t.Helper()
	cfg.FetchWait = 100 * time.Millisecond
	cfg.ProduceTimeout = 2 * time.Second
	cfg.ReadTimeout = 2 * time.Second
	if err := stream.EnsureTopics(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// node opens the control plane as another node would, on its own disk.
func node(t *testing.T, cfg stream.Config, opts ...Option) (*Directory, *stream.Table) {
	t.Helper()
	table, err := stream.OpenTable(within(t), cfg, cfg.ControlTopic, t.TempDir(), zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := Open(within(t), table, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return d, table
}

func workspace(t *testing.T, d *Directory, slug string) Workspace {
	t.Helper()
	w, err := d.CreateWorkspace(within(t), tester, NewWorkspace{Slug: slug})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newKey(t *testing.T, d *Directory, n NewKey) (Key, string) {
	t.Helper()
	if n.Name == "" {
		n.Name = "test"
	}
	key, secret, err := d.CreateKey(within(t), tester, n)
	if err != nil {
		t.Fatal(err)
	}
	return key, secret.Reveal()
}

func newEndpoint(t *testing.T, d *Directory, slug string, secrets ...string) Endpoint {
	t.Helper()
	n := NewEndpoint{Workspace: slug, Provider: "stripe", Account: "acct_1", Options: map[string]string{"a": "b"}}
	for _, text := range secrets {
		n.Secrets = append(n.Secrets, NewSecret(text))
	}
	e, err := d.CreateEndpoint(within(t), tester, n)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
