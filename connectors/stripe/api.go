package stripe

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"revstream/connectors"
)

// apiVersion is the version in which objects are asked for: the last one that shows
// a discount's coupon without its being asked for too.
const apiVersion = "2025-08-27.basil"

// fetcher reads objects from Stripe's API for one event: what cannot change, or what
// the event leaves out and only the API knows.
type fetcher struct {
	fetch func(path string) (object, error)
	held  map[string]object
	// failure is why something could not be read, which the next delivery may; refused is
	// why something will not be as long as the key is this one, and counts as unknown.
	failure, refused error
}

// newFetcher is nil without an API key: then nothing is fetched. A delivery of an endpoint
// that had one is read with what was fetched then: a replay must not forget it.
func newFetcher(ctx context.Context, client connectors.Client, delivery *connectors.Delivery, connected string) *fetcher {
	key := delivery.Settings["api_key"]
	if key == "" && len(delivery.Answers.Kept()) > 0 {
		return &fetcher{held: map[string]object{}, fetch: client.Recall}
	}
	if key == "" {
		return nil
	}
	authorise := func(request *http.Request) {
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("Stripe-Version", apiVersion)
		if connected != "" {
			request.Header.Set("Stripe-Account", connected)
		}
	}
	return &fetcher{held: map[string]object{}, fetch: func(path string) (object, error) {
		return client.Fetch(ctx, delivery.Settings["api_url"], path, authorise)
	}}
}

// get is the object at a path; nil if there is none, or it cannot be read. It is asked for
// once.
func (f *fetcher) get(path string, query url.Values) object {
	key := path + "?" + query.Encode()
	o, known := f.held[key]
	if !known {
		o = f.ask(path, query)
		f.held[key] = o
	}
	return o
}

// ask is get of what is read once, and not kept.
func (f *fetcher) ask(path string, query url.Values) object {
	if f.failure != nil {
		return nil
	}
	o, err := f.fetch(path + "?" + query.Encode())
	switch {
	case err == nil, errors.Is(err, connectors.ErrMalformed):
	case errors.As(err, new(*connectors.RefusedError)):
		f.refused = cmp.Or(f.refused, err)
	default:
		f.failure = err
	}
	return o
}

// fetchLinks states which invoices a payment intent paid, as the API says; ok is
// false if it does not say.
func (d *reader) fetchLinks(m money, units int64) (ok bool) {
	if d.api == nil {
		return false
	}
	payment := d.object.ID("id")
	answer := d.api.get("/v1/invoice_payments", url.Values{
		"payment[type]": {"payment_intent"}, "payment[payment_intent]": {payment}, "limit": {"100"}, "expand[]": {"data.invoice"},
	})
	for _, allocation := range list(answer, "data") {
		if allocation.Text("status") == "canceled" {
			continue
		}
		// One that is still open is about to be paid by this very payment.
		part := cmp.Or(d.units(allocation, "amount_paid"), d.units(allocation, "amount_requested"), units)
		invoice := allocation.Child("invoice")
		if invoice == nil {
			invoice = object{"id": allocation.ID("invoice")}
		}
		d.emit(d.invoiceLink(invoice, payment, m, min(part, units)))
	}
	return answer != nil
}

// complete is a subscription with what its events leave out: items beyond the tenth (see
// addItems for later), the tiers of prices, which never change, what they are in its
// currency if that is not their first, and the discounts, as far as it still has them.
func (d *reader) complete(subscription object) (full object, later bool) {
	if d.api == nil {
		return subscription, false
	}
	subscription, _ = clone(map[string]any(subscription)).(map[string]any)
	later = d.addItems(subscription)
	for _, line := range itemsOf(subscription) {
		d.completePrice(line.Child("price", "plan"), cmp.Or(subscription.Text("currency"), firstCurrency(subscription)))
		d.completeDiscounts(elements(line, "discounts"))
	}
	d.completeDiscounts(elements(subscription, "discounts"))
	return subscription, later
}

// clone is a value of JSON, of which nothing is shared with the original.
func clone(value any) any {
	switch value := value.(type) {
	case map[string]any:
		copied := maps.Clone(value)
		for name := range copied {
			copied[name] = clone(copied[name])
		}
		return copied
	case []any:
		copied := slices.Clone(value)
		for i := range copied {
			copied[i] = clone(copied[i])
		}
		return copied
	default:
		return value
	}
}

// completePrice puts into a price what it is in a currency.
func (d *reader) completePrice(price object, currency string) {
	path := "/v1/prices/" + url.PathEscape(price.ID("id"))
	tiered := price.Text("billing_scheme") == "tiered"
	if code := price.Text("currency"); code != "" && !strings.EqualFold(code, currency) {
		expand := url.Values{"expand[]": {"currency_options"}}
		if tiered {
			expand.Add("expand[]", "currency_options."+strings.ToLower(currency)+".tiers")
		}
		if price.Child("currency_options") == nil {
			price["currency_options"] = d.api.get(path, expand).Value("currency_options")
		}
	} else if tiered && len(list(price, "tiers")) == 0 {
		price["tiers"] = d.api.get(path, url.Values{"expand[]": {"tiers"}}).Value("tiers")
	}
}

// completeDiscounts replaces the discounts that are given by their id alone.
func (d *reader) completeDiscounts(discounts []any) {
	for i, discount := range discounts {
		id, bare := discount.(string)
		if !bare {
			continue
		}
		full := d.api.get("/v1/subscriptions/"+url.PathEscape(d.object.ID("id")), url.Values{"expand[]": {"discounts", "items.data.discounts"}})
		known := list(full, "discounts")
		for _, line := range list(full, "items") {
			known = append(known, list(line, "discounts")...)
		}
		for _, candidate := range known {
			if candidate.ID("id") == id {
				discounts[i] = map[string]any(candidate)
			}
		}
	}
}
