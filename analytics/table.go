package analytics

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"revstream/ingest/revenue"
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
var tableSorts = map[string]func(*TableRow) int64{
	"mrr":     func(row *TableRow) int64 { return orZero(row.MRRCents) },
	"gross":   func(row *TableRow) int64 { return row.GrossRevenueCents },
	"net":     func(row *TableRow) int64 { return row.NetRevenueCents },
	"refunds": func(row *TableRow) int64 { return row.RefundCents },
	"count":   func(row *TableRow) int64 { return row.PositiveChargeCount },
}

var tableSortNames = []string{"mrr", "gross", "net", "refunds", "count"}

func orZero(value *int64) int64 {
	if value == nil {
		return 0
	}
	return *value
}

var tableParameters = []string{"workspaceSlug", "by", "since", "until", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "message", "offer", "campaign", "source", "visitor",
	"attributionType", "metadata", "asOf", "mode", "profile", "sort", "limit", "cursor"}

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
	complete, err := r.completeThrough(ctx)
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

// tableRows is what was read for a table.
type tableRows struct {
	flows  []flowRow
	moves  []movementRow
	paying []payingRow
}

func (r *reading) tableAnswer(ctx context.Context, query *tableQuery) (*Table, error) {
	var read tableRows
	withMRR := query.withMRR()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		read.flows, err = r.flows(groupCtx, []time.Time{query.period.Since, query.period.Until}, false, false)
		return err
	})
	if withMRR {
		group.Go(func() (err error) {
			read.moves, err = r.movements(groupCtx, []time.Time{beginning, query.period.Until}, false)
			return err
		})
		group.Go(func() (err error) {
			read.paying, err = r.paying(groupCtx, []time.Time{query.period.Until})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	whole := balanceAt(read.moves, query.period.Until)
	var needs rateNeeds
	for i := range read.flows {
		needs.add(r.into, read.flows[i].currency, read.flows[i].day)
	}
	for currency := range whole.mrr {
		needs.add(r.into, currency, whole.rateDay())
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	rows, total, err := read.rows(query.period.Until, exchange, withMRR)
	if err != nil {
		return nil, err
	}
	flows := sumFlows(read.flows, exchange)
	table := &Table{
		By: query.by.String(), Sort: query.sort, Since: exactInstant(query.period.Since), Until: exactInstant(query.period.Until),
		DefinitionVersion: r.profile.version(), RowCount: len(rows), Total: total, Rows: []TableRow{},
		Unconverted: unconverted(flows.totals, whole.convert(exchange)),
	}
	if !r.AsOf.IsZero() {
		table.AsOf = exactInstant(r.AsOf)
	}
	table.page(rows, query)
	if query.by.dimension == "customer" {
		err = r.nameCustomers(ctx, table.Rows)
	}
	return table, err
}

// rows are those of the table, in no order, and what they add up to.
func (t *tableRows) rows(until time.Time, x *exchange, withMRR bool) ([]TableRow, TableRow, error) {
	all := map[Part]bool{}
	flows, moves := map[Part][]flowRow{}, map[Part][]movementRow{}
	customers := map[Part]int64{}
	for i := range t.flows {
		flows[t.flows[i].part] = append(flows[t.flows[i].part], t.flows[i])
		all[t.flows[i].part] = true
	}
	for i := range t.moves {
		moves[t.moves[i].Part] = append(moves[t.moves[i].Part], t.moves[i])
		all[t.moves[i].Part] = true
	}
	for _, row := range t.paying {
		customers[row.Part] += int64(row.Customers)
	}
	parts := make([]Part, 0, len(all))
	for part := range all {
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.AttributionType, b.AttributionType))
	})
	rows := make([]TableRow, len(parts)+1) // the last is of all
	sums, money := make([]moved, len(rows)), make([]*totals, len(rows))
	levels, balances := make([]*totals, len(rows)), make([]balance, len(rows))
	for i := range rows {
		theirFlows, theirMoves := t.flows, t.moves
		if i < len(parts) {
			theirFlows, theirMoves, rows[i].Part = flows[parts[i]], moves[parts[i]], parts[i]
		}
		sums[i], balances[i] = sumFlows(theirFlows, x), balanceAt(theirMoves, until)
		money[i], levels[i] = sums[i].totals, balances[i].convert(x)
	}
	last := len(parts)
	amounts, err := apportioned(money[last], money[:last], 1)
	if err != nil {
		return nil, TableRow{}, err
	}
	mrr, err := apportioned(levels[last], levels[:last], revenue.MRRScale)
	if err != nil {
		return nil, TableRow{}, err
	}
	sum, err := money[last].all()
	if err != nil {
		return nil, TableRow{}, err
	}
	worth, err := levels[last].rounded(0, revenue.MRRScale)
	if err != nil {
		return nil, TableRow{}, err
	}
	amounts, mrr = append(amounts, sum), append(mrr, []int64{worth})
	for i := range rows {
		rows[i].fill(&sums[i], amounts[i])
		if !withMRR {
			continue
		}
		rows[i].worth(mrr[i][0], balances[i].subscriptions, customers[rows[i].Part])
		if i == last {
			rows[i].worth(mrr[i][0], balances[i].subscriptions, balances[i].customers)
		}
	}
	return rows[:last], rows[last], nil
}

func (row *TableRow) fill(m *moved, amounts []int64) {
	row.GrossRevenueCents, row.RefundCents = amounts[flowGross], amounts[flowRefund]
	row.NetRevenueCents = amounts[flowGross] - amounts[flowRefund]
	row.RefundCount, row.PositiveChargeCount = m.of(revenue.EntryRefund), m.positiveCharges
	row.RefundRate = ratio(row.RefundCount, row.PositiveChargeCount)
}

func (row *TableRow) worth(mrr, subscriptions, customers int64) {
	row.MRRCents, row.ActiveSubscriptions, row.Customers = &mrr, &subscriptions, &customers
	row.ARPACents = average(mrr, customers)
}

// page sorts the rows and keeps those after the cursor.
func (t *Table) page(rows []TableRow, query *tableQuery) {
	by := tableSorts[query.sort]
	place := func(row *TableRow) tableCursor {
		return tableCursor{by(row), row.Value, row.AttributionType}
	}
	slices.SortFunc(rows, func(a, b TableRow) int { return place(&a).compare(place(&b)) })
	for i := range rows {
		if query.after != nil && place(&rows[i]).compare(*query.after) <= 0 {
			continue
		}
		if len(t.Rows) == query.limit {
			t.NextCursor = place(&t.Rows[len(t.Rows)-1]).String()
			return
		}
		t.Rows = append(t.Rows, rows[i])
	}
}

// tableCursor is the place of a row in a table.
type tableCursor struct {
	key             int64
	value, ascribed string
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
