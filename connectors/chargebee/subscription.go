package chargebee

import (
	"fmt"
	"math/big"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are those of subscriptions. One that is future has not begun; one that
// was transferred goes on under another business entity, as another subscription.
var statuses = map[string]revenue.Status{
	"in_trial":     revenue.StatusTrialing,
	"active":       revenue.StatusActive,
	"non_renewing": revenue.StatusActive,
	"paused":       revenue.StatusPaused,
	"cancelled":    revenue.StatusCanceled,
	"transferred":  revenue.StatusCanceled,
}

// subscription states the terms of a subscription from the moment of their
// rendering on. Moments are whole seconds, as those of cancellations are: what
// happened within one second is one fact, of which the last rendering stands, and
// the end cannot come before it. It returns what it states, nil if that is nothing.
func (e *event) subscription(o connectors.Object) *revenue.Event {
	id := e.RequiredID(o, "id")
	rendered := e.renderedAt(o)
	at := rendered.Truncate(time.Second)
	status, known := statuses[o.Text("status")]
	switch {
	case o.Text("status") == "future" || !begun(o):
		return nil
	case o.Flag("deleted"):
		status = revenue.StatusCanceled
	case !known:
		e.Invalid("content.subscription.status", "%q is no status of a subscription", o.Text("status"))
	}
	end := e.Moment(o, "cancelled_at")
	if status == revenue.StatusCanceled && end != nil && !end.After(at) {
		at = *end
	}
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), e.customer(o), at)
	s.Version = connectors.Version(rendered) + knowledge[e.About.Type]
	s.Status, s.Recurring, s.Currency = status, true, e.currency("subscription")
	s.Customer, s.Subscription, s.ExternalID = e.customer(o), id, id
	switch {
	case status == revenue.StatusCanceled:
		s.EndsAt, s.CancelRequestedAt = &at, e.requested(o, at)
		s.Reason = reason(o)
	case o.Text("status") == "non_renewing":
		if end == nil {
			end = e.Moment(o, "current_term_end")
		}
		s.EndsAt, s.CancelRequestedAt = end, e.requested(o, at)
	case end != nil: // a trial that will not be converted
		s.EndsAt, s.CancelRequestedAt = end, e.requested(o, at)
	}
	describe(&s.Dimensions, o)
	connectors.Note(&s.Dimensions, e.content, "customer.meta_data", "subscription.meta_data")
	e.worth(&s, o)
	e.Emit(s)
	return &s
}

// knowledge is what tells equal renderings of a subscription apart, by the type of their
// event: a list may show what it is worth where its event could not yet, and mrr_updated
// comes after that was worked out.
var knowledge = map[string]int64{"subscription.listed": 1, "mrr_updated": 2}

// begun tells a subscription that was cancelled before it ever began.
func begun(o connectors.Object) bool {
	return o.Text("status") != "cancelled" || o.Value("started_at", "activated_at", "trial_start") != nil
}

// requested is when the end was asked for.
func (e *event) requested(o connectors.Object, otherwise time.Time) *time.Time {
	if at := e.Moment(o, "cancel_schedule_created_at"); at != nil && !at.After(otherwise) {
		return at
	}
	return &otherwise
}

// reason says whether a subscription ended for want of payment.
func reason(o connectors.Object) string {
	switch o.Text("cancel_reason") {
	case "not_paid", "no_card":
		return "delinquent"
	default:
		return ""
	}
}

// worth is what Chargebee says it is, or else, at sites that do not work it out,
// what the recurring items come to.
func (e *event) worth(s *revenue.Event, o connectors.Object) {
	if o.Value("mrr") != nil {
		s.MRR = e.MRR("content.subscription.mrr", e.Minor(o, s.Currency, "mrr"), "month", 1)
		if list, known := e.listed(s, o); known && discounted(o) {
			connectors.ListPrice(s, list)
		}
		return
	}
	e.worthOfTerms(s, o)
}

// worthOfTerms is what the recurring items come to.
func (e *event) worthOfTerms(s *revenue.Event, o connectors.Object) {
	list, known := e.listed(s, o)
	if !known {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "price")
		return
	}
	if discounted(o) {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "discount")
	}
	s.MRR, s.MRRBeforeDiscounts = list, 0
}

// discounted reports whether something is taken off the subscription, of which only the
// name is said.
func discounted(o connectors.Object) bool {
	return len(o.List("coupons"))+len(o.List("discounts")) > 0 || o.Text("coupon") != ""
}

// listed is what the recurring items come to a month, at list prices.
func (e *event) listed(s *revenue.Event, o connectors.Object) (mrr int64, known bool) {
	total, known := e.total(o, s.Currency)
	if !known {
		return 0, false
	}
	return e.MRR("content.subscription.billing_period", total, o.Text("billing_period_unit"), max(1, o.Count("billing_period"))), true
}

// total is what a subscription is charged for each of its terms. Sites have items,
// or a plan and addons.
func (e *event) total(o connectors.Object, currency string) (_ int64, known bool) {
	if o.Text("billing_period_unit") == "" {
		return 0, false
	}
	sum := new(big.Int)
	add := func(part connectors.Object, amount, price, quantity string) {
		known = known || part.Value(amount, price) != nil
		if part.Value(amount) != nil {
			sum.Add(sum, big.NewInt(e.Minor(part, currency, amount)))
			return
		}
		each := big.NewInt(e.Minor(part, currency, price))
		sum.Add(sum, each.Mul(each, big.NewInt(max(1, part.Count(quantity)))))
	}
	for _, item := range o.List("subscription_items") {
		if item.Text("item_type") != "charge" {
			add(item, "amount", "unit_price", "quantity")
		}
	}
	if !o.Has("subscription_items") {
		add(o, "plan_amount", "plan_unit_price", "plan_quantity")
		for _, addon := range o.List("addons") {
			add(addon, "amount", "unit_price", "quantity")
		}
	}
	if !sum.IsInt64() || sum.Int64() > revenue.AmountMax {
		e.Invalid("content.subscription", "comes to %s, which is no amount", sum)
		return 0, false
	}
	return sum.Int64(), known
}

func describe(to *revenue.Dimensions, o connectors.Object) {
	to.Plan, to.Quantity = o.ID("plan_id"), o.Count("plan_quantity")
	for _, item := range o.List("subscription_items") {
		if item.Text("item_type") == "plan" {
			to.Plan, to.Quantity = item.ID("item_price_id"), item.Count("quantity")
		}
	}
	to.Interval, to.IntervalCount = o.Text("billing_period_unit"), o.Count("billing_period")
}
