package chargebee

import (
	"context"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// flows are the flows of the types of transactions, and their direction.
var flows = map[string]struct {
	name      string
	direction int64
}{
	"payment": {connectors.FlowCharge, 1}, "refund": {connectors.FlowRefund, -1}, "payment_reversal": {connectors.FlowDispute, -1},
}

// totals sums up the transactions of the days of the window. Chargebee keeps no other
// books: they show what was not heard and what counts twice, not what is read wrongly.
func totals(ctx context.Context, past connectors.Past, window connectors.Window) ([]connectors.DayTotal, error) {
	api, err := newAPI(ctx, past)
	if err != nil {
		return nil, err
	}
	reader := connectors.NewReader(Provider, &past.Delivery, revenue.Delivery{})
	var sums connectors.DayTotals
	for cursor := ""; ; {
		answer, err := api.list("transaction", "date", window, cursor)
		if err != nil {
			return nil, err
		}
		for _, o := range rows(answer, "transaction") {
			flow, moves := flows[o.Text("type")]
			status := o.Text("status")
			reversed := status == "late_failure" && o.ID("reversal_transaction_id") != ""
			at := reader.RequiredTime(o, "date", "settled_at")
			if !moves || o.Flag("deleted") || status != "success" && !reversed || !window.Contains(at) {
				continue
			}
			e := event{Reader: reader, content: connectors.Object{"transaction": map[string]any(o)}}
			currency := e.currency("transaction")
			sums.Add(at, currency, flow.name, flow.direction*e.Minor(o, currency, "amount"))
		}
		if cursor = answer.Literal("next_offset"); cursor == "" {
			break
		}
	}
	return sums.Sorted(), reader.Fault()
}
