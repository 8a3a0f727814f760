package analytics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// Headers of exports, which are known before the first row is sent.
const (
	// HeaderRowsLeft is how many rows the export has from the place on that was asked for,
	// those of the answer included.
	HeaderRowsLeft = "X-Rows-Left"
	// HeaderNextCursor is where the next part begins; absent if this is the last.
	HeaderNextCursor = "X-Next-Cursor"
)

// export answers GET /v1/export: rows of one consistent state, in parts or at once, read
// from the store page by page while they are sent.
func (s *Server) export(c *fiber.Ctx) error {
	began := time.Now()
	plan, err := s.planExport(c)
	if err != nil {
		err = s.fail(c, err)
		s.metrics.observe(PathExport, c.Response().StatusCode(), time.Since(began), 0)
		return err
	}
	c.Set(HeaderAsOf, plan.query.AsOf.Format(time.RFC3339Nano))
	c.Set(HeaderFinal, "true")
	c.Set(HeaderRowsLeft, strconv.FormatUint(plan.rowsLeft, 10))
	if plan.last != nil {
		c.Set(HeaderNextCursor, plan.last.String())
	}
	c.Set(fiber.HeaderCacheControl, "private, no-cache")
	c.Vary(fiber.HeaderAccept)
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="`+plan.query.fileName(plan.slug)+`"`)
	c.Set(fiber.HeaderContentType, plan.query.format)
	if c.Method() == http.MethodHead {
		plan.release()
		return nil
	}
	body, err := plan.open(c)
	if err != nil {
		plan.release()
		return s.fail(c, err)
	}
	c.Context().SetBodyStream(body, -1) // which closes it
	return nil
}

// exportPlan is an export before its first row.
type exportPlan struct {
	server   *Server
	reading  *reading
	query    exportQuery
	slug     string
	sections []exportSection
	rowsLeft uint64
	// last is the last row of the part, nil if it is the last of the export.
	last    *exportPlace
	release func()
}

// exportSection is a stretch of the order of an export, and how many rows it has.
type exportSection struct {
	Name string `ch:"section"`
	Rows uint64 `ch:"n"`
}

// planExport finds out what is asked for and how much that is.
func (s *Server) planExport(c *fiber.Ctx) (*exportPlan, error) {
	key, err := s.admitKey(c)
	if err != nil {
		return nil, err
	}
	select {
	case s.exporting <- struct{}{}:
	default:
		s.metrics.refused.Inc()
		return nil, refuse(http.StatusServiceUnavailable, "too many exports at once; try again")
	}
	plan := &exportPlan{server: s, release: func() { <-s.exporting }}
	if err := plan.read(c, key); err != nil {
		plan.release()
		return nil, err
	}
	return plan, nil
}

// read reads the question.
func (p *exportPlan) read(c *fiber.Ctx, key control.Key) error {
	raw := string(c.Request().URI().QueryString())
	workspace, zone, err := p.server.whoseQuestion(asked{key: key, query: raw})
	if err != nil {
		return err
	}
	accept := c.Accepts(csvType, ndjsonType, parquetType, arrowType)
	if p.query, err = parseExportQuery(raw, accept, p.server.now(), zone, p.server.config); err != nil {
		return badRequest(err)
	}
	if p.query.format == "" {
		return refuse(http.StatusNotAcceptable, "exports are %s, %s, %s or %s", csvType, ndjsonType, parquetType, arrowType)
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), p.server.config.QueryTimeout)
	defer cancel()
	return p.prepare(ctx, workspace.Slug, p.server.reading(workspace, p.query.Filter))
}

// prepare pins the state, counts its rows, and finds the end of the part.
func (p *exportPlan) prepare(ctx context.Context, slug string, r *reading) error {
	p.slug, p.reading = slug, r
	complete, err := r.completeThrough(ctx)
	switch {
	case err != nil:
		return err
	case p.query.AsOf.IsZero() && complete.IsZero():
		p.query.AsOf = timeMin // nothing has been stored
	case p.query.AsOf.IsZero():
		p.query.AsOf = complete.Add(-time.Microsecond)
	case !p.query.AsOf.Before(complete):
		return refuse(http.StatusServiceUnavailable, "not everything that was accepted until asOf is stored yet; try again")
	}
	r.AsOf = p.query.AsOf
	count, last := r.questions.export.count, r.questions.export.last
	if p.query.table == exportEvents {
		count, last = r.questions.exportEvents.count, r.questions.exportEvents.last
	}
	if p.sections, err = ask[exportSection](ctx, r, "how much there is to export", count, p.values(exportSection{}, p.query.after)...); err != nil {
		return err
	}
	for _, section := range p.sections {
		p.rowsLeft += section.Rows
	}
	if limit := uint64(p.query.limit); limit > 0 && limit < p.rowsLeft {
		p.last, err = p.findLast(ctx, last, limit)
	}
	return err
}

// findLast finds the row at which a part of so many rows ends, and leaves out the sections
// after it.
func (p *exportPlan) findLast(ctx context.Context, question string, limit uint64) (*exportPlace, error) {
	for i, section := range p.sections {
		if limit > section.Rows {
			limit -= section.Rows
			continue
		}
		values := append(p.values(section, p.query.after), clickhouse.Named{Name: "skip", Value: limit - 1})
		var found []exportPlace
		if p.query.table == exportEvents {
			rows, err := ask[eventPlaceRow](ctx, p.reading, "the end of a part", question, values...)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				found = append(found, row.place())
			}
		} else {
			rows, err := ask[entryPlaceRow](ctx, p.reading, "the end of a part", question, values...)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				found = append(found, row.place())
			}
		}
		if len(found) != 1 {
			return nil, errors.New("finding the end of a part: the rows that were counted are not there")
		}
		found[0].AsOf = p.query.AsOf.UnixMicro()
		p.sections = p.sections[:i+1]
		return &found[0], nil
	}
	return nil, nil
}

// values are those of the questions of an export, for one of its sections or, without a
// name, for all of them, after a place.
func (p *exportPlan) values(section exportSection, after *exportPlace) []clickhouse.Named {
	named := func(name string, value any) clickhouse.Named { return clickhouse.Named{Name: name, Value: value} }
	since := p.query.period.Since
	values := append(p.reading.chosen(), named("workspace", p.reading.workspace), named("section", section.Name),
		named("until", p.query.period.Until), named("known_after", p.query.changedSince),
		named("provider", p.query.Provider), named("currency", p.query.Currency))
	at := func(prefix string, place *exportPlace) {
		values = append(values, named(prefix, "1"), named(prefix+"_kind", place.Kind), named(prefix+"_at", time.UnixMicro(place.At)),
			named(prefix+"_row", place.Row), named(prefix+"_known", time.UnixMicro(place.KnownAt)), named(prefix+"_sign", place.Sign),
			named(prefix+"_group", place.Group), named(prefix+"_fact", place.Fact), named(prefix+"_version", place.Version),
			named(prefix+"_slice", place.Slice), named(prefix+"_offset", place.Offset))
	}
	if after != nil {
		at("after", after)
		if section.Name != "" && section.Name == after.Kind {
			since = later(since, time.UnixMicro(after.At)) // where the index can begin
		}
	}
	if p.last != nil {
		at("last", p.last)
	}
	return append(values, named("since", since))
}

// open begins to read the rows.
func (p *exportPlan) open(c *fiber.Ctx) (io.ReadCloser, error) {
	if p.query.table == exportEvents {
		return openExport(c, p, p.reading.questions.exportEvents.rows, (*exportedEvent).place)
	}
	return openExport(c, p, p.reading.questions.export.rows, (*exportedEntry).place)
}

// exportBody reads an export from the store as its caller takes it: no more than a page of
// rows is held, and nothing runs between two reads.
type exportBody[T any] struct {
	plan     *exportPlan
	began    time.Time
	question string
	placeOf  func(*T) exportPlace
	columns  *rowColumns[T]
	writer   tableWriter
	text     bytes.Buffer // what was written and not yet read
	sections []exportSection
	after    *exportPlace
	ended    bool
	// extend gives the caller time to take what is read next.
	extend func(time.Time) error
}

func openExport[T any](c *fiber.Ctx, plan *exportPlan, question string, placeOf func(*T) exportPlace) (io.ReadCloser, error) {
	columns, err := newRowColumns[T]()
	if err != nil {
		return nil, err
	}
	b := &exportBody[T]{plan: plan, began: time.Now(), question: question, placeOf: placeOf, columns: columns,
		sections: plan.sections, after: plan.query.after, extend: c.Context().Conn().SetWriteDeadline}
	b.writer, err = newTableWriter(plan.query.format, columns.schema, &b.text, plan.query.after == nil)
	return b, err
}

// Read gives the next bytes. An error cuts the answer off, which the caller notices.
func (b *exportBody[T]) Read(into []byte) (int, error) {
	for b.text.Len() == 0 && !b.ended {
		if err := b.fill(); err != nil {
			b.plan.server.log.Error("exporting", zap.String("workspace", b.plan.reading.workspace), zap.Error(err))
			return 0, err
		}
	}
	if b.text.Len() == 0 {
		return 0, io.EOF
	}
	if err := b.extend(time.Now().Add(b.plan.server.config.ExportWriteTimeout)); err != nil {
		return 0, fmt.Errorf("giving the caller of an export time: %w", err)
	}
	return b.text.Read(into)
}

// fill writes the next page, or what ends the table.
func (b *exportBody[T]) fill() error {
	if len(b.sections) == 0 {
		b.ended = true
		return b.writer.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.plan.server.config.QueryTimeout)
	defer cancel()
	section, size, rows := b.sections[0], b.plan.server.config.ExportPageRows, 0
	values := append(b.plan.values(section, b.after), b.plan.reading.mode(), clickhouse.Named{Name: "size", Value: size})
	var last exportPlace
	stats, err := clickhouse.Each(ctx, b.plan.reading.store, given(b.question, values), func(row *T) error {
		rows++
		last = b.placeOf(row)
		b.columns.add(row)
		return nil
	}, values...)
	b.plan.reading.rowsRead.Add(stats.RowsRead)
	if err != nil {
		return fmt.Errorf("reading rows to export: %w", err)
	}
	if rows < size {
		b.sections = b.sections[1:]
	}
	if rows == 0 {
		return nil
	}
	b.after = &last
	batch := b.columns.take()
	defer batch.Release()
	return b.writer.Write(batch)
}

// Close gives back what the export held.
func (b *exportBody[T]) Close() error {
	b.plan.server.metrics.observe(PathExport, http.StatusOK, time.Since(b.began), b.plan.reading.rowsRead.Load())
	b.plan.release()
	return nil
}
