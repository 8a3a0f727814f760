package ingest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/valyala/fasthttp"

	"revstream/connectors"
)

// NewApp makes the fiber app that Routes are mounted on, for the APIs that the server has;
// other roles may mount theirs beside. Immutable, because a string of fiber's that outlives its request
// changes under the reader; and its errors (no such route, wrong method, body too
// large) have the shape of the contract that the path belongs to.
func NewApp(cfg Config, apis ...connectors.API) *fiber.App {
	chunkedPaths, err := lru.New[*fasthttp.RequestHeader, string](chunkedPathsMax)
	if err != nil {
		panic("make memory of chunked requests: " + err.Error()) // for a size that is not positive only
	}
	faults := &appErrors{bodyBytesMax: cfg.BodyBytesMax, apis: apis, chunkedPaths: chunkedPaths}
	app := fiber.New(fiber.Config{
		AppName:               "revstream",
		Immutable:             true,
		BodyLimit:             cfg.BodyBytesMax,
		ReadTimeout:           cfg.ReadTimeout,
		WriteTimeout:          cfg.WriteTimeout,
		IdleTimeout:           cfg.IdleTimeout,
		DisableStartupMessage: true,
		// No API has forms; what fails to be one would be refused by the library.
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 faults.handle,
	})
	app.Server().HeaderReceived = faults.remember
	return app
}

// chunkedPathsMax bounds how many requests of unknown length are remembered at
// once. Beyond it, one that turns out too large has the shape of an unknown path.
const chunkedPathsMax = 1024

// chunkedLength is fasthttp's length of a body that comes in chunks.
const chunkedLength = -1

// appErrors answers what no handler of ours has answered.
type appErrors struct {
	bodyBytesMax int
	apis         []connectors.API
	// chunkedPaths are those of requests whose length is not known when they begin:
	// fasthttp forgets everything of a request before it says that its chunks are
	// too many. A connection reads into one header at a time, and into the same
	// until the answer is written.
	chunkedPaths *lru.Cache[*fasthttp.RequestHeader, string]
}

// remember keeps the path of a request whose header has been read. It changes no
// limits.
func (e *appErrors) remember(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if header.ContentLength() == chunkedLength {
		path, _, _ := strings.Cut(string(header.RequestURI()), "?")
		e.chunkedPaths.Add(header, path)
	}
	return fasthttp.RequestConfig{}
}

func (e *appErrors) handle(c *fiber.Ctx, err error) error {
	f := &failure{status: http.StatusInternalServerError, code: "internal_error", detail: "The request could not be served."}
	path := c.Path()
	var known *fiber.Error
	switch {
	case errors.As(err, &known) && known.Code == http.StatusRequestEntityTooLarge:
		f = tooLarge(e.bodyBytesMax)
		header := &c.Context().Request.Header
		if chunked, remembered := e.chunkedPaths.Peek(header); remembered && len(header.Host()) == 0 {
			path = chunked
		}
	case known != nil && known.Code == http.StatusBadRequest:
		// The library quotes what it has read, with the headers and keys in it.
		f = refused(http.StatusBadRequest, "bad_request", "The request is not HTTP that can be read.")
	case known != nil:
		f.status, f.code, f.detail = known.Code, codeOf(known.Code), known.Message
	}
	return e.shapeAt(path)(f).write(c)
}

// codeOf makes a code of a status: 405 is method_not_allowed.
func codeOf(status int) string {
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}

// shapeAt is the shape of the contract that a path belongs to. Routes know neither
// case nor a slash at the end.
func (e *appErrors) shapeAt(path string) shape {
	path = strings.TrimSuffix(strings.ToLower(path), "/")
	for _, api := range e.apis {
		if api.Owns(path) {
			return shapeOf(api)
		}
	}
	return problemShape
}
