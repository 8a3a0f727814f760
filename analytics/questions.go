package analytics

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"revstream/clickhouse"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// questions are the texts of the SQL files. They hold no values: those are bound.
// What cannot be bound is chosen from fixed lists when they are loaded.
type questions struct {
	horizon, rates, retention string
	committed, trials         string
	// restated and uncertain read the statements of groups that are folded for an answer.
	restated, uncertain string
	// cohorts are by calendar or, relative, by each customer's own time.
	cohorts, revenueCohorts map[bool]string
	// originalRefunds are by what they are broken down by.
	originalRefunds map[string]string
	// items are those of an entry as it is believed now, or as of a moment.
	items     map[bool]string
	cancelled map[cancelledChoice]string
	// flows, locate and movements are there for every choice of parts.
	flows, locate, movements map[parts]string
	// paying customers are counted from the entries, by any dimension.
	paying map[parts]string
	pages  map[pageChoice]string
	// export and exportEvents read the rows of an export, count them, and find the last
	// of a part.
	export, exportEvents exportQuestions
	// explain are the rows behind figures, explained what they add up to.
	explain, explained map[explainChoice]string
	// positions say how far the ledger has come, stream what is between two of them.
	positions, stream, streamBlocks string
	// customerNames are what customers are called.
	customerNames string
}

type exportQuestions struct{ rows, count, last string }

// parts are the sources that a divided range needs, and whether flows come with
// what is deducted from them: taxes, fees and discounts. Whole are the entries of the
// whole range, for filters that no rollup has.
type parts struct {
	Months, Days, Hours, Entries bool
	Deductions                   bool
	Whole                        bool
	// By is the dimension that the answer is broken down by, if it is.
	By string
}

// cancelledChoice is whether there is a second period, and Whole as in parts.
type cancelledChoice struct{ Previous, Whole bool }

// cohortChoice is whose time periods are counted in.
type cohortChoice struct{ Relative bool }

// pageChoice is the order of a page, and Whole as in parts.
type pageChoice struct {
	order
	Whole bool
}

// wholeEntries is where to read if the rollups cannot answer.
var wholeEntries = parts{Entries: true, Whole: true}

// allParts are those that cuts.parts may ask for. Whole months come with the days of
// others, which foreign currencies need all of.
func allParts() []parts {
	var all []parts
	for _, p := range []parts{{Days: true}, {Days: true, Hours: true}, {Days: true, Hours: true, Entries: true}} {
		all = append(all, p)
		p.Months = true
		all = append(all, p)
	}
	return append(all, parts{Hours: true}, parts{Hours: true, Entries: true}, wholeEntries)
}

// brokenDown are the parts, and those of answers that are broken down.
func brokenDown(all []parts) []parts {
	for name, dimension := range dimensions {
		for _, p := range allParts() {
			if p.By = name; dimension.rollups || p.Whole {
				all = append(all, p)
			}
		}
	}
	return all
}

// order is how items are sorted.
type order struct {
	by         Sort
	descending bool
}

// sortColumns are the columns of the page question behind each sort; the time they
// occurred is there anyway.
var sortColumns = map[Sort]string{
	SortOccurredAt: "", SortCreatedAt: "received_at", SortAmountCents: "amount",
	SortEventType: "kind", SortProvider: "provider", SortCurrency: "currency",
}

