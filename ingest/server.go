package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"revstream/connectors"
	"revstream/ingest/control"
	"revstream/ingest/quota"
	"revstream/ingest/stream"
)

// Dependencies are what a Server works with. All are required but Now. The server
// closes none of them.
type Dependencies struct {
	Producer  *stream.Producer
	Directory *control.Directory
	// Messages, Transactions, Idempotency and Placements are the tables of the topics of
	// these names.
	Messages, Transactions, Idempotency, Placements *stream.Table
	// Connectors are the providers whose webhooks are accepted, and APIs what may be
	// called.
	Connectors []connectors.Connector
	APIs       []connectors.API
	Registerer prometheus.Registerer
	Log        *zap.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// ClockFile is where is kept how far the clock has come, so that versions rise
	// over a restart as well if the clock is set back. Without it they may not.
	ClockFile string
}

// Server accepts revenue.
type Server struct {
	cfg Config
	Dependencies
	clock  *clock
	limits *quota.Limiter // of what is accepted
	// adminLimits are those of the admin API, whose every request asks Kafka.
	adminLimits *quota.Limiter
	gate        gate
	zstd        *zstd.Decoder
	running     keySet                       // idempotency keys being served
	stripes     stripes                      // one request per thing that is held at a time
	sightings   *lru.Cache[string, sighting] // events of late
	readings    readings
	placing     placing                         // facts whose group is being decided
	providers   map[string]connectors.Connector // by the {provider} of the route
	metrics     *metrics
	// refusalsKept and diagnoses bound what is spent on deliveries that do not verify.
	refusalsKept, diagnoses *rate.Limiter
}

// Refused deliveries that are noted, and looked into, a second.
const (
	refusalsKeptPerSecond = 10
	diagnosesPerSecond    = 10
)

// New makes a server; it starts nothing. The error is a fault of the
// configuration or of the dependencies.
func New(cfg Config, deps Dependencies) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ingest configuration: %w", err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Server{cfg: cfg, Dependencies: deps, gate: gate{most: int64(cfg.RequestsInFlightMax)},
		providers:    map[string]connectors.Connector{},
		refusalsKept: rate.NewLimiter(refusalsKeptPerSecond, 10*refusalsKeptPerSecond),
		diagnoses:    rate.NewLimiter(diagnosesPerSecond, 10*diagnosesPerSecond),
	}
	for _, connector := range deps.Connectors {
		s.providers[connector.Provider] = connector
	}
	s.stripes.init()
	if deps.Placements != nil { // whoever only wants the routes has no tables
		deps.Placements.Follow(s.placing.see)
	}
	var err error
	if s.clock, err = newClock(deps.Now, deps.ClockFile, deps.Log); err != nil {
		return nil, err
	}
	accepting := quota.Budget{Policy: "default", PerSecond: cfg.KeyRequestsPerSecond, Burst: cfg.KeyRequestsBurst}
	if s.limits, err = quota.New(accepting, cfg.LimitedKeysMax); err != nil {
		return nil, err
	}
	managing := quota.Budget{Policy: "admin", PerSecond: cfg.AdminRequestsPerSecond, Burst: cfg.AdminRequestsBurst}
	if s.adminLimits, err = quota.New(managing, cfg.LimitedKeysMax); err != nil {
		return nil, err
	}
	if s.sightings, err = lru.New[string, sighting](cfg.RecentEventsMax); err != nil {
		return nil, fmt.Errorf("make cache of recent events: %w", err)
	}
	if s.zstd, err = newZstdReader(cfg); err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	if s.metrics, err = newMetrics(deps.Registerer, s.gate.inside.Load, s.clock.ahead); err != nil {
		return nil, fmt.Errorf("register ingest metrics: %w", err)
	}
	return s, nil
}

// Run drops the answers to old idempotency keys from time to time, and writes down
// how far the clock has come, until ctx ends. Nothing should be served afterwards.
func (s *Server) Run(ctx context.Context) {
	var clock sync.WaitGroup
	clock.Go(func() { s.clock.keep(ctx) })
	defer clock.Wait()
	ticker := time.NewTicker(s.cfg.IdempotencySweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn("sweep idempotency keys", zap.Error(err))
			}
		}
	}
}

// Routes mounts every route of this package on the app, which NewApp made.
func (s *Server) Routes(app *fiber.App) {
	for _, d := range s.doors() {
		handler := s.handle(d.name, d.shape, func(ctx context.Context, c *fiber.Ctx) (answer, error) { return s.pass(ctx, c, d) })
		for _, path := range d.paths {
			app.Add(d.method, path, handler)
		}
	}
	for _, d := range s.adminDoors() {
		app.Add(d.method, d.path, s.handle("admin."+d.name, problemShape, func(ctx context.Context, c *fiber.Ctx) (answer, error) { return s.passAdmin(ctx, c, d) }))
	}
	app.Post("/webhooks/:provider/:endpoint", s.handle("webhook", problemShape, s.postWebhook))
	app.Get("/webhooks/:provider/:endpoint", s.handle("webhook.challenge", problemShape, s.getWebhook))
}

// door is one operation of an API: where it is, how it says no, and what it does.
type door struct {
	name   string
	method string
	paths  []string
	shape  shape
	// serve does the work for an authenticated request. A nil error means that
	// what the answer claims is durable.
	serve func(context.Context, request) (answer, error)
	// tokenOf finds the token in the body, for a contract that has it there.
	tokenOf func(body []byte) string
}

