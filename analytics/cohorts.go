package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// CohortTable is the body of /v1/metrics/cohorts with measure=mrr: for each bucket the
// customers whose first MRR began in it, and what became of them. RevenueCohortTable is the
// other.
type CohortTable struct {
	SeriesHead
	Measure string `json:"measure"`
	// Basis is calendar, if periods end when buckets do, or relative, if they are counted
	// from each customer's own first payment.
	Basis  string   `json:"basis"`
	Series []Cohort `json:"series"`
	// Unconverted are the currencies that had no exchange rate, and are in no amount.
	Unconverted []string `json:"unconverted,omitempty"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *CohortTable `json:"previous,omitempty"`
}

func (s *CohortTable) frame() (*SeriesHead, **CohortTable) { return &s.SeriesHead, &s.Previous }

// Cohort are the customers who first paid in a bucket.
type Cohort struct {
	Bucket
	CohortCustomers int64          `json:"cohortCustomers"`
	Periods         []CohortPeriod `json:"periods"`
}

// CohortPeriod is what a cohort is so many buckets later. Amounts are at the exchange
// rates of the end of the cohort's own bucket, so that rates which change keep or lose
// nobody.
type CohortPeriod struct {
	Period int64 `json:"period"`
	// Eligible are the customers for whom that time is over: all of them by the calendar.
	Eligible  int64 `json:"eligible"`
	Customers int64 `json:"customers"`
	MRRCents  int64 `json:"mrrCents"`
	// CustomerRetention is Customers / Eligible; RevenueRetention is MRRCents over that of
	// period 0, null where not all of the cohort are that old yet.
	CustomerRetention *Thousandths `json:"customerRetention"`
	RevenueRetention  *Thousandths `json:"revenueRetention"`
}

// cohortRow is a row of cohorts.sql and aged.sql; MRR in 1/10,000 minor units. Without a
// currency it is of all.
type cohortRow struct {
	Bucket    int64  `ch:"bucket"`
	Period    int64  `ch:"period"`
	Currency  string `ch:"currency"`
	Began     uint64 `ch:"began"`
	Customers uint64 `ch:"customers"`
	MRR       int64  `ch:"mrr"`
}

const (
	cohortsByCalendar = "calendar"
	cohortsRelative   = "relative"

	cohortsOfMRR     = "mrr"
	cohortsOfRevenue = "revenue"
)

// cohorts answers GET /v1/metrics/cohorts.
func (s *Server) cohorts(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request,
		append(policyChoices, choice{"basis", []string{cohortsByCalendar, cohortsRelative}}, choice{"measure", []string{cohortsOfMRR, cohortsOfRevenue}})...)
	if err != nil {
		return answered{}, err
	}
	basis, ofRevenue := cmp.Or(query.chosen["basis"], cohortsByCalendar), query.chosen["measure"] == cohortsOfRevenue
	if basis == cohortsRelative && monthsOf[query.Interval]+daysOf[query.Interval] == 0 {
		return answered{}, badRequest(errors.New("interval: relative periods are days, weeks, months, quarters or years"))
	}
	refused := query.refuseBreakdown()
	if ofRevenue {
		refused = cmp.Or(refused, query.refuseProfile("revenue"), query.refusePolicy("revenue"))
	} else {
		refused = cmp.Or(refused, query.refuseWhatMoves())
	}
	if refused != nil {
		return answered{}, refused
	}
	if len(query.Edges)-1 > retentionBucketsMax {
		return answered{}, badRequest(fmt.Errorf("interval: %w: at most %d", errBucketsMax, retentionBucketsMax))
	}
	r := s.reading(workspace, query.Filter)
	if ofRevenue {
		return comparedAnswer(ctx, r, "cohorts", workspace, &query, func(ctx context.Context, query *SeriesQuery) (*RevenueCohortTable, error) {
			return r.revenueCohorts(ctx, query, basis)
		})
	}
	r.profile = query.profile()
	return comparedAnswer(ctx, r, "cohorts", workspace, &query, func(ctx context.Context, query *SeriesQuery) (*CohortTable, error) {
		return r.cohortTable(ctx, query, basis)
	})
}

// monthsOf and daysOf are how long the periods of a customer's own time are.
var (
	monthsOf = map[Interval]int64{IntervalMonth: 1, IntervalQuarter: 3, IntervalYear: 12}
	daysOf   = map[Interval]int64{IntervalDay: 1, IntervalWeek: 7}
)

// aged are the values of a question about balances at edges, or after periods of the
// customers' own time.
func (r *reading) aged(query *SeriesQuery) []clickhouse.Named {
	return append(r.balanced(query.Edges),
		clickhouse.Named{Name: "zone", Value: query.Zone.String()},
		clickhouse.Named{Name: "months", Value: monthsOf[query.Interval]},
		clickhouse.Named{Name: "days", Value: daysOf[query.Interval]})
}

func (r *reading) cohortTable(ctx context.Context, query *SeriesQuery, basis string) (*CohortTable, error) {
	rows, err := ask[cohortRow](ctx, r, "cohorts", r.questions.cohorts[basis == cohortsRelative], append(r.aged(query), r.weights()...)...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b cohortRow) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Period, b.Period), cmp.Compare(a.Currency, b.Currency))
	})
	body := &CohortTable{Measure: cohortsOfMRR, Basis: basis, Series: []Cohort{}}
	var needs rateNeeds
	for i := range rows {
		if rows[i].Currency != "" {
			needs.add(r.into, rows[i].Currency, query.cohortDay(rows[i].Bucket))
		}
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	for i, bucket := range query.buckets() {
		var within []cohortRow
		within, rows = splitBefore(rows, query.Edges[i+1], func(row *cohortRow) int64 { return row.Bucket })
		cohort, missing, err := cohortOf(within, query.cohortDay(query.Edges[i].UnixMicro()), exchange)
		if err != nil {
			return nil, err
		}
		cohort.Bucket = bucket
		body.Series = append(body.Series, cohort)
		body.Unconverted = append(body.Unconverted, missing...)
	}
	slices.Sort(body.Unconverted)
	body.Unconverted = slices.Compact(body.Unconverted)
	return body, nil
}

// cohortDay is the day whose rates value a cohort: the last of its bucket.
func (q *SeriesQuery) cohortDay(bucket int64) time.Time {
	at, _ := slices.BinarySearchFunc(q.Edges, time.UnixMicro(bucket), time.Time.Compare)
	return q.Edges[min(at+1, len(q.Edges)-1)].Add(-time.Microsecond).UTC().Truncate(dayLength)
}

// cohortOf puts the rows of one cohort together, which are in order of their period.
func cohortOf(rows []cohortRow, day time.Time, x *exchange) (cohort Cohort, missing []string, err error) {
	cohort.Periods = []CohortPeriod{}
	for i := 0; i < len(rows); {
		period := CohortPeriod{Period: rows[i].Period}
		sums := x.totals(1)
		for ; i < len(rows) && rows[i].Period == period.Period; i++ {
			row := &rows[i]
			if row.Currency == "" {
				period.Eligible, period.Customers = int64(row.Began), int64(row.Customers)
				continue
			}
			sums.add(row.Currency, day, []int64{row.MRR})
		}
		if period.MRRCents, err = sums.rounded(0, revenue.MRRScale); err != nil {
			return cohort, nil, err
		}
		if period.Period == 0 {
			cohort.CohortCustomers = period.Eligible
		}
		missing = append(missing, sums.missingCurrencies()...)
		period.CustomerRetention = ratio(period.Customers, period.Eligible)
		if len(cohort.Periods) > 0 && period.Eligible == cohort.CohortCustomers {
			period.RevenueRetention = ratio(period.MRRCents, cohort.Periods[0].MRRCents)
		} else if len(cohort.Periods) == 0 {
			period.RevenueRetention = ratio(period.MRRCents, period.MRRCents)
		}
		cohort.Periods = append(cohort.Periods, period)
	}
	return cohort, missing, nil
}
