package analytics

import (
	"context"
	"time"

	"revstream/ingest/control"
)

// Figures are the summaries of two periods as GET /revenue has them, for those in the
// process who need figures without a request. A zero asOf is as known now. The error is
// of the store, or of a figure beyond 64 bits.
func (s *Server) Figures(ctx context.Context, workspace control.Workspace, period, previous Period, asOf time.Time) (now, before Summary, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.QueryTimeout)
	defer cancel()
	var answer RevenueAnswer
	r := s.reading(workspace, Filter{AsOf: asOf})
	if err := r.summaries(ctx, &answer, Query{Period: period, Previous: &previous}); err != nil {
		return Summary{}, Summary{}, err
	}
	return answer.Summary, *answer.PreviousSummary, nil
}
