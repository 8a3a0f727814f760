package analytics

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"revstream/ingest/revenue"
)

// RetentionSeries is the body of /v1/metrics/retention: what became, in each bucket, of
// the customers that paid at its beginning (reference/metrics.md section 2b).
type RetentionSeries struct {
	SeriesHead
	Series []RetentionBucket `json:"series"`
	// Unconverted are the currencies that had no exchange rate at the beginning of some
	// bucket, and are in no figure but native ones.
	Unconverted []string `json:"unconverted,omitempty"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *RetentionSeries `json:"previous,omitempty"`
}

func (s *RetentionSeries) frame() (*SeriesHead, **RetentionSeries) { return &s.SeriesHead, &s.Previous }

// RetentionBucket is a bucket with its figures in the currency of the answer, and
// natively.
type RetentionBucket struct {
	Bucket
	RetentionFigures
	Native []NativeRetention `json:"native"`
}

// NativeRetention are the figures of one currency in its own minor units.
type NativeRetention struct {
	Currency string `json:"currency"`
	RetentionFigures
}

// RetentionFigures are amounts at the exchange rates of the beginning of the bucket, so
// that rates which change keep or lose nobody. Rates are null of nothing.
type RetentionFigures struct {
	// OpeningMRRCents is what customers were worth at the beginning.
	OpeningMRRCents int64 `json:"openingMrrCents"`
	// RetainedMRRCents is the lesser of what each of them was worth at the beginning
	// and at the end; ClosingMRRCents what they were worth at the end.
	RetainedMRRCents int64 `json:"retainedMrrCents"`
	ClosingMRRCents  int64 `json:"closingMrrCents"`
	// OpeningCustomers were worth something at the beginning, ChurnedCustomers of them
	// nothing at the end.
	OpeningCustomers int64 `json:"openingCustomers"`
	ChurnedCustomers int64 `json:"churnedCustomers"`
	// ARPACents is the average MRR of a customer at the beginning, and LTVCents that over
	// the rate at which customers leave; null of nobody.
	ARPACents             *int64       `json:"arpaCents"`
	LTVCents              *int64       `json:"ltvCents"`
	GrossRevenueRetention *Thousandths `json:"grossRevenueRetention"`
	NetRevenueRetention   *Thousandths `json:"netRevenueRetention"`
	CustomerChurnRate     *Thousandths `json:"customerChurnRate"`
}

// retentionRow is a row of retention.sql; MRR in 1/10,000 minor units.
type retentionRow struct {
	Bucket    int64  `ch:"bucket"`
	Currency  string `ch:"currency"`
	Opening   int64  `ch:"opening"`
	Retained  int64  `ch:"retained"`
	Closing   int64  `ch:"closing"`
	Customers uint64 `ch:"customers"`
	Churned   uint64 `ch:"churned"`
}

// retentionBucketsMax bounds the balances that are kept of each customer.
const retentionBucketsMax = 130

// retentionSeries answers GET /v1/metrics/retention.
func (s *Server) retentionSeries(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, policyChoices...)
	if err != nil {
		return answered{}, err
	}
	if err := cmp.Or(query.refuseWhatMoves(), query.refuseBreakdown()); err != nil {
		return answered{}, err
	}
	if len(query.Edges)-1 > retentionBucketsMax {
		return answered{}, badRequest(fmt.Errorf("interval: %w: at most %d", errBucketsMax, retentionBucketsMax))
	}
	r := s.reading(workspace, query.Filter)
	r.profile = query.profile()
	return comparedAnswer(ctx, r, "retention", workspace, &query, r.retentionAnswer)
}

// retentionAnswer is the answer but for its head.
func (r *reading) retentionAnswer(ctx context.Context, query *SeriesQuery) (*RetentionSeries, error) {
	rows, err := r.retention(ctx, query.Edges)
	if err != nil {
		return nil, err
	}
	var needs rateNeeds
	for i := range rows {
		needs.add(r.into, rows[i].Currency, rows[i].rateDay())
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	body := &RetentionSeries{Series: []RetentionBucket{}}
	known := slices.Clone(rows)
	known = slices.DeleteFunc(known, func(row retentionRow) bool {
		missing := exchange.rate(row.Currency, row.rateDay()) == nil
		if missing && !slices.Contains(body.Unconverted, row.Currency) {
			body.Unconverted = append(body.Unconverted, row.Currency)
		}
		return missing
	})
	for i, bucket := range query.buckets() {
		one, err := retentionBucket(within(rows, query.Edges[i]), within(known, query.Edges[i]), exchange)
		if err != nil {
			return nil, err
		}
		one.Bucket = bucket
		body.Series = append(body.Series, one)
	}
	return body, r.follow(ctx, query, body.Series)
}

// follow works out the rates of buckets by the profile, where it has others.
func (r *reading) follow(ctx context.Context, query *SeriesQuery, buckets []RetentionBucket) error {
	if r.profile.retention == nil {
		return nil
	}
	_, history, exchange, err := r.mrrHistory(ctx, query)
	if err != nil {
		return err
	}
	unknown := history.unknown(exchange)
	for i := range buckets {
		moved, err := history.bucket(i, exchange, unknown)
		if err != nil {
			return err
		}
		r.profile.retention(&buckets[i].RetentionFigures, &moved)
	}
	r.profile.lifetimes(buckets)
	return nil
}

// refuseWhatMoves refuses what MRR does not add up by.
func (q *SeriesQuery) refuseWhatMoves() error {
	if by := q.Breakdown.dimension; !q.ofMRR() || by != "" && !dimensions[by].ofMRR {
		return errNotOfMRR
	}
	return nil
}

// retention reads what became of customers between the edges.
func (r *reading) retention(ctx context.Context, edges []time.Time) ([]retentionRow, error) {
	return ask[retentionRow](ctx, r, "retention", r.questions.retention, append(r.balanced(edges), r.weights()...)...)
}

// rateDay is the day whose rates value the row: that of the last instant before.
func (row *retentionRow) rateDay() time.Time {
	return time.UnixMicro(row.Bucket - 1).UTC().Truncate(dayLength)
}

func within(rows []retentionRow, edge time.Time) (list []retentionRow) {
	for _, row := range rows {
		if row.Bucket == edge.UnixMicro() {
			list = append(list, row)
		}
	}
	return list
}

func retentionBucket(rows, known []retentionRow, x *exchange) (bucket RetentionBucket, err error) {
	bucket.Native = []NativeRetention{}
	if bucket.RetentionFigures, err = retentionFigures(known, x); err != nil {
		return bucket, err
	}
	for _, row := range rows {
		native := NativeRetention{Currency: row.Currency}
		if native.RetentionFigures, err = retentionFigures([]retentionRow{row}, newExchange(row.Currency)); err != nil {
			return bucket, err
		}
		bucket.Native = append(bucket.Native, native)
	}
	return bucket, nil
}

func retentionFigures(rows []retentionRow, x *exchange) (RetentionFigures, error) {
	var figures RetentionFigures
	sums := x.totals(3)
	for _, row := range rows {
		sums.add(row.Currency, row.rateDay(), []int64{row.Opening, row.Retained, row.Closing})
		figures.OpeningCustomers += int64(row.Customers)
		figures.ChurnedCustomers += int64(row.Churned)
	}
	for i, into := range []*int64{&figures.OpeningMRRCents, &figures.RetainedMRRCents, &figures.ClosingMRRCents} {
		var err error
		if *into, err = sums.rounded(i, revenue.MRRScale); err != nil {
			return figures, err
		}
	}
	figures.GrossRevenueRetention = exactRatio(sums.unscaled(1), sums.unscaled(0))
	figures.NetRevenueRetention = exactRatio(sums.unscaled(2), sums.unscaled(0))
	figures.CustomerChurnRate = ratio(figures.ChurnedCustomers, figures.OpeningCustomers)
	figures.ARPACents = average(figures.OpeningMRRCents, figures.OpeningCustomers)
	figures.LTVCents = average(figures.OpeningMRRCents, figures.ChurnedCustomers)
	return figures, nil
}

// exactRatio is a ratio of exact values to three decimals, halves away from zero, or
// null of nothing.
func exactRatio(part, whole *big.Int) *Thousandths {
	if whole.Sign() <= 0 {
		return nil
	}
	value := quotient(part, big.NewInt(1000), whole)
	if !value.IsInt64() {
		return nil
	}
	rate := Thousandths(value.Int64())
	return &rate
}
