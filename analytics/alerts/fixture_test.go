package alerts

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"revstream/analytics"
	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
	"revstream/ingest/stream/kafkatest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const (
	patience = 20 * time.Second
	slices4  = 4
	acme     = "acme"
)

// house is an installation whose time is the test's: a ledger, a control plane, and who
// tells.
type house struct {
	t         *testing.T
	now       time.Time
	config    Config
	store     *clickhouse.Cluster
	directory *control.Directory
	epochs    map[int32]clickhouse.Takeover
	offset    int64
	said      []revenue.Event
	notifier  *Notifier
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newHouse(t *testing.T, change ...func(*Config)) *house {
	t.Helper()
	t.Parallel()
	engine := enginetest.Start(t)
	stored := clickhouse.DefaultConfig()
	stored.Addresses, stored.Database, stored.User, stored.Durable = []string{engine.Addr()}, enginetest.DatabaseName(t), embedded.AdminUser, false
	stored.Password, _ = engine.Password(embedded.AdminUser)
	return newHouseOn(t, stored, change...)
}

func newHouseOn(t *testing.T, stored clickhouse.Config, change ...func(*Config)) *house {
	t.Helper()
	h := &house{t: t, now: time.Now().UTC().Truncate(time.Second), config: DefaultConfig(), epochs: map[int32]clickhouse.Takeover{}}
	h.config.AllowPrivate, h.config.AttemptTimeout = true, 2*time.Second
	for _, apply := range change {
		apply(&h.config)
	}
	var err error
	if h.store, err = clickhouse.OpenCluster(t.Context(), stored, zap.NewNop(), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	if err := h.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for shard, store := range h.store.Shards() {
		var own []int32
		for slice := range int32(slices4) {
			if clickhouse.ShardOf(slice, len(h.store.Shards())) == shard {
				own = append(own, slice)
			}
		}
		taken, err := store.TakeOver(t.Context(), "topic", own)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(h.epochs, taken)
	}
	h.openDirectory()
	h.restart()
	return h
}

func (h *house) openDirectory() {
	h.t.Helper()
	cfg := stream.DefaultConfig()
	kafkatest.Use(h.t, &cfg)
	cfg.FetchWait = 100 * time.Millisecond
	if err := stream.EnsureTopics(within(h.t), cfg); err != nil {
		h.t.Fatal(err)
	}
	table, err := stream.OpenTable(within(h.t), cfg, cfg.ControlTopic, h.t.TempDir(), zap.NewNop(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = table.Close() })
	if h.directory, err = control.Open(within(h.t), table, control.WithClock(func() time.Time { return h.now })); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.directory.CreateWorkspace(within(h.t), "test", control.NewWorkspace{Slug: acme}); err != nil {
		h.t.Fatal(err)
	}
}

// restart begins anew, with nothing but what is stored.
func (h *house) restart() {
	h.t.Helper()
	figures, err := analytics.New(analytics.DefaultConfig(), analytics.Dependencies{
		Store: h.store.Answers(), Slices: slices4, Registerer: prometheus.NewRegistry(), Log: zap.NewNop()})
	if err != nil {
		h.t.Fatal(err)
	}
	h.notifier, err = New(h.config, Dependencies{
		Store: h.store, Directory: h.directory, Figures: figures, Slices: slices4, Registerer: prometheus.NewRegistry(),
		Log: zaptest.NewLogger(h.t, zaptest.Level(zap.ErrorLevel)), Now: func() time.Time { return h.now },
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// alert creates one.
func (h *house) alert(url string, rule control.AlertRule) control.Alert {
	h.t.Helper()
	a, err := h.directory.CreateAlert(within(h.t), "test", control.NewAlert{Workspace: acme, URL: url, Rule: rule})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// say has statements be accepted now, and stores what all that was said comes to, as
// the sink would.
func (h *house) say(events ...revenue.Event) {
	h.t.Helper()
	for i := range events {
		if events[i].ReceivedAt.IsZero() {
			events[i].ReceivedAt = h.now
		}
	}
	h.said = append(h.said, events...)
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range h.said {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	rows := map[*clickhouse.Store][]clickhouse.Row{}
	for key, group := range groups {
		slice := int32(clickhouse.GroupHash(key) % slices4)
		store := h.storeOf(slice)
		held, err := store.ReadRows(within(h.t), []revenue.GroupKey{key})
		if err != nil {
			h.t.Fatal(err)
		}
		missing, foreign := revenue.Difference(revenue.Ledger(group), revenue.HeldOf(held))
		if len(foreign) > 0 {
			// What a late statement makes untrue is taken back, as the sink does.
			missing = append(missing, revenue.Retract(held, foreign)...)
		}
		for _, row := range missing {
			h.offset++
			rows[store] = append(rows[store], clickhouse.Row{LedgerRow: &row, Position: clickhouse.Position{
				TopicID: "topic", Slice: slice, Epoch: h.epochs[slice].Epoch, Offset: h.offset}})
		}
	}
	for store, rows := range rows {
		if err := store.InsertRows(within(h.t), rows); err != nil {
			h.t.Fatal(err)
		}
	}
	h.pass(time.Second)
}

// pass lets time pass, with everything stored that was accepted.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	h.now = h.now.Add(d)
	h.reach(h.now)
}

// storeOf is the server that keeps a slice.
func (h *house) storeOf(slice int32) *clickhouse.Store {
	return h.store.Shards()[clickhouse.ShardOf(slice, len(h.store.Shards()))]
}

// reach says until when everything accepted is stored.
func (h *house) reach(through time.Time) {
	h.t.Helper()
	for slice, taken := range h.epochs {
		one := clickhouse.Progress{Slice: slice, Epoch: taken.Epoch, Offset: h.offset, CompleteThrough: through}
		if err := h.storeOf(slice).SaveProgress(within(h.t), []clickhouse.Progress{one}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// look finds what is to be told.
func (h *house) look() {
	h.t.Helper()
	if err := h.notifier.look(within(h.t)); err != nil {
		h.t.Fatal(err)
	}
}

// tell looks, and sends what is due until everything is.
func (h *house) tell() {
	h.t.Helper()
	h.look()
	for range 3 {
		if err := h.notifier.send(within(h.t)); err != nil {
			h.t.Fatal(err)
		}
		h.notifier.senders.Wait()
	}
}

// log is that of an alert, oldest first.
func (h *house) log(alert control.Alert) []clickhouse.Notification {
	h.t.Helper()
	list, err := h.store.Answers().Notifications(within(h.t), clickhouse.NotificationFilter{Workspace: acme, Alert: alert.ID, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// receiver keeps what it is sent, and answers as it is told.
type receiver struct {
	t      *testing.T
	server *httptest.Server
	url    string

	mu      sync.Mutex
	answer  func(http.ResponseWriter, *http.Request)
	arrived []arrival
}

type arrival struct {
	id, text string
	header   http.Header
	body     struct {
		Type string
		Data map[string]any
	}
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.server = httptest.NewServer(r)
	r.url = r.server.URL + "/hook"
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	text, err := io.ReadAll(request.Body)
	a := arrival{id: request.Header.Get("webhook-id"), text: string(text), header: request.Header}
	if err == nil {
		err = json.Unmarshal(text, &a.body)
	}
	if err != nil {
		r.t.Errorf("%s: %v", text, err)
	}
	r.mu.Lock()
	r.arrived = append(r.arrived, a)
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, request)
	}
}

// answers has the receiver do so from now on.
func (r *receiver) answers(answer func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) says(status int) {
	r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// got is what arrived since it was asked last.
func (r *receiver) got() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	arrived := r.arrived
	r.arrived = nil
	return arrived
}

// one is the only thing that arrived, of that type.
func (r *receiver) one(kind string) arrival {
	r.t.Helper()
	got := r.got()
	if len(got) != 1 || got[0].body.Type != kind {
		r.t.Fatalf("arrived %v, want one %s", typesOf(got), kind)
	}
	return got[0]
}

// none arrived.
func (r *receiver) none(why string) {
	r.t.Helper()
	if got := r.got(); len(got) > 0 {
		r.t.Fatalf("%s, and there arrived %v", why, texts(got))
	}
}

func typesOf(list []arrival) []string {
	types := []string{}
	for _, a := range list {
		types = append(types, a.body.Type)
	}
	return types
}

func texts(list []arrival) string {
	var all []string
	for _, a := range list {
		all = append(all, a.text)
	}
	return strings.Join(all, "\n")
}

// has compares a figure of the data.
func (a arrival) has(t *testing.T, name string, want any) {
	t.Helper()
	got, want := toText(a.body.Data[name]), toText(want)
	if got != want {
		t.Errorf("%s: %s is %s, want %s: %s", a.body.Type, name, got, want, a.text)
	}
}

func toText(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

// signed holds the signature against a secret.
func (a arrival) signed(t *testing.T, secret control.Secret) {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.VerifyIgnoringTimestamp([]byte(a.text), a.header); err != nil {
		t.Errorf("%v: %v", err, a.header)
	}
	if a.body.Data["id"] != a.id || a.id == "" {
		t.Errorf("the id of the header is %q, that of the body %v", a.id, a.body.Data["id"])
	}
}

// subscription says what a customer's subscription is worth per month from a time on,
// in cents.
func subscription(customer string, from time.Time, cents int64, change ...func(*revenue.Event)) revenue.Event {
	e := revenue.Event{
		Workspace: acme, Provider: "stripe", Livemode: true, ObjectID: "sub_" + customer + "@" + instant(from), Kind: revenue.KindSubscription,
		Group: revenue.GroupName("stripe", "", true, customer), Version: from.UnixMicro(), OccurredAt: from,
		MRR: cents * revenue.MRRScale, Currency: "USD", Status: revenue.StatusActive,
	}
	e.Customer, e.Subscription = customer, "sub_"+customer
	return with(e, change)
}

func charge(id string, at time.Time, cents int64, change ...func(*revenue.Event)) revenue.Event {
	return with(revenue.Event{
		Workspace: acme, Provider: "stripe", Livemode: true, ObjectID: id, Kind: revenue.KindCharge,
		Group: revenue.GroupName("stripe", "", true, id), Version: 1, OccurredAt: at, Amount: cents, Currency: "USD",
	}, change)
}

func refundOf(payment, id string, at time.Time, cents int64, change ...func(*revenue.Event)) revenue.Event {
	e := charge(payment, at, cents)
	e.ObjectID, e.Kind, e.Original = id, revenue.KindRefund, payment
	return with(e, change)
}

func with(e revenue.Event, change []func(*revenue.Event)) revenue.Event {
	for _, apply := range change {
		apply(&e)
	}
	return e
}

func version(n int64) func(*revenue.Event) { return func(e *revenue.Event) { e.Version = n } }

func deleted(e *revenue.Event) { e.Deleted = true }

func in(currency string) func(*revenue.Event) {
	return func(e *revenue.Event) { e.Currency = currency }
}

func ends(at time.Time) func(*revenue.Event) { return func(e *revenue.Event) { e.EndsAt = &at } }
