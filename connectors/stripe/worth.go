package stripe

import (
	"cmp"
	"math/big"
	"slices"
	"strings"

	"revstream/ingest/revenue"
)

// Reasons why the monthly worth of a subscription is incomplete: what its body
// leaves out, and a webhook cannot ask for.
const (
	unknownTiers    = "tiers"    // tiered prices without their tiers
	unknownPrice    = "price"    // no unit amount
	unknownCurrency = "currency" // no price in the subscription's currency
	unknownInterval = "interval" // an interval that is not a day, week, month or year
	unknownItems    = "items"    // a list of items that goes on
	unknownDiscount = "discount" // a discount by its id alone
	unknownTax      = "tax"      // an inclusive tax at a rate that is not said
	unknownAmount   = "amount"   // more than an amount can be
)

// worth is what a subscription is worth a month.
type worth struct {
	mrr int64 // 1/10,000 minor units
	// beforeDiscounts is what it would be without the discounts that were taken off; 0 if
	// that is the same.
	beforeDiscounts int64
	currency        string
	unknown         []string // sorted, each once
	main            item     // the item worth most, for the dimensions
}

// item is one line of a subscription.
type item struct {
	// monthly is its worth a month in Stripe's units, after what was applied so far.
	monthly       *big.Rat
	product, plan string
	quantity      int64
	interval      string
	intervalCount int64
	// factor turns an amount per term into one per month.
	factor *big.Rat
	// inclusive is the sum of the tax rates that the price contains.
	inclusive *big.Rat
	discounts []any
}

// monthlyWorth adds up the recurring, licensed items of a subscription, takes off
// the discounts that last (percentages before amounts, those of an item before
// those of the whole) and the taxes that prices include, and rounds once. It says
// what it would be worth if billed: the status decides whether it is.
func monthlyWorth(o object, discounts string) worth {
	m, ok := moneyOf(cmp.Or(o.Text("currency"), firstCurrency(o)))
	w := worth{currency: m.code}
	if !ok {
		w.miss(unknownCurrency)
		return w
	}
	items := w.items(o, m)
	list := w.total(items, m)
	if discounts != DiscountsNone {
		for i := range items {
			w.discount(items[i:i+1], items[i].discounts, object{}, m)
		}
		w.discount(items, elements(o, "discounts"), o.Child("discount"), m)
	}
	for _, i := range items {
		if w.main.monthly == nil || i.monthly.Cmp(w.main.monthly) > 0 {
			w.main = i
		}
	}
	if w.mrr = w.total(items, m); list > w.mrr {
		w.beforeDiscounts = list
	}
	slices.Sort(w.unknown)
	w.unknown = slices.Compact(w.unknown)
	return w
}

// total is what items come to a month, without the taxes that their prices include.
func (w *worth) total(items []item, m money) int64 {
	total := new(big.Rat)
	for _, i := range items {
		total.Add(total, new(big.Rat).Quo(i.monthly, new(big.Rat).Add(big.NewRat(1, 1), i.inclusive)))
	}
	total.Mul(total, big.NewRat(m.multiply, m.divide))
	mrr, err := revenue.MonthlyMRR(total, "month", 1)
	if limit := revenue.AmountMax * revenue.MRRScale; err != nil || mrr > limit || mrr < -limit {
		w.miss(unknownAmount)
		return 0
	}
	return mrr
}

func (w *worth) miss(reason string) { w.unknown = append(w.unknown, reason) }

func firstCurrency(o object) string {
	for _, item := range itemsOf(o) {
		if code := item.Text("price.currency", "plan.currency"); code != "" {
			return code
		}
	}
	return ""
}

// itemsOf are the items of a subscription, or before there were any (2016) the
// one plan that it had.
func itemsOf(o object) []object {
	if items := list(o, "items"); len(items) > 0 || o.Child("plan") == nil {
		return items
	}
	return []object{{"plan": o["plan"], "quantity": o["quantity"]}}
}

// items reads the items that are worth the same every term; metered ones are not.
func (w *worth) items(o object, m money) []item {
	if o.Flag("items.has_more") {
		w.miss(unknownItems)
	}
	var items []item
	for _, line := range itemsOf(o) {
		if line.Text("price.recurring.usage_type", "plan.usage_type") == "metered" {
			continue
		}
		i := item{
			product: line.ID("price.product", "plan.product"), plan: line.ID("price", "plan"),
			interval: line.Text("price.recurring.interval", "plan.interval"), intervalCount: 1,
			discounts: elements(line, "discounts"), inclusive: w.inclusiveTax(o, line),
		}
		if count, ok := decimal(line.Literal("price.recurring.interval_count", "plan.interval_count")); ok && count.IsInt() && count.Num().IsInt64() {
			i.intervalCount = count.Num().Int64()
		}
		quantity := quantityOf(line)
		if quantity.IsInt() && quantity.Num().IsInt64() {
			i.quantity = quantity.Num().Int64()
		}
		var err error
		if i.factor, err = revenue.MonthlyFactor(i.interval, i.intervalCount); err != nil {
			w.miss(unknownInterval)
			continue
		}
		amount, reason := termAmount(line, quantity, m)
		if reason != "" {
			w.miss(reason)
			continue
		}
		i.monthly = amount.Mul(amount, i.factor)
		items = append(items, i)
	}
	return items
}

