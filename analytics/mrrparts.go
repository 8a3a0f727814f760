package analytics

import (
	"context"
	"math/big"
	"time"

	"revstream/clickhouse"
)

// MRRPart is one part of a broken down series of MRR: the figures of each bucket, in
// order. Subscriptions of all parts add up to those of the series; a customer who has
// two plans is one of both.
type MRRPart struct {
	Part
	Series []MRRPartBucket `json:"series"`
}

// MRRPartBucket are the figures of a part in a bucket.
type MRRPartBucket struct {
	MRRFigures
	ActiveSubscriptions int64 `json:"activeSubscriptions"`
	Customers           int64 `json:"customers"`
}

// mrrParts break MRR down. Exact values of all parts add up to those of the whole.
func (r *reading) mrrParts(ctx context.Context, query *SeriesQuery, rows []movementRow, x *exchange, unknown map[string]bool) ([]MRRPart, error) {
	paying, err := r.paying(ctx, r.by, query.Edges)
	if err != nil {
		return nil, err
	}
	known := func(currency string) bool { return !unknown[currency] }
	until := query.Edges[len(query.Edges)-1]
	parts := partitioned(rows, query.Top, func(row *movementRow) Part { return row.Part }, func(rows []movementRow) *big.Int {
		closing := balanceAt(rows, until)
		for currency := range closing.mrr {
			if !known(currency) {
				delete(closing.mrr, currency)
			}
		}
		return closing.convert(x).unscaled(0)
	})
	listed := map[Part]bool{}
	answer := make([]MRRPart, len(parts))
	for n := range parts {
		part := &parts[n]
		listed[part.Part] = true
		history := newHistory(part.rows, query)
		answer[n] = MRRPart{Part: part.Part, Series: make([]MRRPartBucket, len(query.Edges)-1)}
		for i := range answer[n].Series {
			one := &answer[n].Series[i]
			if one.MRRFigures, err = history.figures(i, x, known); err != nil {
				return nil, err
			}
			one.ActiveSubscriptions = history.balances[i+1].subscriptions
		}
	}
	for _, row := range paying {
		if to := partOf(answer, row.Part, listed); to != nil {
			for i := range to.Series {
				if row.At == query.Edges[i+1].UnixMicro() {
					to.Series[i].Customers += int64(row.Customers)
				}
			}
		}
	}
	return answer, nil
}

// partOf is the part that a value is in: its own, or that of all others.
func partOf(parts []MRRPart, value Part, listed map[Part]bool) *MRRPart {
	for i := range parts {
		if parts[i].Part == value || !listed[value] && parts[i].Others > 0 {
			return &parts[i]
		}
	}
	return nil
}

// payingRow is how many customers are worth something at an edge, in Unix microseconds.
type payingRow struct {
	At        int64  `ch:"at"`
	Customers uint64 `ch:"customers"`
	Part
}

// paying counts the customers at the edges by what they are worth something of. They are
// no sum of movements: a movement is of a customer, who may have several plans.
func (r *reading) paying(ctx context.Context, by breakdown, edges []time.Time) ([]payingRow, error) {
	which := wholeEntries
	which.By = by.dimension
	return ask[payingRow](ctx, r, "paying customers", r.questions.paying[which], r.balanced(edges)...)
}

// balanced are the values of a question about balances at edges.
func (r *reading) balanced(edges []time.Time) []clickhouse.Named {
	// What moved before the first edge is a bucket of its own.
	micros := []int64{timeMin.UnixMicro()}
	for _, edge := range edges {
		micros = append(micros, edge.UnixMicro())
	}
	return append([]clickhouse.Named{
		{Name: "workspace", Value: r.workspace}, {Name: "provider", Value: r.Provider}, {Name: "currency", Value: r.Currency},
		{Name: "until", Value: edges[len(edges)-1]}, {Name: "edges", Value: micros}, {Name: "buckets", Value: uint32(len(edges))},
	}, r.chosen()...)
}

// countPaying makes the customers of a filtered history those who are worth something of
// what the filter leaves.
func (r *reading) countPaying(ctx context.Context, edges []time.Time, h *history) error {
	rows, err := r.paying(ctx, breakdown{}, edges)
	if err != nil {
		return err
	}
	for i := range h.balances {
		h.balances[i].customers = 0
		for _, row := range rows {
			if row.At == h.balances[i].at.UnixMicro() {
				h.balances[i].customers += int64(row.Customers)
			}
		}
	}
	return nil
}
