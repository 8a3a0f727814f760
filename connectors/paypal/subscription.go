package paypal

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// groupOf names the group of a subscription apart from those of payments.
func groupOf(subscription string) string { return "subscription/" + subscription }

// statuses are those of subscriptions that are or were in force; before that
// (APPROVAL_PENDING, APPROVED) they say nothing.
var statuses = map[string]revenue.Status{
	"ACTIVE":    revenue.StatusActive,
	"SUSPENDED": revenue.StatusPaused,
	"CANCELLED": revenue.StatusCanceled,
	"EXPIRED":   revenue.StatusCanceled,
}

// subscription states its terms from the moment of their rendering on.
func (e *event) subscription() {
	o := e.agreement
	status, known := statuses[o.Text("status")]
	if !known {
		switch o.Text("status") {
		case "APPROVAL_PENDING", "APPROVED":
		default:
			e.Invalid("resource.status", "%q is no status of a subscription", o.Text("status"))
		}
		return
	}
	at := e.Time(o, "update_time", "status_update_time")
	if at.IsZero() {
		at = e.RequiredTime(e.data, "create_time")
	}
	s := e.terms(at)
	s.Status = status
	switch {
	case status == revenue.StatusCanceled:
		s.EndsAt, s.CancelRequestedAt = &at, &at
	case status == revenue.StatusActive && inTrial(o):
		s.Status = revenue.StatusTrialing
	}
	e.Emit(s)
}

// inForce states the terms of a subscription from a payment of it on, for there is
// no event of a trial's end.
func (e *event) inForce() {
	if e.agreement == nil || inTrial(e.agreement) {
		return
	}
	s := e.terms(e.createdAt())
	s.Status = revenue.StatusActive
	e.Emit(s)
}

// terms begins a statement about the subscription from a moment on.
func (e *event) terms(at time.Time) revenue.Event {
	o := e.agreement
	id := e.RequiredID(o, "id")
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), groupOf(id), at)
	s.Version, s.Recurring = connectors.Version(at), true
	s.Subscription, s.ExternalID, s.Plan = id, id, o.ID("plan_id")
	s.Customer, s.Country = o.ID("subscriber.payer_id"), o.Text("subscriber.shipping_address.address.country_code")
	s.Quantity = e.quantity()
	own := connectors.Object{}
	if custom := o.Text("custom_id"); custom != "" {
		own["custom_id"] = custom
	}
	if unknown := e.worth(&s); unknown != "" {
		own[connectors.MRRUnknown] = unknown
	}
	connectors.Note(&s.Dimensions, connectors.Object{"own": map[string]any(own)}, "own")
	return s
}

// inTrial says that a cycle of a trial is running, or to come.
func inTrial(o connectors.Object) bool {
	for _, cycle := range o.List("billing_info.cycle_executions") {
		if cycle.Text("tenure_type") == "REGULAR" && cycle.Count("cycles_completed") > 0 {
			return false
		}
	}
	for _, cycle := range o.List("billing_info.cycle_executions") {
		if cycle.Text("tenure_type") == "TRIAL" && (cycle.Count("cycles_remaining") > 0 || cycle.Count("cycles_completed") == 0) {
			return true
		}
	}
	return false
}

// quantity is 1 unless the subscription says otherwise.
func (e *event) quantity() int64 {
	text := e.agreement.Literal("quantity")
	if text == "" {
		return 1
	}
	quantity, err := strconv.ParseInt(text, 10, 64)
	if err != nil || quantity < 0 || quantity > 1_000_000 {
		e.Invalid("resource.quantity", "%q is no quantity", text)
		return 0
	}
	return quantity
}

// worth is the price of the regular cycle per month, without the tax that it may
// include. It returns what is missing to tell it.
func (e *event) worth(s *revenue.Event) (unknown string) {
	cycle := regular(e.plan)
	price := regular(e.agreement.Child("plan")).Child("pricing_scheme.fixed_price")
	if price == nil {
		price = cycle.Child("pricing_scheme.fixed_price")
	}
	switch {
	case cycle == nil:
		return "plan"
	case price == nil:
		return "tiers"
	}
	s.Product, s.Interval = e.plan.ID("product_id"), strings.ToLower(cycle.Text("frequency.interval_unit"))
	s.IntervalCount = max(1, cycle.Count("frequency.interval_count"))
	s.Currency = e.Currency(price, "currency_code")
	factor, err := revenue.MonthlyFactor(s.Interval, s.IntervalCount)
	if err != nil {
		e.Invalid("plan.billing_cycles.frequency", "%v", err)
		return ""
	}
	total := new(big.Rat).SetInt64(e.Major(price, s.Currency, "value"))
	total.Mul(total, factor).Mul(total, new(big.Rat).SetInt64(s.Quantity))
	if e.plan.Flag("taxes.inclusive") {
		total.Quo(total, e.withTax())
	}
	mrr, err := revenue.MonthlyMRR(total, "month", 1)
	if err != nil || mrr < 0 || mrr > revenue.AmountMax*revenue.MRRScale {
		e.Invalid("plan.billing_cycles.pricing_scheme.fixed_price", "comes to no monthly worth")
		return ""
	}
	s.MRR = mrr
	return ""
}

// withTax is how many times the net price the gross one is.
func (e *event) withTax() *big.Rat {
	const thousandths = "KWD" // a currency of three decimals, as percentages have at most
	percentage, err := revenue.ParseAmount(e.plan.Literal("taxes.percentage"), thousandths)
	if err != nil || percentage < 0 {
		e.Invalid("plan.taxes.percentage", "is no percentage")
		return big.NewRat(1, 1)
	}
	return new(big.Rat).Add(big.NewRat(1, 1), big.NewRat(percentage, 100_000))
}

// regular is the cycle of a plan that goes on; there is one at most.
func regular(plan connectors.Object) connectors.Object {
	for _, cycle := range plan.List("billing_cycles") {
		if cycle.Text("tenure_type") == "REGULAR" {
			return cycle
		}
	}
	return nil
}
