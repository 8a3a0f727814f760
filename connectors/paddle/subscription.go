package paddle

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// statuses are those of subscriptions, which Paddle calls as we do.
var statuses = map[string]revenue.Status{
	"active":   revenue.StatusActive,
	"trialing": revenue.StatusTrialing,
	"past_due": revenue.StatusPastDue,
	"paused":   revenue.StatusPaused,
	"canceled": revenue.StatusCanceled,
}

// subscription reads the terms of a subscription.
func (e *event) subscription() { e.terms() }

// terms states the terms of a subscription from the moment of their rendering on. Each
// rendering is a fact of its own, named by its moment; created and activated, which come
// together, are one. It returns what it states.
func (e *event) terms() revenue.Event {
	o := e.data
	id := e.RequiredID(o, "id")
	at := e.RequiredTime(o, "updated_at")
	status, known := statuses[o.Text("status")]
	if !known {
		e.Invalid("data.status", "%q is no status of a subscription", o.Text("status"))
	}
	rendered := at
	ended := e.Moment(o, "canceled_at")
	if status == revenue.StatusCanceled && ended != nil {
		at = *ended
	}
	s := e.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), e.customer(id), at)
	s.Version = connectors.Version(rendered)
	s.Status, s.Recurring, s.Currency = status, true, e.Currency(o, "currency_code")
	s.Customer, s.Subscription, s.ExternalID = o.ID("customer_id"), id, id
	switch {
	case status == revenue.StatusCanceled:
		s.EndsAt, s.CancelRequestedAt = &at, &at
	case o.Text("scheduled_change.action") == "cancel":
		s.EndsAt, s.CancelRequestedAt = e.Moment(o, "scheduled_change.effective_at"), &rendered
	}
	describe(&s.Dimensions, mainItem(o))
	connectors.Note(&s.Dimensions, o, "custom_data")
	s.MRR = e.worth(&s, false)
	e.Emit(s)
	e.began(id, at)
	return s
}

// began says which subscription a first payment was for.
func (e *event) began(subscription string, at time.Time) {
	payment := e.data.ID("transaction_id")
	if payment == "" || !strings.HasPrefix(e.About.Type, "subscription.created") {
		return
	}
	a := e.Statement(revenue.KindAttribution, payment, e.customer(subscription), at)
	a.Version = connectors.Version(at)
	a.Original, a.Subscription, a.Customer = payment, subscription, e.data.ID("customer_id")
	e.Emit(a)
}

// worth is what the recurring items come to each month. What Paddle does not say
// is noted in the metadata and left out: a price that is localised in a currency
// that is not given, and what a discount takes off, of which there is but the id. Before
// says that what the items came to is meant, while they were active.
func (e *event) worth(s *revenue.Event, before bool) int64 {
	var unknown []string
	if e.data.Child("discount") != nil && e.data.Value("discount.ends_at") == nil {
		unknown = append(unknown, "discount")
	}
	sum := new(big.Rat)
	for _, item := range e.data.List("items") {
		if !item.Flag("recurring") || item.Text("status") == "inactive" && !before {
			continue
		}
		price, found := priceIn(item.Child("price"), s.Currency)
		if !found {
			unknown = append(unknown, "localised_price")
			continue
		}
		quantity := item.Count("quantity")
		if quantity < 0 || quantity > revenue.AmountMax {
			e.Invalid("data.items.quantity", "%d is no quantity", quantity)
			return 0
		}
		cycle := item.Child("price.billing_cycle")
		if cycle == nil {
			cycle = e.data.Child("billing_cycle")
		}
		factor, err := revenue.MonthlyFactor(cycle.Text("interval"), cycle.Count("frequency"))
		if err != nil {
			e.Invalid("data.items.price.billing_cycle", "%v", err)
			return 0
		}
		total := new(big.Rat).SetInt64(e.Minor(price, s.Currency, "amount"))
		sum.Add(sum, total.Mul(total, factor).Mul(total, new(big.Rat).SetInt64(quantity)))
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, strings.Join(slices.Compact(unknown), ","))
	}
	mrr, err := revenue.MonthlyMRR(sum, "month", 1)
	if err != nil || mrr < 0 || mrr > revenue.AmountMax*revenue.MRRScale {
		e.Invalid("data.items", "come to no monthly worth")
		return 0
	}
	return mrr
}

// priceIn is a price in a currency: its own, or an override of it.
func priceIn(price connectors.Object, currency string) (connectors.Object, bool) {
	own := price.Child("unit_price")
	if strings.EqualFold(own.Text("currency_code"), currency) {
		return own, true
	}
	for _, override := range price.List("unit_price_overrides") {
		if strings.EqualFold(override.Text("unit_price.currency_code"), currency) {
			return override.Child("unit_price"), true
		}
	}
	return nil, false
}

// worthOf is what an item comes to, to tell which is the dearest.
func worthOf(item connectors.Object) int64 {
	amount, _ := strconv.ParseInt(item.Literal("price.unit_price.amount"), 10, 64)
	if quantity := item.Count("quantity"); quantity > 0 && quantity < 1_000_000 && amount < revenue.AmountMax/1_000_000 {
		return amount * quantity
	}
	return amount
}
