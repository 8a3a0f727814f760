// Package analytics answers questions about revenue over HTTP: GET /revenue and
// the series of /v1/metrics, from the rollups of package clickhouse and, where a
// range divides an hour, from the ledger's entries. It writes nothing and knows
// nothing of how revenue comes in.
package analytics

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	_ "time/tzdata" // time zones of questions must not depend on the machine

	"github.com/gofiber/fiber/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/quota"
)

// Directory knows the workspaces and the keys; *control.Directory is one. An error
// of Authenticate that is not control.ErrUnauthenticated is taken for a passing
// one.
type Directory interface {
	Authenticate(presented string) (control.Key, error)
	Workspace(slug string) (control.Workspace, bool)
	// Endpoints are the webhook endpoints of a workspace, revoked ones too.
	Endpoints(workspace string) []control.Endpoint
}

// Dependencies are what a Server works with. Now is time.Now unless a test needs
// another clock.
type Dependencies struct {
	Store     *clickhouse.Store
	Directory Directory
	// Slices is how many slices have to say how far they are: kafka.partitions.
	Slices     int
	Registerer prometheus.Registerer
	Log        *zap.Logger
	Now        func() time.Time
}

// Server answers questions. It is safe for concurrent use.
type Server struct {
	config    Config
	store     *clickhouse.Store
	horizons  *horizons
	rates     *rateTables
	directory Directory
	log       *zap.Logger
	metrics   *metrics
	now       func() time.Time
	questions *questions
	figures   map[string]figure
	limits    *quota.Limiter
	inFlight  chan struct{}
	exporting chan struct{}
	streams   *streams
	frontier  *frontier
}

// New prepares a Server. It asks the store nothing yet.
func New(config Config, dependencies Dependencies) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	questions, err := loadQuestions()
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(dependencies.Registerer)
	if err != nil {
		return nil, err
	}
	budget := quota.Budget{Policy: "read", PerSecond: config.KeyRequestsPerSecond, Burst: config.KeyRequestsBurst}
	limits, err := quota.New(budget, config.LimitedKeysMax)
	if err != nil {
		return nil, err
	}
	rates, err := lru.New[rateKey, map[pair][]rate](config.RateTablesMax)
	if err != nil {
		return nil, err
	}
	now := dependencies.Now
	if now == nil {
		now = time.Now
	}
	return &Server{
		config: config, store: dependencies.Store, directory: dependencies.Directory, log: dependencies.Log,
		metrics: metrics, now: now, questions: questions, figures: newFigures(),
		horizons: &horizons{slices: dependencies.Slices, ageMax: config.HorizonAgeMax}, rates: rates,
		limits: limits, inFlight: make(chan struct{}, config.RequestsInFlightMax),
		exporting: make(chan struct{}, config.ExportsInFlightMax),
		streams:   &streams{byKey: map[string]int{}}, frontier: &frontier{},
	}, nil
}

// Paths of the endpoints.
const (
	PathRevenue        = "/revenue"
	PathMetricsMRR     = "/v1/metrics/mrr"
	PathMetricsRefunds = "/v1/metrics/refunds"
	PathMetricsRevenue = "/v1/metrics/revenue"
	PathExplain        = "/v1/explain"
	PathRetention      = "/v1/metrics/retention"
	PathCohorts        = "/v1/metrics/cohorts"
	PathTrials         = "/v1/metrics/trials"
	PathChurn          = "/v1/metrics/churn"
	PathCommitted      = "/v1/metrics/committed"
	PathTables         = "/v1/tables"
	PathUncertain      = "/v1/uncertain"
	PathSources        = "/v1/sources"
	PathExport         = "/v1/export"
	PathNotifications  = "/v1/alerts/notifications"
	PathStream         = "/v1/stream"
)

// Headers of the answers.
const (
	// HeaderRowsRead is how many rows the store read for the answer.
	HeaderRowsRead = "X-Rows-Read"
	// HeaderCompleteThrough is the instant before which everything accepted is in
	// the answer; absent if nothing has been stored yet.
	HeaderCompleteThrough = "X-Complete-Through"
	// HeaderAsOf is the moment as of which the question was asked, if it was, and
	// HeaderFinal whether everything accepted until then is in the answer, which will
	// therefore never be another.
	HeaderAsOf  = "X-As-Of"
	HeaderFinal = "X-Final"
	// HeaderDefinitionVersion names the definitions that the figures follow.
	HeaderDefinitionVersion = "X-Definition-Version"
)

// Routes mounts the endpoints.
func (s *Server) Routes(app fiber.Router) {
	for path, answer := range map[string]answerer{
		PathRevenue:        s.revenue,
		PathMetricsMRR:     s.mrrSeries,
		PathMetricsRefunds: s.refundSeries,
		PathMetricsRevenue: s.revenueSeries,
		PathExplain:        s.explain,
		PathRetention:      s.retentionSeries,
		PathCohorts:        s.cohorts,
		PathTrials:         s.trials,
		PathChurn:          s.churn,
		PathCommitted:      s.committed,
		PathTables:         s.table,
		PathUncertain:      s.uncertain,
		PathSources:        s.sources,
		PathNotifications:  s.notifications,
	} {
		s.mount(app, path, s.handler(path, answer))
	}
	s.mount(app, PathExport, s.export)
	s.mount(app, PathStream, s.stream)
}

