package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// Explanation is the body of GET /v1/explain: the rows of the ledger behind a figure.
// The contributions of all pages add up to Totals, exactly.
type Explanation struct {
	Figure        string `json:"figure"`
	WorkspaceSlug string `json:"workspaceSlug"`
	// Unit is what Totals and contributions are counted in; empty if the figure is
	// worked out of others, which DerivedFrom names.
	Unit        Unit     `json:"unit,omitempty"`
	DerivedFrom []string `json:"derivedFrom,omitempty"`
	// Since is absent if everything before Until counts.
	Since string `json:"since,omitempty"`
	Until string `json:"until"`
	AsOf  string `json:"asOf,omitempty"`
	// ChangedSince says that only what became known after it is counted: Totals are by
	// how much the figure has changed since.
	ChangedSince      string           `json:"changedSince,omitempty"`
	DefinitionVersion string           `json:"definitionVersion"`
	Totals            []ExplainedTotal `json:"totals"`
	Rows              []ExplainedRow   `json:"rows"`
	// NextCursor is there unless this is the last page.
	NextCursor string `json:"nextCursor,omitempty"`
}

// ExplainedTotal is the figure in one currency, in the stored unit, not converted.
// Currency is empty for what has none.
type ExplainedTotal struct {
	Currency string `json:"currency"`
	Units    int64  `json:"units"`
}

// ExplainedRow is a row of the ledger, what it adds to the figure, and the statements
// about its fact.
type ExplainedRow struct {
	// ID identifies what the row says; a row and its retraction share it.
	ID string `json:"id"`
	// Sign is 1 for what began to be believed at KnownAt, and -1 for what ceased to be. In a
	// change it is the other way for rows that belong to the figure no longer.
	Sign         int64  `json:"sign"`
	Contribution int64  `json:"contribution"`
	Kind         string `json:"kind"`
	Currency     string `json:"currency"`
	AmountCents  int64  `json:"amountCents"`
	MRR          int64  `json:"mrr"` // 1/10,000 minor units, as stored: Contribution is by the profile
	OccurredAt   string `json:"occurredAt"`
	KnownAt      string `json:"knownAt"`

	Fact          string  `json:"fact"`
	ObjectID      string  `json:"objectId"`
	ExternalID    string  `json:"externalId"`
	Provider      string  `json:"provider"`
	IntegrationID *string `json:"integrationId"`
	Customer      string  `json:"customer"`
	Subscription  string  `json:"subscription"`
	Invoice       string  `json:"invoice"`
	Product       string  `json:"product"`
	Plan          string  `json:"plan"`
	Reason        string  `json:"reason"`
	// Version is that of the statement behind the row, one of Versions.
	Version  int64              `json:"version"`
	Versions []ExplainedVersion `json:"versions"`
}

// ExplainedVersion is a statement about a fact, and the delivery that it came in by.
type ExplainedVersion struct {
	Version    int64  `json:"version"`
	ReceivedAt string `json:"receivedAt"`
	Deleted    bool   `json:"deleted"`
	// Withdrawn: it takes back what a wrong reading of a delivery said.
	Withdrawn     bool    `json:"withdrawn"`
	DeliveryID    string  `json:"deliveryId"`
	DeliveryType  string  `json:"deliveryType"`
	APIVersion    string  `json:"apiVersion"`
	IntegrationID *string `json:"integrationId"`
}

// explainedRow is a row of explain.sql.
type explainedRow struct {
	Row           uint64    `ch:"row"`
	Copies        int64     `ch:"copies"`
	KnownAt       time.Time `ch:"known_at"`
	OccurredAt    time.Time `ch:"occurred_at"`
	ReceivedAt    time.Time `ch:"received_at"`
	Group         string    `ch:"fact_group"`
	Fact          string    `ch:"fact"`
	ObjectID      string    `ch:"object_id"`
	Version       int64     `ch:"version"`
	Kind          string    `ch:"kind"`
	Provider      string    `ch:"provider"`
	Account       string    `ch:"account"`
	Integration   string    `ch:"integration"`
	Amount        int64     `ch:"amount"`
	Tax           int64     `ch:"tax"`
	Fee           int64     `ch:"fee"`
	Discount      int64     `ch:"discount"`
	Currency      string    `ch:"currency"`
	Recurring     bool      `ch:"recurring"`
	MRR           int64     `ch:"mrr"`
	Worth         int64     `ch:"worth"` // MRR by the profile
	Subscriptions int64     `ch:"subscriptions"`
	Customers     int64     `ch:"customers"`
	Reason        string    `ch:"reason"`
	Customer      string    `ch:"customer"`
	Subscription  string    `ch:"subscription"`
	Invoice       string    `ch:"invoice"`
	Product       string    `ch:"product"`
	Plan          string    `ch:"plan"`
	Country       string    `ch:"country"`
	ExternalID    string    `ch:"external_id"`
}

