package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// rateDecimals is the scale of exchange rates, that of the store. A rate that has
// to be inverted or crossed is rounded to it once; products of amounts and rates
// are exact, and totals are rounded once, at their end.
const rateDecimals = 18

var rateScale = new(big.Int).Exp(big.NewInt(10), big.NewInt(rateDecimals), nil)

// errAmountRange says that a total does not fit what amounts are kept in. It
// takes amounts that no workspace has; the answer is an error, never a wrong
// number.
var errAmountRange = errors.New("a total exceeds 64 bits")

// rate is the worth of one unit of base in units of quote, times rateScale, from
// a day on.
type rate struct {
	day   time.Time
	value *big.Int
}

type pair struct{ base, quote string }

// exchange converts into one currency with daily rates.
type exchange struct {
	into  string
	rates map[pair][]rate // in order of day
	// found caches what rate finds, by day in Unix seconds, since many rows share
	// a day.
	found map[string]map[int64]*big.Int
}

type rateRow struct {
	Base  string    `ch:"base"`
	Quote string    `ch:"quote"`
	Day   time.Time `ch:"rate_day"`
	Rate  string    `ch:"rate"`
}

// rateNeeds are the currencies that have to be converted, and the days of it.
type rateNeeds struct {
	currencies  []string
	first, last time.Time
}

// add notes that an amount of a day is to be converted.
func (n *rateNeeds) add(into, currency string, day time.Time) {
	if currency == into {
		return
	}
	if !slices.Contains(n.currencies, currency) {
		n.currencies = append(n.currencies, currency)
	}
	if n.first.IsZero() || day.Before(n.first) {
		n.first = day
	}
	if day.After(n.last) {
		n.last = day
	}
}

// exchange has the rates that are needed. If none is, it asks nothing.
func (r *reading) exchange(ctx context.Context, needs rateNeeds) (*exchange, error) {
	x := newExchange(r.into)
	if len(needs.currencies) == 0 {
		return x, nil
	}
	currencies := slices.Sorted(slices.Values(append(slices.Clone(needs.currencies), r.into)))
	key := rateKey{version: r.ratesVersion, currencies: strings.Join(currencies, " "), asOf: r.knownUntil(),
		since: needs.first.UTC().Format(time.DateOnly), until: needs.last.UTC().Format(time.DateOnly)}
	rates, known := r.rates.Get(key)
	if !known {
		rows, err := ask[rateRow](ctx, r, "exchange rates", r.questions.rates,
			clickhouse.Named{Name: "currencies", Value: currencies},
			clickhouse.Named{Name: "since", Value: key.since}, clickhouse.Named{Name: "until", Value: key.until},
			clickhouse.Named{Name: "as_of", Value: key.asOf})
		if err != nil {
			return nil, err
		}
		if rates, err = rateTable(rows); err != nil {
			return nil, err
		}
		if key.version != "" {
			r.rates.Add(key, rates)
		}
	}
	x.rates = rates
	return x, nil
}

// rateKey is what decides about the rates that are read.
type rateKey struct {
	version                  string // of all rates: a table of another version is none
	currencies, since, until string
	asOf                     time.Time
}

// rateTables keeps tables of rates that were read. They are shared, and not changed.
// Rates are added and never altered in place, so their version says when to read again.
type rateTables = lru.Cache[rateKey, map[pair][]rate]

// rateTable are the rates by pair, each in order of day, as they are read.
func rateTable(rows []rateRow) (map[pair][]rate, error) {
	table := map[pair][]rate{}
	for _, row := range rows {
		whole, fraction, _ := strings.Cut(row.Rate, ".")
		if len(fraction) > rateDecimals {
			return nil, fmt.Errorf("rate %s/%s %q has more than %d decimals", row.Base, row.Quote, row.Rate, rateDecimals)
		}
		value, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", rateDecimals-len(fraction)), 10)
		if !ok {
			return nil, fmt.Errorf("rate %s/%s %q is not a decimal number", row.Base, row.Quote, row.Rate)
		}
		if value.Sign() > 0 {
			key := pair{row.Base, row.Quote}
			table[key] = append(table[key], rate{row.Day.UTC(), value})
		}
	}
	return table, nil
}

func newExchange(into string) *exchange {
	return &exchange{into: into, found: map[string]map[int64]*big.Int{}}
}

// on is the last known rate of the pair on or before the day.
func (x *exchange) on(base, quote string, day time.Time) *big.Int {
	rates := x.rates[pair{base, quote}]
	after, _ := slices.BinarySearchFunc(rates, day, func(r rate, day time.Time) int {
		if r.day.After(day) {
			return 1
		}
		return -1
	})
	if after == 0 {
		return nil
	}
	return rates[after-1].value
}

// leg is the rate of a pair in either direction.
func (x *exchange) leg(base, quote string, day time.Time) *big.Int {
	if value := x.on(base, quote, day); value != nil {
		return value
	}
	if value := x.on(quote, base, day); value != nil {
		return quotient(rateScale, rateScale, value)
	}
	return nil
}

// rate is what one unit of the currency is worth on the day, times rateScale, or
// nil if nobody said: the pair's own rate, or the cross over a currency that both
// are quoted against (the euro, with the ECB's rates).
func (x *exchange) rate(currency string, day time.Time) *big.Int {
	byDay := x.found[currency]
	if byDay == nil {
		byDay = map[int64]*big.Int{}
		x.found[currency] = byDay
	}
	value, known := byDay[day.Unix()]
	if !known {
		value = x.find(currency, day)
		byDay[day.Unix()] = value
	}
	return value
}

func (x *exchange) find(currency string, day time.Time) *big.Int {
	if currency == x.into {
		return rateScale
	}
	if value := x.leg(currency, x.into, day); value != nil {
		return value
	}
	for _, pivot := range x.pivots() {
		from, to := x.on(pivot, currency, day), x.on(pivot, x.into, day)
		if from != nil && to != nil {
			return quotient(to, rateScale, from)
		}
	}
	return nil
}

// pivots are the bases of all rates, the euro first, so that the choice between
// two crosses does not depend on chance.
func (x *exchange) pivots() []string {
	var bases []string
	for key := range x.rates {
		bases = append(bases, key.base)
	}
	slices.SortFunc(bases, func(a, b string) int {
		if (a == "EUR") != (b == "EUR") {
			if a == "EUR" {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	return slices.Compact(bases)
}

func exponentOf(currency string) int {
	exponent, known := revenue.Exponent(currency)
	if !known {
		return 2
	}
	return exponent
}

// quotient is a*b/c rounded to the nearest, halves away from zero; c is positive.
func quotient(a, b, c *big.Int) *big.Int {
	twice := new(big.Int).Mul(a, b)
	twice.Lsh(twice, 1)
	if twice.Sign() < 0 {
		twice.Sub(twice, c)
	} else {
		twice.Add(twice, c)
	}
	return twice.Quo(twice, new(big.Int).Lsh(c, 1))
}
