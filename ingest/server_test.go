package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/ingest"
	"revstream/ingest/stream"
)

type cfg = ingest.Config

// listen serves the app on a free port of loopback.
func (s *service) listen() (base string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = s.app.Listener(listener) }()
	s.t.Cleanup(func() { _ = s.app.Shutdown() })
	return "http://" + listener.Addr().String()
}

func TestDefaultConfigIsValid(t *testing.T) {
	if err := ingest.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigFaults(t *testing.T) {
	for name, change := range map[string]func(*cfg){
		"body_bytes_max":            func(c *cfg) { c.BodyBytesMax = 0 },
		"decoded_bytes_max":         func(c *cfg) { c.DecodedBytesMax = c.BodyBytesMax - 1 },
		"records_per_request_max":   func(c *cfg) { c.RecordsPerRequestMax = 1001 },
		"requests_in_flight_max":    func(c *cfg) { c.RequestsInFlightMax = -1 },
		"request_timeout":           func(c *cfg) { c.RequestTimeout = c.WriteTimeout },
		"key_requests_per_second":   func(c *cfg) { c.KeyRequestsPerSecond = 0 },
		"key_requests_burst":        func(c *cfg) { c.KeyRequestsBurst = 0 },
		"admin_requests_per_second": func(c *cfg) { c.AdminRequestsPerSecond = -1 },
		"admin_requests_burst":      func(c *cfg) { c.AdminRequestsBurst = 0 },
		"idempotency_ttl":           func(c *cfg) { c.IdempotencyTTL = 0 },
	} {
		c := ingest.DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ingest.New(c, ingest.Dependencies{Registerer: prometheus.NewRegistry(), Log: zap.NewNop()}); err == nil {
			t.Errorf("%s: a server was made", name)
		}
	}
}

func TestKeysInEveryHeader(t *testing.T) {
	s := start(t, settings{})
	for _, header := range [][2]string{
		{"X-Api-Key", s.keys.secret}, {"x-api-key", s.keys.secret}, {"X-API-Token", s.keys.secret},
		{"Authorization", "Bearer " + s.keys.secret}, {"Authorization", "bearer " + s.keys.secret},
	} {
		if answer := s.call(http.MethodPost, "/v1/events", order, header[0], header[1]); answer.status != 202 {
			t.Errorf("%s: %d %s", header[0], answer.status, answer.body)
		}
	}
	for _, header := range [][2]string{
		{"X-Api-Key", ""}, {"X-Api-Key", "wrong"}, {"Authorization", "Basic " + s.keys.secret}, {"Authorization", s.keys.secret}, {"Authorization", "Bearer "},
	} {
		answer := s.call(http.MethodPost, "/v1/events", order, header[0], header[1])
		if answer.header.Get("WWW-Authenticate") != `Bearer realm="revstream"` {
			t.Errorf("WWW-Authenticate %q", answer.header.Get("WWW-Authenticate"))
		}
		answer.expect(t, 401,
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The API key is missing, unknown or revoked.","code":"unauthorized"}`)
	}
	for _, key := range []string{s.keys.public, s.keys.reading, s.keys.installation} {
		s.call(http.MethodPost, "/v1/events", order, "X-Api-Key", key).expect(t, 403,
			`{"type":"about:blank","title":"Forbidden","status":403,"detail":"The API key may not write revenue.","code":"forbidden"}`)
	}
	s.call(http.MethodPost, "/v2/revenue", sale).expect(t, 401,
		`{"success":false,"code":"unauthorized","error":"The API key is missing, unknown or revoked."}`)
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := start(t, settings{now: func() time.Time { return now }})
	send := func() response {
		return s.call(http.MethodPost, "/v2/revenue", `{}`, "X-Api-Key", s.keys.limited)
	}
	for i, remaining := range []string{"1", "0"} {
		answer := send()
		if answer.status != 400 || answer.header.Get("RateLimit-Remaining") != remaining || answer.header.Get("RateLimit-Limit") != "2" ||
			answer.header.Get("RateLimit-Policy") != `"default";q=2;w=2` ||
			answer.header.Get("RateLimit") != fmt.Sprintf(`"default";r=%s;t=%d`, remaining, i+1) ||
			answer.header.Get("RateLimit-Reset") != fmt.Sprint(i+1) {
			t.Errorf("request %d: %d %v", i, answer.status, answer.header)
		}
	}
	limited := send()
	limited.expect(t, 429, `{"success":false,"code":"rate_limited","error":"Too many requests with this API key."}`)
	// The two ways of saying when to come back agree.
	if limited.header.Get("Retry-After") != "1" || limited.header.Get("RateLimit") != `"default";r=0;t=1` || limited.header.Get("RateLimit-Reset") != "1" ||
		limited.header.Get("RateLimit-Policy") != `"default";q=2;w=2` {
		t.Errorf("headers of a 429: %v", limited.header)
	}
	if answer := s.post("/v2/revenue", `{}`); answer.status != 400 {
		t.Errorf("another key: %d", answer.status)
	}
	now = now.Add(time.Second)
	if answer := send(); answer.status != 400 {
		t.Errorf("after a second: %d", answer.status)
	}
	if n := s.metric("revstream_ingest_requests_total", "status", "429"); n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestErrorsOfTheApp(t *testing.T) {
	s := start(t, settings{ingest: func(c *cfg) { c.BodyBytesMax = 1024 }})
	base, large := s.listen(), strings.Repeat(" ", 2000)
	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/nowhere", "", 404, `{"type":"about:blank","title":"Not Found","status":404,"detail":"Cannot GET /nowhere","code":"not_found"}`},
		{"GET", "/v1/events", "", 405, `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"Method Not Allowed","code":"method_not_allowed"}`},
		{"GET", "/api/v2/revenue", "", 405, `{"success":false,"code":"method_not_allowed","error":"Method Not Allowed"}`},
		{"PATCH", transactions, "", 405, `{"success":false,"error":"method_not_allowed","message":"Method Not Allowed"}`},
		{"GET", "/API/V2/Revenue/", "", 405, `{"success":false,"code":"method_not_allowed","error":"Method Not Allowed"}`},
		{"PUT", ingestPath, "", 405, `{"error":"Method Not Allowed"}`},
		{"POST", "/v1/events", large, 413, `{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"The body is larger than 1024 bytes.","code":"body_too_large"}`},
		{"POST", "/v2/revenue", large, 413, `{"success":false,"code":"body_too_large","error":"The body is larger than 1024 bytes."}`},
		{"POST", transactions, large, 413, `{"success":false,"error":"body_too_large","message":"The body is larger than 1024 bytes."}`},
	} {
		s.send(base, test.method, test.path, test.body).expect(t, test.status, test.answer)
	}
}

// send is call over a connection, with the secret key.
func (s *service) send(base, method, path, body string) response {
	s.t.Helper()
	return s.sendFrom(base, method, path, strings.NewReader(body))
}

// sendFrom is send of a body that comes in chunks unless the reader says its
// length.
func (s *service) sendFrom(base, method, path string, body io.Reader) response {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, base+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", s.keys.secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	declared(s.t, method, path, answer.StatusCode)
	return read(s.t, answer)
}

// TestTooLarge: one limit, one code, however the body comes.
func TestTooLarge(t *testing.T) {
	s := start(t, settings{ingest: func(c *cfg) { c.BodyBytesMax = 1024 }})
	base, large := s.listen(), strings.Repeat(" ", 2000)
	for _, test := range []struct{ method, path, answer string }{
		{"POST", "/v1/events", `{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"The body is larger than 1024 bytes.","code":"body_too_large"}`},
		{"POST", "/v2/revenue", `{"success":false,"code":"body_too_large","error":"The body is larger than 1024 bytes."}`},
		{"POST", "/api/v2/revenue/bulk?x=1", `{"success":false,"code":"body_too_large","error":"The body is larger than 1024 bytes."}`},
		{"PUT", transactions, `{"success":false,"error":"body_too_large","message":"The body is larger than 1024 bytes."}`},
		{"DELETE", transactions, `{"success":false,"error":"body_too_large","message":"The body is larger than 1024 bytes."}`},
		{"POST", ingestPath, `{"error":"The body is larger than 1024 bytes."}`},
	} {
		for name, body := range map[string]io.Reader{"length known": strings.NewReader(large), "chunked": struct{ io.Reader }{strings.NewReader(large)}} {
			answer := s.sendFrom(base, test.method, test.path, body)
			if answer.status != 413 || answer.body != test.answer {
				t.Errorf("%s %s, %s: got %d %s\nwant %s", test.method, test.path, name, answer.status, answer.body, test.answer)
			}
		}
	}
	if answer := s.sendFrom(base, "POST", "/v1/events", struct{ io.Reader }{strings.NewReader(order)}); answer.status != 202 {
		t.Errorf("chunked and small enough: %d %s", answer.status, answer.body)
	}
}

func read(t *testing.T, answer *http.Response) response {
	t.Helper()
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, string(text)}
}

// TestKafkaDown: nothing is a 4xx and nothing a 2xx while Kafka takes nothing.
func TestKafkaDown(t *testing.T) {
	s := start(t, settings{
		fake:       true,
		stream:     func(c *stream.Config) { c.ProduceTimeout, c.ReadTimeout = time.Second, time.Second },
		connectors: []connectors.Connector{testProvider("test")},
	})
	s.messages()
	s.fake.Close()
	webhook := "/webhooks/test/" + s.keys.endpoint
	for _, call := range [][3]string{
		{"POST", "/v2/revenue", sale},
		{"POST", "/v2/revenue", strings.Replace(sale, "a1b2c3d4", "unknown0", 1)}, // may be registered on another node
		{"POST", "/v2/revenue/bulk", `{"records":[` + sale + `]}`},
		{"POST", "/v2/messages", `{"id":"m0000001"}`},
		{"POST", transactions, transaction},
		{"PUT", transactions, `{"transaction_id":"txn_123"}`},
		{"DELETE", transactions, `{"transaction_id":"txn_123"}`},
		{"POST", ingestPath, pulsoraBody("", "purchase", "1", "")},
		{"POST", "/v1/events", order},
		{"POST", webhook, "good"},
	} {
		answer := s.call(call[0], call[1], call[2], "X-Api-Key", s.keys.secret)
		if answer.status != 503 || answer.header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %s", call[0], call[1], answer.status, answer.body)
		}
	}
	// What is the caller's fault stays so.
	if answer := s.post("/v2/revenue", `{}`); answer.status != 400 {
		t.Errorf("a faulty request: %d", answer.status)
	}
}

func TestTooManyInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := testProvider("test")
	slow.Decode = func(context.Context, connectors.Delivery) ([]connectors.Item, error) {
		close(entered)
		<-leave
		return nil, nil
	}
	s := start(t, settings{ingest: func(c *cfg) { c.RequestsInFlightMax = 1 }, connectors: []connectors.Connector{slow}})
	done := make(chan response)
	go func() { done <- s.call(http.MethodPost, "/webhooks/test/"+s.keys.endpoint, "good") }()
	<-entered
	answer := s.post("/v1/events", order)
	if answer.status != 503 || answer.header.Get("Retry-After") != "1" {
		t.Errorf("while full: %d %s", answer.status, answer.body)
	}
	close(leave)
	if first := <-done; first.status != 200 {
		t.Errorf("the first: %d %s", first.status, first.body)
	}
	if answer := s.post("/v1/events", order); answer.status != 202 {
		t.Errorf("after: %d %s", answer.status, answer.body)
	}
}

func TestConcurrentIdempotencyKey(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	statuses := make(chan int)
	const callers = 8
	for range callers {
		go func() { statuses <- s.post("/v2/revenue", sale, "Idempotency-Key", "k").status }()
	}
	served := 0
	for range callers {
		switch status := <-statuses; status {
		case 200:
			served++
		case 409:
		default:
			t.Errorf("status %d", status)
		}
	}
	if served == 0 || len(s.published()) != 1 {
		t.Errorf("%d served, %d statements", served, len(s.published()))
	}
}

