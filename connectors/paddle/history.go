package paddle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// history reads transactions, adjustments and subscriptions as they are now, which is
// how the last delivery about each would show them; so they are the same facts. What a
// subscription was worth before its last change no list says. See
// developer.paddle.com/api-reference/about/pagination.
func history() *connectors.History {
	return &connectors.History{Streams: []connectors.Stream{
		{Name: "transactions", Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
			return page(ctx, past, window, "/transactions", url.Values{
				"created_at[GTE]": {window.From.Format(time.RFC3339)}, "created_at[LT]": {window.Until.Format(time.RFC3339)},
			}, cursor, (*event).transaction)
		}},
		// These cannot be asked for by when they were created.
		{Name: "adjustments", Whole: true, Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
			return page(ctx, past, window, "/adjustments", url.Values{}, cursor, (*event).adjustment)
		}},
		{Name: "subscriptions", Whole: true, Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
			return page(ctx, past, window, "/subscriptions", url.Values{}, cursor, (*event).subscription)
		}},
	}}
}

// pageSize is the most that Paddle puts on a page of transactions.
const pageSize = "30"

// page reads one page of a list, of which what was created within the window counts.
func page(ctx context.Context, past connectors.Past, window connectors.Window, path string, query url.Values, cursor string, read func(*event)) (connectors.Page, error) {
	delivery := &past.Delivery
	key := delivery.Settings["api_key"]
	if key == "" {
		return connectors.Page{}, errors.New("the endpoint has no api_key: set it with `endpoints set`")
	}
	query.Set("per_page", pageSize)
	if cursor != "" {
		query.Set("after", cursor)
	}
	answer, err := past.Client.Fetch(ctx, delivery.Settings["api_url"], path+"?"+query.Encode(), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Paddle-Version", "1")
	})
	if err != nil {
		return connectors.Page{}, fmt.Errorf("listing %s: %w", path, err)
	}
	var found connectors.Page
	for _, o := range answer.List("data") {
		found.Next = o.ID("id")
		if at, known := connectors.Happened(o, "created_at"); known && (at.Before(window.From) || !at.Before(window.Until)) {
			continue
		}
		e := &event{connectors.NewReader(Provider, delivery, revenue.Delivery{ID: "list:" + o.ID("id"), Type: path[1:] + ".listed"}), o}
		read(e)
		found.Items = append(found.Items, e.Item())
	}
	if !answer.Flag("meta.pagination.has_more") {
		found.Next = ""
	}
	return found, nil
}
