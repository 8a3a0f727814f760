package analytics

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Tables that can be exported.
const (
	exportEntries = "entries"
	exportEvents  = "events"
)

// exportFormats are the media types by the value of the parameter format, which also ends
// the names of files.
var exportFormats = map[string]string{"csv": csvType, "ndjson": ndjsonType, "parquet": parquetType, "arrow": arrowType}

// exportQuery is the question of GET /v1/export, with its defaults filled in.
type exportQuery struct {
	Filter
	table  string
	format string
	period Period
	// changedSince leaves out what was known by then already.
	changedSince time.Time
	// after is the last row that the caller has, if any.
	after *exportPlace
	// limit is how many rows to answer with; 0 is all.
	limit int
}

var exportParameters = []string{"workspaceSlug", "table", "format", "since", "until", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "message", "offer", "campaign", "source", "visitor",
	"attributionType", "metadata", "asOf", "mode", "changedSince", "limit", "after"}

const exportLimitMax = 10_000_000

// parseExportQuery reads the parameters of /v1/export. accept is the form that the caller
// wants if no format is given.
func parseExportQuery(raw, accept string, now time.Time, zone *time.Location, config Config) (exportQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return exportQuery{}, err
	}
	p := parser{values: values}
	p.only(exportParameters)
	p.slug()
	zone = p.zone(zone)
	query := exportQuery{Filter: p.filter(now, zone), table: p.choice("table", []string{exportEntries, exportEvents}, exportEntries)}
	query.format = exportFormats[p.choice("format", slices.Sorted(maps.Keys(exportFormats)), "")]
	if query.format == "" {
		query.format = accept
	}
	if _, given := p.text("limit"); given {
		query.limit = p.number("limit", 1, exportLimitMax)
	}
	since, hasSince := p.instant("since", zone, false)
	until, hasUntil := p.instant("until", zone, true)
	if !hasSince {
		since = timeMin
	}
	if !hasUntil {
		until = always // MRR that is known to end ends in the future
	}
	p.ordered("since", since, "until", until)
	query.period = Period{since, until}
	query.changedSince = timeMin
	if at, given := p.instant("changedSince", zone, false); given {
		query.changedSince = at
	}
	query.place(&p)
	if query.table == exportEvents {
		query.refuseFilters(&p)
	}
	return query, errors.Join(p.errs...)
}

// place reads where to go on, which also says as of when.
func (q *exportQuery) place(p *parser) {
	text, given := p.text("after")
	if !given {
		return
	}
	place, err := parseExportPlace(text)
	switch {
	case err != nil || (place.Kind == "") != (q.table == exportEvents):
		p.fail("after", "is not one that an answer gave for this table")
	case !q.AsOf.IsZero() && q.AsOf.UnixMicro() != place.AsOf:
		p.fail("after", "goes on with an export as of another moment than asOf")
	default:
		q.after, q.AsOf = &place, time.UnixMicro(place.AsOf).UTC()
	}
}

// refuseFilters refuses what statements cannot be narrowed by: they are what was said,
// before it was made sense of.
func (q *exportQuery) refuseFilters(p *parser) {
	f := q.Filter
	f.Provider, f.AsOf = "", time.Time{}
	if f != (Filter{}) {
		p.fail("table", "events can be narrowed by provider and time only")
	}
}

// fileName is what a browser saves the export as.
func (q *exportQuery) fileName(slug string) string {
	extension := "csv"
	for name, mediaType := range exportFormats {
		if mediaType == q.format {
			extension = name
		}
	}
	return fmt.Sprintf("%s-%s-%s.%s", slug, q.table, strings.ReplaceAll(q.AsOf.Format("20060102T150405"), ":", ""), extension)
}
