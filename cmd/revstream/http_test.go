package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"
)

func testApp(t *testing.T, dependencies ...dependency) *fiber.App {
	t.Helper()
	config, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry := newRegistry()
	app := newApp(config, registry, zap.NewNop())
	app.Get("/broken", func(*fiber.Ctx) error { return errors.New("secret detail") })
	mountHealth(app, dependencies, registry)
	return app
}

func ask(t *testing.T, app *fiber.App, path string, header ...string) *http.Response {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := app.Test(request, 5000)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	app := testApp(t)
	if id := ask(t, app, "/healthz", requestIDHeader, "abc-1.2_3").Header.Get(requestIDHeader); id != "abc-1.2_3" {
		t.Errorf("a caller's id came back as %q", id)
	}
	for _, given := range []string{"", "line\tbreak", strings.Repeat("x", 65)} {
		id := ask(t, app, "/healthz", requestIDHeader, given).Header.Get(requestIDHeader)
		if id == given || len(id) != 16 {
			t.Errorf("%q came back as %q, want one of ours", given, id)
		}
	}
	response := ask(t, app, "/broken")
	if response.StatusCode != http.StatusInternalServerError || response.Header.Get(requestIDHeader) == "" {
		t.Errorf("a failure: %d, id %q", response.StatusCode, response.Header.Get(requestIDHeader))
	}
	if body := read(t, response); strings.Contains(body, "secret detail") {
		t.Errorf("the answer tells what is inside: %s", body)
	}
}

func TestMetricsNameRoutesNotPaths(t *testing.T) {
	app := testApp(t)
	for _, path := range []string{"/healthz", "/no/such/path", "/readyz/sink"} {
		_ = ask(t, app, path).Body.Close()
	}
	text := read(t, ask(t, app, "/metrics"))
	for _, want := range []string{
		`revstream_http_request_seconds_count{method="GET",route="/healthz",status="200"} 1`,
		`revstream_http_request_seconds_count{method="GET",route="none",status="404"} 1`,
		`revstream_http_request_seconds_count{method="GET",route="/readyz/:role",status="404"} 1`,
		"go_memstats_heap_inuse_bytes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestReadinessIsPerDependencyAndRole(t *testing.T) {
	up := func(context.Context) error { return nil }
	down := func(context.Context) error { return errors.New("connection refused") }
	app := testApp(t, dependency{"kafka", []string{"ingest", "query"}, up}, dependency{"clickhouse", []string{"sink", "query"}, down})
	for path, want := range map[string]int{
		"/readyz": 503, "/readyz/ingest": 200, "/readyz/query": 503, "/readyz/sink": 503, "/readyz/nobody": 404, "/healthz": 200,
	} {
		response := ask(t, app, path)
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
		_ = response.Body.Close()
	}
	var answer struct{ Dependencies map[string]dependencyState }
	if err := json.Unmarshal([]byte(read(t, ask(t, app, "/readyz"))), &answer); err != nil {
		t.Fatal(err)
	}
	if !answer.Dependencies["kafka"].Ready || answer.Dependencies["clickhouse"].Ready || answer.Dependencies["clickhouse"].Error != "connection refused" {
		t.Errorf("the states are %+v", answer.Dependencies)
	}
}

// TestAnswersReachThoseWhoStillSend: a caller who reads only when all is sent, as
// most do, learns that it was too much.
func TestAnswersReachThoseWhoStillSend(t *testing.T) {
	listener, err := listenHTTP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := testApp(t)
	app.Post("/large", func(c *fiber.Ctx) error { return c.SendStatus(http.StatusOK) })
	served := serve(app, listener, make(chan error, 1))
	t.Cleanup(func() { _ = served.stop(context.Background()) })
	for name, request := range map[string]string{
		"body":    "POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n" + strings.Repeat("x", 32<<20),
		"headers": "POST /large HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 32<<20) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Errorf("%s: sending was cut off: %v", name, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: no answer: %v", name, err)
		}
		want := map[string]int{"body": http.StatusRequestEntityTooLarge, "headers": http.StatusRequestHeaderFieldsTooLarge}[name]
		if body := read(t, answer); answer.StatusCode != want || !strings.Contains(body, `"code"`) {
			t.Errorf("%s: %d %s, want %d", name, answer.StatusCode, body, want)
		}
		_ = conn.Close()
	}
}
