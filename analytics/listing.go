package analytics

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"revstream/clickhouse"
)

// Item is an entry as GET /revenue lists it.
type Item struct {
	// ID is derived from the fact and the kind, so it stays the same through
	// corrections.
	ID          string `json:"id"`
	WorkspaceID string `json:"workspaceId"`
	// IntegrationID is the webhook endpoint or API key by which the statement behind
	// the entry came in; null if that is not known.
	IntegrationID *string `json:"integrationId"`
	EventType     string  `json:"eventType"`
	// AmountCents is the signed flow in minor units of Currency: refunds and
	// disputes are negative, lifecycle events 0.
	AmountCents int64           `json:"amountCents"`
	Currency    string          `json:"currency"`
	ExternalID  string          `json:"externalId"`
	Metadata    json.RawMessage `json:"metadata"`
	OccurredAt  string          `json:"occurredAt"`
	// CreatedAt is when the statement behind the entry was accepted.
	CreatedAt string `json:"createdAt"`
	Provider  string `json:"provider"`
}

const instantLayout = "2006-01-02T15:04:05.000Z"

// itemCount is a row of locate.sql: how many items a day, or an hour, has.
type itemCount struct {
	At    uint32 `ch:"at"`     // Unix seconds
	EndAt uint32 `ch:"end_at"` // Unix seconds
	Items int64  `ch:"items"`
}

// place is where a page is: within the window, after so many items before it, in
// the order of the question.
type place struct {
	total  int64
	window Period
	before int64
	items  int64 // in the window
}

type pageRow struct {
	Row        uint64    `ch:"row"`
	Kind       string    `ch:"kind"`
	OccurredAt time.Time `ch:"occurred_at"`
	Copy       uint64    `ch:"copy"`
}

type itemRow struct {
	Row         uint64    `ch:"row"`
	Fact        string    `ch:"fact"`
	ObjectID    string    `ch:"object_id"`
	ExternalID  string    `ch:"external_id"`
	Kind        string    `ch:"kind"`
	Provider    string    `ch:"provider"`
	Integration string    `ch:"integration"`
	Amount      int64     `ch:"amount"`
	Currency    string    `ch:"currency"`
	OccurredAt  time.Time `ch:"occurred_at"`
	ReceivedAt  time.Time `ch:"received_at"`
	Metadata    string    `ch:"metadata"`
}

// list finds the items of a page. Sorted by the time they occurred, a page anywhere
// in the range costs the counts of months, of the days and hours of those that hold
// it, and the entries of the day or the hours that do. Any other sort reads all items of the range, of which there may be
// SortRowsMax.
func (r *reading) list(ctx context.Context, query Query, config Config) ([]Item, error) {
	if !query.Period.Since.Before(query.Period.Until) {
		return []Item{}, nil
	}
	page, err := r.newest(ctx, query)
	if err == nil && page == nil {
		page, err = r.located(ctx, query, config)
	}
	if err != nil || len(page) == 0 {
		return []Item{}, err
	}
	return r.items(ctx, page)
}

// probeLength is how far back the newest page is looked for without counting.
const probeLength = time.Hour

// newest is the first page of the newest items, if the end of the range alone
// fills it, which needs no counts. Otherwise it is nil.
func (r *reading) newest(ctx context.Context, query Query) ([]pageRow, error) {
	if query.Page > 1 || query.SortBy != SortOccurredAt || !query.Descending {
		return nil, nil
	}
	page, err := r.page(ctx, query, Period{later(query.Period.Since, query.Period.Until.Add(-probeLength)), query.Period.Until}, 0)
	if err != nil || len(page) < query.PageSize {
		return nil, err
	}
	return page, nil
}

// located is the page that the query asks for, wherever it is.
func (r *reading) located(ctx context.Context, query Query, config Config) ([]pageRow, error) {
	whole, skip := query.Period, int64(query.Page-1)*int64(query.PageSize)
	within := func(window Period) cuts { return cutsOf([]time.Time{window.Since, window.Until}) }
	found, err := r.locate(ctx, within(whole), query, skip)
	switch {
	case err != nil || found.items == 0:
		return nil, err
	case query.SortBy != SortOccurredAt && found.total > config.SortRowsMax:
		return nil, badRequest(fmt.Errorf("sortBy: %d items are too many to sort by %s; at most %d, narrow the range or sort by %s",
			found.total, query.SortBy, config.SortRowsMax, SortOccurredAt))
	case query.SortBy != SortOccurredAt:
		return r.page(ctx, query, whole, skip)
	}
	skip -= found.before
	for _, narrower := range []func(cuts) cuts{cuts.byDay, cuts.byHour} {
		if found.items <= config.LocateRowsMax {
			break
		}
		if found, err = r.locate(ctx, narrower(within(found.window)), query, skip); err != nil || found.items == 0 {
			return nil, err
		}
		skip -= found.before
	}
	return r.page(ctx, query, found.window, skip)
}

