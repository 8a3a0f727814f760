package stripe

import (
	"strconv"
	"strings"

	"revstream/ingest/revenue"
)

// MethodOffStripe is the payment method of what was paid outside Stripe.
const MethodOffStripe = "off_stripe"

// settlement is what an invoice says of its payment, in Stripe's units.
type settlement struct {
	// paid is all that was paid, offStripe the part of it outside Stripe. A customer
	// balance that was used up is neither: it was cash, or a gift, before.
	paid, offStripe int64
}

// settlement reads what has been paid on an invoice so far. Up to acacia
// amount_paid leaves out what was paid out of band; from basil on it includes it,
// and only dahlia says how much. Read so, all three come to the same sum.
func (d *reader) settlement(o object) settlement {
	paid, given := d.integer(o, "amount_paid")
	if !given && o.Flag("paid") { // before 2018 there was only what is due
		paid = d.units(o, "amount_due")
	}
	s := settlement{paid: paid}
	if paid < 0 || paid > revenue.AmountMax {
		d.invalid("amount_paid", "%d is not an amount", paid)
	}
	switch {
	case o.Has("amount_paid_off_stripe"):
		s.offStripe = min(d.units(o, "amount_paid_off_stripe"), s.paid)
	case o.Flag("paid_out_of_band"):
		// Whatever Stripe did not collect was paid elsewhere.
		if due := d.units(o, "amount_due"); due > paid {
			s = settlement{paid: due, offStripe: due - paid}
		} else {
			s.offStripe = paid
		}
	}
	return s
}

// invoice reads what an invoice has brought in. invoice.paid and its twin
// invoice.payment_succeeded are one fact; a total of zero (a trial, a full
// discount, a credit) is no money and no fact.
func (d *reader) invoice() {
	o, m := d.object, d.currency(d.object)
	s := d.settlement(o)
	units := s.paid
	if d.config.OffStripe == OffStripeExclude {
		units -= s.offStripe
	}
	if units > 0 {
		d.emit(d.invoiceCharge(m, s, units))
	}
	d.invoiceLinks(m, s)
}

func (d *reader) invoiceCharge(m money, s settlement, units int64) revenue.Event {
	o := d.object
	at := d.seconds(o, "status_transitions.paid_at")
	if at.IsZero() {
		at = d.created
	}
	customer := invoiceCustomer(o)
	group := customer
	if group == "" {
		group = o.ID("id")
	}
	e := d.statement(revenue.KindCharge, o.ID("id"), group, at)
	e.Version = d.told(s.paid)
	e.Amount, e.Currency = d.amount(m, units), m.code
	e.Tax, e.Discount = m.rounded(d.invoiceTax(units)), m.rounded(d.invoiceDiscount())
	e.Customer, e.CustomerName, e.Country = customer, o.Text("customer_name"), o.Text("customer_address.country")
	e.Invoice, e.ExternalID = e.ObjectID, e.ObjectID
	e.Subscription = invoiceSubscription(o)
	e.Payment = invoicePayment(o)
	e.Recurring = e.Subscription != ""
	e.Billing = billingOf(o.Text("billing_reason"), e.Recurring)
	invoiceLine(o, &e.Dimensions)
	var notes map[string]string
	if s.offStripe > 0 && d.config.OffStripe == OffStripeCount {
		e.PaymentMethod = MethodOffStripe
		notes = map[string]string{"off_stripe_amount": strconv.FormatInt(m.rounded(s.offStripe), 10)}
	}
	note(&e.Dimensions, o, notes, "parent.subscription_details.metadata", "subscription_details.metadata", "metadata")
	return e
}

// billingOf is what the reason of an invoice says of its place in the
// subscription. Where it says nothing, the fold derives it.
func billingOf(reason string, recurring bool) revenue.Billing {
	switch {
	case !recurring:
		return revenue.BillingOneTime
	case reason == "subscription_create":
		return revenue.BillingFirst
	case strings.HasPrefix(reason, "subscription_"): // cycle, update, threshold
		return revenue.BillingRenewal
	default:
		return ""
	}
}

// invoiceCustomer is whose group the invoice belongs to.
func invoiceCustomer(o object) string { return o.ID("customer", "customer_account") }

// invoiceSubscription is the subscription that an invoice bills.
func invoiceSubscription(o object) string {
	subscription := o.ID("subscription", "parent.subscription_details.subscription")
	if subscription == "" && strings.HasPrefix(o.Text("billing_reason"), "subscription") {
		for _, line := range list(o, "lines") {
			if subscription = lineSubscription(line); subscription != "" {
				break
			}
		}
	}
	return subscription
}

// invoiceTax is the tax in the given part of an invoice, in Stripe's units. If a
// balance paid the rest, the tax is shared in proportion.
func (d *reader) invoiceTax(units int64) int64 {
	o := d.object
	tax := int64(0)
	if lists := list(o, "total_taxes", "total_tax_amounts"); len(lists) > 0 {
		for _, entry := range lists {
			n, _ := d.integer(entry, "amount")
			tax += n
		}
	} else {
		tax, _ = d.integer(o, "tax")
	}
	tax = max(0, min(tax, revenue.AmountMax))
	if total, _ := d.integer(o, "total"); units < total {
		tax = portion(tax, units, total)
	}
	return min(tax, units)
}

// invoiceDiscount is what discounts took off an invoice, in Stripe's units.
func (d *reader) invoiceDiscount() int64 {
	o := d.object
	discount := int64(0)
	if o.Has("total_discount_amounts") {
		for _, entry := range list(o, "total_discount_amounts") {
			n, _ := d.integer(entry, "amount")
			discount += n
		}
	} else if o.Child("discount") != nil {
		subtotal, _ := d.integer(o, "subtotal")
		tax, _ := d.integer(o, "tax")
		total, _ := d.integer(o, "total")
		discount = subtotal + tax - total
	}
	return max(0, min(discount, revenue.AmountMax))
}

// invoiceLine fills what was sold from the line that an invoice is mainly about.
func invoiceLine(o object, to *revenue.Dimensions) {
	line := mainLine(o)
	if line == nil {
		return
	}
	to.Product, to.Plan = lineProduct(line)
	to.Quantity = line.Count("quantity")
	to.Interval = line.Text("price.recurring.interval", "plan.interval")
	to.IntervalCount = line.Count("price.recurring.interval_count", "plan.interval_count")
}

// mainLine is the greatest line of the subscription itself, or else the greatest
// of all; prorations are about the past.
func mainLine(o object) object {
	var main object
	var best [2]int64
	for _, line := range list(o, "lines") {
		rank := [2]int64{}
		if lineSubscription(line) != "" && !line.Flag("proration",
			"parent.subscription_item_details.proration", "parent.invoice_item_details.proration") {
			rank[0] = 1
		}
		rank[1] = line.Count("amount")
		if main == nil || rank[0] > best[0] || rank[0] == best[0] && rank[1] > best[1] {
			main, best = line, rank
		}
	}
	return main
}

func lineSubscription(line object) string {
	// The oldest versions have the subscription's id as that of its line.
	if id := line.Text("id"); strings.HasPrefix(id, "sub_") {
		return id
	}
	return line.ID("subscription", "parent.subscription_item_details.subscription", "parent.invoice_item_details.subscription")
}

func lineProduct(line object) (product, plan string) {
	return line.ID("price.product", "plan.product", "pricing.price_details.product"),
		line.ID("price", "plan", "pricing.price_details.price")
}
