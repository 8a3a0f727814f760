package stripe

import (
	"slices"
	"testing"

	"revstream/connectors"
)

// subscriptionOf is a subscription in USD with items and other members.
func subscriptionOf(t *testing.T, items, rest string) object {
	t.Helper()
	o, err := connectors.ParseObject([]byte(`{"id":"sub_1","currency":"usd","items":{"object":"list","data":[` + items + `]}` + rest + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// worthCase is a subscription's items and other members, and what it comes to.
type worthCase struct {
	items, rest string
	mrr         int64 // 1/10,000 minor units
	unknown     []string
}

const (
	month   = `"interval":"month","interval_count":1`
	basic   = `{"quantity":1,"price":{"id":"price_1","product":"prod_1","currency":"usd","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"},"unit_amount":2000,"unit_amount_decimal":"2000"}}`
	metered = `{"price":{"id":"price_2","currency":"usd","recurring":{"interval":"month","interval_count":1,"usage_type":"metered"},"unit_amount":7}}`
)

// priced is an item of a quantity at a price.
func priced(quantity, interval, price string) string {
	return `{"quantity":` + quantity + `,"price":{"currency":"usd","product":"prod_2","recurring":{` + interval + `,"usage_type":"licensed"},` + price + `}}`
}

// couponed is a discount by a coupon.
func couponed(coupon string) string { return `{"id":"di_1","coupon":{` + coupon + `}}` }

func checkWorth(t *testing.T, cases map[string]worthCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := monthlyWorth(subscriptionOf(t, c.items, c.rest), DiscountsForever)
			if got.mrr != c.mrr || !slices.Equal(got.unknown, c.unknown) || got.currency != "USD" {
				t.Errorf("%d %s, unknown %v; want %d, unknown %v", got.mrr, got.currency, got.unknown, c.mrr, c.unknown)
			}
			list := monthlyWorth(subscriptionOf(t, c.items, c.rest), DiscountsNone).mrr
			if list == got.mrr {
				list = 0
			}
			if got.beforeDiscounts != list {
				t.Errorf("before discounts %d, want %d", got.beforeDiscounts, list)
			}
		})
	}
}

