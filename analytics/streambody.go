package analytics

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// StreamedEntry is a row of the ledger as it is told in a stream.
type StreamedEntry struct {
	// ID identifies what the row says; a row and its retraction share it.
	ID string `json:"id"`
	// Sign is 1 for what begins to be believed, and -1 for what ceases to be.
	Sign         int8   `json:"sign"`
	Kind         string `json:"kind"`
	Currency     string `json:"currency"`
	AmountCents  int64  `json:"amountCents"`
	MRR          int64  `json:"mrr"` // 1/10,000 minor units
	OccurredAt   string `json:"occurredAt"`
	KnownAt      string `json:"knownAt"`
	Provider     string `json:"provider"`
	Fact         string `json:"fact"`
	ObjectID     string `json:"objectId"`
	ExternalID   string `json:"externalId"`
	Customer     string `json:"customer"`
	Subscription string `json:"subscription"`
	Invoice      string `json:"invoice"`
	Product      string `json:"product"`
	Plan         string `json:"plan"`
	Reason       string `json:"reason"`
}

// StreamedFigures are the figures of a stream, amounts in minor units of Currency: MRR and
// active subscriptions now, money of the day that the workspace has and of the last 30 days.
type StreamedFigures struct {
	Currency            string  `json:"currency"`
	MRRCents            int64   `json:"mrrCents"`
	ActiveSubscriptions int64   `json:"activeSubscriptions"`
	Today               Takings `json:"today"`
	Last30Days          Takings `json:"last30Days"`
	DefinitionVersion   string  `json:"definitionVersion"`
}

// Takings are money that came in and went back in a period.
type Takings struct {
	Since               string      `json:"since"`
	GrossRevenueCents   int64       `json:"grossRevenueCents"`
	NetRevenueCents     int64       `json:"netRevenueCents"`
	RefundCents         int64       `json:"refundCents"`
	PositiveChargeCount int64       `json:"positiveChargeCount"`
	RefundRate          Thousandths `json:"refundRate"`
}

// streamRow is a row of stream.sql.
type streamRow struct {
	Slice        uint16    `ch:"slice"`
	Epoch        uint64    `ch:"at_epoch"`
	Offset       int64     `ch:"at_offset"`
	Row          uint64    `ch:"row"`
	Sign         int8      `ch:"sign"`
	KnownAt      time.Time `ch:"known_at"`
	OccurredAt   time.Time `ch:"occurred_at"`
	ReceivedAt   time.Time `ch:"received_at"`
	Kind         string    `ch:"kind"`
	Provider     string    `ch:"provider"`
	Fact         string    `ch:"fact"`
	ObjectID     string    `ch:"object_id"`
	ExternalID   string    `ch:"external_id"`
	Currency     string    `ch:"currency"`
	Amount       int64     `ch:"amount"`
	MRR          int64     `ch:"mrr"`
	Customer     string    `ch:"customer"`
	Subscription string    `ch:"subscription"`
	Invoice      string    `ch:"invoice"`
	Product      string    `ch:"product"`
	Plan         string    `ch:"plan"`
	Reason       string    `ch:"reason"`
}

func (r *streamRow) entry() StreamedEntry {
	return StreamedEntry{
		ID: strconv.FormatUint(r.Row, 16), Sign: r.Sign, Kind: r.Kind, Currency: r.Currency, AmountCents: r.Amount, MRR: r.MRR,
		OccurredAt: exactInstant(r.OccurredAt), KnownAt: exactInstant(r.KnownAt), Provider: r.Provider, Fact: r.Fact,
		ObjectID: r.ObjectID, ExternalID: r.ExternalID, Customer: r.Customer, Subscription: r.Subscription, Invoice: r.Invoice,
		Product: r.Product, Plan: r.Plan, Reason: r.Reason,
	}
}

// streamBody is a stream as its client reads it. Nothing runs between two reads but the
// wait for the next look at the store.
type streamBody struct {
	server    *Server
	key       control.Key
	workspace control.Workspace
	zone      *time.Location

	text bytes.Buffer // written and not yet read
	// at is how far the stream has told everything.
	at position
	// stale says that the figures may have changed since they were told, on day.
	began, stale bool
	day          time.Time
	told         []byte
	spoke        time.Time

	ended   <-chan struct{}       // when the server stops
	valid   func() bool           // whether the key still is
	extend  func(time.Time) error // gives the client time to take what is read next
	release func()
}

// Read waits for what there is to tell. The stream ends when the server does, or the key.
func (b *streamBody) Read(into []byte) (int, error) {
	for b.text.Len() == 0 {
		if !b.began {
			b.begin()
			break
		}
		select {
		case <-b.ended:
			return 0, io.EOF
		case <-time.After(b.server.config.StreamPollInterval):
		}
		if err := b.look(); err != nil {
			// The client keeps its place, and hears of it when the store is back.
			b.server.log.Warn("reading for a stream", zap.String("workspace", b.workspace.ID), zap.Error(err))
		}
		if b.text.Len() > 0 || time.Since(b.spoke) < b.server.config.StreamHeartbeat {
			continue
		}
		if !b.valid() {
			return 0, io.EOF
		}
		b.tellPlace() // also a sign of life, for what is in between
	}
	b.spoke = time.Now()
	if err := b.extend(b.spoke.Add(2 * b.server.config.StreamHeartbeat)); err != nil {
		return 0, fmt.Errorf("giving the client of a stream time: %w", err)
	}
	return b.text.Read(into)
}

