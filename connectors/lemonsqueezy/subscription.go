package lemonsqueezy

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are those of subscriptions. One that is cancelled goes on until it
// expires.
var statuses = map[string]revenue.Status{
	"on_trial":  revenue.StatusTrialing,
	"active":    revenue.StatusActive,
	"cancelled": revenue.StatusActive,
	"paused":    revenue.StatusPaused,
	"pause":     revenue.StatusPaused,
	"past_due":  revenue.StatusPastDue,
	"unpaid":    revenue.StatusUnpaid,
	"expired":   revenue.StatusCanceled,
}

// subscription states the terms of a subscription from the moment of their rendering
// on, or from its end, and takes back the order that began it.
func (e *event) subscription(ctx context.Context) error {
	o := e.o
	rendered := e.updatedAt()
	at := rendered
	status, known := statuses[o.Text("status")]
	if !known {
		e.Invalid("data.attributes.status", "%q is no status of a subscription", o.Text("status"))
	}
	ends := e.Moment(o, "ends_at")
	if status == revenue.StatusCanceled && ends != nil && ends.Before(at) {
		at = *ends
	}
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", e.id, at.UnixMicro()), e.customer(), at)
	s.Version = connectors.Version(rendered)
	s.Status, s.Recurring = status, true
	s.Customer, s.Subscription, s.ExternalID = e.customer(), e.id, e.id
	s.Product, s.Plan = o.ID("product_id"), o.ID("variant_id")
	s.Quantity = o.Count("first_subscription_item.quantity")
	switch o.Text("status") {
	case "expired":
		s.EndsAt, s.CancelRequestedAt = &at, &at
	case "cancelled":
		s.EndsAt, s.CancelRequestedAt = ends, &rendered
		if ends == nil {
			s.EndsAt = e.Moment(o, "renews_at")
		}
	}
	e.note(&s.Dimensions)
	if err := e.worth(ctx, &s); err != nil {
		return err
	}
	e.Emit(s)
	e.began()
	return nil
}

// versionLast is that of what no rendering can take back.
const versionLast = 1 << 62

// began takes back the order that a subscription began with, for good: its first
// invoice tells of the same money, and of its refunds.
func (e *event) began() {
	order := e.o.ID("order_id")
	if order == "" {
		return
	}
	for _, kind := range []revenue.Kind{revenue.KindCharge, revenue.KindRefundTotal} {
		t := e.Statement(kind, orderID(order), e.customer(), e.RequiredTime(e.o, "created_at", "updated_at"))
		t.Version, t.Deleted, t.Subscription = versionLast, true, e.id
		e.Emit(t)
	}
}

// worth is what the price of a subscription comes to each month, as the API has it.
// Metered usage is no part of it; what tiers make of it is not worked out.
func (e *event) worth(ctx context.Context, s *revenue.Event) error {
	item := e.o.Child("first_subscription_item")
	if item.Flag("is_usage_based") {
		return nil
	}
	askable := e.Delivery.Settings["api_key"] != "" || len(e.Delivery.Answers.Kept()) > 0
	if !askable || item.ID("price_id") == "" {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "price")
		return nil
	}
	price, err := e.fetch(ctx, "prices", item.ID("price_id"))
	var store connectors.Object
	if err == nil {
		store, err = e.fetch(ctx, "stores", e.o.ID("store_id"))
	}
	switch {
	case errors.Is(err, connectors.ErrMalformed): // the subscription goes on without
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "price")
		return nil
	case errors.As(err, new(*connectors.RefusedError)):
		e.Lacks = err
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "price")
		return nil
	case err != nil:
		return err
	}
	s.Interval, s.IntervalCount = price.Text("renewal_interval_unit"), price.Count("renewal_interval_quantity")
	s.Currency = e.Currency(store, "currency")
	scheme := price.Text("scheme")
	if scheme != "standard" && scheme != "package" || price.Value("unit_price") == nil {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "tiers")
		return nil
	}
	size := max(1, price.Count("package_size"))
	units := max(0, item.Count("quantity"))
	packages := units / size
	if units%size != 0 { // a package begun is one paid
		packages++
	}
	total := new(big.Int).Mul(big.NewInt(e.Minor(price, s.Currency, "unit_price")), big.NewInt(packages))
	if !total.IsInt64() || total.Int64() > revenue.AmountMax {
		e.Invalid("data.attributes.first_subscription_item", "comes to %s, which is no amount", total)
		return nil
	}
	s.MRR = e.MRR("price.renewal_interval_unit", total.Int64(), s.Interval, s.IntervalCount)
	return nil
}