// measures are those of the row once, whatever its sign.
func (r *explainedRow) measures() *measures {
	m := &measures{
		entries: 1, amount: r.Amount, tax: r.Tax, fee: r.Fee, discount: r.Discount,
		mrr: r.Worth, subscriptions: r.Subscriptions, customers: r.Customers,
	}
	if r.Amount > 0 {
		m.positive = 1
	}
	return m
}

// explain answers GET /v1/explain.
func (s *Server) explain(ctx context.Context, request asked) (answered, error) {
	workspace, zone, err := s.whoseQuestion(request)
	if err != nil {
		return answered{}, err
	}
	query, err := ParseExplainQuery(request.query, s.now(), zone, s.figures, s.config)
	if err != nil {
		return answered{}, badRequest(err)
	}
	r := s.reading(workspace, query.Filter)
	r.profile, r.by = query.profile(), query.by
	complete, err := r.completeThrough(ctx)
	if err == nil {
		err = r.restate(ctx, complete)
	}
	if err != nil {
		return r.answered(nil, complete), err
	}
	body := query.head()
	if len(query.figure.terms) > 0 {
		if body.Totals, err = r.explainedTotals(ctx, &query); err == nil {
			body.Rows, body.NextCursor, err = r.explainedRows(ctx, &query)
		}
	}
	return r.answered(body, complete), err
}

// behind are the values of what the rows behind a figure have in common, and of what
// decides which of them belong to it.
func (r *reading) behind(query *ExplainQuery) []clickhouse.Named {
	rows := query.rows()
	values := []clickhouse.Named{
		{Name: "workspace", Value: r.workspace}, {Name: "provider", Value: r.Provider}, {Name: "currency", Value: r.Currency},
		{Name: "kinds", Value: query.figure.kinds()}, {Name: "known_after", Value: query.knownAfter()},
		{Name: "rows_since", Value: rows.Since}, {Name: "rows_until", Value: rows.Until}, {Name: "rows_currency", Value: query.rowsCurrency()},
		{Name: "since", Value: query.Period.Since}, {Name: "into", Value: r.into},
		{Name: "breakdown_key", Value: r.by.key}, {Name: "part", Value: query.part}, {Name: "claim", Value: query.claim},
	}
	return slices.Concat(values, query.ofCell(r), r.weights(), r.chosen())
}

func (r *reading) explainedTotals(ctx context.Context, query *ExplainQuery) ([]ExplainedTotal, error) {
	type sums struct {
		kindRow
		MRR           int64 `ch:"mrr"`
		Subscriptions int64 `ch:"subscriptions"`
		Customers     int64 `ch:"customers"`
	}
	rows, err := ask[sums](ctx, r, "sums behind a figure", r.questions.explained[query.choice()], r.behind(query)...)
	if err != nil {
		return nil, err
	}
	units := map[string]int64{}
	for _, row := range rows {
		units[row.Currency] += query.figure.counts(revenue.EntryKind(row.Kind), row.Recurring, &measures{
			entries: row.Entries, positive: row.Positive, amount: row.Amount, tax: row.Tax, fee: row.Fee, discount: row.Discount,
			mrr: row.MRR, subscriptions: row.Subscriptions, customers: row.Customers,
		})
	}
	totals := []ExplainedTotal{}
	for _, currency := range slices.Sorted(maps.Keys(units)) {
		totals = append(totals, ExplainedTotal{currency, units[currency]})
	}
	return totals, nil
}

