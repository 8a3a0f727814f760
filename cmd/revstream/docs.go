package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"path"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/etag"
	swaggerui "github.com/swaggest/swgui/v5/static"
)

//go:embed docs
var docsPages embed.FS

// docsPolicy lets the page load what this process serves and nothing else, so that
// reading the documentation tells nobody of it. Swagger UI puts styles on elements and
// has its icons in data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsAssets are the files of the page: ours, and Swagger UI's, which a Go module
// carries compressed.
func docsAssets() (map[string][]byte, error) {
	assets := map[string][]byte{}
	for _, source := range []struct {
		files fs.FS
		name  string
	}{
		{docsPages, "docs/index.html"}, {docsPages, "docs/start.js"},
		{swaggerui.FS, "swagger-ui-bundle.js.gz"}, {swaggerui.FS, "swagger-ui.css.gz"},
	} {
		content, err := fs.ReadFile(source.files, source.name)
		if err != nil {
			return nil, fmt.Errorf("reading a page of the documentation: %w", err)
		}
		name := path.Base(source.name)
		if path.Ext(name) == ".gz" {
			name = name[:len(name)-len(".gz")]
		} else {
			content = compressed(content)
		}
		assets[name] = content
	}
	return assets, nil
}

func compressed(content []byte) []byte {
	var text bytes.Buffer
	writer := gzip.NewWriter(&text)
	_, _ = writer.Write(content) // a buffer takes everything
	_ = writer.Close()
	return text.Bytes()
}

// mountDocs serves the OpenAPI document as a page that people read.
func mountDocs(app *fiber.App) error {
	assets, err := docsAssets()
	if err != nil {
		return err
	}
	send := func(c *fiber.Ctx, name string) error {
		content, known := assets[name]
		if !known {
			return fiber.ErrNotFound
		}
		c.Set(fiber.HeaderContentSecurityPolicy, docsPolicy)
		c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
		c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
		c.Set(fiber.HeaderCacheControl, "no-cache") // asked for again, and mostly answered 304
		c.Set(fiber.HeaderContentType, mime.TypeByExtension(path.Ext(name)))
		c.Vary(fiber.HeaderAcceptEncoding)
		if !c.Request().Header.HasAcceptEncoding("gzip") {
			return sendPlain(c, content)
		}
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(content)
	}
	tagged := etag.New()
	app.Get("/docs", tagged, func(c *fiber.Ctx) error { return send(c, "index.html") })
	app.Get("/docs/:file", tagged, func(c *fiber.Ctx) error { return send(c, c.Params("file")) })
	return nil
}

// sendPlain is for the few that do not read gzip.
func sendPlain(c *fiber.Ctx, content []byte) error {
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("reading a page of the documentation: %w", err)
	}
	return c.SendStream(plain)
}
