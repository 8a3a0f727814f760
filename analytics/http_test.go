package analytics

import (
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded/enginetest"
)

// problemOf reads an error answer, which must be one of RFC 9457.
func problemOf(t testing.TB, response *http.Response) Problem {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var problem Problem
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if problem.Status != response.StatusCode || problem.Title == "" || problem.Detail == "" || problem.Type == "" ||
		response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s: %s", response.StatusCode, response.Header.Get("Content-Type"), body)
	}
	return problem
}

func TestStatuses(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name, method, target string
		headers              map[string]string
		status               int
	}{
		{"no key", "GET", "/revenue?workspaceSlug=acme", nil, 401},
		{"no key and bad parameters", "GET", "/revenue", nil, 401},
		{"bad key", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": "nonsense"}, 401},
		{"bad scheme", "GET", "/revenue?workspaceSlug=acme", map[string]string{"Authorization": "Basic " + readKey}, 401},
		{"key directory away", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": busyKey}, 503},
		{"public key", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": publicKey}, 403},
		{"writing key", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": writeKey}, 403},
		{"key of another workspace", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": otherKey}, 403},
		{"unknown workspace", "GET", "/revenue?workspaceSlug=nobody", map[string]string{"x-api-key": readKey}, 404},
		{"x-api-key", "GET", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": readKey}, 200},
		{"X-API-Token", "GET", "/revenue?workspaceSlug=acme", map[string]string{"X-API-Token": readKey}, 200},
		{"bearer", "GET", "/revenue?workspaceSlug=acme", map[string]string{"Authorization": "bearer " + readKey}, 200},
		{"post", "POST", "/revenue?workspaceSlug=acme", map[string]string{"x-api-key": readKey}, 405},
		{"delete", "DELETE", "/revenue", nil, 405},
		{"put to metrics", "PUT", "/v1/metrics/mrr", nil, 405},
		{"metrics without key", "GET", "/v1/metrics/mrr?workspaceSlug=acme", nil, 401},
		{"metrics of another workspace", "GET", "/v1/metrics/refunds?workspaceSlug=acme", map[string]string{"x-api-key": otherKey}, 403},
		{"metrics of nobody", "GET", "/v1/metrics/revenue?workspaceSlug=nobody", map[string]string{"x-api-key": readKey}, 404},
		{"metrics without slug", "GET", "/v1/metrics/mrr", map[string]string{"x-api-key": readKey}, 400},
		{"metrics with bad escape", "GET", "/v1/metrics/mrr?workspaceSlug=acme&x=%zz", map[string]string{"x-api-key": readKey}, 400},
		{"metrics with bad interval", "GET", "/v1/metrics/revenue?workspaceSlug=acme&interval=fortnight", map[string]string{"x-api-key": readKey}, 400},
		{"metrics with unknown parameter", "GET", "/v1/metrics/refunds?workspaceSlug=acme&providr=x", map[string]string{"x-api-key": readKey}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.target, nil)
			for name, value := range test.headers {
				request.Header.Set(name, value)
			}
			response := f.send(request)
			if response.StatusCode != test.status {
				t.Fatalf("status %d", response.StatusCode)
			}
			switch test.status {
			case 200:
				return
			case 401:
				if response.Header.Get("WWW-Authenticate") == "" {
					t.Error("no WWW-Authenticate")
				}
			case 405:
				if response.Header.Get("Allow") != "GET, HEAD" {
					t.Errorf("Allow: %q", response.Header.Get("Allow"))
				}
			case 503:
				if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || seconds < 1 {
					t.Errorf("Retry-After: %q", response.Header.Get("Retry-After"))
				}
			}
			problemOf(t, response)
		})
	}
}

// Every bad parameter is a 400 that names it, and nothing else.
func TestBadParametersAre400(t *testing.T) {
	f := newFixture(t)
	for _, test := range badParameters {
		response := f.ask(PathRevenue, strings.ReplaceAll(test.parameters, " ", "%20"))
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d", clip(test.parameters), response.StatusCode)
			continue
		}
		if problem := problemOf(t, response); !strings.Contains(problem.Detail, test.names) {
			t.Errorf("%q: %q", clip(test.parameters), problem.Detail)
		}
	}
}

func TestStoreAway(t *testing.T) {
	// A port that nobody listens on: taken, and given back.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config := clickhouse.DefaultConfig()
	config.Addresses = []string{address}
	checkAway(t, config, http.StatusServiceUnavailable)
}

func TestStoreSlow(t *testing.T) {
	// It accepts connections and says nothing.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	config := clickhouse.DefaultConfig()
	config.Addresses = []string{listener.Addr().String()}
	checkAway(t, config, http.StatusGatewayTimeout)
}

func checkAway(t *testing.T, config clickhouse.Config, status int) {
	t.Helper()
	store, err := clickhouse.Open(t.Context(), config, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	f := &fixture{t: t, store: store}
	server, app := newApp(t, store, func(c *Config) { c.QueryTimeout = 300 * time.Millisecond })
	server.log = zap.NewNop() // the errors that it logs are what is tested
	f.app = app
	for _, path := range []string{PathRevenue, PathMetricsMRR, PathMetricsRefunds, PathMetricsRevenue} {
		response := f.ask(path, "workspaceSlug=acme")
		if response.StatusCode != status || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", path, response.StatusCode, response.Header.Get("Retry-After"))
		}
		problemOf(t, response)
		// What the caller did wrong is still told.
		if response := f.ask(path, "workspaceSlug=acme&since=x"); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s with a bad parameter: %d", path, response.StatusCode)
		}
	}
}

func TestTooMuchToRead(t *testing.T) {
	f := newFixture(t)
	f.write(twoMonths()...)
	config := clickhouse.DefaultConfig()
	config.QueryRowsReadMax = 1
	store := openStoreWith(t, enginetest.Start(t), f.database, config)
	f.server, f.app = newApp(t, store)
	if response := f.ask(PathRevenue, "workspaceSlug=acme"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestTooManyRequests(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RequestsInFlightMax = 1 })
	f.server.inFlight <- struct{}{}
	response := f.ask(PathRevenue, "workspaceSlug=acme")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("status %d", response.StatusCode)
	}
	<-f.server.inFlight
	if response := f.ask(PathRevenue, "workspaceSlug=acme"); response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"query_timeout":           func(c *Config) { c.QueryTimeout = 0 },
		"retry_after":             func(c *Config) { c.RetryAfter = -1 },
		"requests_in_flight_max":  func(c *Config) { c.RequestsInFlightMax = 0 },
		"key_requests_per_second": func(c *Config) { c.KeyRequestsPerSecond = math.NaN() },
		"key_requests_burst":      func(c *Config) { c.KeyRequestsBurst = 0 },
		"limited_keys_max":        func(c *Config) { c.LimitedKeysMax = 0 },
		"query_string_bytes_max":  func(c *Config) { c.QueryStringBytesMax = 0 },
		"range_days_max":          func(c *Config) { c.RangeDaysMax = 0 },
		"page_size_default":       func(c *Config) { c.PageSizeDefault = 0 },
		"page_size_max":           func(c *Config) { c.PageSizeMax = c.PageSizeDefault - 1 },
		"series_buckets_max":      func(c *Config) { c.SeriesBucketsMax = 0 },
		"sort_rows_max":           func(c *Config) { c.SortRowsMax = 0 },
		"locate_rows_max":         func(c *Config) { c.LocateRowsMax = 999 },
	} {
		config := DefaultConfig()
		spoil(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := New(config, Dependencies{}); err == nil {
			t.Errorf("%s: a server was made of it", name)
		}
	}
}
