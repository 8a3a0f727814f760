package revenue

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// AmountMax is the largest magnitude of an amount, in minor units: ten million
// million. It leaves an Int64 sum room for some 900,000 such amounts.
const AmountMax int64 = 1e13

// Errors of ParseAmount.
var (
	ErrAmountSyntax    = errors.New("amount is not a decimal number")
	ErrAmountTooLarge  = errors.New("amount is too large")
	ErrAmountPrecision = errors.New("amount has more decimals than its currency")
	ErrCurrency        = errors.New("currency is not an ISO 4217 code")
)

// ParseAmount reads the literal text of a decimal number of major units ("24.99",
// "-5", "1e2") as minor units of the currency. The text is taken as written and
// never passes through a float. More decimals than the currency has are an error
// unless they are zeros, or what the sums of programs with floats leave: see unfloat.
func ParseAmount(text, currency string) (int64, error) {
	exponent, ok := Exponent(currency)
	if !ok {
		return 0, fmt.Errorf("%q: %w", currency, ErrCurrency)
	}
	return parseScaled(text, exponent)
}

// parseScaled reads a decimal literal as an integer of 10^-scale units.
func parseScaled(text string, scale int) (int64, error) {
	if n, ok := parsePlain(text, scale); ok {
		return n, nil
	}
	value, err := parseDecimal(text)
	if err != nil {
		return 0, err
	}
	value = unfloat(text, value, scale)
	value.Mul(value, new(big.Rat).SetInt64(int64(math.Pow10(scale))))
	if !value.IsInt() {
		return 0, fmt.Errorf("%q: %w", text, ErrAmountPrecision)
	}
	n := value.Num()
	if !n.IsInt64() || n.Int64() > AmountMax || n.Int64() < -AmountMax {
		return 0, fmt.Errorf("%q: %w", text, ErrAmountTooLarge)
	}
	return n.Int64(), nil
}

// Of a decimal number a 64-bit float keeps this many digits, whatever the number; and
// this many of them have to be decimals that no currency has, all zeros or nines, for a
// number with more digits to be taken for a float's.
const (
	floatDigits      = 15
	floatDigitsSpare = 4
)

// unfloat is the value that a program meant which adds up amounts as floats: 12.5 and
// 24.99 come to 37.489999999999995 there. Contracts call amounts numbers, so to refuse it
// would be to lose the money; and no price has 16 digits.
func unfloat(text string, value *big.Rat, scale int) *big.Rat {
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "-0")
	whole := new(big.Int).Quo(new(big.Int).Abs(value.Num()), value.Denom()).String()
	decimals := floatDigits - len(whole)
	if len(digits) <= floatDigits || decimals < scale+floatDigitsSpare {
		return value
	}
	rounded, _ := new(big.Rat).SetString(value.FloatString(decimals))
	return rounded
}

// plainDigitsMax is how many digits of a number surely fit an int64 within
// AmountMax, trailing decimals included.
const plainDigitsMax = 13

// parsePlain reads what nearly every amount is, digits with at most as many
// decimals as the scale, without the general arithmetic. Whatever else it sees it
// leaves to that.
func parsePlain(text string, scale int) (n int64, ok bool) {
	digits := strings.TrimPrefix(text, "-")
	whole := leadingDigits(digits)
	fraction := ""
	if rest := digits[len(whole):]; rest != "" {
		if rest[0] != '.' || len(rest) == 1 {
			return 0, false
		}
		fraction = rest[1:]
	}
	if whole == "" || whole[0] == '0' && len(whole) > 1 || len(whole)+scale > plainDigitsMax ||
		len(fraction) > scale || leadingDigits(fraction) != fraction {
		return 0, false
	}
	for _, d := range whole + fraction {
		n = 10*n + int64(d-'0')
	}
	for range scale - len(fraction) {
		n *= 10
	}
	if len(digits) != len(text) {
		n = -n
	}
	return n, true
}

// decimalTextMax bounds the text of a number and decimalExponentMax its
// exponent, so that "1e999999999" costs nothing.
const (
	decimalTextMax     = 64
	decimalExponentMax = 30
)