func loadQuestions() (*questions, error) {
	files, err := template.New("sql").Delims("[[", "]]").ParseFS(sqlFiles, "sql/*.sql")
	if err != nil {
		return nil, fmt.Errorf("reading questions: %w", err)
	}
	var errs []error
	complete := func(name string, choice any) string {
		var text strings.Builder
		errs = append(errs, files.ExecuteTemplate(&text, name+".sql", choice))
		return text.String()
	}
	q := &questions{
		horizon: complete("horizon", nil), rates: complete("rates", nil),
		retention: complete("retention", parts{}), restated: complete("restated", nil), uncertain: complete("uncertain", nil),
		committed: complete("committed", nil), trials: complete("trials", nil),
		originalRefunds: map[string]string{"": complete("original_refunds", parts{})},
		revenueCohorts: map[bool]string{
			false: complete("revenue_cohorts", cohortChoice{false}), true: complete("revenue_cohorts", cohortChoice{true})},
		cohorts: map[bool]string{false: complete("cohorts", parts{}), true: complete("aged", parts{})},
		items:   map[bool]string{}, cancelled: map[cancelledChoice]string{},
		flows: map[parts]string{}, locate: map[parts]string{}, movements: map[parts]string{},
		paying: map[parts]string{}, pages: map[pageChoice]string{},
		customerNames: complete("customer_names", nil),
		explain:       map[explainChoice]string{}, explained: map[explainChoice]string{},
		positions: complete("positions", nil), stream: complete("stream", nil), streamBlocks: complete("stream_blocks", nil),
		export:       exportQuestions{complete("export", nil), complete("export_count", nil), complete("export_last", nil)},
		exportEvents: exportQuestions{complete("export_events", nil), complete("export_events_count", nil), complete("export_events_last", nil)},
	}
	for name := range dimensions {
		q.originalRefunds[name] = complete("original_refunds", parts{By: name})
	}
	for _, choice := range explainChoices() {
		text := choice.completed(complete)
		q.explain[choice], q.explained[choice] = complete("explain", text), complete("explained", text)
	}
	for _, whole := range []bool{false, true} {
		q.items[whole] = complete("items", parts{Whole: whole})
		for _, two := range []bool{false, true} {
			q.cancelled[cancelledChoice{two, whole}] = complete("cancelled", cancelledChoice{two, whole})
		}
		for _, by := range sorts {
			for _, descending := range []bool{false, true} {
				q.pages[pageChoice{order{by, descending}, whole}] = complete("page", struct {
					Column, Order string
					Whole         bool
				}{sortColumns[by], orderBy(by, descending), whole})
			}
		}
	}
	for _, p := range brokenDown(allParts()) {
		q.flows[p] = complete("flows", p)
		if p.By == "" {
			q.locate[p] = complete("locate", p)
		}
		if p.By == "" || dimensions[p.By].ofMRR {
			q.movements[p], q.paying[p] = complete("movements", p), complete("paying", p)
		}
		deductions := p
		deductions.Deductions = true
		q.flows[deductions] = complete("flows", deductions)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("completing questions: %w", err)
	}
	return q, nil
}

// orderBy ends in the time, the row and the copy, so that no two items are equal
// and pages neither repeat nor lose one.
func orderBy(by Sort, descending bool) string {
	columns := []string{"occurred_at", "row", "copy"}
	if column := sortColumns[by]; column != "" {
		columns = append([]string{column}, columns...)
	}
	if !descending {
		return strings.Join(columns, ", ")
	}
	return strings.Join(columns, " DESC, ") + " DESC"
}

// reading is one request's access to the store: what all its questions have in
// common, and what they cost together.
type reading struct {
	store     *clickhouse.Store
	questions *questions
	horizons  *horizons
	rates     *rateTables
	workspace string
	Filter
	by      breakdown
	profile profile
	// restated is what the profile's policy says otherwise of the entries, once that was
	// worked out.
	restated          *restatement
	restatedGroupsMax int
	into              string // the currency of the answer
	// ratesVersion is the horizon's, once it was read: rates are not kept without it.
	ratesVersion string
	rowsRead     atomic.Uint64
}

// whole reports that the rollups cannot answer, so that the entries have to.
func (r *reading) whole() bool {
	return !r.inRollups() || r.profile.weighs() || r.profile.restates() || r.by.dimension != "" && !dimensions[r.by.dimension].rollups
}

// parts are where to read a divided range from.
func (r *reading) parts(c cuts) parts {
	p := wholeEntries
	if !r.whole() {
		p = c.parts()
	}
	p.By = r.by.dimension
	return p
}

// answered is an answer to the question, and what it cost.
func (r *reading) answered(body any, complete time.Time) answered {
	return answered{body: body, completeThrough: complete, rowsRead: r.rowsRead.Load(), asOf: r.AsOf,
		definition: r.profile.version()}
}

// ask puts one question. Its values are those of the reading and the given ones.
func ask[T any](ctx context.Context, r *reading, what, sql string, values ...clickhouse.Named) ([]T, error) {
	var rows []T
	_, err := each(ctx, r, what, sql, func(row *T) error {
		if len(rows) == cap(rows) {
			rows = slices.Grow(rows, max(16, len(rows))) // append would copy many rows four times
		}
		rows = append(rows, *row)
		return nil
	}, values...)
	return rows, err
}

// each is ask for what should not be held in memory: fn is called with each row.
func each[T any](ctx context.Context, r *reading, what, sql string, fn func(*T) error, values ...clickhouse.Named) (clickhouse.Stats, error) {
	values = append(slices.Clip(values), r.mode())
	if r.restated != nil && r.restated.rows.Len() > 0 && strings.Contains(sql, "FROM restated") {
		values = append(values, clickhouse.Named{Name: "restated", Value: true})
		ctx = r.restated.rows.Beside(ctx)
	}
	stats, err := clickhouse.Each(ctx, r.store, given(sql, values), fn, values...)
	r.rowsRead.Add(stats.RowsRead)
	if err != nil {
		return stats, fmt.Errorf("reading %s: %w", what, err)
	}
	return stats, nil
}

