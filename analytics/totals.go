package analytics

import (
	"maps"
	"math/big"
	"slices"
	"time"
)

// exactDecimals is the scale of converted amounts before they are rounded: that of
// rates, and three for the difference of decimals between two currencies.
const exactDecimals = rateDecimals + 3

var exactScale = new(big.Int).Exp(big.NewInt(10), big.NewInt(exactDecimals), nil)

// totals adds up amounts of several currencies in one, each at the rate of its
// day, without rounding before the end.
type totals struct {
	exchange *exchange
	// own are the sums in the answer's currency, exact the converted rest.
	own      []int64
	exact    []*big.Int
	overflow bool
	// missing are native sums of what no rate was known for, by currency: they are
	// in no total, and shown beside them.
	missing map[string][]int64
}

func (x *exchange) totals(n int) *totals {
	return &totals{exchange: x, own: make([]int64, n), exact: make([]*big.Int, n)}
}

// add takes amounts of one currency and day, and reports whether they could be
// converted.
func (t *totals) add(currency string, day time.Time, amounts []int64) bool {
	// Entries without money, such as trials, need no rate whatever their currency.
	if !slices.ContainsFunc(amounts, func(amount int64) bool { return amount != 0 }) {
		return true
	}
	if currency == t.exchange.into {
		t.overflow = !addAll(t.own, amounts) || t.overflow
		return true
	}
	rate := t.exchange.rate(currency, day)
	if rate == nil {
		t.leaveOut(currency, amounts)
		return false
	}
	factor := new(big.Int).Mul(rate, shiftBetween(currency, t.exchange.into))
	for i, amount := range amounts {
		if amount == 0 {
			continue
		}
		if t.exact[i] == nil {
			t.exact[i] = new(big.Int)
		}
		t.exact[i].Add(t.exact[i], new(big.Int).Mul(big.NewInt(amount), factor))
	}
	return true
}

func (t *totals) leaveOut(currency string, amounts []int64) {
	if t.missing == nil {
		t.missing = map[string][]int64{}
	}
	if t.missing[currency] == nil {
		t.missing[currency] = make([]int64, len(amounts))
	}
	t.overflow = !addAll(t.missing[currency], amounts) || t.overflow
}

// unscaled is a total times exactScale.
func (t *totals) unscaled(i int) *big.Int {
	value := new(big.Int).Mul(big.NewInt(t.own[i]), exactScale)
	if t.exact[i] != nil {
		value.Add(value, t.exact[i])
	}
	return value
}

// rounded is a total in minor units, or per divisor of them, halves away from
// zero.
func (t *totals) rounded(i int, divisor int64) (int64, error) {
	value := quotient(t.unscaled(i), big.NewInt(1), new(big.Int).Mul(exactScale, big.NewInt(divisor)))
	if t.overflow || !value.IsInt64() {
		return 0, errAmountRange
	}
	return value.Int64(), nil
}

// all rounds every total to minor units.
func (t *totals) all() ([]int64, error) {
	values := make([]int64, len(t.own))
	for i := range values {
		value, err := t.rounded(i, 1)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// missingCurrencies are those that were left out, in alphabetical order.
func (t *totals) missingCurrencies() []string { return slices.Sorted(maps.Keys(t.missing)) }

// sortedKeys are those of a set, or nil of an empty one.
func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// shiftBetween is 10 to the power of the difference in decimals of two currencies
// plus three, which makes it a whole number: currencies have none to three.
func shiftBetween(from, to string) *big.Int {
	power := exponentOf(to) - exponentOf(from) + exactDecimals - rateDecimals
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(power)), nil)
}

// addAll adds amounts to sums and reports whether they all fit.
func addAll(sums, amounts []int64) bool {
	fit := true
	for i, amount := range amounts {
		sum := sums[i] + amount
		fit = fit && (amount == 0 || (sum > sums[i]) == (amount > 0))
		sums[i] = sum
	}
	return fit
}

// share is the ratio of two counts or amounts to the given number of decimals, as
// an integer of that scale, halves up; 0 of nothing.
func share(part, whole, scale int64) int64 {
	if whole <= 0 {
		return 0
	}
	return quotient(big.NewInt(part), big.NewInt(scale), big.NewInt(whole)).Int64()
}
