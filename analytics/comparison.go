package analytics

import (
	"context"
	"time"

	"revstream/ingest/control"
)

// Comparison is a period that a series is compared with.
type Comparison string

// The comparisons: as many buckets right before, and the same buckets a year earlier
// (52 weeks, 365 days).
const (
	ComparePrevious Comparison = "previous"
	CompareYear     Comparison = "year"
)

var comparisons = []Comparison{ComparePrevious, CompareYear}

// bucketsPerYear is by how many buckets a year shifts a series.
var bucketsPerYear = map[Interval]int{
	IntervalHour: 365 * 24, IntervalDay: 365, IntervalWeek: 52, IntervalMonth: 12, IntervalQuarter: 4, IntervalYear: 1,
}

// previous is the same question about the period to compare with, if there is one.
func (q *SeriesQuery) previous() (previous SeriesQuery, compared bool) {
	n := len(q.Edges) - 1
	switch q.Compare {
	case ComparePrevious:
	case CompareYear:
		n = bucketsPerYear[q.Interval]
	default:
		return SeriesQuery{}, false
	}
	previous = *q
	previous.Compare, previous.Edges = "", make([]time.Time, len(q.Edges))
	for i, edge := range q.Edges {
		previous.Edges[i] = q.Interval.shift(edge, -n, q.Zone)
	}
	return previous, true
}

// comparableSeries is a series that can be compared with another period's.
type comparableSeries[T any] interface {
	*T
	// frame are its head, and where the other is put.
	frame() (head *SeriesHead, previous **T)
}

// comparedAnswer is a series, with that of the period that it is compared with, if it is.
// answer makes it but for its head.
func comparedAnswer[T any, P comparableSeries[T]](ctx context.Context, r *reading, metric string, workspace control.Workspace,
	query *SeriesQuery, answer func(context.Context, *SeriesQuery) (*T, error)) (answered, error) {
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return r.answered(nil, complete), err
	}
	if err := r.restate(ctx, complete); err != nil {
		return r.answered(nil, complete), err
	}
	headed := func(query *SeriesQuery) (*T, error) {
		body, err := answer(ctx, query)
		if err == nil {
			head, _ := P(body).frame()
			*head = query.head(metric, workspace, complete)
		}
		return body, err
	}
	body, err := headed(query)
	if err != nil {
		return r.answered(nil, complete), err
	}
	if before, compared := query.previous(); compared {
		_, previous := P(body).frame()
		if *previous, err = headed(&before); err != nil {
			return r.answered(nil, complete), err
		}
	}
	return r.answered(body, complete), nil
}

// shift moves an instant by n buckets: as far into that bucket as it was into its own, or
// to its end, if it is shorter.
func (i Interval) shift(at time.Time, n int, zone *time.Location) time.Time {
	start := i.start(at, zone)
	shifted := i.after(start, n, zone).Add(at.Sub(start))
	if end := i.after(start, n+1, zone); shifted.After(end) {
		return end
	}
	return shifted
}
