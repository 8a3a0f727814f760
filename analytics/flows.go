package analytics

import (
	"cmp"
	"context"
	"slices"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// flowRow is what moved in one bucket in one currency, on one day where the
// exchange rate of the day matters. Amounts are in minor units of the currency.
type flowRow struct {
	bucket   int64 // Unix microseconds of the edge it begins at
	currency string
	day      time.Time
	part     Part
	amounts  [flowCount]int64
	counts
}

// flow numbers the amounts of a flow, in minor units.
type flow int

const (
	flowGross flow = iota
	flowRefund
	flowRecurringNet
	flowPurchase
	flowSubscriptionPurchase
	flowRenewal
	flowTax
	flowFee
	flowDiscount
	flowDispute
	flowDisputeReversal
	flowCount
)

// counts are how many entries there were, whatever their currency.
type counts struct {
	// entries are those of each of listedKinds, in their order.
	entries [len(listedKinds)]int64
	// positiveCharges are the charges with an amount above zero, and
	// subscriptionPurchases the first such of a subscription, after a trial or not.
	positiveCharges, subscriptionPurchases int64
}

func (c *counts) add(other *counts) {
	for i, n := range other.entries {
		c.entries[i] += n
	}
	c.positiveCharges += other.positiveCharges
	c.subscriptionPurchases += other.subscriptionPurchases
}

// of is how many entries of the kinds there were.
func (c *counts) of(kinds ...revenue.EntryKind) (n int64) {
	for _, kind := range kinds {
		if i := slices.Index(listedKinds[:], kind); i >= 0 {
			n += c.entries[i]
		}
	}
	return n
}

// kindRow is a row of flows.sql: the entries of one kind.
type kindRow struct {
	Bucket    int64     `ch:"bucket"`
	Currency  string    `ch:"currency"`
	Day       time.Time `ch:"rate_day"`
	Kind      string    `ch:"kind"`
	Recurring bool      `ch:"recurring"`
	Entries   int64     `ch:"entries"`
	Positive  int64     `ch:"positive"` // entries with an amount above zero
	Amount    int64     `ch:"amount"`   // signed flow
	Tax       int64     `ch:"tax"`
	Fee       int64     `ch:"fee"`
	Discount  int64     `ch:"discount"`
	Part
}

// cancelled reports that what was there has all been taken back. Whether such a row
// is read at all depends on where from: a rollup forgets it at its next merge.
func (r kindRow) cancelled() bool {
	return r.Entries == 0 && r.Positive == 0 && r.Amount == 0 && r.Tax == 0 && r.Fee == 0 && r.Discount == 0
}

// add counts the entries of one kind. This is where the amounts of the summary are
// defined (reference/metrics.md section 3): refunds and disputes are negative in
// the ledger and magnitudes here.
func (r *flowRow) add(row *kindRow) {
	kind := revenue.EntryKind(row.Kind)
	if i := slices.Index(listedKinds[:], kind); i >= 0 {
		r.entries[i] += row.Entries
	}
	switch kind {
	case revenue.EntryPurchase:
		r.charge(flowPurchase, row)
	case revenue.EntrySubscriptionPurchase, revenue.EntryTrialConversion:
		r.charge(flowSubscriptionPurchase, row)
		r.subscriptionPurchases += row.Positive
	case revenue.EntryRenewal:
		r.charge(flowRenewal, row)
	case revenue.EntryRefund:
		r.amounts[flowRefund] -= row.Amount
		if row.Recurring {
			r.amounts[flowRecurringNet] += row.Amount
		}
	case revenue.EntryDispute:
		r.amounts[flowDispute] -= row.Amount
	case revenue.EntryDisputeReversal:
		r.amounts[flowDisputeReversal] += row.Amount
	case revenue.EntryFee:
		r.amounts[flowFee] -= row.Amount
	}
}

// charge counts charges: in gross revenue, in the amount of their own kind, and in
// recurring revenue unless they were made once.
func (r *flowRow) charge(kind flow, row *kindRow) {
	r.positiveCharges += row.Positive
	r.amounts[flowGross] += row.Amount
	r.amounts[kind] += row.Amount
	r.amounts[flowTax] += row.Tax
	r.amounts[flowFee] += row.Fee
	r.amounts[flowDiscount] += row.Discount
	if kind != flowPurchase {
		r.amounts[flowRecurringNet] += row.Amount
	}
}

// flows reads what moved between the edges, in order of bucket, day and currency.
// byDay keeps the days of the answer's own currency apart too; deductions are
// taxes, fees and discounts, which are 0 otherwise.
func (r *reading) flows(ctx context.Context, edges []time.Time, byDay, deductions bool) ([]flowRow, error) {
	kinds, err := r.flowKinds(ctx, edges, byDay, deductions)
	return flowRows(kinds), err
}

// flowKinds are the rows of flows kind by kind.
func (r *reading) flowKinds(ctx context.Context, edges []time.Time, byDay, deductions bool) ([]kindRow, error) {
	c := cutsOf(edges)
	if byDay {
		c = c.byDay()
	}
	parts := r.parts(c)
	parts.Deductions = deductions
	return ask[kindRow](ctx, r, "flows", r.questions.flows[parts], r.convertible(c, byDay)...)
}

// flowRows puts the kinds of each bucket, day, currency and part together, in order of the
// first three.
func flowRows(kinds []kindRow) []flowRow {
	type key struct {
		bucket, day int64
		currency    string
		part        Part
	}
	found := map[key]int{}
	var rows []flowRow
	kinds = slices.DeleteFunc(kinds, kindRow.cancelled)
	for i := range kinds {
		kind := &kinds[i]
		here := key{kind.Bucket, kind.Day.Unix(), kind.Currency, kind.Part}
		at, known := found[here]
		if !known {
			at = len(rows)
			found[here] = at
			rows = append(rows, flowRow{bucket: kind.Bucket, currency: kind.Currency, day: kind.Day, part: kind.Part})
		}
		rows[at].add(kind)
	}
	slices.SortFunc(rows, func(a, b flowRow) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), a.day.Compare(b.day), cmp.Compare(a.currency, b.currency))
	})
	return rows
}

