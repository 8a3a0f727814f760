package analytics

import (
	"context"
	"embed"
	"errors"
	"fmt"
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
	items, progress, rates string
	// cancelled is of one period, or of two.
	cancelled map[bool]string
	// flows, locate and movements are there for every choice of parts.
	flows, locate, movements map[parts]string
	pages                    map[order]string
}

// parts are the sources that a divided range needs, and whether flows come with
// what is deducted from them: taxes, fees and discounts.
type parts struct {
	Months, Days, Hours, Entries bool
	Deductions                   bool
}

// allParts are those that cuts.parts may ask for. Whole months come with the days of
// others, which foreign currencies need all of.
func allParts() []parts {
	var all []parts
	for _, p := range []parts{{Days: true}, {Days: true, Hours: true}, {Days: true, Hours: true, Entries: true}} {
		all = append(all, p)
		p.Months = true
		all = append(all, p)
	}
	return append(all, parts{Hours: true}, parts{Hours: true, Entries: true})
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
		items: complete("items", nil), progress: complete("progress", nil), rates: complete("rates", nil),
		cancelled: map[bool]string{}, flows: map[parts]string{}, locate: map[parts]string{}, movements: map[parts]string{},
		pages: map[order]string{},
	}
	for _, two := range []bool{false, true} {
		q.cancelled[two] = complete("cancelled", struct{ Previous bool }{two})
	}
	for _, p := range allParts() {
		q.flows[p], q.locate[p], q.movements[p] = complete("flows", p), complete("locate", p), complete("movements", p)
		p.Deductions = true
		q.flows[p] = complete("flows", p)
	}
	for _, by := range sorts {
		for _, descending := range []bool{false, true} {
			q.pages[order{by, descending}] = complete("page", struct{ Column, Order string }{sortColumns[by], orderBy(by, descending)})
		}
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
	workspace string
	provider  string
	currency  string // filter; empty is all
	into      string // the currency of the answer
	rowsRead  atomic.Uint64
}

// ask puts one question. Its values are those of the reading and the given ones.
func ask[T any](ctx context.Context, r *reading, what, sql string, values ...clickhouse.Named) ([]T, error) {
	rows, stats, err := clickhouse.Select[T](ctx, r.store, sql, values...)
	r.rowsRead.Add(stats.RowsRead)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return rows, nil
}

// whose are the values that nearly every question needs.
func (r *reading) whose(values ...clickhouse.Named) []clickhouse.Named {
	return append(values,
		clickhouse.Named{Name: "workspace", Value: r.workspace},
		clickhouse.Named{Name: "provider", Value: r.provider})
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
// answers that are read after it; the zero time if nothing has been stored.
func (r *reading) completeThrough(ctx context.Context) (time.Time, error) {
	rows, err := ask[struct {
		At time.Time `ch:"complete_through"`
	}](ctx, r, "progress", r.questions.progress)
	if err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0].At.UTC(), nil
}
