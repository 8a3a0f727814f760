package ingest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// NewApp makes the fiber app that Routes are mounted on; other roles may mount
// theirs beside. Immutable, because a string of fiber's that outlives its request
// changes under the reader; and its errors (no such route, wrong method, body too
// large) have the shape of the contract that the path belongs to.
func NewApp(cfg Config) *fiber.App {
	return fiber.New(fiber.Config{
		AppName:               "revstream",
		Immutable:             true,
		BodyLimit:             cfg.BodyBytesMax,
		ReadTimeout:           cfg.ReadTimeout,
		WriteTimeout:          cfg.WriteTimeout,
		IdleTimeout:           cfg.IdleTimeout,
		DisableStartupMessage: true,
		ErrorHandler:          handleError,
	})
}

// handleError answers what no handler of ours has answered.
func handleError(c *fiber.Ctx, err error) error {
	f := &failure{status: http.StatusInternalServerError, code: "internal_error", detail: "The request could not be served."}
	var known *fiber.Error
	if errors.As(err, &known) {
		f.status, f.code, f.detail = known.Code, codeOf(known.Code), known.Message
	}
	return shapeOf(c.Path())(f).write(c)
}

// codeOf makes a code of a status: 405 is method_not_allowed.
func codeOf(status int) string {
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}

// shapeOf is the shape of the contract that a path belongs to.
func shapeOf(path string) shape {
	switch {
	case strings.HasPrefix(path, "/api/v2/"), strings.HasPrefix(path, "/v2/"):
		return tracklyShape
	case strings.HasPrefix(path, "/revenue/transactions"):
		return thrivestackShape
	case path == "/api/ingest":
		return pulsoraShape
	default:
		return problemShape
	}
}