func TestMonthlyWorth(t *testing.T) {
	graduated := `"billing_scheme":"tiered","tiers_mode":"graduated","tiers":[{"up_to":5,"unit_amount":1000,"flat_amount":500},{"up_to":null,"unit_amount_decimal":"80.5"}]`
	volume := `"billing_scheme":"tiered","tiers_mode":"volume","tiers":[{"up_to":5,"unit_amount":1000},{"up_to":null,"unit_amount":800,"flat_amount":100}]`
	checkWorth(t, map[string]worthCase{
		"month":                     {basic, "", 2000_0000, nil},
		"year":                      {priced("1", `"interval":"year","interval_count":1`, `"unit_amount":10000`), "", 833_3333, nil},
		"two years":                 {priced("1", `"interval":"year","interval_count":2`, `"unit_amount":10000`), "", 416_6667, nil},
		"week":                      {priced("1", `"interval":"week","interval_count":1`, `"unit_amount":300`), "", 1300_0000, nil},
		"30 days":                   {priced("1", `"interval":"day","interval_count":30`, `"unit_amount":3000`), "", 3041_6667, nil},
		"quantity":                  {priced("3", month, `"unit_amount":700`), "", 2100_0000, nil},
		"quantity in decimals":      {`{"quantity_decimal":"2.5","quantity":2,"price":{"recurring":{` + month + `},"unit_amount":700}}`, "", 1750_0000, nil},
		"no quantity, licensed":     {`{"price":{"recurring":{` + month + `,"usage_type":"licensed"},"unit_amount":700}}`, "", 700_0000, nil},
		"decimals":                  {priced("1000", month, `"unit_amount":null,"unit_amount_decimal":"0.123456789012"`), "", 123_4568, nil},
		"rounded once, at the end":  {priced("1", `"interval":"year","interval_count":1`, `"unit_amount":10000`) + "," + priced("1", `"interval":"year","interval_count":1`, `"unit_amount":10000`) + "," + priced("1", `"interval":"year","interval_count":1`, `"unit_amount":10000`), "", 2500_0000, nil},
		"packages up":               {priced("11", month, `"unit_amount":500,"transform_quantity":{"divide_by":5,"round":"up"}`), "", 1500_0000, nil},
		"packages down":             {priced("14", month, `"unit_amount":500,"transform_quantity":{"divide_by":5,"round":"down"}`), "", 1000_0000, nil},
		"mixed terms":               {basic + "," + priced("1", `"interval":"year","interval_count":1`, `"unit_amount":12000`), "", 3000_0000, nil},
		"metered left out":          {basic + "," + metered, "", 2000_0000, nil},
		"graduated":                 {priced("8", month, graduated), "", 5741_5000, nil},
		"volume, lower tier":        {priced("5", month, volume), "", 5000_0000, nil},
		"volume, upper tier":        {priced("6", month, volume), "", 4900_0000, nil},
		"tiers unknown":             {basic + "," + priced("5", month, `"billing_scheme":"tiered","tiers_mode":"volume","unit_amount":null`), "", 2000_0000, []string{"tiers"}},
		"price unknown":             {priced("5", month, `"unit_amount":null`), "", 0, []string{"price"}},
		"interval unknown":          {priced("5", `"interval":"fortnight"`, `"unit_amount":5`), "", 0, []string{"interval"}},
		"more items":                {basic, `,"items":{"has_more":true,"data":[` + basic + `]}`, 2000_0000, []string{"items"}},
		"price in another currency": {`{"quantity":1,"price":{"currency":"eur","recurring":{` + month + `},"unit_amount":1,"currency_options":{"usd":{"unit_amount":2100}}}}`, "", 2100_0000, nil},
		"tiers in another currency": {`{"quantity":3,"price":{"currency":"eur","billing_scheme":"tiered","recurring":{` + month + `},"tiers":[{"up_to":null,"unit_amount":1}],"currency_options":{"usd":{"tiers":[{"up_to":null,"unit_amount":700}]}}}}`, "", 2100_0000, nil},
		"tiers of another currency": {`{"quantity":3,"price":{"currency":"eur","billing_scheme":"tiered","recurring":{` + month + `},"tiers":[{"up_to":null,"unit_amount":1}],"currency_options":{"usd":{"unit_amount":null}}}}`, "", 0, []string{"tiers"}},
		"currency unknown":          {`{"quantity":1,"price":{"currency":"eur","recurring":{` + month + `},"unit_amount":1}}`, "", 0, []string{"currency"}},
		"too much":                  {priced("999999999999", month, `"unit_amount":999999999999`), "", 0, []string{"amount"}},
		"plan of 2014":              {"", `,"plan":{"id":"gold","amount":1500,"currency":"usd","interval":"month","interval_count":3},"quantity":2`, 1000_0000, nil},
		"free":                      {priced("1", month, `"unit_amount":0`), "", 0, nil},
	})
}