func TestSweep(t *testing.T) {
	s := start(t, settings{ingest: func(c *cfg) { c.IdempotencyTTL = time.Millisecond }})
	s.messages()
	s.post("/v2/revenue", sale, "Idempotency-Key", "k")
	deadline := time.Now().Add(patience)
	for {
		dropped, err := s.server.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if dropped == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the key was not dropped")
		}
	}
}

// TestRequestsThatAreNotHTTP: the answer tells nothing of what was sent, least of
// all the key.
func TestRequestsThatAreNotHTTP(t *testing.T) {
	s := start(t, settings{})
	address := strings.TrimPrefix(s.listen(), "http://")
	head := "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + s.keys.secret + "\r\n"
	for _, request := range []string{
		head + "Content-Length: many\r\n\r\n", head + "Content-Length: -5\r\n\r\n", head + "X A : b\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		read(t, answer).expect(t, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request is not HTTP that can be read.","code":"bad_request"}`)
		_ = conn.Close()
	}
}

// TestContentTypes: every API takes JSON, whatever it is called, and a form is a
// fault in the shape of the contract.
func TestContentTypes(t *testing.T) {
	s := start(t, settings{})
	base := s.listen()
	for _, test := range []struct{ path, code string }{{"/v2/revenue", "code"}, {"/v2/revenue/bulk", "code"}, {transactions, "error"}, {ingestPath, "message"}, {"/v1/events", "code"}} {
		for contentType, body := range map[string]string{
			"multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n", "multipart/form-data": "{", "application/x-www-form-urlencoded": "a=b",
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+test.path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Api-Key", s.keys.secret)
			request.Header.Set("Content-Type", contentType)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if answer := read(t, response); answer.status != 400 || answer.field(t, test.code) == "" || strings.Contains(answer.body, "multipart") {
				t.Errorf("%s as %s: %d %s", test.path, contentType, answer.status, answer.body)
			}
		}
	}
	if answer := s.post("/v1/events", order, "Content-Type", "text/plain"); answer.status != 202 {
		t.Errorf("JSON as text: %d %s", answer.status, answer.body)
	}
}
