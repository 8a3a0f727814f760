package revenuecat

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks of what tells of a trial: its own beginning, or a conversion, which says that
// there was one.
const (
	rankConverted = iota + 1
	rankBegun
)

// purchase reads a transaction that the store charged for, or a trial. What was
// granted for nothing is no fact.
func (e *event) purchase() {
	if e.o.Text("period_type") == "TRIAL" {
		e.trial(rankBegun)
		return
	}
	if e.o.Flag("is_trial_conversion") {
		e.trial(rankConverted)
	}
	amount, currency, estimated := e.price()
	if amount == 0 {
		return
	}
	if amount < 0 {
		e.Invalid("event.price_in_purchased_currency", "a purchase of %d is none", amount)
	}
	at := e.RequiredTime(e.o, "purchased_at_ms")
	c := e.statement(revenue.KindCharge, e.RequiredID(e.o, "transaction_id"), at)
	c.Amount, c.Currency, c.Payment = amount, currency, c.ObjectID
	c.Tax = e.share(amount, "tax_percentage")
	c.Fee = min(e.share(amount, "commission_percentage"), amount-c.Tax)
	if estimated {
		connectors.Noted(&c.Dimensions, string(revenue.NoteAmountEstimated), revenue.DetailAmountEstimated)
	}
	switch e.About.Type {
	case "INITIAL_PURCHASE":
		c.Billing = revenue.BillingFirst
	case "RENEWAL":
		c.Billing = revenue.BillingRenewal
	default:
		c.Billing = revenue.BillingOneTime
		e.Emit(c)
		return
	}
	e.term(&c)
	e.Emit(c)
}

// trial marks the beginning of a subscription's trial.
func (e *event) trial(rank int64) {
	t := e.statement(revenue.KindTrialStart, e.chain(), e.RequiredTime(e.o, "purchased_at_ms"))
	t.Version = rank
	e.Emit(t)
}

// term states what the term that a charge is for is worth.
func (e *event) term(c *revenue.Event) {
	end := e.Moment(e.o, "expiration_at_ms")
	if end == nil || !end.After(c.OccurredAt) {
		connectors.Noted(&c.Dimensions, connectors.MRRUnknown, "term")
		return
	}
	interval, count := termOf(c.OccurredAt, *end)
	if count == 0 { // simulated time of a sandbox, whose months take minutes
		connectors.Noted(&c.Dimensions, connectors.MRRUnknown, "term")
		return
	}
	c.Interval, c.IntervalCount = interval, count
	start := c.OccurredAt
	p := *c
	p.Kind, p.Amount, p.Tax, p.Fee, p.Billing = revenue.KindPeriod, 0, 0, 0, ""
	p.PeriodStart, p.PeriodEnd, p.PresumedEnd = &start, end, true
	p.MRR = e.MRR("event.price_in_purchased_currency", c.Amount, interval, count)
	e.Emit(p)
}

// monthsOf are the terms that stores sell, in months.
var monthsOf = [...]int{1, 2, 3, 4, 6, 12, 24, 36}

// termOf is the length of a term in the words of a price. Stores round to their own
// days: two are let pass.
func termOf(start, end time.Time) (interval string, count int64) {
	const day, slack = 24 * time.Hour, 2 * 24 * time.Hour
	for _, months := range monthsOf {
		if off := end.Sub(monthsAfter(start, months)); off.Abs() <= slack {
			if months%12 == 0 {
				return "year", int64(months / 12)
			}
			return "month", int64(months)
		}
	}
	days := int64((end.Sub(start) + day/2) / day)
	if days > 0 && days%7 == 0 {
		return "week", days / 7
	}
	return "day", days
}

// monthsAfter is the same day of a later month, or the last of one that is too short.
func monthsAfter(start time.Time, months int) time.Time {
	after := start.AddDate(0, months, 0)
	if after.Day() != start.Day() {
		after = after.AddDate(0, 0, -after.Day())
	}
	return after
}

// price is what was paid, in minor units of its currency: negative if it was
// returned. Where RevenueCat does not know that, its estimate in dollars stands for it.
func (e *event) price() (amount int64, currency string, estimated bool) {
	place := "price_in_purchased_currency"
	if e.o.Value(place) == nil || e.o.Text("currency") == "" {
		if e.o.Value("price") == nil {
			e.Invalid("event.price", "is not known")
			return 0, "", false
		}
		place, currency, estimated = "price", "USD", true
	} else {
		currency = e.Currency(e.o, "currency")
	}
	amount, ok := rounded(e.o.Literal(place), currency)
	if !ok {
		e.Invalid("event."+place, "%q is no amount of %s", e.o.Literal(place), currency)
	}
	return amount, currency, estimated
}

// share is the part of an amount that a percentage, between 0 and 1, comes to.
func (e *event) share(amount int64, place string) int64 {
	part, ok := decimal(e.o.Literal(place))
	if !ok || part.Sign() < 0 || part.Cmp(big.NewRat(1, 1)) > 0 {
		return 0
	}
	units, _ := whole(part.Mul(part, new(big.Rat).SetInt64(amount)))
	return units
}

// rounded reads a decimal number of major units, of which a converted one has more
// decimals than its currency, as minor units: halves are rounded away from zero.
func rounded(text, currency string) (int64, bool) {
	value, ok := decimal(text)
	exponent, known := revenue.Exponent(currency)
	if !ok || !known {
		return 0, false
	}
	for range exponent {
		value.Mul(value, big.NewRat(10, 1))
	}
	units, ok := whole(value)
	return units, ok && units <= revenue.AmountMax && units >= -revenue.AmountMax
}

func whole(value *big.Rat) (int64, bool) {
	units, err := strconv.ParseInt(value.FloatString(0), 10, 64)
	return units, err == nil
}

// decimal reads the literal text of a number exactly. No price has an exponent, and
// one could be of any size.
func decimal(text string) (*big.Rat, bool) {
	const digitsMax = 40
	if len(text) > digitsMax || strings.ContainsAny(text, "eE/_xX") {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}