func TestMonthlyWorthAfterDiscountsAndTaxes(t *testing.T) {
	checkWorth(t, map[string]worthCase{
		"forever percent":           {basic, `,"discount":` + couponed(`"duration":"forever","percent_off":12.5`), 1750_0000, nil},
		"once":                      {basic, `,"discount":` + couponed(`"duration":"once","percent_off":50`), 2000_0000, nil},
		"repeating":                 {basic, `,"discounts":[` + couponed(`"duration":"repeating","duration_in_months":3,"percent_off":50`) + `]`, 2000_0000, nil},
		"forever amount":            {basic, `,"discounts":[` + couponed(`"duration":"forever","amount_off":500,"currency":"usd"`) + `]`, 1500_0000, nil},
		"amount of a year":          {priced("1", `"interval":"year","interval_count":1`, `"unit_amount":12000`), `,"discounts":[` + couponed(`"duration":"forever","amount_off":6000,"currency":"usd"`) + `]`, 500_0000, nil},
		"amount before percent":     {basic, `,"discounts":[` + couponed(`"duration":"forever","amount_off":500`) + `,` + couponed(`"duration":"forever","percent_off":50`) + `]`, 500_0000, nil},
		"more off than there is":    {basic, `,"discounts":[` + couponed(`"duration":"forever","amount_off":5000`) + `]`, 0, nil},
		"coupon since clover":       {basic, `,"discounts":[{"id":"di_1","source":{"type":"coupon","coupon":{"duration":"forever","percent_off":10}}}]`, 1800_0000, nil},
		"bare id":                   {basic, `,"discounts":["di_1"]`, 2000_0000, []string{"discount"}},
		"bare id that is known":     {basic, `,"discounts":["di_1"],"discount":` + couponed(`"duration":"forever","percent_off":10`), 1800_0000, nil},
		"coupon by id alone":        {basic, `,"discounts":[{"id":"di_1","source":{"type":"coupon","coupon":"10OFF"}}]`, 2000_0000, []string{"discount"}},
		"coupon for one product":    {basic + "," + priced("1", month, `"unit_amount":1000`), `,"discounts":[` + couponed(`"duration":"forever","percent_off":50,"applies_to":{"products":["prod_2"]}`) + `]`, 2500_0000, nil},
		"item discount, then whole": {`{"quantity":1,"discounts":[` + couponed(`"duration":"forever","amount_off":1000`) + `],"price":{"recurring":{` + month + `},"unit_amount":2000}}`, `,"discounts":[` + couponed(`"duration":"forever","percent_off":50`) + `]`, 500_0000, nil},

		"tax included":         {`{"quantity":1,"tax_rates":[{"inclusive":true,"percentage":20}],"price":{"recurring":{` + month + `},"tax_behavior":"inclusive","unit_amount":2400}}`, "", 2000_0000, nil},
		"tax on top":           {`{"quantity":1,"tax_rates":[{"inclusive":false,"percentage":20}],"price":{"recurring":{` + month + `},"unit_amount":2400}}`, "", 2400_0000, nil},
		"tax by default":       {`{"quantity":1,"tax_rates":[],"price":{"recurring":{` + month + `},"unit_amount":2400}}`, `,"default_tax_rates":[{"inclusive":true,"percentage":20.0}]`, 2000_0000, nil},
		"tax at unknown rates": {`{"quantity":1,"price":{"recurring":{` + month + `},"tax_behavior":"inclusive","unit_amount":2400}}`, `,"automatic_tax":{"enabled":true}`, 2400_0000, []string{"tax"}},
	})
}

func TestMonthlyWorthBeforeDiscounts(t *testing.T) {
	o := subscriptionOf(t, basic, `,"discounts":[`+couponed(`"duration":"forever","percent_off":10`)+`,"di_2"]`)
	if got := monthlyWorth(o, DiscountsNone); got.mrr != 2000_0000 || len(got.unknown) != 0 || got.beforeDiscounts != 0 {
		t.Errorf("%d, before discounts %d, unknown %v", got.mrr, got.beforeDiscounts, got.unknown)
	}
	if got := monthlyWorth(o, DiscountsForever); got.mrr != 1800_0000 || got.beforeDiscounts != 2000_0000 {
		t.Errorf("%d, before discounts %d", got.mrr, got.beforeDiscounts)
	}
}

func TestMonthlyWorthInOtherUnits(t *testing.T) {
	for currency, want := range map[string]int64{"jpy": 1000_0000, "isk": 10_0000, "mga": 100000_0000, "kwd": 1000_0000} {
		o := subscriptionOf(t, `{"quantity":1,"price":{"recurring":{"interval":"month","interval_count":1},"unit_amount":1000}}`, `,"currency":"`+currency+`"`)
		if got := monthlyWorth(o, DiscountsForever); got.mrr != want {
			t.Errorf("%s: %d, want %d", currency, got.mrr, want)
		}
	}
}

func TestUnknownWorthIsMarked(t *testing.T) {
	e := one(t, `{"type":"customer.subscription.created","created":1767225600,"object":{"id":"sub_1","customer":"cus_1","status":"active","currency":"usd","created":1767225600,"metadata":{"team":"red"},
		"items":{"data":[{"quantity":3,"price":{"billing_scheme":"tiered","currency":"usd","recurring":{"interval":"month"}}}]},"discounts":["di_1"]}}`)
	if string(e.Metadata) != `{"mrr_unknown":"tiers","team":"red"}` || e.MRR != 0 {
		t.Errorf("%s", e.Metadata)
	}
}
