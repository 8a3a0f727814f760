package reconcile

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/connectors"
	"revstream/ingest/control"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestCompareListsEveryDifference(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	theirs := []connectors.DayTotal{
		{Day: day, Currency: "USD", Flow: "charge", Amount: 500}, {Day: day, Currency: "EUR", Flow: "charge", Amount: 100},
		{Day: day.AddDate(0, 0, 1), Currency: "USD", Flow: "refund", Amount: -20}, {Day: day.AddDate(0, 0, 2), Currency: "USD", Flow: "charge"},
	}
	ours := []clickhouse.ProviderTotal{
		{Day: day, Currency: "USD", Flow: "charge", Amount: 400}, {Day: day, Currency: "USD", Flow: "charge", Amount: 100},
		{Day: day, Currency: "EUR", Flow: "charge", Amount: 90}, {Day: day.AddDate(0, 0, 3), Currency: "USD", Flow: "dispute", Amount: -7},
	}
	want := []clickhouse.TotalDifference{
		{Day: day, Currency: "EUR", Flow: "charge", Theirs: 100, Ours: 90},
		{Day: day.AddDate(0, 0, 1), Currency: "USD", Flow: "refund", Theirs: -20},
		{Day: day.AddDate(0, 0, 3), Currency: "USD", Flow: "dispute", Ours: -7},
	}
	if got := compare(theirs, ours); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// provider is one whose endpoints all have an account of their own, by which it says what
// it moved: "500" of it on the first day of the window, nothing, or an error.
type provider struct {
	mu    sync.Mutex
	asked map[string]int
}

func (p *provider) connector() connectors.Connector {
	return connectors.Connector{
		Provider: "toypay", Title: "Toypay",
		Settings: []connectors.Setting{{Name: "api_key", Secret: true, About: "A key."}},
		History: &connectors.History{Totals: func(_ context.Context, past connectors.Past, window connectors.Window) ([]connectors.DayTotal, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked[past.Delivery.Integration]++
			switch past.Delivery.Account {
			case "differs":
				return []connectors.DayTotal{{Day: window.From, Currency: "USD", Flow: connectors.FlowCharge, Amount: 500}}, nil
			case "fails":
				return nil, errors.New("the API is down")
			default:
				return nil, nil
			}
		}},
	}
}

type directory []control.Endpoint

func (directory) Workspaces() []control.Workspace { return []control.Workspace{{ID: "ws_1"}} }

func (d directory) Endpoints(string) []control.Endpoint { return d }

func endpoints() directory {
	key := map[string]control.Secret{"api_key": control.NewSecret("key_1")}
	var list directory
	for _, account := range []string{"agrees", "differs", "fails", "keyless", "revoked", "other"} {
		e := control.Endpoint{ID: "we_" + account, Workspace: "ws_1", Provider: "toypay", Account: account, Mode: control.ModeAny, Credentials: key}
		switch account {
		case "keyless":
			e.Credentials = nil
		case "revoked":
			e.RevokedAt = time.Unix(1, 0)
		case "other":
			e.Provider = "unheard-of"
		}
		list = append(list, e)
	}
	return list
}

func openStore(t *testing.T) *clickhouse.Cluster {
	t.Helper()
	engine, config := enginetest.Start(t), clickhouse.DefaultConfig()
	config.Addresses, config.User, config.Database = []string{engine.Addr()}, embedded.AdminUser, enginetest.DatabaseName(t)
	config.Password, _ = engine.Password(embedded.AdminUser)
	store, err := clickhouse.OpenCluster(t.Context(), config, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// Of several processes one asks, each endpoint once a day; one that failed again after a
// while; and how it ended is kept.
func TestNightly(t *testing.T) {
	store, toypay := openStore(t), &provider{asked: map[string]int{}}
	var clock atomic.Pointer[time.Time]
	at := func(text string) {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		clock.Store(&moment)
	}
	var nodes []*Nightly
	for range 3 {
		n, err := NewNightly(DefaultConfig(), endpoints(), []connectors.Connector{toypay.connector()}, store, prometheus.NewRegistry(), zaptest.NewLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		n.settle = time.Second
		n.now = func() time.Time { return *clock.Load() }
		nodes = append(nodes, n)
	}
	look := func() {
		var all sync.WaitGroup
		for _, n := range nodes {
			all.Go(func() { n.look(t.Context()) })
		}
		all.Wait()
	}
	for _, step := range []struct {
		at   string
		want map[string]int
	}{
		{"2026-03-02T03:59:59Z", map[string]int{}},
		{"2026-03-02T04:00:00Z", map[string]int{"we_agrees": 1, "we_differs": 1, "we_fails": 1}},
		{"2026-03-02T04:30:00Z", map[string]int{"we_agrees": 1, "we_differs": 1, "we_fails": 1}},
		{"2026-03-02T05:00:01Z", map[string]int{"we_agrees": 1, "we_differs": 1, "we_fails": 2}},
		{"2026-03-03T03:00:00Z", map[string]int{"we_agrees": 1, "we_differs": 1, "we_fails": 2}},
		{"2026-03-03T12:00:00Z", map[string]int{"we_agrees": 2, "we_differs": 2, "we_fails": 3}},
	} {
		at(step.at)
		look()
		look()
		if !reflect.DeepEqual(toypay.asked, step.want) {
			t.Errorf("until %s asked %v, want %v", step.at, toypay.asked, step.want)
		}
	}
	kept, err := store.Answers().Reconciliations(t.Context(), "ws_1")
	if err != nil || len(kept) != 3 {
		t.Fatalf("%+v, %v", kept, err)
	}
	since, until := time.Date(2026, 2, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	for i, want := range []clickhouse.Reconciliation{
		{Endpoint: "we_agrees", Differences: []clickhouse.TotalDifference{}},
		{Endpoint: "we_differs", Totals: 1, Differences: []clickhouse.TotalDifference{{Day: since, Currency: "USD", Flow: "charge", Theirs: 500}}},
		{Endpoint: "we_fails", Differences: []clickhouse.TotalDifference{}, Failure: "asking Toypay: the API is down"},
	} {
		want.Workspace, want.Day, want.At, want.Finished, want.Since, want.Until = "ws_1", until, *clock.Load(), true, since, until
		want.Runner = kept[i].Runner
		if !reflect.DeepEqual(kept[i], want) {
			t.Errorf("kept %+v\nwant %+v", kept[i], want)
		}
	}
}

func TestNeverIsNever(t *testing.T) {
	config := DefaultConfig()
	config.Hour = Never
	n, err := NewNightly(config, endpoints(), nil, nil, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	n.Run(t.Context()) // returns
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Hour: 24, Days: 0, PerSecond: 0, CheckEvery: 0, RetryAfter: -1}
	err := bad.Validate()
	for _, name := range []string{"hour", "days", "per_second", "check_every", "retry_after"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no %s in %v", name, err)
		}
	}
}
