package stripe

import (
	"math/big"
	"slices"
	"strings"
)

// coupon is a discount that lasts as long as the subscription.
type coupon struct {
	percent *big.Rat // taken off, nil if it is an amount
	amount  *big.Rat // taken off an invoice, in Stripe's units
	// products limits it to items of these; empty means all.
	products []string
}

// discount takes lasting discounts off the items that they are of: percentages
// before amounts. Coupons for once or for some months are not a matter of what a
// subscription is worth. Versions from basil on give bare ids, of which only the
// one in known (the discount member of older versions) can be looked up.
func (w *worth) discount(items []item, discounts []any, known object, m money) {
	if len(discounts) == 0 && known.Child("coupon", "source.coupon") != nil {
		discounts = []any{map[string]any(known)}
	}
	if len(items) == 0 {
		return
	}
	var coupons []coupon
	for _, element := range discounts {
		c, lasting, ok := readCoupon(element, known, m)
		if !ok {
			w.miss(unknownDiscount)
		}
		if lasting {
			coupons = append(coupons, c)
		}
	}
	for _, c := range coupons {
		if c.percent != nil {
			scale(items, c, new(big.Rat).Sub(big.NewRat(1, 1), c.percent))
		}
	}
	for _, c := range coupons {
		if c.amount == nil {
			continue
		}
		total := new(big.Rat)
		for _, i := range items {
			if c.covers(i) {
				total.Add(total, i.monthly)
			}
		}
		if total.Sign() > 0 {
			// An amount is per invoice, so per term of what it is taken off.
			off := new(big.Rat).Mul(c.amount, items[0].factor)
			scale(items, c, new(big.Rat).Sub(big.NewRat(1, 1), off.Quo(off, total)))
		}
	}
}

// scale multiplies what the coupon covers, and takes off no more than all.
func scale(items []item, c coupon, by *big.Rat) {
	if by.Sign() < 0 {
		by = new(big.Rat)
	}
	for _, i := range items {
		if c.covers(i) {
			i.monthly.Mul(i.monthly, by)
		}
	}
}

func (c coupon) covers(i item) bool {
	return len(c.products) == 0 || slices.Contains(c.products, i.product)
}

// readCoupon reads the coupon of a discount; ok is false if the body does not
// show it.
func readCoupon(element any, known object, m money) (c coupon, lasting, ok bool) {
	discount, _ := element.(map[string]any)
	if id, bare := element.(string); bare && id != "" && known.Text("id") == id {
		discount = known
	}
	shown := object(discount).Child("coupon", "source.coupon")
	if shown == nil {
		return coupon{}, false, false
	}
	if shown.Text("duration") != "forever" {
		return coupon{}, false, true
	}
	for _, product := range elements(shown, "applies_to.products") {
		c.products = append(c.products, idOf(product))
	}
	if percent, given := decimal(shown.Literal("percent_off", "percent_off_precise")); given {
		c.percent = percent.Quo(percent, big.NewRat(100, 1))
		return c, true, true
	}
	off := shown.Literal("amount_off")
	if code := shown.Text("currency"); code != "" && !strings.EqualFold(code, m.code) {
		off = shown.Literal("currency_options." + strings.ToLower(m.code) + ".amount_off")
	}
	c.amount, ok = decimal(off)
	return c, ok, ok
}
