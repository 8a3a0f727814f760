package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// newZstdReader makes the shared decoder of request bodies, which is safe for
// concurrent use and refuses what would become larger than the limit.
func newZstdReader(cfg Config) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(cfg.DecodedBytesMax)))
}

// readBody returns the body, decompressed if need be. It is valid until the
// handler returns: fasthttp uses the buffer again.
func (s *Server) readBody(c *fiber.Ctx) ([]byte, error) {
	raw := c.Request().Body()
	if len(raw) > s.cfg.BodyBytesMax {
		return nil, tooLarge(s.cfg.BodyBytesMax)
	}
	// Not fiber's Body(), which decompresses without a limit and returns the text
	// of an error as if it were the body.
	switch encoding := strings.ToLower(strings.TrimSpace(c.Get(fiber.HeaderContentEncoding))); encoding {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		return s.gunzip(raw)
	case "zstd":
		text, err := s.zstd.DecodeAll(raw, nil)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(text) > s.cfg.DecodedBytesMax {
			return nil, tooLarge(s.cfg.DecodedBytesMax)
		}
		if err != nil {
			return nil, corrupt(encoding)
		}
		return text, nil
	default:
		return nil, &failure{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding",
			detail: "Content-Encoding must be gzip, zstd or none."}
	}
}

func (s *Server) gunzip(raw []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, corrupt("gzip")
	}
	text, err := io.ReadAll(io.LimitReader(reader, int64(s.cfg.DecodedBytesMax)+1))
	if err != nil {
		return nil, corrupt("gzip")
	}
	if len(text) > s.cfg.DecodedBytesMax {
		return nil, tooLarge(s.cfg.DecodedBytesMax)
	}
	return text, nil
}

func tooLarge(bytesMax int) *failure {
	return &failure{status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		detail: fmt.Sprintf("The body is larger than %d bytes.", bytesMax)}
}

func corrupt(encoding string) *failure {
	return &failure{status: http.StatusBadRequest, code: "invalid_encoding",
		detail: fmt.Sprintf("The body is not valid %s.", encoding)}
}