// mode is whether a question is about money or about tests.
func (r *reading) mode() clickhouse.Named { return clickhouse.Named{Name: "live", Value: !r.Test} }

// condition is what a line of a question may end in: it is there only if, or unless,
// there is a value of that name.
var condition = regexp.MustCompile(` -- (if|unless) (\w+)$`)

// given is the question without the lines that its values make idle, and without
// comments. A condition that is always true costs the engine as much to plan as any
// other, and planning is most of what a question of rollups costs.
func given(sql string, values []clickhouse.Named) string {
	var text strings.Builder
	for line := range strings.Lines(sql) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "--") {
			continue
		}
		if match := condition.FindStringSubmatchIndex(line); match != nil {
			unless, name := line[match[2]:match[3]] == "unless", line[match[4]:match[5]]
			if hasValue(values, name) == unless {
				continue
			}
			line = line[:match[0]]
		}
		text.WriteString(line)
		text.WriteByte('\n')
	}
	return text.String()
}

// hasValue reports whether a value of the name is given and not empty.
func hasValue(values []clickhouse.Named, name string) bool {
	i := slices.IndexFunc(values, func(value clickhouse.Named) bool { return value.Name == name })
	if i < 0 {
		return false
	}
	switch value := values[i].Value.(type) {
	case string:
		return value != ""
	case bool:
		return value
	case []string:
		return len(value) > 0
	}
	return true
}

// whose are the values that nearly every question needs.
func (r *reading) whose(values ...clickhouse.Named) []clickhouse.Named {
	values = append(values,
		clickhouse.Named{Name: "workspace", Value: r.workspace},
		clickhouse.Named{Name: "provider", Value: r.Provider},
		clickhouse.Named{Name: "breakdown_key", Value: r.by.key})
	if r.whole() {
		values = append(values, r.chosen()...)
	}
	return values
}

// always is after everything that is known.
var always = time.Date(2261, 1, 1, 0, 0, 0, 0, time.UTC)

// chosen are the values of the filters that only the entries have.
func (r *reading) chosen() []clickhouse.Named {
	return []clickhouse.Named{
		{Name: "as_of", Value: r.entriesUntil()}, {Name: "plan", Value: r.Plan}, {Name: "product", Value: r.Product},
		{Name: "customer", Value: r.Customer}, {Name: "country", Value: r.Country},
		{Name: "message", Value: r.Message}, {Name: "offer", Value: r.Offer}, {Name: "campaign", Value: r.Campaign},
		{Name: "source", Value: r.Source}, {Name: "visitor", Value: r.Visitor},
		{Name: "attribution_type", Value: r.AttributionType},
		{Name: "metadata_key", Value: r.MetadataKey}, {Name: "metadata_value", Value: r.MetadataValue},
	}
}

// weights are the values of what questions about MRR weigh it by (worth.sql).
func (r *reading) weights() []clickhouse.Named {
	week, day, whole := r.profile.weights()
	return []clickhouse.Named{
		{Name: "weighed", Value: r.profile.weighs()},
		{Name: "week", Value: week}, {Name: "day", Value: day}, {Name: "whole", Value: whole},
	}
}

// knownUntil is the last moment at which what is asked for may have become known.
func (r *reading) knownUntil() time.Time {
	if r.AsOf.IsZero() {
		return always
	}
	return r.AsOf
}

// entriesUntil is the last moment at which entries that are read may have become known.
func (r *reading) entriesUntil() time.Time {
	if r.restated != nil {
		return r.restated.known
	}
	return r.knownUntil()
}

// bind are the values that describe a divided range.
func (c cuts) bind() []clickhouse.Named {
	formatted := func(instants []time.Time, layout string) []string {
		list := make([]string, len(instants))
		for i, instant := range instants {
			list[i] = instant.Format(layout)
		}
		return list
	}
	edges := make([]int64, len(c.edges))
	for i, edge := range c.edges {
		edges[i] = edge.UnixMicro()
	}
	return []clickhouse.Named{
		{Name: "since", Value: c.since()}, {Name: "until", Value: c.until()},
		{Name: "since_day", Value: c.since().Format(time.DateOnly)}, {Name: "until_day", Value: c.until().Format(time.DateOnly)},
		{Name: "cut_months", Value: formatted(c.months, time.DateOnly)},
		{Name: "cut_days", Value: formatted(c.days, time.DateOnly)},
		{Name: "cut_hours", Value: formatted(c.hours, time.DateTime)},
		{Name: "edges", Value: edges},
	}
}

// completeThrough is the instant before which everything accepted is in the
// answers that are read after it; the zero time while a slice has not said how far it is.
func (r *reading) completeThrough(ctx context.Context) (time.Time, error) {
	h, err := r.horizon(ctx)
	r.ratesVersion = h.rates
	return h.complete, err
}
