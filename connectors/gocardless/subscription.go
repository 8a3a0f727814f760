package gocardless

import (
	"fmt"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// intervals are the billing terms by the names that GoCardless gives them.
var intervals = map[string]string{"weekly": "week", "monthly": "month", "yearly": "year"}

// subscriptionActive is worth what it is billed, except while a customer still has
// to agree to it.
func (e *event) subscriptionActive() {
	switch e.object.Text("status") {
	case "pending_customer_approval", "customer_approval_denied":
		return
	}
	s := e.subscription(revenue.StatusActive)
	s.EndsAt = e.lastTerm(s.OccurredAt)
	e.Emit(s)
}

func (e *event) subscriptionPaused() { e.Emit(e.subscription(revenue.StatusPaused)) }

// subscriptionEnded is no longer worth anything: cancelled, or all of a number of
// payments that was agreed upon are taken.
func (e *event) subscriptionEnded() {
	s := e.subscription(revenue.StatusCanceled)
	at := s.OccurredAt
	s.EndsAt, s.CancelRequestedAt = &at, &at
	e.Emit(s)
}

// subscription begins a statement about its terms from the moment of the event on.
// Each moment is a fact of its own.
func (e *event) subscription(status revenue.Status) revenue.Event {
	id, at := e.RequiredID(e.object, "id"), e.moment()
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), e.group(id), at)
	s.Version, s.Status, s.Recurring = connectors.Version(at), status, true
	s.Customer, s.Subscription, s.ExternalID = e.customer, id, id
	s.Plan, s.IntervalCount = e.object.Text("name"), max(1, e.object.Count("interval"))
	unit := e.object.Text("interval_unit")
	interval, known := intervals[unit]
	if !known {
		e.Invalid("interval_unit", "%q is no interval of a subscription", unit)
	}
	s.Interval = interval
	s.Currency = e.Currency(e.object, "currency")
	amount := e.Minor(e.object, s.Currency, "amount")
	if known {
		s.MRR = e.MRR("amount", amount, interval, s.IntervalCount)
	}
	connectors.Note(&s.Dimensions, e.object, "metadata")
	return s
}

// lastTerm is when a subscription with an end is over; nil if it has none, or had it
// before the event.
func (e *event) lastTerm(from time.Time) *time.Time {
	end := e.Moment(e.object, "end_date")
	if end == nil || !end.After(from) {
		return nil
	}
	return end
}
