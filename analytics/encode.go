package analytics

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// reply writes an answer, as JSON or as a table, or says that the caller has it already.
func (s *Server) reply(c *fiber.Ctx, request asked, answer answered) error {
	c.Set(HeaderRowsRead, strconv.FormatUint(answer.rowsRead, 10))
	c.Set(HeaderDefinitionVersion, answer.definition)
	// Kept by the caller alone, and asked for again each time.
	c.Set(fiber.HeaderCacheControl, "private, no-cache")
	c.Vary(fiber.HeaderAccept, "X-Api-Key", "X-API-Token", fiber.HeaderAuthorization)
	if !answer.completeThrough.IsZero() {
		c.Set(HeaderCompleteThrough, answer.completeThrough.Format(time.RFC3339Nano))
	}
	final := false
	if !answer.asOf.IsZero() {
		final = answer.asOf.Before(answer.completeThrough)
		c.Set(HeaderAsOf, answer.asOf.Format(time.RFC3339Nano))
		c.Set(HeaderFinal, strconv.FormatBool(final))
	}
	text, err := json.Marshal(answer.body)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	tag := request.finalTag()
	if !final {
		// The same figures at a later watermark are the same answer.
		watermark := fmt.Appendf(nil, `"completeThrough":%q`, answer.completeThrough.Format(time.RFC3339Nano))
		tag = tagOf("W/", request.accept, string(bytes.ReplaceAll(text, watermark, nil)))
	}
	c.Set(fiber.HeaderETag, tag)
	if request.has(tag) {
		c.Status(http.StatusNotModified)
		return nil
	}
	contentType := request.accept
	if request.accept != fiber.MIMEApplicationJSON {
		text, err = asTable(text, request.accept)
	}
	if request.accept == csvType {
		contentType = csvType + "; charset=utf-8; header=present"
	}
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, contentType)
	return c.Send(text)
}

// finalTag is the entity tag of an answer that can never be another: what was asked, as of
// a moment before which everything accepted is in the answer. Whoever shows it was given
// it with the answer, by this version of the definitions.
func (a asked) finalTag() string {
	return tagOf("", a.key.Workspace, a.path, a.query, a.accept, DefinitionVersion, profilesVersion)
}

func tagOf(prefix string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return prefix + `"` + hex.EncodeToString(sum[:12]) + `"`
}

// has reports whether the caller has the answer of the tag.
func (a asked) has(tag string) bool {
	return slices.ContainsFunc(strings.Split(a.ifNoneMatch, ","), func(held string) bool {
		return strings.TrimPrefix(strings.TrimSpace(held), "W/") == strings.TrimPrefix(tag, "W/")
	})
}
