package clickhouse

import (
	"context"
	"fmt"
	"time"
)

// ProviderTotal is the money of one flow that the ledger has on a UTC day: charge,
// refund, dispute or dispute_reversal, signed, in minor units.
type ProviderTotal struct {
	Day      time.Time `ch:"day"`
	Currency string    `ch:"currency"`
	Flow     string    `ch:"flow"`
	Amount   int64     `ch:"amount"`
}

// ProviderAccount is whose money is summed up.
type ProviderAccount struct {
	Workspace, Provider, Account string
	Livemode                     bool
}

// ProviderTotals sums up what the ledger has of a provider's account between two
// moments, half open.
func (s *Store) ProviderTotals(ctx context.Context, of ProviderAccount, since, until time.Time) ([]ProviderTotal, error) {
	rows, _, err := Select[ProviderTotal](ctx, s, s.sql.providerTotals, Named{"workspace", of.Workspace}, Named{"provider", of.Provider},
		Named{"account", of.Account}, Named{"livemode", of.Livemode}, Named{"since", since}, Named{"until", until})
	if err != nil {
		return nil, fmt.Errorf("summing up what the ledger has of %s: %w", of.Provider, err)
	}
	return rows, nil
}
