package analytics

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"revstream/ingest/control"
)

// RevenueAnswer is the body of GET /revenue. Its fields and their order are the
// contract's.
type RevenueAnswer struct {
	Items           []Item   `json:"items"`
	Page            int      `json:"page"`
	Limit           int      `json:"limit"`
	Total           int64    `json:"total"`
	TotalPages      int64    `json:"totalPages"`
	HasNext         bool     `json:"hasNext"`
	HasPrev         bool     `json:"hasPrev"`
	Summary         Summary  `json:"summary"`
	PreviousSummary *Summary `json:"previousSummary,omitempty"`
	// Series is there if it was asked for.
	Series *[]SeriesBucket `json:"series,omitempty"`
}

// revenue answers GET /revenue.
func (s *Server) revenue(ctx context.Context, request asked) (answered, error) {
	query, err := ParseQuery(request.query, s.now(), s.config)
	if err != nil {
		return answered{}, badRequest(err)
	}
	workspace, err := s.workspace(request.key, query.WorkspaceSlug)
	if err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	// What is complete is asked first, so that it is true of all that is read after.
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return r.answered(nil, complete), err
	}
	body, err := r.answer(ctx, query, s.config)
	return r.answered(body, complete), err
}

// reading starts a request's access to the store.
func (s *Server) reading(workspace control.Workspace, filter Filter) *reading {
	return &reading{store: s.store, questions: s.questions, horizons: s.horizons, rates: s.rates,
		workspace: workspace.ID, Filter: filter, into: workspace.Currency, restatedGroupsMax: s.config.RestatedGroupsMax}
}

// figures is what was read for the summary of one period.
type figures struct {
	period    Period
	flows     []flowRow
	cancelled int64
}

// answer looks for the items and works out the summaries side by side.
func (r *reading) answer(ctx context.Context, query Query, config Config) (*RevenueAnswer, error) {
	answer := &RevenueAnswer{Page: query.Page, Limit: query.PageSize, HasPrev: query.Page > 1}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		answer.Items, err = r.list(ctx, query, config)
		return err
	})
	group.Go(func() error { return r.summaries(ctx, answer, query) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	answer.TotalPages = (answer.Total + int64(query.PageSize) - 1) / int64(query.PageSize)
	answer.HasNext = int64(query.Page) < answer.TotalPages
	return answer, nil
}

// summaries fills in all but the items. The question about exchange rates comes
// last, as it depends on the currencies found.
func (r *reading) summaries(ctx context.Context, answer *RevenueAnswer, query Query) error {
	periods := []*figures{{period: query.Period}}
	if query.Previous != nil {
		periods = append(periods, &figures{period: *query.Previous})
	}
	var movements []movementRow
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.readFlows(groupCtx, periods, query.IncludeSeries) })
	group.Go(func() (err error) {
		now, before, err := r.cancelled(groupCtx, query.Period, query.Previous)
		for i, f := range periods {
			f.cancelled = []int64{now, before}[i]
		}
		return err
	})
	group.Go(func() (err error) {
		movements, err = r.movements(groupCtx, balanceEdges(periods), false)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range periods[0].flows {
		answer.Total += periods[0].flows[i].of(query.Kinds...)
	}
	if query.IncludeSeries {
		series := dailySeries(periods[0].flows)
		answer.Series = &series
	}
	return r.summarise(ctx, answer, periods, movements)
}

// readFlows reads what moved in the periods with one question: planning a second one
// costs more than reading what lies between them from the rollups.
func (r *reading) readFlows(ctx context.Context, periods []*figures, byDay bool) error {
	var edges []time.Time
	for _, f := range periods {
		edges = append(edges, f.period.Since, f.period.Until)
	}
	slices.SortFunc(edges, time.Time.Compare)
	if edges = slices.CompactFunc(edges, time.Time.Equal); len(edges) < 2 {
		return nil // an empty range
	}
	rows, err := r.flows(ctx, edges, byDay, false)
	for i := range rows {
		for _, f := range periods {
			if rows[i].bucket >= f.period.Since.UnixMicro() && rows[i].bucket < f.period.Until.UnixMicro() {
				f.flows = append(f.flows, rows[i])
			}
		}
	}
	return err
}

// balanceEdges cuts all time at the ends of the periods, where balances are due.
func balanceEdges(periods []*figures) []time.Time {
	edges := []time.Time{beginning}
	for _, f := range periods {
		edges = append(edges, f.period.Until)
	}
	slices.SortFunc(edges, time.Time.Compare)
	return slices.CompactFunc(edges, time.Time.Equal)
}

// summarise converts and rounds what was read for the periods.
func (r *reading) summarise(ctx context.Context, answer *RevenueAnswer, periods []*figures, movements []movementRow) error {
	var needs rateNeeds
	balances := make([]balance, len(periods))
	for i, f := range periods {
		for j := range f.flows {
			needs.add(r.into, f.flows[j].currency, f.flows[j].day)
		}
		balances[i] = balanceAt(movements, f.period.Until)
		for currency := range balances[i].mrr {
			needs.add(r.into, currency, balances[i].rateDay())
		}
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return err
	}
	for i, f := range periods {
		summary, err := summarise(f.flows, balances[i], f.cancelled, exchange)
		if err != nil {
			return err
		}
		if i == 0 {
			answer.Summary = summary
		} else {
			answer.PreviousSummary = &summary
		}
	}
	return nil
}
