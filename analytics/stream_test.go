package analytics

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// serve answers on a port of its own until the test ends, as a stream needs: it has to be
// read while it is written.
func (f *fixture) serve() (url string, stop func(context.Context) error) {
	f.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.app.Listener(listener) }()
	f.t.Cleanup(func() {
		if err := f.app.ShutdownWithTimeout(5 * time.Second); err != nil {
			f.t.Error(err)
		}
		if err := <-served; err != nil {
			f.t.Error(err)
		}
	})
	return "http://" + listener.Addr().String(), f.app.ShutdownWithContext
}

// listener is a client of a stream.
type listener struct {
	t        testing.TB
	response *http.Response
	cancel   context.CancelFunc
	lines    *bufio.Reader
	// lastID is where it would go on.
	lastID string
}

// message is what came in one piece: an event, or only an id.
type message struct{ event, data, id string }

const streamPatience = 20 * time.Second

func (f *fixture) listen(url, key, lastID string) *listener {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*streamPatience)
	f.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+PathStream+"?workspaceSlug=acme", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", key)
	if lastID != "" {
		request.Header.Set(HeaderLastEventID, lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	return &listener{t: f.t, response: response, cancel: cancel, lines: bufio.NewReader(response.Body), lastID: lastID}
}

// next waits for a message. io.EOF is the orderly end of the stream.
func (l *listener) next() (m message, err error) {
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return m, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			return m, nil
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "id":
			m.id, l.lastID = value, value
		}
	}
}

// await reads until a message is as wanted.
func (l *listener) await(what string, is func(message) bool) message {
	l.t.Helper()
	for {
		m, err := l.next()
		if err != nil {
			l.t.Fatalf("waiting for %s: %v", what, err)
		}
		if is(m) {
			return m
		}
	}
}

func (l *listener) close() {
	l.cancel()
	_ = l.response.Body.Close()
}

func entryOf(t testing.TB, m message) StreamedEntry {
	t.Helper()
	var entry StreamedEntry
	if err := json.Unmarshal([]byte(m.data), &entry); err != nil {
		t.Fatalf("%v in %q", err, m.data)
	}
	return entry
}

func quick(c *Config) {
	c.StreamPollInterval, c.StreamHeartbeat = 5*time.Millisecond, 20*time.Millisecond
}

// Whoever is cut off again and again, anywhere, has been told every row in the end, those
// of before included which came late; and nothing twice if it was cut off after an id.
func TestStreamLosesNothing(t *testing.T) {
	const seed = 21
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t, quick, func(c *Config) { c.StreamPageRows = 7 })
	f.complete(testNow)
	url, _ := f.serve()
	first := f.listen(url, readKey, "")
	first.await("an id", func(m message) bool { return m.id != "" })
	first.close()
	anywhere, atIDs := first.lastID, first.lastID
	told, once := map[string]bool{}, map[string]int{}
	key := func(e StreamedEntry) string { return fmt.Sprint(e.ID, " ", e.Sign, " ", e.KnownAt) }
	hear := func(from string, enough func(seen int, m message) bool, heard func(StreamedEntry)) string {
		l := f.listen(url, readKey, from)
		defer l.close()
		seen := 0
		l.await("rows", func(m message) bool {
			if m.event == "entry" {
				seen++
				heard(entryOf(t, m))
			}
			return enough(seen, m)
		})
		return l.lastID
	}
	groups := byGroup(received(random, randomEvents(random, 60)))
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b revenue.GroupKey) int { return cmp.Compare(a.Group, b.Group) })
	for len(keys) > 0 {
		n := min(len(keys), 1+random.IntN(8))
		for _, key := range keys[:n] {
			f.write(groups[key]...)
		}
		keys = keys[n:]
		f.complete(testNow)
		cut := 1 + random.IntN(12)
		anywhere = hear(anywhere, func(seen int, m message) bool { return seen >= cut || m.event == "figures" }, func(e StreamedEntry) { told[key(e)] = true })
		atIDs = hear(atIDs, func(seen int, m message) bool { return m.id != "" && (seen >= cut || seen == 0) }, func(e StreamedEntry) { once[key(e)]++ })
	}
	// The figures come when everything has been told.
	toTheEnd := func(_ int, m message) bool { return m.event == "figures" }
	hear(anywhere, toTheEnd, func(e StreamedEntry) { told[key(e)] = true })
	hear(atIDs, toTheEnd, func(e StreamedEntry) { once[key(e)]++ })
	want := map[string]bool{}
	for _, group := range groups {
		for _, row := range revenue.Ledger(group) {
			if row.Live() {
				want[fmt.Sprintf("%x %d %s", row.RowID, row.Sign, exactInstant(row.KnownAt))] = true
			}
		}
	}
	if len(want) < 100 || !maps.Equal(told, want) {
		t.Errorf("seed %d: told %d rows, want %d", seed, len(told), len(want))
	}
	for name := range want {
		if once[name] != 1 {
			t.Fatalf("seed %d: %s was told %d times", seed, name, once[name])
		}
	}
}

