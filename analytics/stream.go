package analytics

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"revstream/ingest/control"
)

// HeaderLastEventID is where a client says how far it has come, as browsers do by themselves.
const HeaderLastEventID = "Last-Event-ID"

const eventStreamType = "text/event-stream"

var streamParameters = []string{"workspaceSlug", "lastEventId"}

// stream answers GET /v1/stream: new rows of the ledger and changing figures as the sink
// stores them, as server-sent events.
func (s *Server) stream(c *fiber.Ctx) error {
	began := time.Now()
	body, err := s.openStream(c)
	if err != nil {
		err = s.fail(c, err)
		s.metrics.observe(PathStream, c.Response().StatusCode(), time.Since(began), 0)
		return err
	}
	c.Set(fiber.HeaderContentType, eventStreamType)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no") // for proxies that would hold events back
	c.Context().SetBodyStream(body, -1)
	return nil
}

// openStream lets a stream begin, if its key may and there is room.
func (s *Server) openStream(c *fiber.Ctx) (*streamBody, error) {
	key, err := s.admitKey(c)
	if err != nil {
		return nil, err
	}
	raw := string(c.Request().URI().QueryString())
	workspace, zone, err := s.whoseQuestion(asked{key: key, query: raw})
	if err != nil {
		return nil, err
	}
	values, err := parseValues(raw, s.config)
	if err != nil {
		return nil, badRequest(err)
	}
	p := parser{values: values}
	p.only(streamParameters)
	last, given := p.text("lastEventId")
	if header := c.Get(HeaderLastEventID); header != "" {
		last, given = strings.Clone(header), true // a browser that reconnects, with the address of its beginning
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.config.QueryTimeout)
	defer cancel()
	var from position
	if given {
		if from, err = parsePosition(last); err != nil {
			p.fail("lastEventId", "%v", err)
		}
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, badRequest(err)
	}
	if !given {
		if from, err = s.frontier.position(ctx, s, s.config.StreamPollInterval); err != nil {
			return nil, err
		}
	}
	release, err := s.streams.take(key, s.config)
	if err != nil {
		s.metrics.refused.Inc()
		return nil, err
	}
	s.metrics.streams.Inc()
	presented := presentedKey(c)
	return &streamBody{
		server: s, key: key, workspace: workspace, zone: zone, at: from,
		ended:  c.Context().Done(),
		valid:  func() bool { return !errors.Is(s.stillValid(presented), control.ErrUnauthenticated) },
		extend: c.Context().Conn().SetWriteDeadline,
		release: sync.OnceFunc(func() {
			s.metrics.streams.Dec()
			release()
		}),
	}, nil
}

// stillValid reports whether a key is still one.
func (s *Server) stillValid(presented string) error {
	_, err := s.directory.Authenticate(presented)
	return err
}

// streams counts what is open, by key.
type streams struct {
	mu    sync.Mutex
	open  int
	byKey map[string]int
}

// take counts a stream until release is called.
func (s *streams) take(key control.Key, config Config) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.byKey[key.ID] >= config.StreamsPerKeyMax:
		return nil, refuse(http.StatusTooManyRequests, "this API key has %d streams open, which is as many as it may", config.StreamsPerKeyMax)
	case s.open >= config.StreamsMax:
		return nil, refuse(http.StatusServiceUnavailable, "too many streams are open; try again")
	}
	s.open++
	s.byKey[key.ID]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.byKey[key.ID]--; s.byKey[key.ID] == 0 {
			delete(s.byKey, key.ID)
		}
	}, nil
}
