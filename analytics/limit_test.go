package analytics

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// limited is the query API behind a port, with a clock that a test turns.
type limited struct {
	*fixture
	base string
	past atomic.Int64 // of the clock, since testNow
}

func newLimited(t *testing.T, perSecond float64, burst int) *limited {
	t.Helper()
	l := &limited{fixture: newFixture(t, func(c *Config) { c.KeyRequestsPerSecond, c.KeyRequestsBurst = perSecond, burst })}
	l.server.now = func() time.Time { return testNow.Add(time.Duration(l.past.Load())) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.app.Listener(listener) }()
	t.Cleanup(func() { _ = l.app.Shutdown() })
	l.base = "http://" + listener.Addr().String()
	return l
}

// call asks over a connection, and returns the status and the header.
func (l *limited) call(method, key, target string) (int, http.Header) {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), method, l.base+target, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 400 && method != http.MethodHead {
		problemOf(l.t, response)
	}
	return response.StatusCode, response.Header
}

// expectLeft holds the RateLimit headers against what is left and when it is full.
func expectLeft(t *testing.T, header http.Header, left, policy string) {
	t.Helper()
	if header.Get("RateLimit") != left || header.Get("RateLimit-Policy") != policy {
		t.Errorf("RateLimit %s, policy %s; want %s, %s", header.Get("RateLimit"), header.Get("RateLimit-Policy"), left, policy)
	}
}

// Whatever the answer is, it counts and says what is left; all endpoints draw on
// one budget, each key on its own.
func TestKeysAreLimited(t *testing.T) {
	l := newLimited(t, 2, 8)
	const policy = `"read";q=8;w=4`
	for _, ask := range []struct {
		method, target string
		status         int
		left           string
	}{
		{"GET", "/revenue?workspaceSlug=acme", 200, `"read";r=7;t=1`},
		{"GET", "/v1/metrics/mrr?workspaceSlug=acme", 200, `"read";r=6;t=1`},
		{"GET", "/v1/metrics/revenue?workspaceSlug=acme&interval=fortnight", 400, `"read";r=5;t=2`},
		{"GET", "/v1/metrics/refunds?workspaceSlug=globex", 403, `"read";r=4;t=2`},
		{"GET", "/v1/metrics/retention?workspaceSlug=nobody", 404, `"read";r=3;t=3`},
		{"GET", "/v1/explain?workspaceSlug=acme&figure=netRevenueCents", 200, `"read";r=2;t=3`},
		{"HEAD", "/revenue?workspaceSlug=acme", 200, `"read";r=1;t=4`},
		{"GET", "/revenue?workspaceSlug=acme", 200, `"read";r=0;t=4`},
	} {
		status, header := l.call(ask.method, readKey, ask.target)
		if status != ask.status {
			t.Errorf("%s %s: %d, want %d", ask.method, ask.target, status, ask.status)
		}
		expectLeft(t, header, ask.left, policy)
	}
	for _, path := range []string{PathRevenue, PathMetricsMRR, PathMetricsRefunds, PathMetricsRevenue, PathExplain, PathRetention} {
		status, header := l.call(http.MethodGet, readKey, path)
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", path, status, header.Get("Retry-After"))
		}
		// The two ways of saying when to come back agree.
		expectLeft(t, header, `"read";r=0;t=1`, policy)
	}
	if status, header := l.call(http.MethodGet, writeKey, "/revenue?workspaceSlug=acme"); status != http.StatusForbidden {
		t.Errorf("a key that may not read: %d", status)
	} else {
		expectLeft(t, header, `"read";r=7;t=1`, policy)
	}
	if status, header := l.call(http.MethodGet, "rsk_nobody", "/revenue"); status != http.StatusUnauthorized || header.Get("RateLimit") != "" {
		t.Errorf("no key: %d, RateLimit %q", status, header.Get("RateLimit"))
	}
	l.past.Add(int64(time.Second))
	for _, want := range []int{200, 200, 429} {
		if status, _ := l.call(http.MethodGet, readKey, "/revenue?workspaceSlug=acme"); status != want {
			t.Errorf("after a second: %d, want %d", status, want)
		}
	}
}

func TestKeysHaveLimitsOfTheirOwn(t *testing.T) {
	l := newLimited(t, 50, 100)
	for _, want := range []int{200, 200, 429} {
		status, header := l.call(http.MethodGet, slowKey, "/revenue?workspaceSlug=acme")
		if status != want || header.Get("RateLimit-Limit") != "2" {
			t.Errorf("%d, limit %s; want %d of 2", status, header.Get("RateLimit-Limit"), want)
		}
	}
}
