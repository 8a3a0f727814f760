package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"revstream/connectors"
)

// flows are the reporting categories of balance transactions that are revenue moving.
// See https://docs.stripe.com/reports/reporting-categories.
var flows = map[string]string{
	"charge": connectors.FlowCharge, "charge_failure": connectors.FlowCharge, "partial_capture_reversal": connectors.FlowCharge,
	"refund": connectors.FlowRefund, "refund_failure": connectors.FlowRefund,
	"dispute": connectors.FlowDispute, "dispute_reversal": connectors.FlowDisputeReversal,
}

// totals sums up Stripe's own books: the balance transactions, which no event and no
// other list is made of. Amounts are in the currency that the customer paid in, which
// for a conversion is that of what the transaction is about.
func (s *source) totals(ctx context.Context, past connectors.Past, window connectors.Window) ([]connectors.DayTotal, error) {
	api := newFetcher(ctx, past.Client, &past.Delivery, past.Connected)
	if api == nil {
		return nil, errors.New("the endpoint has no api_key: set it with `endpoints set`")
	}
	var sums connectors.DayTotals
	for cursor := ""; ; {
		answer, err := api.list("/v1/balance_transactions", window, cursor, url.Values{"expand[]": {"data.source"}})
		if err != nil {
			return nil, err
		}
		for _, transaction := range list(answer, "data") {
			cursor = transaction.ID("id")
			flow, counts := flows[transaction.Text("reporting_category")]
			if !counts {
				continue
			}
			amount, m, err := moved(transaction)
			if err != nil {
				return nil, fmt.Errorf("balance transaction %s: %w", cursor, err)
			}
			sums.Add(time.Unix(transaction.Count("created"), 0), m.code, flow, amount)
		}
		if !answer.Flag("has_more") || cursor == "" {
			break
		}
	}
	return sums.Sorted(), nil
}

// moved is the signed amount of a balance transaction in minor units of what was paid.
func moved(transaction object) (int64, money, error) {
	units, currency := transaction.Count("amount"), transaction.Text("currency")
	if source := transaction.Child("source"); source.Text("currency") != "" && source.Text("currency") != currency {
		theirs := source.Count("amount_captured")
		if !source.Has("amount_captured") {
			theirs = source.Count("amount")
		}
		if units < 0 {
			theirs = -theirs
		}
		units, currency = theirs, source.Text("currency")
	}
	m, known := moneyOf(currency)
	if !known {
		return 0, m, fmt.Errorf("%q is not an ISO 4217 currency", currency)
	}
	minor, whole := m.minor(units)
	if !whole {
		return 0, m, fmt.Errorf("%d is not a whole amount of %s", units, m.code)
	}
	return minor, m, nil
}
