package archive

import (
	"context"
	"fmt"

	"revstream/clickhouse"
	"revstream/ingest/stream"
)

// Find are the newest deliveries that the filter chooses, at most so many. In a
// command, which sees all workspaces, the filter says which.
func Find(ctx context.Context, store *clickhouse.Store, filter clickhouse.DeliveryFilter, limit int) ([]stream.Delivery, error) {
	rows, err := store.Deliveries(ctx, filter, clickhouse.Page{Limit: limit})
	if err != nil {
		return nil, err
	}
	return read(rows)
}

func read(rows []clickhouse.Delivery) ([]stream.Delivery, error) {
	deliveries := make([]stream.Delivery, len(rows))
	for i := range rows {
		d, err := stream.DecodeDelivery([]byte(rows[i].Record))
		if err != nil {
			return nil, fmt.Errorf("reading delivery %s: %w", rows[i].ID, err)
		}
		deliveries[i] = d
	}
	return deliveries, nil
}

// each calls fn with pages of the deliveries that the filter chooses, oldest first.
func each(ctx context.Context, store *clickhouse.Store, filter clickhouse.DeliveryFilter, size int, fn func([]stream.Delivery) error) error {
	page := clickhouse.Page{Limit: size, OldestFirst: true}
	for {
		rows, err := store.Deliveries(ctx, filter, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		deliveries, err := read(rows)
		if err != nil {
			return err
		}
		if err := fn(deliveries); err != nil {
			return err
		}
		last := rows[len(rows)-1]
		page.AfterTime, page.AfterID = last.ReceivedAt, last.ID
	}
}
