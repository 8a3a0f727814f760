package analytics

import (
	"context"
	"maps"
	"slices"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// The bases of refunds: they count when they were made, or when the charge was made that
// they are of (reference/metrics.md section 2b).
const (
	refundsByOwn      = "own"
	refundsByOriginal = "original"
)

// LoneRefunds are refunds of one currency whose charge is not known, so that they count
// when they were made themselves.
type LoneRefunds struct {
	Currency    string `json:"currency"`
	RefundCount int64  `json:"refundCount"`
	RefundCents int64  `json:"refundCents"`
}

// originalRefundRow is a row of original_refunds.sql.
type originalRefundRow struct {
	kindRow
	Found bool `ch:"found"`
}

// refundsByOriginal reads the refunds whose charges were made between the edges, in the form
// of flows. They are found in the entries, whatever the range, because no rollup knows what a
// refund is of.
func (r *reading) refundsByOriginal(ctx context.Context, edges []time.Time) ([]kindRow, []LoneRefunds, error) {
	rows, err := ask[originalRefundRow](ctx, r, "refunds by their charges", r.questions.originalRefunds[r.by.dimension],
		slices.Concat(cutsOf(edges).bind(), r.chosen(), []clickhouse.Named{
			{Name: "workspace", Value: r.workspace}, {Name: "provider", Value: r.Provider}, {Name: "currency", Value: r.Currency},
			{Name: "into", Value: r.into}, {Name: "breakdown_key", Value: r.by.key},
		})...)
	if err != nil {
		return nil, nil, err
	}
	kinds := make([]kindRow, len(rows))
	lone := map[string]*LoneRefunds{}
	for i, row := range rows {
		kinds[i] = row.kindRow
		if row.Found {
			continue
		}
		if lone[row.Currency] == nil {
			lone[row.Currency] = &LoneRefunds{Currency: row.Currency}
		}
		lone[row.Currency].RefundCount += row.Entries
		lone[row.Currency].RefundCents -= row.Amount
	}
	var list []LoneRefunds
	for _, currency := range slices.Sorted(maps.Keys(lone)) {
		list = append(list, *lone[currency])
	}
	return kinds, list, nil
}

// withoutRefunds are the kinds that count when they happened on either basis.
func withoutRefunds(kinds []kindRow) []kindRow {
	return slices.DeleteFunc(kinds, func(row kindRow) bool { return row.Kind == string(revenue.EntryRefund) })
}
