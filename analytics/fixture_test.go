package analytics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// testNow is the clock of all tests.
var testNow = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// keyring is a directory of a few keys and two workspaces.
type keyring struct{}

const (
	readKey   = "rsk_read"
	writeKey  = "rsk_write"
	publicKey = "rpk_public"
	otherKey  = "rsk_other"
	busyKey   = "rsk_busy"
	// slowKey has limits of its own: one question a second, two at once.
	slowKey = "rsk_slow"
)

func (keyring) Authenticate(presented string) (control.Key, error) {
	switch presented {
	case readKey:
		return control.Key{ID: presented, Workspace: "ws_1", Scopes: []control.Scope{control.ScopeRead}}, nil
	case slowKey:
		return control.Key{ID: presented, Workspace: "ws_1", Scopes: []control.Scope{control.ScopeRead}, RatePerSecond: 1, Burst: 2}, nil
	case otherKey:
		return control.Key{ID: presented, Workspace: "ws_2", Scopes: []control.Scope{control.ScopeRead}}, nil
	case writeKey:
		return control.Key{ID: presented, Workspace: "ws_1", Scopes: []control.Scope{control.ScopeRevenueWrite, control.ScopeAdmin}}, nil
	case publicKey:
		return control.Key{ID: presented, Workspace: "ws_1", Public: true, Scopes: []control.Scope{control.ScopeRead}}, nil
	}
	if presented == busyKey {
		return control.Key{}, errors.New("kafka does not answer")
	}
	return control.Key{}, control.ErrUnauthenticated
}

func (keyring) Workspace(slug string) (control.Workspace, bool) {
	switch slug {
	case "acme":
		return control.Workspace{ID: "ws_1", Slug: "acme", Currency: "USD", TimeZone: "UTC"}, true
	case "globex":
		return control.Workspace{ID: "ws_2", Slug: "globex", Currency: "EUR", TimeZone: "Asia/Kolkata"}, true
	}
	return control.Workspace{}, false
}

func (keyring) Endpoints(workspace string) []control.Endpoint {
	if workspace != "ws_1" {
		return nil
	}
	return []control.Endpoint{
		{ID: "we_busy", Workspace: workspace, Provider: "stripe", Mode: control.ModeAny},
		{ID: "we_unused", Workspace: workspace, Provider: "paddle", Account: "acct_1", Mode: control.ModeTest, RevokedAt: testNow},
	}
}

// fixture is the query API on a database of its own.
type fixture struct {
	t      testing.TB
	engine *embedded.Engine
	store  *clickhouse.Store
	// database is its name in the engine of the tests.
	database string
	epochs   map[int32]clickhouse.Takeover
	server   *Server
	app      *fiber.App
	offset   int64
}

const slicesCount = 4

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	return newFixtureOn(t, enginetest.Start(t), enginetest.DatabaseName(t), change...)
}

