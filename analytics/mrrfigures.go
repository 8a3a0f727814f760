package analytics

import (
	"cmp"
	"math/big"
	"strings"

	"revstream/ingest/revenue"
)

// figures values the balances at both ends of the i-th bucket and the movements between
// them in one currency. What the movements do not explain is the change of the rates: fx.
func (h *history) figures(i int, x *exchange, included func(string) bool) (MRRFigures, error) {
	opening, closing, rows := h.balances[i], h.balances[i+1], h.movements[i]
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
	return h.publish(before, after, parts)
}

// mrrUnit is how many units of the exact values a minor unit has.
var mrrUnit = new(big.Int).Mul(exactScale, big.NewInt(revenue.MRRScale))

// publish rounds the balances to minor units, halves away from zero, and the
// movements to whole minor units that add up to the difference of the rounded
// balances: each is its exact value rounded down or up, those with the greatest
// remainders up.
func (h *history) publish(before, after *big.Int, parts []*big.Int) (MRRFigures, error) {
	one := big.NewInt(1)
	opening, closing := quotient(before, one, mrrUnit), quotient(after, one, mrrUnit)
	whole := shareOut(new(big.Int).Sub(closing, opening), parts, mrrUnit, cmp.Compare[int])
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
		ChurnCents: -whole[movementChurn].Int64(), TransferCents: whole[movementTransfer].Int64(), FXCents: whole[movementCount].Int64(),
		Exact: ExactMRR{
			OpeningMRR: decimalText(before), MRR: decimalText(after), New: decimalText(parts[movementNew]),
			Reactivation: decimalText(parts[movementReactivation]), Expansion: decimalText(parts[movementExpansion]),
			Contraction: decimalText(minus(parts[movementContraction])), Churn: decimalText(minus(parts[movementChurn])),
			Transfer: decimalText(parts[movementTransfer]), FX: decimalText(parts[movementCount]),
		},
		Rates: mrrRates(before, parts, h.includeReactivation),
	}, nil
}

// decimalText writes an exact value in minor units, without trailing zeros.
func decimalText(value *big.Int) string {
	text := new(big.Rat).SetFrac(value, mrrUnit).FloatString(exactDecimals + 4)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
