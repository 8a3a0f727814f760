package analytics

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"revstream/ingest/revenue"
)

// ChurnSeries is the body of /v1/metrics/churn: why MRR and customers were lost.
type ChurnSeries struct {
	SeriesHead
	Series []ChurnBucket `json:"series"`
	// Unconverted is absent unless a currency had no exchange rate: its amounts are in no
	// figure.
	Unconverted []UnconvertedMRR `json:"unconverted,omitempty"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *ChurnSeries `json:"previous,omitempty"`
}

func (s *ChurnSeries) frame() (*SeriesHead, **ChurnSeries) { return &s.SeriesHead, &s.Previous }

// ChurnBucket is what was lost in a bucket, and by reason, which add up to it.
type ChurnBucket struct {
	Bucket
	LossFigures
	Reasons []ChurnReason `json:"reasons"`
}

// ChurnReason is what was lost for one reason: voluntary, delinquent, dispute or refund,
// or whatever else the source has said.
type ChurnReason struct {
	Reason string `json:"reason"`
	LossFigures
}

// LossFigures are magnitudes.
type LossFigures struct {
	ChurnCents       int64 `json:"churnCents"`
	ContractionCents int64 `json:"contractionCents"`
	LostCustomers    int64 `json:"lostCustomers"`
}

// loss numbers what is lost.
const (
	lossChurn = iota
	lossContraction
	lossCount
)

// churn answers GET /v1/metrics/churn.
func (s *Server) churn(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, policyChoices...)
	if err != nil {
		return answered{}, err
	}
	if err := cmp.Or(query.refuseWhatMoves(), query.refuseBreakdown()); err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	r.profile, r.by = query.profile(), breakdown{dimension: reasonDimension}
	return comparedAnswer(ctx, r, "churn", workspace, &query, r.churnAnswer)
}

// churnAnswer is the answer but for its head.
func (r *reading) churnAnswer(ctx context.Context, query *SeriesQuery) (*ChurnSeries, error) {
	rows, err := r.movements(ctx, query.Edges, true)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row movementRow) bool {
		return row.Kind != string(revenue.EntryChurn) && row.Kind != string(revenue.EntryContraction)
	})
	var needs rateNeeds
	for i := range rows {
		needs.add(r.into, rows[i].Currency, rows[i].Day)
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	body := &ChurnSeries{Series: []ChurnBucket{}}
	missing := map[string]int64{}
	for i, bucket := range query.buckets() {
		var within []movementRow
		within, rows = splitBefore(rows, query.Edges[i+1], func(row *movementRow) int64 { return row.Bucket })
		one, err := churnBucket(within, exchange, missing)
		if err != nil {
			return nil, err
		}
		one.Bucket = bucket
		body.Series = append(body.Series, one)
	}
	for _, currency := range slices.Sorted(maps.Keys(missing)) {
		body.Unconverted = append(body.Unconverted, UnconvertedMRR{currency, revenue.RoundMRR(missing[currency])})
	}
	return body, nil
}

// churnBucket adds up the losses of a bucket. Those of all reasons add up to it, amounts
// to the cent.
func churnBucket(rows []movementRow, x *exchange, missing map[string]int64) (ChurnBucket, error) {
	bucket := ChurnBucket{Reasons: []ChurnReason{}}
	whole := x.totals(lossCount)
	byReason := map[string]*totals{}
	customers := map[string]int64{}
	for i := range rows {
		row := &rows[i]
		if byReason[row.Value] == nil {
			byReason[row.Value] = x.totals(lossCount)
		}
		lost := []int64{-row.MRR, 0}
		if row.Kind == string(revenue.EntryContraction) {
			slices.Reverse(lost)
		}
		if !whole.add(row.Currency, row.Day, lost) {
			missing[row.Currency] -= row.MRR
		}
		byReason[row.Value].add(row.Currency, row.Day, lost)
		customers[row.Value] -= row.Customers
		bucket.LostCustomers -= row.Customers
	}
	var parts []*totals
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		parts = append(parts, byReason[reason])
		bucket.Reasons = append(bucket.Reasons, ChurnReason{reason, LossFigures{LostCustomers: customers[reason]}})
	}
	amounts, err := apportioned(whole, parts, revenue.MRRScale)
	for i := range amounts {
		losses := &bucket.Reasons[i].LossFigures
		losses.ChurnCents, losses.ContractionCents = amounts[i][lossChurn], amounts[i][lossContraction]
		bucket.ChurnCents, bucket.ContractionCents = bucket.ChurnCents+losses.ChurnCents, bucket.ContractionCents+losses.ContractionCents
	}
	return bucket, err
}
