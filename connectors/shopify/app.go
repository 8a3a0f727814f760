package shopify

import (
	"fmt"
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are those of an app's subscriptions; what a shop has not agreed to
// (PENDING, ACCEPTED, DECLINED) says nothing. One is frozen while the shop does not
// pay Shopify.
var statuses = map[string]revenue.Status{
	"ACTIVE":    revenue.StatusActive,
	"FROZEN":    revenue.StatusPaused,
	"CANCELLED": revenue.StatusCanceled,
	"EXPIRED":   revenue.StatusCanceled,
}

// terms are the intervals of an app's subscriptions, in days or years.
var terms = map[string]struct {
	interval string
	count    int64
}{
	"EVERY_30_DAYS": {"day", 30},
	"ANNUAL":        {"year", 1},
}

// appSubscription states what a shop's subscription to the app is worth from the
// moment of the rendering on.
func (e *event) appSubscription() {
	o := e.data.Child("app_subscription")
	status, known := statuses[strings.ToUpper(o.Text("status"))]
	if !known {
		return
	}
	id, shop := e.RequiredID(o, "admin_graphql_api_id"), e.RequiredID(o, "admin_graphql_api_shop_id")
	at := e.RequiredTime(o, "updated_at")
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), shop, at)
	s.Version, s.Status, s.Recurring = connectors.Version(at), status, true
	s.Customer, s.Subscription, s.ExternalID, s.Plan = shop, id, id, o.Text("name")
	if status == revenue.StatusCanceled {
		s.EndsAt, s.CancelRequestedAt = &at, &at
	}
	// Older versions of the API do not say the price.
	if term, known := terms[strings.ToUpper(o.Text("interval"))]; known && o.Value("price") != nil {
		s.Interval, s.IntervalCount, s.Currency = term.interval, term.count, e.Currency(o, "currency")
		s.MRR = e.MRR("app_subscription.price", e.Major(o, s.Currency, "price"), term.interval, term.count)
	} else {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "price")
	}
	e.Emit(s)
}
