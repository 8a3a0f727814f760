package analytics

import (
	"cmp"
	"errors"
	"math/big"
	"slices"
)

// errNotOfMRR refuses filters and breakdowns that movements of MRR do not stand for.
var errNotOfMRR = badRequest(errors.New("MRR adds up by provider, currency, plan, product, customer, country and " +
	"billingInterval only: of attribution and metadata a movement knows what its last statement said"))

// partition is rows by the value that they are broken down by.
type partition[R any] struct {
	Part
	rows []R
	rank *big.Int
}

// partitioned splits rows, keeping their order, into at most top parts of the highest
// rank and one of all others, if there are any. Ties are in the order of the values.
func partitioned[R any](rows []R, top int, part func(*R) Part, rank func([]R) *big.Int) []partition[R] {
	found := map[Part]int{}
	var parts []partition[R]
	for i := range rows {
		value := part(&rows[i])
		at, known := found[value]
		if !known {
			at = len(parts)
			found[value] = at
			parts = append(parts, partition[R]{Part: value})
		}
		parts[at].rows = append(parts[at].rows, rows[i])
	}
	for i := range parts {
		parts[i].rank = rank(parts[i].rows)
	}
	slices.SortFunc(parts, func(a, b partition[R]) int {
		return cmp.Or(b.rank.Cmp(a.rank), cmp.Compare(a.Value, b.Value), cmp.Compare(a.AttributionType, b.AttributionType))
	})
	if len(parts) <= top {
		return parts
	}
	others := map[Part]bool{}
	for _, p := range parts[top:] {
		others[p.Part] = true
	}
	rest := partition[R]{Part: Part{Others: len(parts) - top}}
	for i := range rows { // in the order that they came in
		if others[part(&rows[i])] {
			rest.rows = append(rest.rows, rows[i])
		}
	}
	return append(parts[:top], rest)
}

// apportioned rounds the totals of parts to minor units, of which a unit of theirs is one
// per divisor, so that they add up to the rounded whole: each is its exact value rounded
// down or up, those with the greatest remainders up.
func apportioned(whole *totals, parts []*totals, divisor int64) ([][]int64, error) {
	unit := new(big.Int).Mul(exactScale, big.NewInt(divisor))
	amounts := make([][]int64, len(parts))
	for i := range amounts {
		amounts[i] = make([]int64, len(whole.own))
	}
	for n := range whole.own {
		rounded, err := whole.rounded(n, divisor)
		if err != nil {
			return nil, err
		}
		shares := make([]*big.Int, len(parts))
		for i, part := range parts {
			shares[i] = part.unscaled(n)
		}
		for i, share := range shareOut(big.NewInt(rounded), shares, unit, cmp.Compare[int]) {
			if !share.IsInt64() || parts[i].overflow {
				return nil, errAmountRange
			}
			amounts[i][n] = share.Int64()
		}
	}
	return amounts, nil
}

// shareOut divides values by a unit into whole numbers that add up to a sum, which is
// that of the quotients, rounded: those with the greatest remainders are rounded up, and
// between equal ones the first, by what order says of two places.
func shareOut(sum *big.Int, values []*big.Int, unit *big.Int, order func(a, b int) int) []*big.Int {
	left := new(big.Int).Set(sum)
	whole, remainders := make([]*big.Int, len(values)), make([]*big.Int, len(values))
	byRemainder := make([]int, len(values))
	for i, value := range values {
		whole[i], remainders[i] = new(big.Int).DivMod(value, unit, new(big.Int))
		left.Sub(left, whole[i])
		byRemainder[i] = i
	}
	slices.SortFunc(byRemainder, func(a, b int) int {
		if c := remainders[b].Cmp(remainders[a]); c != 0 {
			return c
		}
		return order(a, b)
	})
	one := big.NewInt(1)
	for _, i := range byRemainder {
		if left.Sign() > 0 {
			whole[i].Add(whole[i], one)
			left.Sub(left, one)
		}
	}
	return whole
}

// FlowPart is one part of a broken down series: the figures of each bucket, in order.
type FlowPart[T any] struct {
	Part
	Total  T   `json:"total"`
	Series []T `json:"series"`
}

// flowParts break the figures of a series down. Those of all parts add up to the series,
// amounts to the cent.
func flowParts[T any](query *SeriesQuery, rows []flowRow, x *exchange, figures func(*moved, []int64) T) ([]FlowPart[T], error) {
	parts := partitioned(rows, query.Top, func(row *flowRow) Part { return row.part }, func(rows []flowRow) *big.Int {
		m := sumFlows(rows, x)
		return m.totals.unscaled(int(flowGross))
	})
	answer := make([]FlowPart[T], len(parts))
	total, err := partFigures(parts, rows, x, figures, func(rows []flowRow) []flowRow { return rows })
	if err != nil {
		return nil, err
	}
	for i := range parts {
		answer[i] = FlowPart[T]{Part: parts[i].Part, Total: total[i], Series: []T{}}
	}
	for n := range len(query.Edges) - 1 {
		since, until := query.Edges[n].UnixMicro(), query.Edges[n+1].UnixMicro()
		within := func(rows []flowRow) []flowRow {
			return slices.DeleteFunc(slices.Clone(rows), func(row flowRow) bool { return row.bucket < since || row.bucket >= until })
		}
		bucket, err := partFigures(parts, within(rows), x, figures, within)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			answer[i].Series = append(answer[i].Series, bucket[i])
		}
	}
	return answer, nil
}

// partFigures are the figures of some rows of each part, which add up to those of all.
// within picks those rows.
func partFigures[T any](parts []partition[flowRow], all []flowRow, x *exchange, figures func(*moved, []int64) T,
	within func([]flowRow) []flowRow) ([]T, error) {
	whole := sumFlows(all, x)
	moves, sums := make([]moved, len(parts)), make([]*totals, len(parts))
	for i := range parts {
		moves[i] = sumFlows(within(parts[i].rows), x)
		sums[i] = moves[i].totals
	}
	amounts, err := apportioned(whole.totals, sums, 1)
	if err != nil {
		return nil, err
	}
	list := make([]T, len(parts))
	for i := range parts {
		list[i] = figures(&moves[i], amounts[i])
	}
	return list, nil
}