// doors are the operations of all APIs.
func (s *Server) doors() []door {
	var doors []door
	for _, api := range s.APIs {
		for _, operation := range api.Operations {
			doors = append(doors, door{
				name: operation.Name, method: operation.Method, paths: operation.Paths, shape: shapeOf(api), tokenOf: api.KeyIn,
				serve: func(ctx context.Context, r request) (answer, error) { return s.accept(ctx, r, operation.Decode) },
			})
		}
	}
	return doors
}

// request is what a door has to do with, after all that doors have in common.
type request struct {
	door        string
	key         control.Key
	workspace   control.Workspace
	receivedAt  time.Time
	recordsMax  int
	contentType string
	// body is valid until the door has answered; what is kept has to be copied.
	body []byte
	// headerToken is the one that the headers carried; it may be empty if the body
	// did.
	headerToken string
	// idempotencyKey is that of the header; it may be empty.
	idempotencyKey string
}

// handle wraps an operation in what all have in common: the gate, the deadline,
// the recovery of panics, the shape of errors, the metrics.
func (s *Server) handle(name string, shape shape, pass func(context.Context, *fiber.Ctx) (answer, error)) fiber.Handler {
	return func(c *fiber.Ctx) error {
		begin := time.Now()
		a := s.guard(c, name, shape, pass)
		s.metrics.observe(name, a, time.Since(begin))
		return a.write(c)
	}
}

func (s *Server) guard(c *fiber.Ctx, name string, shape shape, pass func(context.Context, *fiber.Ctx) (answer, error)) (a answer) {
	defer func() {
		if fault := recover(); fault != nil {
			s.metrics.panics.Inc()
			s.Log.Error("panic while serving a request", zap.String("door", name), zap.Any("panic", fault), zap.Stack("stack"))
			a = s.refuse(shape, errors.New("panic"))
		}
	}()
	if !s.gate.enter() {
		return s.refuse(shape, s.busy(nil))
	}
	defer s.gate.leave()
	ctx, cancel := context.WithTimeout(c.UserContext(), s.cfg.RequestTimeout)
	defer cancel()
	a, err := pass(ctx, c)
	if err != nil {
		if f := s.failureOf(err); f.cause != nil {
			s.Log.Warn("request not served", zap.String("door", name), zap.Int("status", f.status), zap.Error(f.cause))
		}
		return s.refuse(shape, err)
	}
	return a
}

// pass lets a request through to its door: who is it, may they, how often, what
// do they send, and have they sent it before.
func (s *Server) pass(ctx context.Context, c *fiber.Ctx, d door) (answer, error) {
	r := request{door: d.name, headerToken: headerToken(c), contentType: c.Get(fiber.HeaderContentType), recordsMax: s.cfg.RecordsPerRequestMax}
	var err error
	if d.tokenOf == nil || r.headerToken != "" {
		if r.key, err = s.authenticate(r.headerToken); err != nil {
			return answer{}, err
		}
	}
	if r.body, err = s.readBody(c); err != nil {
		return answer{}, err
	}
	if r.key.ID == "" {
		if r.key, err = s.authenticate(d.tokenOf(r.body)); err != nil {
			return answer{}, err
		}
	}
	if err := s.limit(c, s.limits, r.key); err != nil {
		return answer{}, err
	}
	if !r.key.Allows(control.ScopeRevenueWrite) {
		return answer{}, forbidden()
	}
	if r.workspace, err = s.workspaceOf(r.key); err != nil {
		return answer{}, err
	}
	if r.idempotencyKey, err = idempotencyKey(c, d.method); err != nil {
		return answer{}, err
	}
	r.receivedAt = s.clock.next()
	return s.once(ctx, r, d.serve)
}

// limit counts a request of the key, and tells the caller what is left.
func (s *Server) limit(c *fiber.Ctx, limits *quota.Limiter, key control.Key) error {
	left := limits.Take(key, s.Now())
	left.Show(c.Set)
	if !left.Allowed {
		return &failure{status: http.StatusTooManyRequests, code: "rate_limited", retryAfter: left.RetryAfter,
			detail: "Too many requests with this API key."}
	}
	return nil
}

// headerToken is the API key from any of the headers that the contracts name.
func headerToken(c *fiber.Ctx) string {
	for _, name := range [...]string{"X-Api-Key", "X-API-Token"} {
		if token := strings.TrimSpace(c.Get(name)); token != "" {
			return token
		}
	}
	scheme, token, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authenticate finds the key. What is not one is the caller's fault; that Kafka
// does not say whether it is one is not.
func (s *Server) authenticate(token string) (control.Key, error) {
	if token == "" {
		return control.Key{}, unauthorized()
	}
	key, err := s.Directory.Authenticate(token)
	if errors.Is(err, control.ErrUnauthenticated) {
		return control.Key{}, unauthorized()
	}
	return key, wrap("authenticate", err)
}

// workspaceOf is the key's workspace; one for the whole installation has none.
func (s *Server) workspaceOf(key control.Key) (control.Workspace, error) {
	workspace, known := s.Directory.Workspace(key.Workspace)
	if !known {
		return control.Workspace{}, forbidden()
	}
	return workspace, nil
}