// explainedRows reads a page. Rows that add nothing to the figure are left out, so a
// page may be shorter than the limit and still have a next one.
func (r *reading) explainedRows(ctx context.Context, query *ExplainQuery) ([]ExplainedRow, string, error) {
	rows, err := ask[explainedRow](ctx, r, "rows behind a figure", r.questions.explain[query.choice()], append(r.behind(query),
		clickhouse.Named{Name: "after_at", Value: query.After.At}, clickhouse.Named{Name: "after_row", Value: query.After.Row},
		clickhouse.Named{Name: "after_known", Value: query.After.KnownAt}, clickhouse.Named{Name: "limit", Value: query.Limit})...)
	if err != nil {
		return nil, "", err
	}
	versions, err := r.versions(ctx, rows)
	if err != nil {
		return nil, "", err
	}
	explained := []ExplainedRow{}
	for i := range rows {
		row := &rows[i]
		if once := query.figure.counts(revenue.EntryKind(row.Kind), row.Recurring, row.measures()); once != 0 {
			explained = append(explained, row.explained(once, versions[row.Fact]))
		}
	}
	if len(rows) < query.Limit {
		return explained, "", nil
	}
	last := rows[len(rows)-1]
	return explained, cursor{last.OccurredAt, last.Row, last.KnownAt}.String(), nil
}

// versions are the statements about the facts of the rows that were received by the
// moment of the question, in order of their receipt, by fact.
func (r *reading) versions(ctx context.Context, rows []explainedRow) (map[string][]ExplainedVersion, error) {
	var keys []revenue.GroupKey
	for i := range rows {
		keys = append(keys, revenue.GroupKey{Workspace: r.workspace, Group: rows[i].Group})
	}
	slices.SortFunc(keys, func(a, b revenue.GroupKey) int { return cmp.Compare(a.Group, b.Group) })
	states, err := r.store.ReadGroups(ctx, slices.Compact(keys))
	if err != nil {
		return nil, fmt.Errorf("reading the statements behind a figure: %w", err)
	}
	versions := map[string][]ExplainedVersion{}
	for _, state := range states {
		for _, event := range revenue.Distinct(state.Events) {
			if !event.ReceivedAt.After(r.knownUntil()) {
				versions[event.FactID()] = append(versions[event.FactID()], explainedVersion(&event))
			}
		}
	}
	return versions, nil
}

func explainedVersion(event *revenue.Event) ExplainedVersion {
	return ExplainedVersion{
		Version: event.Version, ReceivedAt: exactInstant(event.ReceivedAt), Deleted: event.Deleted, Withdrawn: event.Withdrawn,
		DeliveryID: event.Delivery.ID, DeliveryType: event.Delivery.Type, APIVersion: event.Delivery.APIVersion,
		IntegrationID: nullable(event.Delivery.Integration),
	}
}

func (r *explainedRow) explained(once int64, versions []ExplainedVersion) ExplainedRow {
	if versions == nil {
		versions = []ExplainedVersion{}
	}
	return ExplainedRow{
		ID: strconv.FormatUint(r.Row, 16), Sign: r.Copies, Contribution: r.Copies * once, Kind: r.Kind, Currency: r.Currency,
		AmountCents: r.Amount, MRR: r.MRR, OccurredAt: exactInstant(r.OccurredAt), KnownAt: exactInstant(r.KnownAt),
		Fact: r.Fact, ObjectID: r.ObjectID, ExternalID: r.ExternalID, Provider: r.Provider, IntegrationID: nullable(r.Integration),
		Customer: r.Customer, Subscription: r.Subscription, Invoice: r.Invoice, Product: r.Product, Plan: r.Plan,
		Reason: r.Reason, Version: r.Version, Versions: versions,
	}
}

// nullable is null for what is not known.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// exactInstant has the microseconds that the ledger has.
func exactInstant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// cursor is the place of a row in the order of an explanation.
type cursor struct {
	At      time.Time
	Row     uint64
	KnownAt time.Time
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%x.%d", c.At.UnixMicro(), c.Row, c.KnownAt.UnixMicro())
}

var errCursor = errors.New("is not one that an answer gave")

func parseCursor(text string) (cursor, error) {
	var at, known int64
	var row uint64
	if n, err := fmt.Sscanf(text, "%d.%x.%d", &at, &row, &known); n != 3 || err != nil {
		return cursor{}, errCursor
	}
	c := cursor{time.UnixMicro(at).UTC(), row, time.UnixMicro(known).UTC()}
	if c.String() != text || c.At.Before(timeMin) || c.At.After(always) || c.KnownAt.Before(timeMin) || c.KnownAt.After(always) {
		return cursor{}, errCursor
	}
	return c, nil
}
