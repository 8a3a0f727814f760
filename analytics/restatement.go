package analytics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// restatement is what a question's policy says otherwise of the entries that were known by
// a moment.
type restatement struct {
	rows *clickhouse.Restated
	// known is the moment: both the statements that were folded and the entries that the
	// rows come on top of are those of one state, which is whole.
	known time.Time
}

// restate makes the reading's questions about what subscriptions are worth follow its
// policy, if that is not the house's: the groups of which it says something else are folded
// by it. complete is the moment before which everything accepted is stored. A question that
// would take too many groups is refused.
func (r *reading) restate(ctx context.Context, complete time.Time) error {
	if !r.profile.restates() {
		return nil
	}
	if complete.IsZero() {
		return refuse(http.StatusServiceUnavailable, "it is not known yet how far everything accepted is stored, which other policies than the house's rest on; try again")
	}
	known := complete.Add(-time.Microsecond)
	if !r.AsOf.IsZero() && r.AsOf.Before(known) {
		known = r.AsOf
	}
	rows, err := r.restatedRows(ctx, known)
	if err != nil {
		return err
	}
	restated, err := clickhouse.Restate(rows)
	if err != nil {
		return err
	}
	r.restated = &restatement{restated, known}
	return nil
}

// foldedAtOnce is how many groups are folded in one go: enough to be worth handing on.
const foldedAtOnce = 256

// restatedRows folds the groups that may differ, on all cores, as they are read.
func (r *reading) restatedRows(ctx context.Context, known time.Time) ([]revenue.LedgerRow, error) {
	folds := r.profile.judged.folds()
	fold := folding{policy: folds, live: !r.Test, most: r.restatedGroupsMax}
	fold.at.SetLimit(runtime.GOMAXPROCS(0))
	_, err := each(ctx, r, "what others judge otherwise", r.questions.restated, fold.add, clickhouse.Named{Name: "workspace", Value: r.workspace}, clickhouse.Named{Name: "provider", Value: r.Provider},
		clickhouse.Named{Name: "as_of", Value: known},
		clickhouse.Named{Name: "past_due", Value: folds.PastDueGrace != revenue.PastDueGrace},
		clickhouse.Named{Name: "at_request", Value: folds.ChurnAtRequest})
	fold.hand()
	if err := errors.Join(err, fold.at.Wait()); err != nil {
		return nil, err
	}
	return fold.rows, nil
}

// groupStatement is a row of restated.sql.
type groupStatement struct {
	Group     string `ch:"fact_group"`
	Statement string `ch:"statement"`
}

// folding folds groups by a policy, whose statements come one group after the other.
type folding struct {
	policy revenue.Policy
	live   bool
	// groups have begun, of which there may be so many; last is the last one.
	groups, most int
	last         string
	// waiting are the statements of groups that are not handed on yet.
	waiting [][]string
	at      errgroup.Group
	mu      sync.Mutex
	rows    []revenue.LedgerRow
}

// add takes a statement.
func (f *folding) add(row *groupStatement) error {
	if f.groups == 0 || row.Group != f.last {
		if len(f.waiting) == foldedAtOnce {
			f.hand()
		}
		f.last, f.waiting = row.Group, append(f.waiting, nil)
		if f.groups++; f.groups > f.most {
			return refuse(http.StatusBadRequest, "profile, pastDueDays, churnTiming: more than %d customers were past due or "+
				"asked to end, who have to be judged one by one; name a provider, or ask by the house's definitions", f.most)
		}
	}
	own := &f.waiting[len(f.waiting)-1]
	*own = append(*own, row.Statement)
	return nil
}

// hand has the waiting groups folded.
func (f *folding) hand() {
	groups := f.waiting
	f.waiting = nil
	f.at.Go(func() error {
		for _, statements := range groups {
			rows, err := f.fold(statements)
			if err != nil {
				return err
			}
			f.mu.Lock()
			f.rows = append(f.rows, rows...)
			f.mu.Unlock()
		}
		return nil
	})
}

// fold is what the policy restates of a group.
func (f *folding) fold(statements []string) ([]revenue.LedgerRow, error) {
	events := make([]revenue.Event, len(statements))
	for i, statement := range statements {
		if err := json.Unmarshal([]byte(statement), &events[i]); err != nil {
			return nil, fmt.Errorf("decoding a statement that a policy judges: %w", err)
		}
	}
	rows := f.policy.Restate(events)
	kept := rows[:0]
	for _, row := range rows {
		if row.Live() == f.live {
			kept = append(kept, row)
		}
	}
	return kept, nil
}
