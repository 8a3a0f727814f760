package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// dice is the chance of one story, a function of the seed and the story's number.
type dice struct {
	*rand.Rand
}

func newDice(seed, story uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, story))}
}

// chance is true with the given probability.
func (d dice) chance(probability float64) bool { return d.Float64() < probability }

// between is a whole number from least to most, both included.
func (d dice) between(least, most int) int { return least + d.IntN(most-least+1) }

// moment is a whole second in [from, until).
func (d dice) moment(from, until time.Time) time.Time {
	seconds := int64(until.Sub(from) / time.Second)
	if seconds <= 0 {
		return from
	}
	return from.Add(time.Duration(d.Int64N(seconds)) * time.Second)
}

// amount is a price in minor units as shops have them: mostly .99, some odd ones.
func (d dice) amount(least, most int) int64 {
	units := int64(d.between(least, most))
	if d.chance(0.6) {
		return units*100 + 99
	}
	return units*100 + int64(d.IntN(100))
}

func pick[T any](d dice, choices ...T) T { return choices[d.IntN(len(choices))] }

// lowerAlphanumeric are the characters of made-up ids.
const lowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"

// letters are n random characters.
func (d dice) letters(n int) string {
	var text strings.Builder
	for range n {
		text.WriteByte(lowerAlphanumeric[d.IntN(len(lowerAlphanumeric))])
	}
	return text.String()
}

// plan is what a subscription costs.
type plan struct {
	name string
	// net is the price per term without tax, in minor units.
	net      int64
	interval string // day, week, month or year
	count    int
}

// plan invents one. Most monthly values are fractions of a cent.
func (d dice) plan(intervals ...string) plan {
	if len(intervals) == 0 {
		intervals = []string{"month", "month", "month", "year", "week", "quarter"}
	}
	p := plan{interval: pick(d, intervals...), count: 1, net: d.amount(5, 120)}
	switch p.interval {
	case "quarter":
		p.interval, p.count = "month", 3
	case "year":
		p.net *= 10
	}
	return p.named()
}

func (p plan) named() plan {
	p.name = fmt.Sprintf("%s-%d-%d", p.interval, p.count, p.net)
	return p
}

// scaled is the plan at another price, for an upgrade or a downgrade.
func (p plan) scaled(percent int64) plan {
	p.net = max(1, p.net*percent/100)
	return p.named()
}

// months says what fraction of a term's price falls on a month: 1 of a month,
// 1/12 of a year, 52/12 of a week, 365/12 of a day.
func (p plan) months() (numerator, denominator int64) {
	switch p.interval {
	case "year":
		return 1, 12 * int64(p.count)
	case "week":
		return 13, 3 * int64(p.count)
	case "day":
		return 365, 12 * int64(p.count)
	default:
		return 1, int64(p.count)
	}
}

// mrrUnits is how many units of MRR there are in a minor unit.
const mrrUnits = 10_000

// monthly is what quantity of the plan is worth a month, in 1/10,000 minor units,
// rounded half up once.
func (p plan) monthly(quantity int64) int64 {
	numerator, denominator := p.months()
	return (2*p.net*quantity*mrrUnits*numerator + denominator) / (2 * denominator)
}

// next is the end of a term that begins at the moment. Anchors lie before the
// 29th, so that no month is too short.
func (p plan) next(at time.Time) time.Time {
	switch p.interval {
	case "year":
		return at.AddDate(p.count, 0, 0)
	case "week":
		return at.AddDate(0, 0, 7*p.count)
	case "day":
		return at.AddDate(0, 0, p.count)
	default:
		return at.AddDate(0, p.count, 0)
	}
}

// anchored is the moment, moved to a day that every month has.
func anchored(at time.Time) time.Time {
	if at.Day() > 28 {
		return at.AddDate(0, 0, 28-at.Day())
	}
	return at
}

// decimal writes minor units of a currency with two decimals as major units.
func decimal(minor int64) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
}

// mrrDecimal writes MRR units as major units of a currency with two decimals.
func mrrDecimal(mrr int64) string {
	sign := ""
	if mrr < 0 {
		sign, mrr = "-", -mrr
	}
	return fmt.Sprintf("%s%d.%06d", sign, mrr/(100*mrrUnits), mrr%(100*mrrUnits))
}

// earliest of two moments.
func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