// convertible are the values of a question about amounts over a divided range.
func (r *reading) convertible(c cuts, byDay bool) []clickhouse.Named {
	return append(r.whose(c.bind()...),
		clickhouse.Named{Name: "currency", Value: r.Currency},
		clickhouse.Named{Name: "into", Value: r.into},
		clickhouse.Named{Name: "by_day", Value: byDay})
}

// movementRow is a row of movements.sql: the movements of one kind. MRR is in
// 1/10,000 minor units, signed as in the ledger.
type movementRow struct {
	Bucket        int64     `ch:"bucket"`
	Currency      string    `ch:"currency"`
	Day           time.Time `ch:"rate_day"`
	Kind          string    `ch:"kind"`
	MRR           int64     `ch:"mrr"`
	Subscriptions int64     `ch:"subscriptions"`
	Customers     int64     `ch:"customers"`
	Part
}

// cancelled is as kindRow's.
func (r movementRow) cancelled() bool { return r.MRR == 0 && r.Subscriptions == 0 && r.Customers == 0 }

// movement numbers the movements of MRR.
type movement int

const (
	movementNew movement = iota
	movementReactivation
	movementExpansion
	movementContraction
	movementChurn
	movementTransfer
	movementCount
)

var movementOf = map[revenue.EntryKind]movement{
	revenue.EntryNew: movementNew, revenue.EntryReactivation: movementReactivation,
	revenue.EntryExpansion: movementExpansion, revenue.EntryContraction: movementContraction,
	revenue.EntryChurn: movementChurn, revenue.EntryTransfer: movementTransfer,
}

// amounts is the row's MRR at the place of its movement.
func (r *movementRow) amounts() []int64 {
	amounts := make([]int64, movementCount)
	if movement, moves := movementOf[revenue.EntryKind(r.Kind)]; moves {
		amounts[movement] = r.MRR
	}
	return amounts
}

// movements reads how MRR changed between the edges, in order of bucket. byDay
// keeps the days of foreign currencies apart.
func (r *reading) movements(ctx context.Context, edges []time.Time, byDay bool) ([]movementRow, error) {
	c := cutsOf(edges)
	rows, err := ask[movementRow](ctx, r, "movements of MRR", r.questions.movements[r.parts(c)], append(r.convertible(c, byDay), r.weights()...)...)
	rows = slices.DeleteFunc(rows, movementRow.cancelled)
	slices.SortStableFunc(rows, func(a, b movementRow) int { return cmp.Compare(a.Bucket, b.Bucket) })
	return rows, err
}

// cancelled counts the distinct subscriptions that were cancelled in the period
// and still are at its end, and those of the previous period, if there is one.
func (r *reading) cancelled(ctx context.Context, period Period, previous *Period) (now, before int64, err error) {
	type count struct {
		Subscriptions uint64 `ch:"subscriptions"`
		Previous      uint64 `ch:"previous"`
	}
	values := r.whose(clickhouse.Named{Name: "since", Value: period.Since}, clickhouse.Named{Name: "until", Value: period.Until})
	if previous != nil {
		values = append(values, clickhouse.Named{Name: "prev_since", Value: previous.Since},
			clickhouse.Named{Name: "prev_until", Value: previous.Until})
	}
	rows, err := ask[count](ctx, r, "cancellations", r.questions.cancelled[cancelledChoice{previous != nil, r.whole()}], values...)
	if err != nil || len(rows) == 0 {
		return 0, 0, err
	}
	return int64(rows[0].Subscriptions), int64(rows[0].Previous), nil
}
