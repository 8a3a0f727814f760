package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"revstream/connectors"
	"revstream/ingest/quota"
	"revstream/ingest/stream"
)

// answer is what goes back to the caller.
type answer struct {
	status      int
	contentType string
	body        []byte
	// kept is what a repeat under the same Idempotency-Key gets, if that is less
	// than the body: what is secret is said once.
	kept       []byte
	retryAfter time.Duration
	// replayed says that it is the stored answer to an Idempotency-Key.
	replayed bool
	// accepted and rejected count the records of the request, statements what was
	// published.
	accepted, rejected, statements int
}

const contentJSON = "application/json"

// jsonAnswer encodes a body whose types cannot fail to encode.
func jsonAnswer(status int, body any) answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("encode answer: %v", err)) // a programmer's error, recovered and counted
	}
	return answer{status: status, contentType: contentJSON, body: text}
}

// failure is why a request was not served, before it has the shape of a contract.
type failure struct {
	status     int
	code       string // for programs
	detail     string // for people; nothing internal
	field      string
	retryAfter time.Duration
	cause      error // for the log, if it is ours
}

func (f *failure) Error() string { return f.code + ": " + f.detail }

func (f *failure) refusal() connectors.Refusal {
	return connectors.Refusal{Status: f.status, Code: f.code, Detail: f.detail, Field: f.field}
}

// The failures that every door shares.
func unauthorized() *failure { return refusedAs(connectors.Unauthorized()) }

// refusedAs is the failure of what a connector refuses.
func refusedAs(r *connectors.Refusal) *failure {
	return &failure{status: r.Status, code: r.Code, detail: r.Detail, field: r.Field}
}

func forbidden() *failure {
	return &failure{status: http.StatusForbidden, code: "forbidden", detail: "The API key may not write revenue."}
}

func notFound(detail string) *failure { return refusedAs(connectors.NotFound(detail)) }

// failureOf is the table of errors: reject what is the caller's fault (4xx), ask
// to retry what is ours and temporary (503), and 500 for what must not happen.
func (s *Server) failureOf(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	if refusal := connectors.RefusalOf(err); refusal != nil {
		return refusedAs(refusal)
	}
	switch {
	case errors.Is(err, connectors.ErrBadSignature):
		return &failure{status: http.StatusBadRequest, code: "bad_signature", detail: "The signature does not verify with any secret of the endpoint."}
	case errors.Is(err, connectors.ErrMalformed):
		return &failure{status: http.StatusBadRequest, code: "malformed", detail: "The body cannot be understood."}
	case errors.Is(err, stream.ErrInvalid):
		return &failure{status: http.StatusBadRequest, code: "invalid_event", detail: "The event breaks a rule of the encoding.", cause: err}
	case errors.Is(err, stream.ErrTooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge, code: "too_large", detail: "The events are too large to be stored."}
	case errors.Is(err, stream.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return s.busy(err)
	default:
		if f := controlFailure(err); f != nil {
			return f
		}
		return &failure{status: http.StatusInternalServerError, code: "internal_error", detail: "The request could not be served.", cause: err}
	}
}

func (s *Server) busy(cause error) *failure {
	return &failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: s.cfg.RetryAfter, cause: cause,
		detail: "The request cannot be served right now. Send it again."}
}

// shape writes a failure as the contract of a door has it.
type shape func(*failure) answer

// shapeOf is the shape of an API's contract.
func shapeOf(api connectors.API) shape {
	return func(f *failure) answer { return answerOf(api.Refuse(f.refusal())) }
}

// problemShape is RFC 9457, for the doors that are ours.
func problemShape(f *failure) answer { return answerOf(connectors.ProblemAnswer(f.refusal())) }

// refuse turns an error into an answer of the shape.
func (s *Server) refuse(shape shape, err error) answer {
	f := s.failureOf(err)
	refusal := shape(f)
	refusal.retryAfter = f.retryAfter
	return refusal
}

// write sends the answer.
func (a answer) write(c *fiber.Ctx) error {
	if a.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(quota.Seconds(a.retryAfter)))
	}
	if a.status == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="revstream"`)
	}
	if a.replayed {
		c.Set(headerReplayed, "true")
	}
	if len(a.body) > 0 {
		c.Set(fiber.HeaderContentType, a.contentType)
	}
	return c.Status(a.status).Send(a.body)
}
