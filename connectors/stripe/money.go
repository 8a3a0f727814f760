package stripe

import (
	"math/big"
	"strings"

	"revstream/ingest/revenue"
)

// Stripe counts in the smallest unit of a currency, but of some it has another
// idea than ISO 4217: MGA has no decimals there, and UGX and ISK keep two that
// are always zero (https://docs.stripe.com/currencies).
const (
	zeroDecimals  = " BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF "
	threeDecimals = " BHD JOD KWD OMN TND "
)

// money is a currency and how Stripe's units of it become ISO minor units:
// times multiply, over divide.
type money struct {
	code             string
	multiply, divide int64
}

// moneyOf reads a currency code in either case; ok is false if ISO 4217 does not
// have it.
func moneyOf(code string) (m money, ok bool) {
	code = strings.ToUpper(code)
	iso, ok := revenue.Exponent(code)
	if !ok {
		return money{}, false
	}
	exponent := 2
	switch {
	case strings.Contains(zeroDecimals, " "+code+" "):
		exponent = 0
	case strings.Contains(threeDecimals, " "+code+" "):
		exponent = 3
	}
	m = money{code: code, multiply: 1, divide: 1}
	for ; exponent < iso; exponent++ {
		m.multiply *= 10
	}
	for ; exponent > iso; exponent-- {
		m.divide *= 10
	}
	return m, true
}

// minor turns Stripe's units into minor units; ok is false if they are not whole.
func (m money) minor(units int64) (minor int64, ok bool) {
	return units * m.multiply / m.divide, units%m.divide == 0
}

// rounded is minor of an amount that only describes another one (a tax, a
// discount): halves away from zero.
func (m money) rounded(units int64) int64 {
	return portion(units*m.multiply, 1, m.divide)
}

// portion is amount * part / whole, halves away from zero, for whole > 0.
func portion(amount, part, whole int64) int64 {
	if amount < 0 {
		return -portion(-amount, part, whole)
	}
	product := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
	product.Add(product, big.NewInt(whole/2))
	return product.Quo(product, big.NewInt(whole)).Int64()
}