func newFixtureOn(t testing.TB, engine *embedded.Engine, database string, change ...func(*Config)) *fixture {
	t.Helper()
	store := openStore(t, engine, database)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	epochs, err := store.TakeOver(t.Context(), "topic", []int32{0, 1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, engine: engine, store: store, database: database, epochs: epochs}
	f.server, f.app = newApp(t, store, change...)
	return f
}

func openStore(t testing.TB, engine *embedded.Engine, database string) *clickhouse.Store {
	t.Helper()
	return openStoreWith(t, engine, database, clickhouse.DefaultConfig())
}

func openStoreWith(t testing.TB, engine *embedded.Engine, database string, config clickhouse.Config) *clickhouse.Store {
	t.Helper()
	config.Addresses = []string{engine.Addr()}
	config.Database = database
	config.User = embedded.AdminUser
	config.Password, _ = engine.Password(embedded.AdminUser)
	config.Durable = false
	store, err := clickhouse.Open(t.Context(), config, zaptest.NewLogger(t, zaptest.Level(zapWarn)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func newApp(t testing.TB, store *clickhouse.Store, change ...func(*Config)) (*Server, *fiber.App) {
	t.Helper()
	config := DefaultConfig()
	config.HorizonAgeMax = time.Nanosecond // what a test has stored is there at once
	config.KeyRequestsBurst = 1_000_000    // the clock stands still, so what is spent does not come back
	for _, apply := range change {
		apply(&config)
	}
	server, err := New(config, Dependencies{
		Store: store, Directory: keyring{}, Slices: slicesCount, Registerer: prometheus.NewRegistry(),
		Log: zaptest.NewLogger(t, zaptest.Level(zapWarn)), Now: func() time.Time { return testNow },
	})
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadBufferSize: 32 << 10})
	server.Routes(app)
	return server, app
}

// write stores what the statements come to, as the sink would.
func (f *fixture) write(events ...revenue.Event) {
	f.t.Helper()
	f.writeBeyond(nil, events)
}

// say stores the statements themselves, of which write stores what they come to.
func (f *fixture) say(events ...revenue.Event) {
	f.t.Helper()
	var statements []clickhouse.Statement
	for _, event := range events {
		encoded, err := json.Marshal(event)
		if err != nil {
			f.t.Fatal(err)
		}
		slice := int32(clickhouse.GroupHash(event.GroupKey()) % slicesCount)
		f.offset++
		statements = append(statements, clickhouse.Statement{Event: &event, Encoded: encoded, Position: clickhouse.Position{
			TopicID: "topic", Slice: slice, Epoch: f.epochs[slice].Epoch, Offset: f.offset}})
	}
	if err := f.store.InsertStatements(context.Background(), statements); err != nil {
		f.t.Fatal(err)
	}
}

// writeMissing stores what the statements come to beyond what is there.
func (f *fixture) writeMissing(events []revenue.Event) {
	f.t.Helper()
	keys := make([]revenue.GroupKey, len(events))
	for i := range events {
		keys[i] = events[i].GroupKey()
	}
	held, err := f.store.ReadRows(context.Background(), slices.Compact(keys))
	if err != nil {
		f.t.Fatal(err)
	}
	f.writeBeyond(held, events)
}

func (f *fixture) writeBeyond(held []revenue.LedgerRow, events []revenue.Event) {
	f.t.Helper()
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	there := map[revenue.GroupKey][]revenue.LedgerRow{}
	for _, row := range held {
		key := revenue.GroupKey{Workspace: row.Workspace, Group: row.Group}
		there[key] = append(there[key], row)
	}
	var rows []clickhouse.Row
	for key, group := range groups {
		slice := int32(clickhouse.GroupHash(key) % slicesCount)
		missing, foreign := revenue.Difference(revenue.Ledger(group), revenue.HeldOf(there[key]))
		if len(foreign) > 0 {
			f.t.Fatalf("%s has rows that its statements do not explain: %v", key, foreign)
		}
		for _, row := range missing {
			f.offset++
			rows = append(rows, clickhouse.Row{LedgerRow: &row, Position: clickhouse.Position{
				TopicID: "topic", Slice: slice, Epoch: f.epochs[slice].Epoch, Offset: f.offset}})
		}
	}
	if err := f.store.InsertRows(context.Background(), rows); err != nil {
		f.t.Fatal(err)
	}
}

// exec runs a statement for which the store has no function.
func (f *fixture) exec(format string, args ...any) {
	f.t.Helper()
	enginetest.Exec(f.t, f.engine, fmt.Sprintf(format, args...))
}

// ask sends a GET request with the reading key, for path and parameters.
func (f *fixture) ask(path, parameters string) *http.Response {
	f.t.Helper()
	request := httptest.NewRequest(http.MethodGet, path+"?"+parameters, nil)
	request.Header.Set("X-Api-Key", readKey)
	if strings.Contains(parameters, "globex") {
		request.Header.Set("X-Api-Key", otherKey)
	}
	return f.send(request)
}

func (f *fixture) send(request *http.Request) *http.Response {
	f.t.Helper()
	response, err := f.app.Test(request, -1)
	if err != nil {
		f.t.Fatal(err)
	}
	return response
}

// get asks and decodes a 200 answer.
func get[T any](f *fixture, path, parameters string) T {
	f.t.Helper()
	var answer T
	response := f.ask(path, parameters)
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("GET %s?%s: %d %s", path, parameters, response.StatusCode, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		f.t.Fatalf("%v in %s", err, body)
	}
	return answer
}

func escape(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339Nano)) }
