package analytics

import (
	"cmp"
	"context"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"revstream/ingest/revenue"
)

// MRRSeries is the body of /v1/metrics/mrr. In every bucket, to the cent and
// exactly: mrr = opening + new + reactivation + expansion - contraction - churn + fx.
type MRRSeries struct {
	SeriesHead
	Series []MRRBucket `json:"series"`
	// Unconverted is absent unless a currency had no exchange rate: it is then in
	// no figure but its native ones.
	Unconverted []UnconvertedMRR `json:"unconverted,omitempty"`
}

// UnconvertedMRR is the MRR at the end of the range of a currency without rate.
type UnconvertedMRR struct {
	Currency string `json:"currency"`
	MRRCents int64  `json:"mrrCents"`
}

// MRRBucket is a bucket with its figures in the currency of the answer, and
// natively.
type MRRBucket struct {
	Bucket
	MRRFigures
	// ActiveSubscriptions and Customers are those at the end of the bucket.
	ActiveSubscriptions int64 `json:"activeSubscriptions"`
	Customers           int64 `json:"customers"`
	// ARPACents is the average MRR of a paying customer at the end; null without
	// customers, or where some are worth what no rate is known for.
	ARPACents *int64      `json:"arpaCents"`
	Native    []NativeMRR `json:"native"`
}

// NativeMRR are the figures of one currency in its own minor units.
type NativeMRR struct {
	Currency string `json:"currency"`
	MRRFigures
}

// MRRFigures are a balance and its movements. Contraction and churn are
// magnitudes. Cents are rounded so that they add up; Exact has the unrounded
// values.
type MRRFigures struct {
	OpeningMRRCents   int64    `json:"openingMrrCents"`
	NewCents          int64    `json:"newCents"`
	ReactivationCents int64    `json:"reactivationCents"`
	ExpansionCents    int64    `json:"expansionCents"`
	ContractionCents  int64    `json:"contractionCents"`
	ChurnCents        int64    `json:"churnCents"`
	FXCents           int64    `json:"fxCents"`
	MRRCents          int64    `json:"mrrCents"`
	ARRCents          int64    `json:"arrCents"`
	Exact             ExactMRR `json:"exact"`
	Rates             MRRRates `json:"rates"`
}

// MRRRates are ratios of the exact values (reference/metrics.md section 2b), null of
// nothing.
type MRRRates struct {
	// GrossMRRChurn is (contraction + churn) / opening; NetMRRChurn takes expansion and
	// reactivation off, and may be negative.
	GrossMRRChurn *Thousandths `json:"grossMrrChurn"`
	NetMRRChurn   *Thousandths `json:"netMrrChurn"`
	// QuickRatio is (new + expansion) / (contraction + churn).
	QuickRatio *Thousandths `json:"quickRatio"`
}

// mrrRates are those of exact movements, signed as in the ledger.
func mrrRates(opening *big.Int, parts []*big.Int) MRRRates {
	lost := new(big.Int).Add(parts[movementContraction], parts[movementChurn])
	lost.Neg(lost)
	net := new(big.Int).Sub(lost, parts[movementExpansion])
	net.Sub(net, parts[movementReactivation])
	won := new(big.Int).Add(parts[movementNew], parts[movementExpansion])
	return MRRRates{exactRatio(lost, opening), exactRatio(net, opening), exactRatio(won, lost)}
}

// ExactMRR are minor units with all their decimals, as decimal text.
type ExactMRR struct {
	OpeningMRR   string `json:"openingMrr"`
	New          string `json:"new"`
	Reactivation string `json:"reactivation"`
	Expansion    string `json:"expansion"`
	Contraction  string `json:"contraction"`
	Churn        string `json:"churn"`
	FX           string `json:"fx"`
	MRR          string `json:"mrr"`
}

