package paddle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// eventsKeptFor is how far back Paddle shows events; see
// developer.paddle.com/api-reference/events/list-events.
const eventsKeptFor = 90 * 24 * time.Hour

// history reads events first, because they are what deliveries are and say it best; then
// transactions, adjustments and subscriptions of the time before as they are now, which is
// how the last delivery about each would show them; so they are the same facts. What
// counts is when they changed, so that what happened lately to an old object is found
// as well. See developer.paddle.com/api-reference/about/pagination.
func history() *connectors.History {
	return &connectors.History{
		Streams: []connectors.Stream{
			{Name: "events", KeptFor: eventsKeptFor, Whole: true, Page: events},
			{Name: "transactions", Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
				return page(ctx, past, window, "/transactions", changedWithin(window), cursor, (*event).transaction)
			}},
			// These cannot be asked for by when they changed.
			{Name: "adjustments", Whole: true, Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
				return page(ctx, past, window, "/adjustments", url.Values{}, cursor, (*event).adjustment)
			}},
			{Name: "subscriptions", Whole: true, Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
				return page(ctx, past, window, "/subscriptions", url.Values{}, cursor, (*event).listedSubscription)
			}},
		},
		Totals: totals,
	}
}

// events reads a page of the events, newest first, which cannot be asked for by time: they
// are read back to the window's beginning.
func events(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
	types := url.Values{"event_type": {strings.Join(slices.Sorted(maps.Keys(readers)), ",")}}
	envelopes, next, err := list(ctx, past, "/events", types, cursor)
	if err != nil {
		return connectors.Page{}, err
	}
	found := connectors.Page{Next: next}
	for _, envelope := range envelopes {
		item := readEvent(&past.Delivery, envelope)
		if item.At.IsZero() || window.Contains(item.At) {
			found.Items = append(found.Items, item)
		}
		// They are in the order of their ids, which is that of time but for a moment.
		if !item.At.IsZero() && item.At.Before(window.From.Add(-eventsAskew)) {
			found.Next = ""
		}
	}
	return found, nil
}

// eventsAskew is how far the order of events' ids may be from that of their times.
const eventsAskew = time.Hour

// changedWithin asks for transactions that changed within a window.
func changedWithin(window connectors.Window) url.Values {
	return url.Values{"updated_at[GTE]": {window.From.Format(time.RFC3339)}, "updated_at[LT]": {window.Until.Format(time.RFC3339)}}
}

// page reads one page of a list, of which what changed within the window counts.
func page(ctx context.Context, past connectors.Past, window connectors.Window, path string, query url.Values, cursor string, read func(*event)) (connectors.Page, error) {
	objects, next, err := list(ctx, past, path, query, cursor)
	if err != nil {
		return connectors.Page{}, err
	}
	found := connectors.Page{Next: next}
	for _, o := range objects {
		if at, known := changedAt(o); known && !window.Contains(at) {
			continue
		}
		e := &event{
			Reader: connectors.NewReader(Provider, &past.Delivery, revenue.Delivery{ID: "list:" + o.ID("id"), Type: path[1:] + ".listed"}),
			data:   o, heard: past.Heard,
		}
		read(e)
		found.Items = append(found.Items, e.Item())
	}
	return found, nil
}

// changedAt is when an object changed last. Adjustments that never did say the year 1.
func changedAt(o connectors.Object) (at time.Time, known bool) {
	if at, known = connectors.Happened(o, "updated_at"); known {
		return at, true
	}
	return connectors.Happened(o, "created_at")
}

// pageSize is the most that Paddle puts on any page; where it puts fewer, it does so
// whatever is asked for.
const pageSize = "200"

// list asks for a page, newest first, and says where the next begins.
func list(ctx context.Context, past connectors.Past, path string, query url.Values, cursor string) (objects []connectors.Object, next string, err error) {
	settings := past.Delivery.Settings
	key := settings["api_key"]
	if key == "" {
		return nil, "", errors.New("the endpoint has no api_key: set it with `endpoints set`")
	}
	query.Set("per_page", pageSize)
	if cursor != "" {
		query.Set("after", cursor)
	}
	answer, err := past.Client.Fetch(ctx, settings["api_url"], path+"?"+query.Encode(), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Paddle-Version", "1")
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing %s: %w", path, err)
	}
	objects = answer.List("data")
	if answer.Flag("meta.pagination.has_more") && len(objects) > 0 {
		next = objects[len(objects)-1].ID("id", "event_id")
	}
	return objects, next, nil
}

// listedSubscription reads a subscription as it is now, and of the time before events
// told of it what it must have been: the same terms since it began.
func (e *event) listedSubscription() {
	now := e.terms()
	began := e.Time(e.data, "started_at")
	if began.IsZero() || !began.Before(e.heard) {
		return // it has not begun, or events tell
	}
	before := now
	before.MRR = e.worth(&before, true)
	trial := mainItem(e.data).Child("trial_dates")
	if trial == nil {
		e.Presume(before, revenue.StatusActive, began)
		return
	}
	e.Presume(before, revenue.StatusTrialing, began)
	if converted := e.Time(trial, "ends_at"); converted.After(began) && converted.Before(now.OccurredAt) {
		e.Presume(before, revenue.StatusActive, converted)
	}
}
