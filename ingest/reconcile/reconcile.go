// Package reconcile compares the money that providers say they moved with the ledger,
// by day, currency and flow: when it is asked to, and every night. Both sides are read
// independently, so it is the check that each cent was heard of and counted once.
package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"revstream/clickhouse"
	"revstream/connectors"
)

// Outcome is what a comparison found.
type Outcome struct {
	// Totals is how many the provider has.
	Totals int
	// Differences are all that there are, in order of days.
	Differences []clickhouse.TotalDifference
}

// Run compares a past with the ledger.
func Run(ctx context.Context, connector connectors.Connector, past connectors.Past, window connectors.Window, ledger *clickhouse.Store) (Outcome, error) {
	theirs, err := connector.History.Totals(ctx, past, window)
	if err != nil {
		return Outcome{}, fmt.Errorf("asking %s: %w", connector.Title, err)
	}
	ours, err := ledger.ProviderTotals(ctx, clickhouse.ProviderAccount{
		Workspace: past.Delivery.Workspace, Provider: connector.Provider,
		Account: cmp.Or(past.Connected, past.Delivery.Account), Livemode: past.Delivery.Livemode,
	}, window.From, window.Until)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{len(theirs), compare(theirs, ours)}, nil
}

// compare lists every difference.
func compare(theirs []connectors.DayTotal, ours []clickhouse.ProviderTotal) []clickhouse.TotalDifference {
	type key struct {
		day            time.Time
		currency, flow string
	}
	sums := map[key]*clickhouse.TotalDifference{}
	at := func(day time.Time, currency, flow string) *clickhouse.TotalDifference {
		k := key{day.UTC(), currency, flow}
		if sums[k] == nil {
			sums[k] = &clickhouse.TotalDifference{Day: k.day, Currency: currency, Flow: flow}
		}
		return sums[k]
	}
	for _, t := range theirs {
		at(t.Day, t.Currency, t.Flow).Theirs += t.Amount
	}
	for _, t := range ours {
		at(t.Day, t.Currency, t.Flow).Ours += t.Amount
	}
	var differences []clickhouse.TotalDifference
	for _, d := range sums {
		if d.Theirs != d.Ours {
			differences = append(differences, *d)
		}
	}
	slices.SortFunc(differences, func(a, b clickhouse.TotalDifference) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Flow, b.Flow))
	})
	return differences
}