// page reads which items a page has, from those of a window.
func (r *reading) page(ctx context.Context, query Query, window Period, skip int64) ([]pageRow, error) {
	return ask[pageRow](ctx, r, "a page", r.questions.pages[pageChoice{order{query.SortBy, query.Descending}, r.whole()}],
		r.whose(clickhouse.Named{Name: "kinds", Value: texts(query.Kinds)},
			clickhouse.Named{Name: "since", Value: window.Since}, clickhouse.Named{Name: "until", Value: window.Until},
			clickhouse.Named{Name: "size", Value: query.PageSize}, clickhouse.Named{Name: "skip", Value: skip})...)
}

// locate finds the months, days, hours or divided hours that hold a page, from the
// counts of all of them.
func (r *reading) locate(ctx context.Context, c cuts, query Query, skip int64) (place, error) {
	counts, err := ask[itemCount](ctx, r, "counts of items", r.questions.locate[r.parts(c)], append(r.whose(c.bind()...),
		clickhouse.Named{Name: "kinds", Value: texts(query.Kinds)})...)
	if err != nil {
		return place{}, err
	}
	if query.Descending {
		slices.Reverse(counts)
	}
	return locatePage(counts, skip, int64(query.PageSize), Period{c.since(), c.until()}), nil
}

// locatePage is locate after the counts were read, in the order of the question.
// The hours at the ends of the range reach over it and are clipped.
func locatePage(counts []itemCount, skip, size int64, within Period) place {
	var found place
	for _, count := range counts {
		begin, end := found.total, found.total+count.Items
		found.total = end
		if count.Items <= 0 || end <= skip || begin >= skip+size {
			continue
		}
		if found.items == 0 {
			found.before = begin
			found.window = Period{time.Unix(int64(count.At), 0).UTC(), time.Unix(int64(count.EndAt), 0).UTC()}
		}
		found.items += count.Items
		found.window.Since = earlier(found.window.Since, time.Unix(int64(count.At), 0).UTC())
		found.window.Until = later(found.window.Until, time.Unix(int64(count.EndAt), 0).UTC())
	}
	found.window.Since, found.window.Until = later(found.window.Since, within.Since), earlier(found.window.Until, within.Until)
	return found
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// items reads the fields of a page's entries, in its order.
func (r *reading) items(ctx context.Context, page []pageRow) ([]Item, error) {
	first, last := page[0].OccurredAt, page[0].OccurredAt
	rows := make([]uint64, len(page))
	seen := map[string]bool{}
	var kinds []string
	for i, p := range page {
		rows[i] = p.Row
		first, last = earlier(first, p.OccurredAt), later(last, p.OccurredAt)
		if !seen[p.Kind] {
			seen[p.Kind] = true
			kinds = append(kinds, p.Kind)
		}
	}
	found, err := ask[itemRow](ctx, r, "items", r.questions.items[r.whole()],
		r.whose(clickhouse.Named{Name: "kinds", Value: kinds},
			clickhouse.Named{Name: "first", Value: first}, clickhouse.Named{Name: "last", Value: last},
			clickhouse.Named{Name: "rows", Value: rows})...)
	if err != nil {
		return nil, err
	}
	byRow := make(map[uint64]*itemRow, len(found))
	for i := range found {
		byRow[found[i].Row] = &found[i]
	}
	items := make([]Item, 0, len(page))
	for _, p := range page {
		if row := byRow[p.Row]; row != nil {
			items = append(items, row.item(r.workspace, p.Copy))
		}
	}
	return items, nil
}

func (row *itemRow) item(workspace string, ordinal uint64) Item {
	item := Item{
		ID: itemID(workspace, row.Fact, row.Kind, ordinal), WorkspaceID: workspace, EventType: row.Kind, AmountCents: row.Amount,
		Currency: row.Currency, ExternalID: row.ExternalID, Provider: row.Provider, Metadata: json.RawMessage("null"),
		OccurredAt: row.OccurredAt.UTC().Format(instantLayout), CreatedAt: row.ReceivedAt.UTC().Format(instantLayout),
	}
	if row.Integration != "" {
		item.IntegrationID = &row.Integration
	}
	if item.ExternalID == "" {
		item.ExternalID = row.ObjectID
	}
	if json.Valid([]byte(row.Metadata)) {
		item.Metadata = json.RawMessage(row.Metadata)
	}
	return item
}

// itemID names an entry by its fact and kind: 96 bits of a hash. One fact may come
// to several kinds (a subscription's trial and its cancellation), and rarely to
// equal entries of one kind, which are told apart by an ordinal.
func itemID(workspace, fact, kind string, ordinal uint64) string {
	text := workspace + "\x00" + fact + "\x00" + kind
	if ordinal > 0 {
		text += "\x00" + strconv.FormatUint(ordinal, 10)
	}
	sum := sha256.Sum256([]byte(text))
	return "evt_" + hex.EncodeToString(sum[:12])
}