// mrrSeries answers GET /v1/metrics/mrr.
func (s *Server) mrrSeries(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request)
	if err != nil {
		return answered{}, err
	}
	if err := query.refuseWhatMoves(); err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return answered{}, err
	}
	edges := slices.CompactFunc(append([]time.Time{beginning}, query.Edges...), time.Time.Equal)
	rows, err := r.movements(ctx, edges, true)
	if err != nil {
		return r.answered(nil, complete), err
	}
	history := newHistory(rows, query.Edges)
	exchange, err := r.exchange(ctx, history.needs(r.into))
	if err != nil {
		return r.answered(nil, complete), err
	}
	body := &MRRSeries{SeriesHead: query.head("mrr", workspace, complete), Series: []MRRBucket{}}
	unknown := history.unknown(exchange)
	for i, bucket := range query.buckets() {
		one, err := history.bucket(i, exchange, unknown)
		if err != nil {
			return r.answered(nil, complete), err
		}
		one.Bucket = bucket
		body.Series = append(body.Series, one)
	}
	last := history.balances[len(history.balances)-1]
	for _, currency := range slices.Sorted(maps.Keys(unknown)) {
		body.Unconverted = append(body.Unconverted, UnconvertedMRR{currency, revenue.RoundMRR(last.mrr[currency])})
	}
	return r.answered(body, complete), nil
}

// history is the balance at every edge, and the movements between.
type history struct {
	balances  []balance
	movements [][]movementRow
}

func newHistory(rows []movementRow, edges []time.Time) history {
	bucketOf := func(row *movementRow) int64 { return row.Bucket }
	before, rows := splitBefore(rows, edges[0], bucketOf)
	h := history{balances: []balance{balanceAt(before, edges[0])}}
	for _, edge := range edges[1:] {
		var within []movementRow
		within, rows = splitBefore(rows, edge, bucketOf)
		last := h.balances[len(h.balances)-1]
		next := balance{at: edge, mrr: maps.Clone(last.mrr), subscriptions: last.subscriptions, customers: last.customers}
		for i := range within {
			next.add(&within[i])
		}
		h.balances = append(h.balances, next)
		h.movements = append(h.movements, within)
	}
	return h
}

// visit calls fn with every amount that has to be converted.
func (h *history) visit(fn func(currency string, day time.Time)) {
	for i := range h.balances {
		for currency, mrr := range h.balances[i].mrr {
			if mrr != 0 {
				fn(currency, h.balances[i].rateDay())
			}
		}
	}
	for _, rows := range h.movements {
		for i := range rows {
			if rows[i].MRR != 0 {
				fn(rows[i].Currency, rows[i].Day)
			}
		}
	}
}

func (h *history) needs(into string) rateNeeds {
	var needs rateNeeds
	h.visit(func(currency string, day time.Time) { needs.add(into, currency, day) })
	return needs
}

// unknown are the currencies that lack a rate somewhere. They are left out of all
// buckets: were they to come in on the day of their first rate, that would look
// like a movement.
func (h *history) unknown(x *exchange) map[string]bool {
	unknown := map[string]bool{}
	h.visit(func(currency string, day time.Time) {
		if x.rate(currency, day) == nil {
			unknown[currency] = true
		}
	})
	return unknown
}

// bucket derives the figures of the i-th bucket.
func (h *history) bucket(i int, x *exchange, unknown map[string]bool) (MRRBucket, error) {
	opening, closing := h.balances[i], h.balances[i+1]
	bucket := MRRBucket{ActiveSubscriptions: closing.subscriptions, Customers: closing.customers, Native: []NativeMRR{}}
	var err error
	if bucket.MRRFigures, err = mrrFigures(opening, closing, h.movements[i], x, func(currency string) bool {
		return !unknown[currency]
	}); err != nil {
		return bucket, err
	}
	if len(unknown) == 0 && closing.customers > 0 {
		average := quotient(big.NewInt(bucket.MRRCents), big.NewInt(1), big.NewInt(closing.customers)).Int64()
		bucket.ARPACents = &average
	}
	for _, currency := range slices.Sorted(maps.Keys(closing.mrr)) {
		native := NativeMRR{Currency: currency}
		if native.MRRFigures, err = mrrFigures(opening, closing, h.movements[i], newExchange(currency), func(other string) bool {
			return other == currency
		}); err != nil {
			return bucket, err
		}
		bucket.Native = append(bucket.Native, native)
	}
	return bucket, nil
}