func byGroup(events []revenue.Event) map[revenue.GroupKey][]revenue.Event {
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	return groups
}

// Figures come at the beginning and when they change; what the sink has not finished is
// not told, nor what is another workspace's.
func TestStreamTellsWhatChanges(t *testing.T) {
	f := newFixture(t, quick)
	f.write(charge("a", "2026-06-20T00:00:00Z", 500), state("c", "2026-06-20T00:00:00Z", 900))
	f.complete(testNow)
	url, _ := f.serve()
	l := f.listen(url, readKey, "")
	defer l.close()
	if got := l.response.Header.Get("Content-Type"); got != "text/event-stream" || l.response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", l.response.StatusCode, got)
	}
	figures := func() (figures StreamedFigures) {
		t.Helper()
		m := l.await("figures", func(m message) bool { return m.event == "figures" })
		if err := json.Unmarshal([]byte(m.data), &figures); err != nil {
			t.Fatal(err)
		}
		return figures
	}
	if got := figures(); got.Last30Days.GrossRevenueCents != 500 || got.Today.GrossRevenueCents != 0 || got.MRRCents != 900 || got.ActiveSubscriptions != 1 || got.Currency != "USD" {
		t.Errorf("at first %+v", got)
	}
	f.write(charge("b", "2026-07-01T10:00:00Z", 1000), charge("b2", "2026-07-01T10:00:00Z", 3000), refund("r", "b", "2026-07-01T11:00:00Z", 400),
		charge("x", "2026-07-01T10:00:00Z", 77, func(e *revenue.Event) { e.Workspace = "ws_2" }))
	for range 3 { // signs of life, and nothing else
		if m, err := l.next(); err != nil || m.event != "" || m.id == "" {
			t.Fatalf("before the slices have got there: %+v %v", m, err)
		}
	}
	f.complete(testNow)
	told := map[string]int64{}
	l.await("the refund's id", func(m message) bool {
		if m.event == "entry" {
			entry := entryOf(t, m)
			told[entry.Kind] += int64(entry.Sign) * entry.AmountCents
		}
		return m.id != "" && len(told) > 0
	})
	if want := map[string]int64{"purchase": 4000, "refund": -400}; !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if got := figures(); got.Today.GrossRevenueCents != 4000 || got.Today.RefundCents != 400 || got.Today.NetRevenueCents != 3600 ||
		got.Today.RefundRate != 500 || got.Last30Days.GrossRevenueCents != 4500 || got.Last30Days.RefundRate != 333 {
		t.Errorf("afterwards %+v", got)
	}
}

