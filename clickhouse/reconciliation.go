package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// TotalDifference is a UTC day on which a provider and the ledger disagree about a flow:
// charge, refund, dispute or dispute_reversal.
type TotalDifference struct {
	Day      time.Time `json:"day"`
	Currency string    `json:"currency"`
	Flow     string    `json:"flow"`
	// Theirs is what the provider says, Ours what the ledger does; signed minor units.
	Theirs int64 `json:"provider"`
	Ours   int64 `json:"ledger"`
}

// Reconciliation is that the money which an endpoint's provider says it moved was
// compared with the ledger, or, unless Finished, that somebody began to.
type Reconciliation struct {
	Workspace, Endpoint string
	// Day is the one on which it was due, At when this became so.
	Day, At  time.Time
	Runner   string
	Finished bool
	// Since and Until bound what was compared, half open; Totals is how many there were.
	Since, Until time.Time
	Totals       int
	Differences  []TotalDifference
	// Failure is why it could not be done; empty if it could.
	Failure string
}

// reconciliationRow is a row of `reconciliations`.
type reconciliationRow struct {
	Endpoint    string    `ch:"endpoint"`
	Day         time.Time `ch:"day"`
	At          time.Time `ch:"at"`
	Runner      string    `ch:"runner"`
	Finished    bool      `ch:"finished"`
	Since       time.Time `ch:"since"`
	Until       time.Time `ch:"until"`
	Totals      uint32    `ch:"totals"`
	Differences string    `ch:"differences"`
	Failure     string    `ch:"failure"`
}

// Reconciliations tell how the latest comparison of each endpoint of a workspace ended.
func (s *Store) Reconciliations(ctx context.Context, workspace string) ([]Reconciliation, error) {
	rows, _, err := Select[reconciliationRow](ctx, s, s.sql.reconciliations, Named{"workspace", workspace})
	if err != nil {
		return nil, fmt.Errorf("reading reconciliations: %w", err)
	}
	found := make([]Reconciliation, len(rows))
	for i, row := range rows {
		found[i] = Reconciliation{
			Workspace: workspace, Endpoint: row.Endpoint, Day: row.Day, At: row.At.UTC(), Runner: row.Runner, Finished: row.Finished,
			Since: row.Since.UTC(), Until: row.Until.UTC(), Totals: int(row.Totals), Failure: row.Failure,
		}
		if err := json.Unmarshal([]byte(row.Differences), &found[i].Differences); err != nil {
			return nil, fmt.Errorf("reading the reconciliation of %s: %w", row.Endpoint, err)
		}
	}
	return found, nil
}

// Claim bounds a claim. A runner that neither finished nor failed within Term is taken
// for gone. Settle is how long is waited for the claims of others who saw none either,
// before all of them choose the first: it is longer than an insert takes. Who stalls for
// longer in between may come on top of another, and then both do the same work.
type Claim struct{ Term, Settle time.Duration }

// ClaimReconciliation notes that the runner begins, unless it is done for the day, or
// another began or failed within the term. Of several that ask at once one is to go on.
func (s *Store) ClaimReconciliation(ctx context.Context, r Reconciliation, claim Claim) (mine, done bool, err error) {
	before, err := s.reconciliationsOf(ctx, r)
	if err != nil {
		return false, false, err
	}
	lately := func(row reconciliationRow) bool { return r.At.Sub(row.At) < claim.Term }
	done = slices.ContainsFunc(before, func(row reconciliationRow) bool { return row.Finished && row.Failure == "" })
	if done || slices.ContainsFunc(before, lately) {
		return false, done, nil
	}
	if err := s.RecordReconciliation(ctx, r); err != nil {
		return false, false, err
	}
	select {
	case <-ctx.Done():
		return false, false, ctx.Err()
	case <-time.After(claim.Settle):
	}
	after, err := s.reconciliationsOf(ctx, r)
	if err != nil {
		return false, false, err
	}
	first := slices.IndexFunc(after, lately)
	return first >= 0 && after[first].Runner == r.Runner, false, nil
}

func (s *Store) reconciliationsOf(ctx context.Context, r Reconciliation) ([]reconciliationRow, error) {
	rows, _, err := Select[reconciliationRow](ctx, s, s.sql.reconciliationsOfDay,
		Named{"workspace", r.Workspace}, Named{"endpoint", r.Endpoint}, Named{"day", r.Day.Format(time.DateOnly)})
	if err != nil {
		return nil, fmt.Errorf("reading the reconciliations of %s: %w", r.Endpoint, err)
	}
	return rows, nil
}

// RecordReconciliation appends a row.
func (s *Store) RecordReconciliation(ctx context.Context, r Reconciliation) error {
	differences, err := json.Marshal(append([]TotalDifference{}, r.Differences...))
	if err != nil {
		return fmt.Errorf("rendering the reconciliation of %s: %w", r.Endpoint, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO reconciliations (workspace, endpoint, day, at, runner, finished, since, until, totals, differences, failure)")
	if err != nil {
		return fmt.Errorf("inserting into reconciliations: %w", classify(err))
	}
	if err := batch.Append(r.Workspace, r.Endpoint, r.Day, storable(r.At), r.Runner, r.Finished, storable(r.Since), storable(r.Until),
		uint32(r.Totals), string(differences), r.Failure); err != nil {
		_ = batch.Abort()
		return fmt.Errorf("inserting the reconciliation of %s: %w", r.Endpoint, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting the reconciliation of %s: %w", r.Endpoint, classify(err))
	}
	return nil
}