// mrrFigures values two balances and the movements between them in one currency.
// What the movements do not explain is the change of the rates: fx.
func mrrFigures(opening, closing balance, rows []movementRow, x *exchange, included func(string) bool) (MRRFigures, error) {
	value := func(b balance) *big.Int {
		t := x.totals(1)
		for currency, mrr := range b.mrr {
			if included(currency) {
				t.add(currency, b.rateDay(), []int64{mrr})
			}
		}
		return t.unscaled(0)
	}
	moves := x.totals(int(movementCount))
	for i := range rows {
		if included(rows[i].Currency) {
			moves.add(rows[i].Currency, rows[i].Day, rows[i].amounts())
		}
	}
	before, after := value(opening), value(closing)
	parts := make([]*big.Int, movementCount+1)
	fx := new(big.Int).Sub(after, before)
	for i := range int(movementCount) {
		parts[i] = moves.unscaled(i)
		fx.Sub(fx, parts[i])
	}
	parts[movementCount] = fx
	return publish(before, after, parts)
}

// mrrUnit is how many units of the exact values a minor unit has.
var mrrUnit = new(big.Int).Mul(exactScale, big.NewInt(revenue.MRRScale))

// publish rounds the balances to minor units, halves away from zero, and the
// movements to whole minor units that add up to the difference of the rounded
// balances: each is its exact value rounded down or up, those with the greatest
// remainders up.
func publish(before, after *big.Int, parts []*big.Int) (MRRFigures, error) {
	one := big.NewInt(1)
	opening, closing := quotient(before, one, mrrUnit), quotient(after, one, mrrUnit)
	left := new(big.Int).Sub(closing, opening)
	whole, remainders := make([]*big.Int, len(parts)), make([]*big.Int, len(parts))
	byRemainder := make([]int, len(parts))
	for i, part := range parts {
		whole[i], remainders[i] = new(big.Int).DivMod(part, mrrUnit, new(big.Int))
		left.Sub(left, whole[i])
		byRemainder[i] = i
	}
	slices.SortFunc(byRemainder, func(a, b int) int {
		return cmp.Or(remainders[b].Cmp(remainders[a]), cmp.Compare(a, b))
	})
	for _, i := range byRemainder {
		if left.Sign() > 0 {
			whole[i].Add(whole[i], one)
			left.Sub(left, one)
		}
	}
	for _, value := range append([]*big.Int{opening, closing, new(big.Int).Mul(closing, big.NewInt(12))}, whole...) {
		if !value.IsInt64() {
			return MRRFigures{}, errAmountRange
		}
	}
	minus := func(value *big.Int) *big.Int { return new(big.Int).Neg(value) }
	return MRRFigures{
		OpeningMRRCents: opening.Int64(), MRRCents: closing.Int64(), ARRCents: 12 * closing.Int64(),
		NewCents: whole[movementNew].Int64(), ReactivationCents: whole[movementReactivation].Int64(),
		ExpansionCents: whole[movementExpansion].Int64(), ContractionCents: -whole[movementContraction].Int64(),
		ChurnCents: -whole[movementChurn].Int64(), FXCents: whole[movementCount].Int64(),
		Exact: ExactMRR{
			OpeningMRR: decimalText(before), MRR: decimalText(after), New: decimalText(parts[movementNew]),
			Reactivation: decimalText(parts[movementReactivation]), Expansion: decimalText(parts[movementExpansion]),
			Contraction: decimalText(minus(parts[movementContraction])), Churn: decimalText(minus(parts[movementChurn])),
			FX: decimalText(parts[movementCount]),
		},
		Rates: mrrRates(before, parts),
	}, nil
}

// decimalText writes an exact value in minor units, without trailing zeros.
func decimalText(value *big.Int) string {
	text := new(big.Rat).SetFrac(value, mrrUnit).FloatString(exactDecimals + 4)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
