package analytics

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Table is the body of /v1/tables: what each plan, customer or country comes to.
type Table struct {
	WorkspaceSlug string `json:"workspaceSlug"`
	By            string `json:"by"`
	Sort          string `json:"sort"`
	Since         string `json:"since"`
	Until         string `json:"until"`
	Currency      string `json:"currency"`
	AsOf          string `json:"asOf,omitempty"`

	DefinitionVersion string `json:"definitionVersion"`
	// RowCount is how many rows the table has on all its pages; they add up to Total.
	RowCount int        `json:"rowCount"`
	Total    TableRow   `json:"total"`
	Rows     []TableRow `json:"rows"`
	// NextCursor is there unless this is the last page.
	NextCursor string `json:"nextCursor,omitempty"`
	// Unconverted is absent unless a currency had no exchange rate.
	Unconverted []Unconverted `json:"unconverted,omitempty"`
}

// TableRow is what one value comes to: MRR, subscriptions and customers at the end of the
// range, money within it. MRR is null of what it does not add up by.
type TableRow struct {
	Part
	// CustomerName is what the customer is called, in a table by customer, if that is known.
	CustomerName        string       `json:"customerName,omitempty"`
	MRRCents            *int64       `json:"mrrCents"`
	ActiveSubscriptions *int64       `json:"activeSubscriptions"`
	Customers           *int64       `json:"customers"`
	ARPACents           *int64       `json:"arpaCents"`
	GrossRevenueCents   int64        `json:"grossRevenueCents"`
	NetRevenueCents     int64        `json:"netRevenueCents"`
	RefundCents         int64        `json:"refundCents"`
	RefundCount         int64        `json:"refundCount"`
	PositiveChargeCount int64        `json:"positiveChargeCount"`
	RefundRate          *Thousandths `json:"refundRate"`
}

// tableSorts are what rows are sorted by, the greatest first; ties by value.
var tableSorts = map[string]func(*tableSums) int64{
	"mrr":     func(row *tableSums) int64 { return row.mrr.rounded },
	"gross":   func(row *tableSums) int64 { return row.gross.rounded },
	"net":     (*tableSums).net,
	"refunds": func(row *tableSums) int64 { return row.refunds.rounded },
	"count":   func(row *tableSums) int64 { return row.charges },
}

var tableSortNames = []string{"mrr", "gross", "net", "refunds", "count"}

var tableParameters = []string{"workspaceSlug", "by", "since", "until", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "message", "offer", "campaign", "source", "visitor",
	"attributionType", "metadata", "asOf", "mode", "profile", "pastDueDays", "churnTiming", "discounts", "sort", "limit", "cursor"}

// tableQuery is the question of /v1/tables.
type tableQuery struct {
	Filter
	period Period
	by     breakdown
	sort   string
	limit  int
	after  *tableCursor
	// profile is whose definitions MRR follows.
	profile string
	policy  policy
}

const tableLimitDefault = 50

func parseTableQuery(raw string, now time.Time, zone *time.Location, config Config) (tableQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return tableQuery{}, err
	}
	p := parser{values: values}
	p.only(tableParameters)
	p.slug()
	zone = p.zone(zone)
	query := tableQuery{Filter: p.filter(now, zone), by: p.breakdown("by"), limit: p.number("limit", tableLimitDefault, config.PageSizeMax)}
	if query.by.dimension == "" && len(p.errs) == 0 {
		p.fail("by", "is required")
	}
	sort := "net"
	if query.withMRR() {
		sort = "mrr"
	}
	if query.profile = p.choice("profile", profileNames, ProfileHouse); query.profile != ProfileHouse && !query.withMRR() {
		p.fail("profile", "profiles define MRR, which the table has not: %v", errNotOfMRR)
	}
	if query.policy = p.policy(); query.policy != (policy{}) && !query.withMRR() {
		p.fail(strings.Join(policyParameters, ", "), "they are about MRR, which the table has not: %v", errNotOfMRR)
	}
	query.sort = p.choice("sort", tableSortNames, sort)
	since, hasSince := p.instant("since", zone, false)
	until, hasUntil := p.instant("until", zone, true)
	if !hasSince {
		since = beginning
	}
	if !hasUntil {
		until = query.present(now)
	}
	p.ordered("since", since, "until", until)
	query.period = Period{since, until}
	if text, given := p.text("cursor"); given {
		if query.after, err = parseTableCursor(text); err != nil {
			p.fail("cursor", "%v", err)
		}
	}
	return query, errors.Join(p.errs...)
}

// withMRR reports whether the rows have MRR, which adds up by some values only.
func (q *tableQuery) withMRR() bool { return q.ofMRR() && dimensions[q.by.dimension].ofMRR }

