package stripe

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// itemsSeenInTime is how long after an event items that it does not show are taken for those
// of its moment. A changed quantity leaves no trace in them, so a backfill or a late delivery
// would else set what is now against what was seen when it happened.
const itemsSeenInTime = 10 * time.Minute

// addItems puts into a subscription the items that its body does not show: events and lists
// have the first ten. The API has the others, as they are now. Later says that they may be of
// a later time than the event: what is shown has changed since, or it came long ago. Where
// the API does not say, the subscription still says that there are more.
func (d *reader) addItems(subscription object) (later bool) {
	if !subscription.Flag("items.has_more") {
		return false
	}
	all, ok := d.api.items(subscription.ID("id"))
	if !ok {
		return false
	}
	shown := list(subscription, "items")
	data := slices.Clone(elements(subscription, "items"))
	same := 0
	later = d.delivery.ReceivedAt.Sub(d.created) > itemsSeenInTime
	for _, item := range all {
		at := slices.IndexFunc(shown, func(o object) bool { return o.ID("id") == item.ID("id") })
		switch {
		case at >= 0:
			if unchanged(shown[at], item) {
				same++
			}
		case !d.listed && d.seconds(item, "created").After(d.created):
			later = true // it was not there yet
		default:
			data = append(data, map[string]any(item))
		}
	}
	items := subscription.Child("items")
	items["data"], items["has_more"] = data, false
	return !d.listed && (later || same < len(shown))
}

// unchanged reports whether two renderings of an item are of the same price and quantity.
func unchanged(a, b object) bool {
	return a.ID("price", "plan") == b.ID("price", "plan") && quantityOf(a).Cmp(quantityOf(b)) == 0
}

// itemPagesMax bounds the pages of a subscription's items. Stripe takes 20 items; this is
// for an API that never comes to an end.
const itemPagesMax = 10

// items are all items of a subscription; ok is false if the API does not say.
func (f *fetcher) items(subscription string) (all []object, ok bool) {
	query := url.Values{"subscription": {subscription}, "limit": {strconv.Itoa(pageSize)}, "expand[]": {"data.discounts"}}
	for range itemPagesMax {
		answer := f.get("/v1/subscription_items", query)
		page := list(answer, "data")
		all = append(all, page...)
		if answer == nil || len(page) == 0 || !answer.Flag("has_more") {
			return all, answer != nil
		}
		query.Set("starting_after", page[len(page)-1].ID("id"))
	}
	return nil, false
}
