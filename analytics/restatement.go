package analytics

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

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

// restatedRows folds the groups that may differ, on all cores, as they are read.
func (r *reading) restatedRows(ctx context.Context, known time.Time) ([]revenue.LedgerRow, error) {
	folds := r.profile.judged.folds()
	var mu sync.Mutex
	var restated []revenue.LedgerRow
	groups := groupReading{most: r.restatedGroupsMax, take: func(events []revenue.Event) {
		rows := slices.DeleteFunc(folds.Restate(events), func(row revenue.LedgerRow) bool { return row.Live() == r.Test })
		mu.Lock()
		defer mu.Unlock()
		restated = append(restated, rows...)
	}}
	err := groups.read(ctx, r, "what others judge otherwise", r.questions.restated,
		clickhouse.Named{Name: "as_of", Value: known},
		clickhouse.Named{Name: "past_due", Value: folds.PastDueGrace != revenue.PastDueGrace},
		clickhouse.Named{Name: "at_request", Value: folds.ChurnAtRequest},
		clickhouse.Named{Name: "before_discounts", Value: folds.IgnoreDiscounts})
	if errors.Is(err, errTooManyGroups) {
		err = refuse(http.StatusBadRequest, "profile, %s: more than %d customers were past due, "+
			"asked to end or had discounts, who have to be judged one by one; name a provider, or ask by the house's definitions",
			strings.Join(policyParameters, ", "), r.restatedGroupsMax)
	}
	return restated, err
}