// A writer with a higher epoch begins at lower offsets, as after a topic was made anew.
func TestStreamFollowsEpochs(t *testing.T) {
	f := newFixture(t, quick)
	f.offset = 1_000
	f.write(charge("a", "2026-06-20T00:00:00Z", 500))
	f.complete(testNow)
	url, _ := f.serve()
	l := f.listen(url, readKey, "")
	defer l.close()
	l.await("figures", func(m message) bool { return m.event == "figures" })
	epochs, err := f.store.TakeOver(t.Context(), "topic made anew", []int32{0, 1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	f.epochs, f.offset = epochs, 0
	f.write(charge("b", "2026-06-21T00:00:00Z", 700))
	f.complete(testNow)
	m := l.await("the row", func(m message) bool { return m.event == "entry" })
	if got := entryOf(t, m); got.AmountCents != 700 {
		t.Errorf("%+v", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	f := newFixture(t, quick, func(c *Config) { c.StreamsPerKeyMax, c.StreamsMax = 2, 3 })
	url, _ := f.serve()
	statusOf := func(key string) (*listener, int) {
		l := f.listen(url, key, "")
		return l, l.response.StatusCode
	}
	var open []*listener
	for _, step := range []struct {
		key    string
		status int
	}{{readKey, 200}, {readKey, 200}, {readKey, 429}, {slowKey, 200}, {slowKey, 503}} {
		l, status := statusOf(step.key)
		if status != step.status {
			t.Fatalf("%d open, %s: %d", len(open), step.key, status)
		}
		if status == http.StatusOK {
			open = append(open, l)
		} else {
			problemOf(t, l.response)
		}
	}
	if got := testutil.ToFloat64(f.server.metrics.streams); got != 3 {
		t.Errorf("%v streams are open, says the metric", got)
	}
	// The place of a client that went away is free soon.
	open[0].close()
	for deadline := time.Now().Add(streamPatience); ; {
		l, status := statusOf(readKey)
		l.close()
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place became free: %d", status)
		}
	}
	for parameters, status := range map[string]int{"workspaceSlug=acme&lastEventId=moon": 400, "workspaceSlug=acme&lastEventId=WzFd": 400,
		"workspaceSlug=acme&x=y": 400, "workspaceSlug=globex2": 404, "": 400} {
		if response := f.ask(PathStream, parameters); response.StatusCode != status {
			t.Errorf("%s: %d, want %d", parameters, response.StatusCode, status)
		} else {
			problemOf(t, response)
		}
	}
}

// revocable is a keyring whose reading key can be revoked.
type revocable struct {
	keyring
	revoked chan struct{}
}

func (r revocable) Authenticate(presented string) (control.Key, error) {
	select {
	case <-r.revoked:
		return control.Key{}, control.ErrUnauthenticated
	default:
		return r.keyring.Authenticate(presented)
	}
}

// A stream ends, in order, when its key is revoked and when the server stops; the latter
// waits for no client.
func TestStreamsEnd(t *testing.T) {
	f := newFixture(t, quick)
	keys := revocable{revoked: make(chan struct{})}
	f.server.directory = keys
	url, stop := f.serve()
	ends := func(l *listener) {
		t.Helper()
		for {
			if _, err := l.next(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("the stream broke off: %v", err)
			}
		}
	}
	l := f.listen(url, readKey, "")
	l.await("a sign of life", func(m message) bool { return m.id != "" })
	close(keys.revoked)
	ends(l)
	f.server.directory = keyring{}
	l = f.listen(url, readKey, "")
	l.await("a sign of life", func(m message) bool { return m.id != "" })
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), streamPatience)
		defer cancel()
		stopped <- stop(ctx)
	}()
	ends(l)
	if err := <-stopped; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestPositions(t *testing.T) {
	for _, text := range []string{"", "moon", "W10x", position{{1, 2}}.String() + "A", "Wy0xLDJd", "WzFd"} {
		if p, err := parsePosition(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
	p := position{{1, 20}, {3, 0}, {2, 7}}
	if again, err := parsePosition(p.String()); err != nil || !slices.Equal(again, p) {
		t.Errorf("%v %v", again, err)
	}
	if q := (position{{1, 10}, {4, 0}}); !q.reaches(p) || p.reaches(position{{1, 20}, {2, 99}}) || !slices.Equal(p.onTo(q), position{{1, 20}, {4, 0}, {2, 7}}) {
		t.Errorf("%v", p.onTo(q))
	}
}

// A look costs what is new, and not what is there: also to a client that comes back.
func TestStreamReadsWhatIsNew(t *testing.T) {
	f := newFixture(t, quick)
	enginetest.Exec(t, f.engine, "SYSTEM STOP MERGES "+f.database+".entries") // a merged part holds the old and the new
	var old []revenue.Event
	for n := range 3000 {
		old = append(old, charge(fmt.Sprint("old", n), "2026-06-20T00:00:00Z", 500))
	}
	f.write(old...)
	f.complete(testNow)
	url, _ := f.serve()
	l := f.listen(url, readKey, "")
	l.await("figures", func(m message) bool { return m.event == "figures" })
	read := func() float64 { return testutil.ToFloat64(f.server.metrics.streamRowsRead) }
	if read() < 3000 {
		t.Fatalf("the first look reads %v rows: the test shows nothing", read())
	}
	for n := range 6 {
		if n == 3 {
			l.close()
			l = f.listen(url, readKey, l.lastID)
		}
		before := read()
		f.write(charge(fmt.Sprint("new", n), "2026-06-21T00:00:00Z", 700))
		f.complete(testNow)
		entry := entryOf(t, l.await("the row", func(m message) bool { return m.event == "entry" }))
		if entry.ObjectID != fmt.Sprint("new", n) {
			t.Fatalf("told of %s", entry.ObjectID)
		}
		l.await("its id", func(m message) bool { return m.id != "" })
		if cost := read() - before; cost == 0 || cost > 50 {
			t.Errorf("a look at one new row reads %v rows of %d", cost, len(old))
		}
	}
	l.close()
}
