package paddle

import (
	"context"
	"net/url"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// flows are the flows of adjustments that move money, and their direction.
var flows = map[string]struct {
	name      string
	direction int64
}{
	"refund": {connectors.FlowRefund, -1}, "chargeback": {connectors.FlowDispute, -1}, "chargeback_reverse": {connectors.FlowDisputeReversal, 1},
}

// totals sums up the transactions and adjustments of the days of the window. Paddle
// keeps no other books that can be asked for: they show what was not heard and what
// counts twice, not what is read wrongly.
func totals(ctx context.Context, past connectors.Past, window connectors.Window) ([]connectors.DayTotal, error) {
	var sums connectors.DayTotals
	reader := connectors.NewReader(Provider, &past.Delivery, revenue.Delivery{})
	// What was paid within the window has changed since its beginning.
	query := url.Values{"updated_at[GTE]": {window.From.Format(time.RFC3339)}, "status": {"paid,completed"}}
	err := each(ctx, past, "/transactions", query, func(e *event) (more bool) {
		if at := e.paidAt(); window.Contains(at) {
			currency := e.Currency(e.data, "currency_code")
			sums.Add(at, currency, connectors.FlowCharge, e.Minor(e.data, currency, "details.totals.grand_total", "details.totals.total"))
		}
		return true
	}, reader)
	if err != nil {
		return nil, err
	}
	err = each(ctx, past, "/adjustments", url.Values{"status": {"approved"}}, func(e *event) (more bool) {
		at := e.RequiredTime(e.data, "created_at")
		if flow, moves := flows[e.data.Text("action")]; moves && e.data.Text("status") == "approved" && window.Contains(at) {
			currency := e.Currency(e.data, "currency_code", "totals.currency_code")
			sums.Add(at, currency, flow.name, flow.direction*e.Minor(e.data, currency, "totals.total"))
		}
		return !at.Before(window.From) // the newest come first
	}, reader)
	if err != nil {
		return nil, err
	}
	return sums.Sorted(), reader.Fault()
}

// each calls fn with the objects of a list until it wants no more.
func each(ctx context.Context, past connectors.Past, path string, query url.Values, fn func(*event) (more bool), reader *connectors.Reader) error {
	for cursor, more := "", true; more; {
		objects, next, err := list(ctx, past, path, query, cursor)
		if err != nil {
			return err
		}
		for _, o := range objects {
			more = fn(&event{Reader: reader, data: o}) && more
		}
		cursor, more = next, more && next != ""
	}
	return nil
}
