package analytics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/quota"
)

// Problem is an error answer after RFC 9457.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Missing are the shards of the store that do not answer, counted from 1.
	// There is no answer without them: it would be a random part of the revenue.
	Missing []int `json:"missing,omitempty"`
}

const problemContentType = "application/problem+json"

// refusal is an error with the status that the caller is told.
type refusal struct {
	status int
	err    error
	// retryAfter is when asking again has a chance, if that is known.
	retryAfter time.Duration
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func badRequest(err error) error { return &refusal{status: http.StatusBadRequest, err: err} }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, err: fmt.Errorf(format, args...)}
}

// statusOf decides what an error means to the caller. What the store says is not
// shown: it is about our questions, not theirs.
func statusOf(err error) (status int, detail string) {
	var refused *refusal
	var missing *clickhouse.MissingShardsError
	switch {
	case errors.As(err, &refused):
		// errors.Join puts each on a line.
		return refused.status, strings.ReplaceAll(refused.Error(), "\n", "; ")
	case errors.As(err, &missing):
		return http.StatusServiceUnavailable, fmt.Sprintf(
			"%d of the %d shards that the answer is kept on do not answer; try again", len(missing.Missing), missing.Shards)
	case errors.Is(err, clickhouse.ErrTooExpensive):
		return http.StatusBadRequest, "the question would read too much; narrow the range"
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "the answer took too long; narrow the range or try again"
	case errors.Is(err, clickhouse.ErrUnavailable), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "the store is unavailable; try again"
	case errors.Is(err, errAmountRange):
		return http.StatusInternalServerError, err.Error()
	default:
		return http.StatusInternalServerError, "an error of the service; it has been logged"
	}
}

// fail answers with a problem. Errors of the service are logged here, and nowhere
// else; those of the caller are not.
func (s *Server) fail(c *fiber.Ctx, err error) error {
	status, detail := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.log.Error("answering a question", zap.String("path", c.Path()), zap.Int("status", status), zap.Error(err))
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		wait := s.config.RetryAfter
		if refused := (*refusal)(nil); errors.As(err, &refused) && refused.retryAfter > 0 {
			wait = refused.retryAfter
		}
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(quota.Seconds(wait)))
	case http.StatusUnauthorized:
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="revstream"`)
	}
	problem := Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
	if missing := (*clickhouse.MissingShardsError)(nil); errors.As(err, &missing) {
		problem.Missing = missing.Missing
	}
	if err := c.Status(status).JSON(problem); err != nil {
		return fmt.Errorf("encoding a problem: %w", err)
	}
	c.Set(fiber.HeaderContentType, problemContentType)
	return nil
}