// Close gives the stream's place back.
func (b *streamBody) Close() error {
	b.release()
	return nil
}

// begin tells where the stream begins, so that even a client that is cut off at once can
// go on from there, and how soon to come again.
func (b *streamBody) begin() {
	b.began, b.stale = true, true
	fmt.Fprintf(&b.text, "retry: %d\n", b.server.config.RetryAfter.Milliseconds())
	b.tellPlace()
}

// look tells what was stored since the last look.
func (b *streamBody) look() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.server.config.QueryTimeout)
	defer cancel()
	reach, err := b.server.frontier.position(ctx, b.server, b.server.config.StreamPollInterval)
	if err != nil {
		return err
	}
	if b.at.reaches(reach) {
		if err := b.tellEntries(ctx, reach); err != nil {
			return err
		}
	}
	if b.at.reaches(reach) {
		return nil // there is more to tell before the figures are of any use
	}
	if today := startOfDay(calendarDate(b.server.now(), b.zone), b.zone); !today.Equal(b.day) {
		b.day, b.stale = today, true
	}
	if b.stale && b.server.limits.Take(b.key, b.server.now()).Allowed {
		return b.tellFigures(ctx)
	}
	return nil
}

// tellEntries tells a page of the rows up to a position, and goes there. The id comes after
// them: a client that is cut off on the way is told the page again, and lacks nothing.
func (b *streamBody) tellEntries(ctx context.Context, reach position) error {
	size := b.server.config.StreamPageRows
	values := append(b.at.bind("from", len(reach)), reach.bind("to", len(reach))...)
	rows, stats, err := clickhouse.Select[streamRow](ctx, b.server.store, b.server.questions.stream, append(values,
		clickhouse.Named{Name: "workspace", Value: b.workspace.ID}, clickhouse.Named{Name: "size", Value: size},
		clickhouse.Named{Name: "blocks", Value: b.server.frontier.blocksOf(b.at)})...)
	b.server.metrics.streamRowsRead.Add(float64(stats.RowsRead))
	if err != nil {
		return fmt.Errorf("reading new entries: %w", err)
	}
	next := b.at.onTo(reach)
	if len(rows) >= size { // a page ends within a slice, those after it are untold
		last := rows[len(rows)-1]
		for slice := int(last.Slice); slice < len(next); slice++ {
			next[slice] = b.at.at(slice)
		}
		next[last.Slice] = mark{last.Epoch, last.Offset + 1}
	}
	slices.SortFunc(rows, func(a, b streamRow) int {
		return cmp.Or(a.KnownAt.Compare(b.KnownAt), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Sign, b.Sign))
	})
	for i := range rows {
		if err := b.tell("entry", rows[i].entry()); err != nil {
			return err
		}
	}
	b.at = next
	if len(rows) > 0 {
		b.stale = true
		b.tellPlace()
	}
	return nil
}

// tellPlace tells where the client is, which it keeps without any event.
func (b *streamBody) tellPlace() { fmt.Fprintf(&b.text, "id: %s\n\n", b.at) }

// tellFigures tells the figures, if they are others than were told last.
func (b *streamBody) tellFigures(ctx context.Context) error {
	now := b.server.now().UTC().Truncate(time.Microsecond)
	month := Period{now.AddDate(0, 0, -30), now}
	answer := &RevenueAnswer{}
	r := b.server.reading(b.workspace, Filter{})
	if err := r.summaries(ctx, answer, Query{Period: Period{b.day, now}, Previous: &month}); err != nil {
		return fmt.Errorf("reading the figures of a stream: %w", err)
	}
	figures := StreamedFigures{
		Currency: b.workspace.Currency, MRRCents: answer.Summary.MRRCents, ActiveSubscriptions: answer.Summary.UniqueActiveSubs,
		Today: takingsOf(b.day, &answer.Summary), Last30Days: takingsOf(month.Since, answer.PreviousSummary), DefinitionVersion: DefinitionVersion,
	}
	compared := figures
	compared.Last30Days.Since = "" // moves on by itself
	text, err := json.Marshal(compared)
	if err != nil {
		return fmt.Errorf("encoding the figures of a stream: %w", err)
	}
	b.stale = false
	if bytes.Equal(text, b.told) {
		return nil
	}
	b.told = text
	return b.tell("figures", figures)
}

func takingsOf(since time.Time, summary *Summary) Takings {
	return Takings{
		Since: since.Format(time.RFC3339), GrossRevenueCents: summary.GrossRevenueCents, NetRevenueCents: summary.NetRevenueCents,
		RefundCents: summary.RefundCents, PositiveChargeCount: summary.PositiveChargeCount, RefundRate: summary.RefundRate,
	}
}

// tell writes an event. JSON has no line breaks, so it is one line.
func (b *streamBody) tell(event string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding an event of a stream: %w", err)
	}
	fmt.Fprintf(&b.text, "event: %s\ndata: %s\n\n", event, text)
	return nil
}