func (s *Server) mount(app fiber.Router, path string, handler fiber.Handler) {
	app.Get(path, handler)
	app.All(path, func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderAllow, "GET, HEAD")
		return s.fail(c, refuse(http.StatusMethodNotAllowed, "%s is read with GET", path))
	})
}

// asked is a request after its key was recognised. Its strings are copies: Fiber
// reuses the buffers of a request.
type asked struct {
	key         control.Key
	path, query string
	// accept is the media type that the caller wants: JSON, or a form of tables.
	accept string
	// ifNoneMatch are the tags of the answers that the caller has.
	ifNoneMatch string
}

// answered is an answer before it is encoded.
type answered struct {
	body            any
	completeThrough time.Time
	rowsRead        uint64
	asOf            time.Time
	// definition names the definitions that the figures follow.
	definition string
}

type answerer func(ctx context.Context, request asked) (answered, error)

// handler bounds, times and encodes one endpoint's answers.
func (s *Server) handler(endpoint string, answer answerer) fiber.Handler {
	return func(c *fiber.Ctx) error {
		began := time.Now()
		request, answer, err := s.admit(c, answer)
		switch {
		case err == nil && request.has(request.finalTag()):
			c.Set(fiber.HeaderETag, request.finalTag())
			c.Status(http.StatusNotModified)
		case err == nil:
			err = s.reply(c, request, answer)
		default:
			err = s.fail(c, err)
		}
		s.metrics.observe(endpoint, c.Response().StatusCode(), time.Since(began), answer.rowsRead)
		return err
	}
}

// admitKey finds out who asks, whether they may, and whether it is not too often.
func (s *Server) admitKey(c *fiber.Ctx) (control.Key, error) {
	key, err := s.authenticate(c)
	if err != nil {
		return control.Key{}, err
	}
	left := s.limits.Take(key, s.now())
	left.Show(c.Set)
	if !left.Allowed {
		return control.Key{}, &refusal{status: http.StatusTooManyRequests, retryAfter: left.RetryAfter,
			err: errors.New("too many questions with this API key; try again later")}
	}
	if !key.Allows(control.ScopeRead) {
		return control.Key{}, refuse(http.StatusForbidden, "the API key has not the scope %s", control.ScopeRead)
	}
	return key, nil
}

// admit lets a question through to its answer, if its key may ask and there is room.
func (s *Server) admit(c *fiber.Ctx, answer answerer) (asked, answered, error) {
	key, err := s.admitKey(c)
	if err != nil {
		return asked{}, answered{}, err
	}
	request := asked{
		key: key, path: strings.Clone(c.Path()), query: string(c.Request().URI().QueryString()),
		accept: c.Accepts(fiber.MIMEApplicationJSON, csvType, parquetType, arrowType), ifNoneMatch: strings.Clone(c.Get(fiber.HeaderIfNoneMatch)),
	}
	if request.accept == "" {
		return request, answered{}, refuse(http.StatusNotAcceptable, "answers are %s, %s, %s or %s",
			fiber.MIMEApplicationJSON, csvType, parquetType, arrowType)
	}
	if request.has(request.finalTag()) {
		return request, answered{}, nil // as it will for ever be
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	default:
		s.metrics.refused.Inc()
		return request, answered{}, refuse(http.StatusServiceUnavailable, "too many questions at once; try again")
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.config.QueryTimeout)
	defer cancel()
	got, err := answer(ctx, request)
	if err != nil && ctx.Err() != nil && !errors.As(err, new(*refusal)) {
		// Questions that were cut off report it in several ways.
		err = errors.Join(ctx.Err(), err)
	}
	return request, got, err
}

// presentedKey is what the request shows as its key, in any of the headers that the
// vendors' clients use.
func presentedKey(c *fiber.Ctx) string {
	presented := c.Get("X-Api-Key")
	if presented == "" {
		presented = c.Get("X-API-Token")
	}
	if scheme, token, ok := strings.Cut(c.Get(fiber.HeaderAuthorization), " "); presented == "" && ok && strings.EqualFold(scheme, "Bearer") {
		presented = strings.TrimSpace(token)
	}
	return strings.Clone(presented)
}

// authenticate finds the key of a request.
func (s *Server) authenticate(c *fiber.Ctx) (control.Key, error) {
	presented := presentedKey(c)
	if presented == "" {
		return control.Key{}, refuse(http.StatusUnauthorized, "an API key is required, in the header X-Api-Key")
	}
	key, err := s.directory.Authenticate(presented)
	switch {
	case errors.Is(err, control.ErrUnauthenticated):
		return control.Key{}, refuse(http.StatusUnauthorized, "%w", err)
	case err != nil:
		// The directory could not tell; the key may be good.
		return control.Key{}, refuse(http.StatusServiceUnavailable, "keys cannot be looked up now; try again")
	}
	return key, nil
}

// workspace is the one that the question names, if the key is of that workspace.
func (s *Server) workspace(key control.Key, slug string) (control.Workspace, error) {
	workspace, known := s.directory.Workspace(slug)
	if !known {
		return control.Workspace{}, refuse(http.StatusNotFound, "there is no workspace %q", clip(slug))
	}
	if key.Workspace != workspace.ID {
		return control.Workspace{}, refuse(http.StatusForbidden, "the API key is of another workspace than %q", clip(slug))
	}
	return workspace, nil
}
