package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	connectorregistry "revstream/connectors/registry"
	"revstream/ingest"
)

// HTTPConfig says where HTTP is served. What one request may be is in the sections
// of the roles that answer it.
type HTTPConfig struct {
	// Addr is host:port to listen on.
	Addr string `koanf:"addr"`
	// PublicURL is how the world reaches the API, for the addresses that are
	// printed; empty means http:// and Addr.
	PublicURL string `koanf:"public_url"`
	// HeaderBytesMax bounds the request line, with the parameters of a question,
	// and the headers.
	HeaderBytesMax int `koanf:"header_bytes_max"`
	// ConnectionsMax bounds the connections served at a time.
	ConnectionsMax int `koanf:"connections_max"`
}

func defaultHTTPConfig() HTTPConfig {
	return HTTPConfig{Addr: "127.0.0.1:8080", HeaderBytesMax: 16 << 10, ConnectionsMax: 4096}
}

// Validate says everything that is wrong with the settings.
func (c HTTPConfig) Validate() error {
	var problems []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		problems = append(problems, fmt.Errorf("http.addr %q: want host:port", c.Addr))
	}
	if c.PublicURL != "" && !strings.HasPrefix(c.PublicURL, "http://") && !strings.HasPrefix(c.PublicURL, "https://") {
		problems = append(problems, fmt.Errorf("http.public_url %q: want http:// or https://", c.PublicURL))
	}
	if c.HeaderBytesMax < 4<<10 {
		problems = append(problems, fmt.Errorf("http.header_bytes_max %d is below 4096", c.HeaderBytesMax))
	}
	if c.ConnectionsMax < 1 {
		problems = append(problems, fmt.Errorf("http.connections_max %d is not positive", c.ConnectionsMax))
	}
	return errors.Join(problems...)
}

// requestIDHeader carries the id that a request has in our log, given by the
// caller or made up here.
const requestIDHeader = "X-Request-Id"

// webServer is the HTTP side of a process: the routes of its roles beside
// health, metrics and the OpenAPI document.
type webServer struct{ app *fiber.App }

// listenHTTP takes the address before anything else is started, so that a busy
// port is told at once.
func listenHTTP(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("http address %s is in use by another program: choose another with --http-addr or REVSTREAM_HTTP_ADDR", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listening for http: %w", err)
	}
	return lingeringListener{listener}, nil
}

// newApp makes the app that the roles mount their routes on, with what all of
// them have in common.
func newApp(config Config, registry *prometheus.Registry, log *zap.Logger) *fiber.App {
	app := ingest.NewApp(config.Ingest, connectorregistry.APIs()...)
	app.Server().ReadBufferSize = config.HTTP.HeaderBytesMax
	app.Server().Concurrency = config.HTTP.ConnectionsMax
	app.Use(observe(newHTTPMetrics(registry), log, accessLogger(log, config.Log)))
	return app
}

// serve answers requests until stop; failed gets the reason if serving ends by
// itself.
func serve(app *fiber.App, listener net.Listener, failed chan<- error) *webServer {
	go func() {
		if err := app.Listener(listener); err != nil {
			failed <- fmt.Errorf("serving http: %w", err)
		}
	}()
	return &webServer{app}
}

// stop accepts no more connections and waits for the requests in flight, whose
// publishes are then acknowledged or refused.
func (s *webServer) stop(ctx context.Context) error {
	if err := s.app.ShutdownWithContext(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("waiting for the requests in flight: %w", err)
	}
	return nil
}

// observe gives each request an id, measures it, logs what nobody expected and, at
// level debug, a sample of the rest.
func observe(metrics *httpMetrics, log, access *zap.Logger) fiber.Handler {
	return func(c *fiber.Ctx) error {
		begin := time.Now()
		id := requestID(c.Get(requestIDHeader))
		c.Set(requestIDHeader, id)
		if err := c.Next(); err != nil {
			if !errors.As(err, new(*fiber.Error)) {
				log.Error("request failed", zap.String("request_id", id), zap.String("route", c.Route().Path), zap.Error(err))
			}
			// Answered here, so that the status is known below.
			if err := c.App().ErrorHandler(c, err); err != nil {
				return err
			}
		}
		took, status := time.Since(begin), c.Response().StatusCode()
		route := c.Route().Path
		if route == "/" {
			route = "none" // no route of ours: not a label for each path that was tried
		}
		metrics.requests.WithLabelValues(c.Method(), route, strconv.Itoa(status)).Observe(took.Seconds())
		if entry := access.Check(zap.DebugLevel, "request"); entry != nil {
			entry.Write(zap.String("request_id", id), zap.String("method", c.Method()), zap.String("route", route),
				zap.Int("status", status), zap.Duration("took", took), zap.Int("bytes", len(c.Request().Body())))
		}
		return nil
	}
}

// requestID takes over a caller's id if it is harmless in a log line.
func requestID(given string) string {
	if given != "" && len(given) <= 64 {
		harmless := true
		for i := range len(given) {
			c := given[i]
			harmless = harmless && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		}
		if harmless {
			return given
		}
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	return hex.EncodeToString(random[:])
}
