package shopify

import (
	"net/url"
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// order states whose an order is, and what it has brought in so far.
func (e *event) order() {
	o := e.data
	if o.Flag("test") {
		e.Livemode = false
	}
	id := e.RequiredID(o, "id")
	about := e.Statement(revenue.KindAttribution, id, id, e.RequiredTime(o, "updated_at", "created_at"))
	about.Version, about.Original = connectors.Version(about.OccurredAt), id
	e.describe(&about.Dimensions)
	// Transactions do not know whose they are.
	e.Emit(about)
	e.charge(id, about.Dimensions)
}

// charge states what the order brought in, if anything.
func (e *event) charge(id string, about revenue.Dimensions) {
	o := e.data
	total, currency := e.money(o, "total_price")
	amount := e.paid(total, currency)
	if amount <= 0 {
		return
	}
	c := e.Statement(revenue.KindCharge, id, id, e.RequiredTime(o, "processed_at", "created_at"))
	c.Version, c.Amount, c.Currency, c.Dimensions = amount, amount, currency, about
	if amount == total { // of a part, the parts are not known
		tax, _ := e.money(o, "total_tax")
		c.Tax = min(amount, tax)
		c.Discount, _ = e.money(o, "total_discounts")
	}
	c.Invoice, c.Payment = id, id
	c.Billing = revenue.BillingOneTime
	// Orders that a subscription contract makes; its first comes by the checkout.
	if strings.HasPrefix(o.Text("source_name"), "subscription_contract") {
		c.Recurring, c.Billing = true, revenue.BillingRenewal
	}
	e.Emit(c)
}

// paid is how much of an order's total was paid, before refunds.
func (e *event) paid(total int64, currency string) int64 {
	switch e.data.Text("financial_status") {
	case "paid", "partially_refunded", "refunded":
		return total
	case "partially_paid":
		// What is outstanding is in the shop's currency only.
		if currency == strings.ToUpper(e.data.Text("currency")) && e.data.Value("total_outstanding") != nil {
			return total - e.Major(e.data, currency, "total_outstanding")
		}
	}
	return 0 // pending, authorized, voided, expired
}

// describe says what the order was for, by its dearest line, whose it is and where
// it came from.
func (e *event) describe(to *revenue.Dimensions) {
	o := e.data
	currency := strings.ToUpper(o.Text("currency"))
	var dearest int64 = -1
	for _, line := range o.List("line_items") {
		price, _ := revenue.ParseAmount(line.Literal("price"), currency) // what cannot be read is not the dearest
		if price > dearest {
			dearest = price
			to.Product, to.Plan, to.Quantity = line.ID("product_id"), line.ID("variant_id"), line.Count("quantity")
		}
	}
	to.Customer, to.ExternalID = o.ID("customer.id"), o.Text("name", "admin_graphql_api_id")
	to.Country = o.Text("billing_address.country_code", "shipping_address.country_code")
	if gateways, _ := o.Value("payment_gateway_names").([]any); len(gateways) > 0 {
		to.PaymentMethod = (connectors.Object{"name": gateways[0]}).Text("name")
	}
	own := map[string]any{}
	for _, attribute := range e.data.List("note_attributes") {
		if name := attribute.Text("name"); name != "" {
			own[name] = attribute.Value("value")
		}
	}
	connectors.Note(to, connectors.Object{"landing": landing(e.data.Text("landing_site")), "own": own}, "landing", "own")
}

// landing are the campaign parameters of the page that the customer came to first.
func landing(site string) map[string]any {
	parameters := map[string]any{}
	address, err := url.Parse(site)
	if err != nil {
		return parameters
	}
	for name, values := range address.Query() {
		if strings.HasPrefix(name, "utm_") && values[0] != "" {
			parameters[name] = values[0]
		}
	}
	return parameters
}

// money is an amount as the customer saw it, or in the shop's currency where there
// is but that one.
func (e *event) money(o connectors.Object, name string) (amount int64, currency string) {
	if seen := o.Child(name + "_set.presentment_money"); seen != nil {
		currency = e.Currency(seen, "currency_code")
		return e.Major(seen, currency, "amount"), currency
	}
	currency = e.Currency(o, "currency")
	return e.Major(o, currency, name), currency
}