// table answers GET /v1/tables.
func (s *Server) table(ctx context.Context, request asked) (answered, error) {
	workspace, zone, err := s.whoseQuestion(request)
	if err != nil {
		return answered{}, err
	}
	query, err := parseTableQuery(request.query, s.now(), zone, s.config)
	if err != nil {
		return answered{}, badRequest(err)
	}
	r := s.reading(workspace, query.Filter)
	r.by, r.profile = query.by, profileOf(query.profile)
	if query.withMRR() {
		r.profile = r.profile.judging(query.policy)
	}
	complete, err := r.completeThrough(ctx)
	if err == nil {
		err = r.restate(ctx, complete)
	}
	if err != nil {
		return r.answered(nil, complete), err
	}
	body, err := r.tableAnswer(ctx, &query)
	if err != nil {
		return r.answered(nil, complete), err
	}
	body.WorkspaceSlug, body.Currency = workspace.Slug, workspace.Currency
	return r.answered(body, complete), nil
}

// tableAnswer is the answer but for its head.
func (r *reading) tableAnswer(ctx context.Context, query *tableQuery) (*Table, error) {
	var kinds []kindRow
	var moves []movementRow
	var paying, chosen []payingRow
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		kinds, err = r.flowKinds(groupCtx, []time.Time{query.period.Since, query.period.Until}, false, false)
		return err
	})
	if query.withMRR() {
		group.Go(func() (err error) {
			moves, err = r.movements(groupCtx, []time.Time{beginning, query.period.Until}, false)
			return err
		})
		group.Go(func() (err error) {
			paying, err = r.paying(groupCtx, r.by, []time.Time{query.period.Until})
			return err
		})
	}
	if query.withMRR() && r.placed() {
		group.Go(func() (err error) {
			chosen, err = r.paying(groupCtx, breakdown{}, []time.Time{query.period.Until})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var needs rateNeeds
	for i := range kinds {
		needs.add(r.into, kinds[i].Currency, kinds[i].Day)
	}
	whole := balanceAt(moves, query.period.Until)
	for currency := range whole.mrr {
		needs.add(r.into, currency, whole.rateDay())
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	rows := newTableRows(exchange)
	rows.addMoney(kinds)
	rows.addMRR(moves, paying, query.period.Until)
	if r.placed() { // movements are of whole customers, who may have passed from or to what is chosen
		rows.level.customers = 0
		for _, row := range chosen {
			rows.level.customers += int64(row.Customers)
		}
	}
	table, err := rows.table(query)
	if err != nil {
		return nil, err
	}
	table.DefinitionVersion = r.profile.version()
	if !r.AsOf.IsZero() {
		table.AsOf = exactInstant(r.AsOf)
	}
	if query.by.dimension == "customer" {
		err = r.nameCustomers(ctx, table.Rows, query.period.Until)
	}
	return table, err
}

// table is the page of the table that is asked for.
func (t *tableRows) table(query *tableQuery) (*Table, error) {
	total, err := t.total()
	if err != nil {
		return nil, err
	}
	table := &Table{
		By: query.by.String(), Sort: query.sort, Since: exactInstant(query.period.Since), Until: exactInstant(query.period.Until),
		RowCount: len(t.rows), Total: total.row(query.withMRR()), Rows: []TableRow{},
		Unconverted: unconverted(t.unknown, t.level.convert(t.exchange)),
	}
	sort := tableSorts[query.sort]
	page, more := t.page(sort, query.after, query.limit)
	for _, row := range page {
		table.Rows = append(table.Rows, row.row(query.withMRR()))
	}
	if more {
		table.NextCursor = placeOf(page[len(page)-1], sort).String()
	}
	return table, nil
}

// tableCursor is the place of a row in a table.
type tableCursor struct {
	key             int64
	value, ascribed string
}

func placeOf(row *tableSums, sort func(*tableSums) int64) tableCursor {
	return tableCursor{sort(row), row.Value, row.AttributionType}
}

func (c tableCursor) compare(other tableCursor) int {
	return cmp.Or(cmp.Compare(other.key, c.key), cmp.Compare(c.value, other.value), cmp.Compare(c.ascribed, other.ascribed))
}

func (c tableCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d\n%s\n%s", c.key, c.ascribed, c.value))
}

func parseTableCursor(text string) (*tableCursor, error) {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(plain), "\n", 3)
	if err != nil || len(parts) != 3 {
		return nil, errCursor
	}
	key, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, errCursor
	}
	return &tableCursor{key, parts[2], parts[1]}, nil
}