// parseDecimal reads a JSON number literal exactly. It accepts what JSON
// accepts, so no "NaN", "Infinity", "0x1", "1_000" or leading "+".
func parseDecimal(text string) (*big.Rat, error) {
	if len(text) > decimalTextMax {
		return nil, fmt.Errorf("%d characters: %w", len(text), ErrAmountTooLarge)
	}
	exponent, err := checkDecimal(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if exponent > decimalExponentMax || exponent < -decimalExponentMax {
		return nil, fmt.Errorf("%q: %w", text, ErrAmountTooLarge)
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%q: %w", text, ErrAmountSyntax)
	}
	return value, nil
}

// checkDecimal checks the grammar of a JSON number and returns its exponent.
func checkDecimal(text string) (exponent int, err error) {
	rest := strings.TrimPrefix(text, "-")
	whole := leadingDigits(rest)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return 0, ErrAmountSyntax
	}
	rest = rest[len(whole):]
	if after, found := strings.CutPrefix(rest, "."); found {
		fraction := leadingDigits(after)
		if fraction == "" {
			return 0, ErrAmountSyntax
		}
		rest = after[len(fraction):]
	}
	if rest == "" {
		return 0, nil
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return 0, ErrAmountSyntax
	}
	rest = rest[1:]
	negative := strings.HasPrefix(rest, "-")
	if negative || strings.HasPrefix(rest, "+") {
		rest = rest[1:]
	}
	digits := leadingDigits(rest)
	if digits == "" || digits != rest {
		return 0, ErrAmountSyntax
	}
	for _, d := range digits {
		exponent = exponent*10 + int(d-'0')
		if exponent > decimalExponentMax {
			return decimalExponentMax + 1, nil
		}
	}
	if negative {
		exponent = -exponent
	}
	return exponent, nil
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// FormatAmount writes minor units as the decimal text of major units, with all
// decimals of the currency: (3749, "USD") is "37.49". An unknown currency is
// written with two decimals.
func FormatAmount(minor int64, currency string) string {
	exponent, ok := Exponent(currency)
	if !ok {
		exponent = 2
	}
	if exponent == 0 {
		return fmt.Sprint(minor)
	}
	sign := ""
	magnitude := uint64(minor)
	if minor < 0 {
		sign, magnitude = "-", uint64(-minor)
	}
	unit := uint64(math.Pow10(exponent))
	return fmt.Sprintf("%s%d.%0*d", sign, magnitude/unit, exponent, magnitude%unit)
}

// MRRScale is the number of MRR units in one minor unit.
const MRRScale = 10_000

// RoundMRR turns MRR units into minor units, halves away from zero.
func RoundMRR(mrr int64) int64 {
	if mrr < 0 {
		return -RoundMRR(-mrr)
	}
	return (mrr + MRRScale/2) / MRRScale
}

// ErrInterval says that a billing interval is not day, week, month or year, or
// that its count is not positive.
var ErrInterval = errors.New("interval must be day, week, month or year, with a positive count")

// MonthlyMRR normalises an amount per billing term to a month, in MRR units:
// month 1, year 1/12, week 52/12, day 365/12, over count (the house definition
// of reference/metrics.md section 2b). Halves round away from zero, once.
func MonthlyMRR(amount *big.Rat, interval string, count int64) (int64, error) {
	factor, err := MonthlyFactor(interval, count)
	if err != nil {
		return 0, err
	}
	value := new(big.Rat).Mul(amount, factor)
	value.Mul(value, new(big.Rat).SetInt64(MRRScale))
	return roundRat(value)
}

// MonthlyFactor is the share of a billing term's amount that a month is worth;
// see MonthlyMRR.
func MonthlyFactor(interval string, count int64) (*big.Rat, error) {
	if count <= 0 {
		return nil, fmt.Errorf("interval count %d: %w", count, ErrInterval)
	}
	numerator, denominator := int64(1), int64(1)
	switch interval {
	case "month":
	case "year":
		denominator = 12
	case "week":
		numerator, denominator = 52, 12
	case "day":
		numerator, denominator = 365, 12
	default:
		return nil, fmt.Errorf("interval %q: %w", interval, ErrInterval)
	}
	factor := big.NewRat(numerator, denominator)
	return factor.Quo(factor, new(big.Rat).SetInt64(count)), nil
}

// roundRat rounds to the nearest integer, halves away from zero.
func roundRat(value *big.Rat) (int64, error) {
	twice := new(big.Int).Mul(value.Num(), big.NewInt(2))
	if value.Sign() < 0 {
		twice.Sub(twice, value.Denom())
	} else {
		twice.Add(twice, value.Denom())
	}
	quotient := twice.Quo(twice, new(big.Int).Mul(value.Denom(), big.NewInt(2)))
	if !quotient.IsInt64() {
		return 0, ErrAmountTooLarge
	}
	return quotient.Int64(), nil
}
