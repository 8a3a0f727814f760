package polar

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are those of subscriptions, which Polar calls as we do. One that is
// incomplete has not begun.
var statuses = map[string]revenue.Status{
	"incomplete":         "",
	"incomplete_expired": "",
	"trialing":           revenue.StatusTrialing,
	"active":             revenue.StatusActive,
	"past_due":           revenue.StatusPastDue,
	"unpaid":             revenue.StatusUnpaid,
	"paused":             revenue.StatusPaused,
	"canceled":           revenue.StatusCanceled,
}

// subscription states the terms of a subscription from the moment of their rendering
// on, or from its end.
func (e *event) subscription() {
	o := e.o
	status, known := statuses[o.Text("status")]
	if !known {
		e.Invalid("data.status", "%q is no status of a subscription", o.Text("status"))
	}
	if status == "" {
		return
	}
	id := e.RequiredID(o, "id")
	rendered := e.modifiedAt()
	at := rendered
	ended := e.Moment(o, "ended_at")
	if status == revenue.StatusCanceled && ended != nil && ended.Before(at) {
		at = *ended
	}
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), e.customer(), at)
	s.Version = connectors.Version(rendered)
	s.Status, s.Recurring, s.Currency = status, true, e.Currency(o, "currency")
	s.Customer, s.Subscription, s.ExternalID = e.customer(), id, id
	s.Product, s.Plan, s.Quantity = o.ID("product_id", "product"), o.ID("product_id", "product"), o.Count("seats")
	switch {
	case status == revenue.StatusCanceled:
		s.EndsAt, s.CancelRequestedAt = &at, e.requested(at)
	case o.Flag("cancel_at_period_end"):
		s.EndsAt, s.CancelRequestedAt = e.Moment(o, "ends_at", "current_period_end"), e.requested(rendered)
	}
	e.note(&s.Dimensions)
	s.Interval, s.IntervalCount = o.Text("recurring_interval"), max(1, o.Count("recurring_interval_count"))
	s.MRR = e.MRR("data.recurring_interval", e.worth(&s), s.Interval, s.IntervalCount)
	connectors.ListPrice(&s, e.MRR("data.recurring_interval", e.Minor(o, s.Currency, "amount"), s.Interval, s.IntervalCount))
	e.Emit(s)
}

// requested is when the end was asked for.
func (e *event) requested(otherwise time.Time) *time.Time {
	if at := e.Moment(e.o, "canceled_at"); at != nil && !at.After(otherwise) {
		return at
	}
	return &otherwise
}

// worth is what a subscription is charged for each term, in minor units, less a
// discount that lasts as long as it does. One for once or for some months is no matter
// of what it is worth. Meters are charged by what they count, and no part of it.
func (e *event) worth(s *revenue.Event) int64 {
	amount := e.Minor(e.o, s.Currency, "amount")
	discount := e.o.Child("discount")
	switch {
	case discount == nil && e.o.ID("discount_id") != "":
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "discount")
	case discount.Text("duration") != "forever":
	case discount.Value("basis_points") != nil:
		const whole = 10_000
		part := min(whole, max(0, e.Minor(discount, s.Currency, "basis_points")))
		off := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
		amount -= off.Quo(off, big.NewInt(whole)).Int64()
	case discount.Value("amounts."+strings.ToLower(s.Currency)) != nil:
		amount -= e.Minor(discount, s.Currency, "amounts."+strings.ToLower(s.Currency))
	case strings.EqualFold(discount.Text("currency"), s.Currency):
		amount -= e.Minor(discount, s.Currency, "amount")
	default:
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "discount")
	}
	return max(0, amount)
}
