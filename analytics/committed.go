package analytics

import (
	"cmp"
	"context"
	"time"

	"revstream/ingest/revenue"
)

// CommittedSeries is the body of /v1/metrics/committed: MRR without what is known to end.
type CommittedSeries struct {
	SeriesHead
	Series []CommittedBucket `json:"series"`
	// Unconverted are the currencies that had no exchange rate, and are in no figure.
	Unconverted []string `json:"unconverted,omitempty"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *CommittedSeries `json:"previous,omitempty"`
}

func (s *CommittedSeries) frame() (*SeriesHead, **CommittedSeries) { return &s.SeriesHead, &s.Previous }

// CommittedBucket are the balances at the end of a bucket:
// committedMrr = mrr - cancelledMrr.
type CommittedBucket struct {
	Bucket
	MRRCents          int64 `json:"mrrCents"`
	CancelledMRRCents int64 `json:"cancelledMrrCents"`
	CommittedMRRCents int64 `json:"committedMrrCents"`
	// CancelledSubscriptions are worth something still, and their cancellation is asked
	// for and not taken back.
	CancelledSubscriptions int64 `json:"cancelledSubscriptions"`
}

// committedRow is a row of committed.sql; MRR in 1/10,000 minor units.
type committedRow struct {
	At            int64  `ch:"at"`
	Currency      string `ch:"currency"`
	MRR           int64  `ch:"mrr"`
	Subscriptions uint64 `ch:"subscriptions"`
}

// committed answers GET /v1/metrics/committed.
func (s *Server) committed(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, policyChoices...)
	if err != nil {
		return answered{}, err
	}
	if err := cmp.Or(query.refuseWhatMoves(), query.refuseBreakdown()); err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	r.profile = query.profile()
	return comparedAnswer(ctx, r, "committed", workspace, &query, r.committedAnswer)
}

// committedAnswer is the answer but for its head.
func (r *reading) committedAnswer(ctx context.Context, query *SeriesQuery) (*CommittedSeries, error) {
	rows, err := ask[committedRow](ctx, r, "what is cancelled", r.questions.committed, append(r.balanced(query.Edges), r.weights()...)...)
	if err != nil {
		return nil, err
	}
	_, history, exchange, err := r.mrrHistory(ctx, query)
	if err != nil {
		return nil, err
	}
	body := &CommittedSeries{Series: []CommittedBucket{}}
	unknown := history.unknown(exchange)
	for i, bucket := range query.buckets() {
		one, err := committedBucket(&history.balances[i+1], rows, exchange, unknown)
		if err != nil {
			return nil, err
		}
		one.Bucket = bucket
		body.Series = append(body.Series, one)
	}
	body.Unconverted = sortedKeys(unknown)
	return body, nil
}

// committedBucket values what is cancelled at the rates of the balance itself, of which
// it is a part.
func committedBucket(closing *balance, rows []committedRow, x *exchange, unknown map[string]bool) (CommittedBucket, error) {
	var bucket CommittedBucket
	whole, cancelled := x.totals(1), x.totals(1)
	add := func(to *totals, currency string, day time.Time, mrr int64) {
		if !unknown[currency] {
			to.add(currency, day, []int64{mrr})
		}
	}
	for currency, mrr := range closing.mrr {
		add(whole, currency, closing.rateDay(), mrr)
	}
	for _, row := range rows {
		if row.At == closing.at.UnixMicro() {
			add(cancelled, row.Currency, closing.rateDay(), row.MRR)
			bucket.CancelledSubscriptions += int64(row.Subscriptions)
		}
	}
	var err error
	if bucket.MRRCents, err = whole.rounded(0, revenue.MRRScale); err != nil {
		return bucket, err
	}
	bucket.CancelledMRRCents, err = cancelled.rounded(0, revenue.MRRScale)
	bucket.CommittedMRRCents = bucket.MRRCents - bucket.CancelledMRRCents
	return bucket, err
}