// quantityOf is how many units of an item there are; one, if a licensed item does
// not say.
func quantityOf(line object) *big.Rat {
	if quantity, ok := decimal(line.Literal("quantity_decimal", "quantity")); ok && quantity.Sign() >= 0 {
		return quantity
	}
	return big.NewRat(1, 1)
}

// termAmount is what a quantity of an item costs a term, in Stripe's units, or the
// reason why that is not known.
func termAmount(line object, quantity *big.Rat, m money) (*big.Rat, string) {
	price := line.Child("price", "plan")
	in := price // the currency
	if code := price.Text("currency"); code != "" && !strings.EqualFold(code, m.code) {
		if in = price.Child("currency_options." + strings.ToLower(m.code)); in == nil {
			return nil, unknownCurrency
		}
	}
	if price.Text("billing_scheme") == "tiered" {
		return tieredAmount(list(in, "tiers"), price.Text("tiers_mode") == "volume", quantity)
	}
	unit := in.Literal("unit_amount_decimal", "unit_amount", "amount_decimal", "amount")
	amount, ok := decimal(unit)
	if !ok {
		return nil, unknownPrice
	}
	return amount.Mul(amount, packages(price, quantity)), ""
}

// packages is the quantity that a price is multiplied with: where it is for
// packages of several, their number.
func packages(price object, quantity *big.Rat) *big.Rat {
	transform := price.Child("transform_quantity", "transform_usage")
	size, ok := decimal(transform.Literal("divide_by"))
	if !ok || size.Sign() <= 0 {
		return quantity
	}
	exact := new(big.Rat).Quo(quantity, size)
	whole, rest := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int))
	if rest.Sign() > 0 && transform.Text("round") == "up" {
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetInt(whole)
}

// tieredAmount is what a quantity costs at a price with tiers, which bodies carry
// only up to 2020-03-02 or when expanded.
func tieredAmount(tiers []object, volume bool, quantity *big.Rat) (*big.Rat, string) {
	if len(tiers) == 0 {
		return nil, unknownTiers
	}
	total, below := new(big.Rat), new(big.Rat)
	for _, tier := range tiers {
		top, bounded := decimal(tier.Literal("up_to"))
		if !bounded || top.Cmp(quantity) > 0 {
			top = quantity
		}
		within := new(big.Rat).Sub(top, below)
		if volume && top.Cmp(quantity) < 0 || within.Sign() <= 0 {
			continue
		}
		if volume {
			within = quantity
		}
		unit, hasUnit := decimal(tier.Literal("unit_amount_decimal", "unit_amount", "amount"))
		flat, hasFlat := decimal(tier.Literal("flat_amount_decimal", "flat_amount"))
		if !hasUnit && !hasFlat {
			return nil, unknownTiers
		}
		if hasUnit {
			total.Add(total, unit.Mul(unit, within))
		}
		if hasFlat {
			total.Add(total, flat)
		}
		below = top
		if volume {
			break
		}
	}
	return total, ""
}

// inclusiveTax is the sum of the rates of the taxes that an item's price contains.
func (w *worth) inclusiveTax(o, line object) *big.Rat {
	rates := list(line, "tax_rates")
	if len(rates) == 0 {
		rates = list(o, "default_tax_rates")
	}
	sum := new(big.Rat)
	for _, rate := range rates {
		if percent, ok := decimal(rate.Literal("effective_percentage", "percentage")); ok && rate.Flag("inclusive") && percent.Sign() > 0 {
			sum.Add(sum, percent.Quo(percent, big.NewRat(100, 1)))
		}
	}
	if sum.Sign() == 0 && line.Text("price.tax_behavior") == "inclusive" && o.Flag("automatic_tax.enabled") {
		w.miss(unknownTax)
	}
	return sum
}

// decimalTextMax bounds the text of a number; Stripe's have up to 12 decimals.
const decimalTextMax = 40

// decimal reads a plain decimal number exactly.
func decimal(text string) (*big.Rat, bool) {
	if text == "" || len(text) > decimalTextMax || strings.Trim(text, "-.0123456789") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}
