package chargebee

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// eventsKeptFor is how far back Chargebee shows events.
const eventsKeptFor = 90 * 24 * time.Hour

// history reads what Chargebee has of the past. Events come first, because they are what
// deliveries are and say it best; then the objects of the time before, as they are now.
// All are asked for by when they changed, so that what happened lately to an old object
// is found as well. See apidocs.chargebee.com/docs/api/list-ops.
func history() *connectors.History {
	transactions := list{kind: "transaction", by: "updated_at", read: (*event).listedTransaction, beside: map[string]func(connectors.Object) string{
		"invoice": soleInvoice, "customer": customerOf, "subscription": subscriptionOf,
	}}
	subscriptions := list{kind: "subscription", by: "updated_at", read: (*event).listedSubscription, beside: map[string]func(connectors.Object) string{
		"customer": customerOf,
	}}
	return &connectors.History{
		Streams: []connectors.Stream{
			{Name: "events", KeptFor: eventsKeptFor, Page: list{kind: "event", by: "occurred_at"}.page},
			{Name: "transactions", Page: transactions.page},
			{Name: "subscriptions", Page: subscriptions.page},
		},
		Totals: totals,
	}
}

// list is one of Chargebee's lists.
type list struct {
	// kind is what it lists, and by the time that it is asked for by.
	kind, by string
	// read reads an object as if an event told of it; nil if it is one.
	read func(*event)
	// beside are the objects that events show beside such a one, by their kind, each
	// with how their id is found.
	beside map[string]func(connectors.Object) string
}

// page reads one page, oldest first.
func (l list) page(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
	api, err := newAPI(ctx, past)
	if err != nil {
		return connectors.Page{}, err
	}
	answer, err := api.list(l.kind, l.by, window, cursor)
	if err != nil {
		return connectors.Page{}, err
	}
	objects := rows(answer, l.kind)
	related, err := l.related(api, objects)
	if err != nil {
		return connectors.Page{}, err
	}
	page := connectors.Page{Next: answer.Literal("next_offset")}
	for _, o := range objects {
		if l.read == nil {
			page.Items = append(page.Items, readEvent(&past.Delivery, o))
			continue
		}
		content := connectors.Object{l.kind: map[string]any(o)}
		for kind, idOf := range l.beside {
			if beside := related[kind+idOf(o)]; beside != nil {
				content[kind] = map[string]any(beside)
			}
		}
		page.Items = append(page.Items, l.listed(past, o, content))
	}
	return page, nil
}

// related looks up the objects that events would show beside those of a page: one
// request for each kind.
func (l list) related(api api, objects []connectors.Object) (map[string]connectors.Object, error) {
	found := map[string]connectors.Object{}
	for kind, idOf := range l.beside {
		var ids []string
		for _, o := range objects {
			if id := idOf(o); id != "" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			continue
		}
		wanted, err := json.Marshal(ids)
		if err != nil {
			return nil, fmt.Errorf("asking for %d of %s: %w", len(ids), kind, err)
		}
		answer, err := api.get(kind, url.Values{"id[in]": {string(wanted)}, "limit": {pageSize}, "include_deleted": {"true"}})
		if err != nil {
			return nil, err
		}
		for _, o := range rows(answer, kind) {
			found[kind+o.ID("id")] = o
		}
	}
	return found, nil
}

// listed reads an object of a list, beside those that an event would show with it.
func (l list) listed(past connectors.Past, o, content connectors.Object) connectors.Item {
	e := &event{
		Reader:  connectors.NewReader(Provider, &past.Delivery, revenue.Delivery{ID: "list:" + o.ID("id"), Type: l.kind + ".listed"}),
		content: content, heard: past.Heard,
	}
	e.occurredAt = e.RequiredTime(o, "updated_at", "resource_version", "date", "created_at")
	l.read(e)
	return e.Item()
}

// The ids of what events show beside a transaction or subscription. A payment of
// several invoices is of none of them in particular.
func soleInvoice(o connectors.Object) string {
	if linked := o.List("linked_invoices"); len(linked) == 1 {
		return linked[0].ID("invoice_id")
	}
	return ""
}

func customerOf(o connectors.Object) string     { return o.ID("customer_id") }
func subscriptionOf(o connectors.Object) string { return o.ID("subscription_id") }

func (e *event) listedTransaction() { e.transaction(e.content.Child("transaction")) }

// listedSubscription reads a subscription as it is now, and of the time before events
// told of it what it must have been: the same terms since it began.
func (e *event) listedSubscription() {
	o := e.content.Child("subscription")
	now := e.subscription(o)
	began := e.Time(o, "started_at", "activated_at")
	if now == nil || began.IsZero() || !began.Before(e.heard) {
		return // it never was one, or events tell
	}
	before := *now
	if now.Status == revenue.StatusCanceled { // and worth nothing any more
		e.worthOfTerms(&before, o)
	}
	activated := e.Time(o, "activated_at", "trial_end")
	if o.Value("trial_start") == nil {
		e.Presume(before, revenue.StatusActive, began)
		return
	}
	e.Presume(before, revenue.StatusTrialing, began)
	if activated.Before(now.OccurredAt) && activated.After(began) {
		e.Presume(before, revenue.StatusActive, activated)
	}
}

// api reads from the API of a site.
type api struct {
	ctx       context.Context
	client    connectors.Client
	base      string
	authorise func(*http.Request)
}

func newAPI(ctx context.Context, past connectors.Past) (api, error) {
	settings := past.Delivery.Settings
	key, base := settings[keySetting], settings[addressSetting]
	if key == "" || base == "" {
		return api{}, fmt.Errorf("the endpoint has no %s or no %s: set them with `endpoints set`", keySetting, addressSetting)
	}
	return api{ctx, past.Client, base, func(r *http.Request) { r.SetBasicAuth(key, "") }}, nil
}

// pageSize is the most that Chargebee puts on a page.
const pageSize = "100"

// list asks for a page of a list. Chargebee does not say whether the bounds are part of
// the range, so it is asked for a second more: what comes twice costs nothing.
func (a api) list(kind, by string, window connectors.Window, cursor string) (connectors.Object, error) {
	query := url.Values{
		"limit": {pageSize}, "sort_by[asc]": {by},
		by + "[between]": {"[" + strconv.FormatInt(window.From.Unix()-1, 10) + "," + strconv.FormatInt(window.Until.Unix(), 10) + "]"},
	}
	if kind != "event" {
		query.Set("include_deleted", "true")
	}
	if cursor != "" {
		query.Set("offset", cursor)
	}
	return a.get(kind, query)
}

// get asks for objects of a kind.
func (a api) get(kind string, query url.Values) (connectors.Object, error) {
	answer, err := a.client.Fetch(a.ctx, a.base, "/"+kind+"s?"+query.Encode(), a.authorise)
	if err != nil {
		return nil, fmt.Errorf("listing %ss: %w", kind, err)
	}
	return answer, nil
}

// rows are the objects of a kind in an answer.
func rows(answer connectors.Object, kind string) []connectors.Object {
	var objects []connectors.Object
	for _, row := range answer.List("list") {
		if o := row.Child(kind); o != nil {
			objects = append(objects, o)
		}
	}
	return objects
}
