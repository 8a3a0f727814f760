package connectors

import (
	"errors"
	"math/big"
	"strings"

	"revstream/ingest/revenue"
)

// Amount reads a number of major units exactly as written, as minor units of the
// currency; 0 if it was not given.
func (f *Fields) Amount(name string, value Value, currency string) int64 {
	if !Given(value) {
		return 0
	}
	text, ok := f.number(name, value)
	if !ok {
		return 0
	}
	return f.AmountText(name, text, currency)
}

// AmountText is Amount of a number whose literal text is known.
func (f *Fields) AmountText(name, text, currency string) int64 {
	minor, err := revenue.ParseAmount(text, currency)
	switch {
	case errors.Is(err, revenue.ErrAmountPrecision):
		exponent, _ := revenue.Exponent(currency)
		f.Invalid(name, "must have no more decimals than %s has (%d): %s cannot be stored exactly", currency, exponent, text)
	case errors.Is(err, revenue.ErrAmountTooLarge) && hasTooManyDecimals(text):
		f.Invalid(name, "is not a valid amount")
	case errors.Is(err, revenue.ErrAmountTooLarge):
		f.Invalid(name, "is too large")
	case err != nil:
		f.Invalid(name, "must be a decimal number")
	}
	return minor
}

// hasTooManyDecimals tells 1e-400 from 1e400, both of which are refused for their
// size before they are computed.
func hasTooManyDecimals(text string) bool {
	mantissa, exponent, scaled := strings.Cut(strings.ToLower(text), "e")
	return strings.HasPrefix(exponent, "-") || !scaled && strings.HasPrefix(strings.TrimPrefix(mantissa, "-"), "0.")
}

// MRR reads a number of major units a month as MRR units (1/10,000 minor unit),
// halves rounded away from zero; 0 if it was not given.
func (f *Fields) MRR(name string, value Value, currency string) int64 {
	if !Given(value) {
		return 0
	}
	text, ok := f.number(name, value)
	if !ok {
		return 0
	}
	return f.MRRText(name, text, currency)
}

// MRRText is MRR of a number whose literal text is known.
func (f *Fields) MRRText(name, text, currency string) int64 {
	// ParseAmount bounds text and exponent before it looks at the decimals.
	if _, err := revenue.ParseAmount(text, currency); err != nil && !errors.Is(err, revenue.ErrAmountPrecision) {
		f.AmountText(name, text, currency)
		return 0
	}
	major, _ := new(big.Rat).SetString(text)
	exponent, _ := revenue.Exponent(currency)
	minor := major.Mul(major, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)))
	mrr, err := revenue.MonthlyMRR(minor, "month", 1)
	if err != nil || mrr > revenue.AmountMax*revenue.MRRScale || mrr < -revenue.AmountMax*revenue.MRRScale {
		f.Invalid(name, "is too large")
		return 0
	}
	return mrr
}
