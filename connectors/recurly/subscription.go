package recurly

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are the states of subscriptions. One that is canceled goes on until it
// expires; one that failed never began, and one that is future not yet.
var statuses = map[string]revenue.Status{
	"active":   revenue.StatusActive,
	"canceled": revenue.StatusActive,
	"paused":   revenue.StatusPaused,
	"expired":  revenue.StatusCanceled,
	"failed":   "",
	"future":   "",
}

// readSubscription reads the subscription that a webhook names, and its plan, which
// says how long its terms are.
func (e *event) readSubscription(ctx context.Context) error {
	o, err := e.fetch(ctx, "subscriptions", e.id())
	if err != nil {
		return err
	}
	if statuses[o.Text("state")] != "" {
		plan, err := e.fetch(ctx, "plans", o.ID("plan"))
		if err != nil {
			return err
		}
		e.subscription(o, plan)
	} else if _, known := statuses[o.Text("state")]; !known {
		e.Invalid("state", "%q is no state of a subscription", o.Text("state"))
	}
	return nil
}

// subscription states the terms of a subscription from the moment of their rendering
// on, or from its end.
func (e *event) subscription(o, plan connectors.Object) {
	id := e.RequiredID(o, "id")
	rendered := e.updatedAt(o)
	at, status := rendered, statuses[o.Text("state")]
	expires := e.Moment(o, "expires_at")
	if status == revenue.StatusCanceled && expires != nil && expires.Before(at) {
		at = *expires
	}
	if trialEnd := e.Moment(o, "trial_ends_at"); status == revenue.StatusActive && trialEnd != nil && trialEnd.After(rendered) {
		status = revenue.StatusTrialing
	}
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), e.account(o), at)
	s.Version = connectors.Version(rendered)
	s.Status, s.Recurring, s.Currency = status, true, e.Currency(o, "currency")
	s.Customer, s.Subscription, s.ExternalID = o.ID("account.code", "account"), id, id
	s.Plan, s.Quantity = o.ID("plan.code", "plan"), o.Count("quantity")
	switch o.Text("state") {
	case "expired":
		s.EndsAt, s.CancelRequestedAt = &at, e.Moment(o, "canceled_at")
		if s.CancelRequestedAt == nil || s.CancelRequestedAt.After(at) {
			s.CancelRequestedAt = &at
		}
		s.Reason = reason(o)
	case "canceled":
		s.EndsAt, s.CancelRequestedAt = expires, e.Moment(o, "canceled_at")
		if s.EndsAt == nil {
			s.EndsAt = e.Moment(o, "current_period_ends_at")
		}
		if s.CancelRequestedAt == nil {
			s.CancelRequestedAt = &rendered
		}
	}
	note(&s.Dimensions, o)
	e.worth(&s, o, plan)
	e.Emit(s)
}

// reason says whether a subscription expired for want of payment.
func reason(o connectors.Object) string {
	because := strings.ToLower(o.Text("expiration_reason"))
	if strings.Contains(because, "payment") || strings.Contains(because, "dunning") {
		return "delinquent"
	}
	return ""
}

// note takes the custom fields, a list of names and values, as metadata.
func note(to *revenue.Dimensions, o connectors.Object) {
	fields := map[string]any{}
	for _, field := range o.List("custom_fields") {
		if name := field.Text("name"); name != "" {
			fields[name] = field.Value("value")
		}
	}
	connectors.Note(to, connectors.Object{"fields": fields}, "fields")
}

// worth is what the plan and the add-ons of a fixed price come to each month. What
// tiers, usage and coupons make of it is noted, and left out.
func (e *event) worth(s *revenue.Event, o, plan connectors.Object) {
	var unknown []string
	sum := new(big.Int)
	add := func(part connectors.Object) {
		each := big.NewInt(e.Major(part, s.Currency, "unit_amount"))
		quantity := int64(1)
		if part.Value("quantity") != nil {
			quantity = part.Count("quantity")
		}
		sum.Add(sum, each.Mul(each, big.NewInt(max(0, quantity))))
	}
	add(o)
	for _, part := range o.List("add_ons") {
		switch {
		case part.Text("add_on.add_on_type") == "usage":
		case part.Value("unit_amount") == nil:
			unknown = append(unknown, "tiers")
		default:
			add(part)
		}
	}
	if o.Value("unit_amount") == nil {
		unknown = append(unknown, "price")
	}
	if len(o.List("coupon_redemptions")) > 0 {
		unknown = append(unknown, "discount")
	}
	if len(unknown) > 0 {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, strings.Join(slices.Compact(unknown), ","))
	}
	if !sum.IsInt64() || sum.Int64() > revenue.AmountMax {
		e.Invalid("unit_amount", "%s is no amount", sum)
		return
	}
	s.Interval, s.IntervalCount = termOf(plan)
	s.MRR = e.MRR("plan.interval_unit", sum.Int64(), s.Interval, s.IntervalCount)
}

// termOf is how long the terms of a plan are. Recurly has days and months; seven days
// are a week, of which there are 52 in a year.
func termOf(plan connectors.Object) (interval string, count int64) {
	interval, count = strings.TrimSuffix(plan.Text("interval_unit"), "s"), plan.Count("interval_length")
	if interval == "day" && count > 0 && count%7 == 0 {
		return "week", count / 7
	}
	return interval, count
}
