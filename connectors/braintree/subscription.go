package braintree

import (
	"fmt"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// groupOf names the group of a subscription, whose id the shop may choose, apart
// from those of transactions.
func groupOf(subscription string) string { return "subscription/" + subscription }

// statuses are those of subscriptions, each with what orders two renderings of one
// second. One that has not begun yet (Pending) is worth nothing and says nothing.
var statuses = map[string]struct {
	status revenue.Status
	rank   int64
}{
	"Active":   {revenue.StatusActive, 0},
	"Past Due": {revenue.StatusPastDue, 1},
	"Expired":  {revenue.StatusCanceled, 2},
	"Canceled": {revenue.StatusCanceled, 3},
}

// subscriptionCharged reads the newest of the transactions beside the subscription.
// The others were news before.
func (n *notification) subscriptionCharged() {
	o := n.subject.Child("subscription")
	if transactions := o.List("transactions"); len(transactions) > 0 {
		n.money(transactions[0], o)
	} else {
		n.Invalid("subscription.transactions", "is required")
	}
	n.subscription()
}

// subscription states its terms from the moment of the notification on.
func (n *notification) subscription() {
	o := n.subject.Child("subscription")
	at := n.timestamp()
	known, is := statuses[o.Text("status")]
	if !is {
		if status := o.Text("status"); status != "Pending" {
			n.Invalid("subscription.status", "%q is no status of a subscription", status)
		}
		return
	}
	first := n.Time(o, "first_billing_date")
	trial := o.Flag("trial_period") && !first.IsZero()
	if trial {
		n.trial(o)
	}
	s := n.terms(o, at)
	s.Version, s.Status = connectors.Version(at)+known.rank, known.status
	switch {
	case known.status == revenue.StatusCanceled:
		s.EndsAt, s.CancelRequestedAt = &at, &at
	case trial && at.Before(first):
		s.Status = revenue.StatusTrialing
	}
	n.Emit(s)
}

// trial states that the subscription began as one, of which there is no notification.
func (n *notification) trial(o connectors.Object) {
	created := n.Time(o, "created_at")
	if created.IsZero() || !created.Before(n.timestamp()) {
		return
	}
	s := n.terms(o, created)
	s.Status, s.MRR, s.Metadata = revenue.StatusTrialing, 0, nil
	s.Currency, s.Interval, s.IntervalCount, s.MRRBeforeDiscounts = "", "", 0, 0 // of later terms, which this is not about
	// The same whichever notification tells of it, but for the customer.
	if s.Version = 1; s.Customer != "" {
		s.Version = 2
	}
	n.Emit(s)
}

func (n *notification) terms(o connectors.Object, at time.Time) revenue.Event {
	id := n.RequiredID(o, "id")
	s := n.Statement(revenue.KindSubscription, fmt.Sprintf("%s@%d", id, at.UnixMicro()), groupOf(id), at)
	s.Recurring, s.Subscription, s.ExternalID, s.Plan = true, id, id, o.ID("plan_id")
	for _, transaction := range o.List("transactions") {
		if s.Customer == "" {
			s.Customer = transaction.ID("customer.id", "customer_details.id")
		}
		if s.Currency == "" && transaction.Text("currency_iso_code") != "" {
			s.Currency = n.Currency(transaction, "currency_iso_code")
		}
	}
	if s.Currency == "" {
		s.Currency = n.Delivery.Settings["currency"]
	}
	months := n.months(o)
	if months > 0 {
		s.Interval, s.IntervalCount = "month", months
	}
	n.worth(&s, o, months)
	return s
}

// worth is the price with add-ons, less the discounts that never end, per month.
// Without currency or term it is not known, and that is noted.
func (n *notification) worth(s *revenue.Event, o connectors.Object, months int64) {
	var unknown []string
	if s.Currency == "" {
		unknown = append(unknown, "currency")
	}
	if months <= 0 {
		unknown = append(unknown, "billing_period")
	}
	if len(unknown) > 0 {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, strings.Join(unknown, ","))
		return
	}
	list := n.Major(o, s.Currency, "price")
	for _, addOn := range o.List("add_ons") {
		list += n.modification(addOn, s.Currency)
	}
	sum := list
	for _, discount := range o.List("discounts") {
		if discount.Flag("never_expires") {
			sum -= n.modification(discount, s.Currency)
		}
	}
	s.MRR = n.MRR("subscription.price", max(0, sum), "month", months)
	connectors.ListPrice(s, n.MRR("subscription.price", list, "month", months))
}

// modification is what an add-on or discount comes to in each term.
func (n *notification) modification(o connectors.Object, currency string) int64 {
	const quantityMax = 100_000
	quantity := max(1, o.Count("quantity"))
	amount := n.Major(o, currency, "amount")
	if quantity > quantityMax || amount < 0 || amount > revenue.AmountMax/quantityMax {
		n.Invalid("subscription.add_ons.amount", "%d times %d is no amount", quantity, amount)
		return 0
	}
	return amount * quantity
}

// months is the billing term, which plans count in months, by the current period;
// 0 if that is a part of one, or if there is none yet.
func (n *notification) months(o connectors.Object) int64 {
	start, last := n.Time(o, "billing_period_start_date"), n.Time(o, "billing_period_end_date")
	if start.IsZero() || last.IsZero() {
		return 0
	}
	next := last.AddDate(0, 0, 1)
	// A term that begins on the 31st ends before the last of a shorter month.
	if next.Day() != start.Day() && !isLastOfMonth(next) && !isLastOfMonth(start) {
		return 0
	}
	return max(0, int64(next.Year()-start.Year())*12+int64(next.Month()-start.Month()))
}

func isLastOfMonth(day time.Time) bool { return day.AddDate(0, 0, 1).Day() == 1 }
