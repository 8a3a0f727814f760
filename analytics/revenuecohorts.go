package analytics

import (
	"context"
	"maps"
	"slices"
	"time"

	"revstream/clickhouse"
)

// RevenueCohortTable is the body of /v1/metrics/cohorts with measure=revenue: for each
// bucket the customers who first paid in it, and the money that moved since. A customer is
// one of an account of a source. By the calendar, all cohorts of a bucket and what is
// Outside add up to the revenue of the range.
type RevenueCohortTable struct {
	SeriesHead
	Measure string `json:"measure"`
	// Basis is calendar or relative, as of a CohortTable.
	Basis  string          `json:"basis"`
	Series []RevenueCohort `json:"series"`
	// Outside is what moved in the range and is of no cohort.
	Outside OutsideCohorts `json:"outside"`
	// Unconverted are the currencies that had no exchange rate on some day, and are in no
	// converted amount of it.
	Unconverted []string `json:"unconverted,omitempty"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *RevenueCohortTable `json:"previous,omitempty"`
}

func (s *RevenueCohortTable) frame() (*SeriesHead, **RevenueCohortTable) {
	return &s.SeriesHead, &s.Previous
}

// RevenueCohort are the customers who first paid in a bucket.
type RevenueCohort struct {
	Bucket
	CohortCustomers int64                 `json:"cohortCustomers"`
	Periods         []RevenueCohortPeriod `json:"periods"`
}

// RevenueCohortPeriod is what moved so many buckets later, and who of the cohort paid.
// Amounts are at the rates of their own days, as in /v1/metrics/revenue.
type RevenueCohortPeriod struct {
	Period int64 `json:"period"`
	// Eligible are the customers for whom the period is over: all of them by the calendar.
	// Only their money counts.
	Eligible int64 `json:"eligible"`
	// Customers paid something above zero in the period.
	Customers int64 `json:"customers"`
	FlowFigures[CohortRevenue]
	// CustomerRetention is Customers / Eligible; RevenueRetention is net revenue over that of
	// period 0, null where the period is not over for all of the cohort.
	CustomerRetention *Thousandths `json:"customerRetention"`
	RevenueRetention  *Thousandths `json:"revenueRetention"`
}

// CohortRevenue is money that moved: charges, refunds as a magnitude on their own day, and
// charges less refunds.
type CohortRevenue struct {
	GrossRevenueCents int64 `json:"grossRevenueCents"`
	RefundCents       int64 `json:"refundCents"`
	NetRevenueCents   int64 `json:"netRevenueCents"`
}

// OutsideCohorts is money in the range that is in no cohort of it.
type OutsideCohorts struct {
	// EarlierCustomers first paid before the range.
	EarlierCustomers FlowFigures[CohortRevenue] `json:"earlierCustomers"`
	// Unassigned is where no customer is named, and refunds of those who had not paid.
	Unassigned FlowFigures[CohortRevenue] `json:"unassigned"`
}

// revenueCohortRow is a row of revenue_cohorts.sql.
type revenueCohortRow struct {
	Bucket    uint64    `ch:"bucket"`
	Period    int64     `ch:"period"`
	Currency  string    `ch:"currency"`
	Day       time.Time `ch:"rate_day"`
	Gross     int64     `ch:"gross"`
	Refunds   int64     `ch:"refunds"`
	Reached   uint64    `ch:"reached"`
	Customers uint64    `ch:"customers"`
}

// The numbers of edges in revenue_cohorts.sql: those of cohorts follow.
const (
	edgeOfNobody = iota
	edgeOfEarlier
	edgesBeforeCohorts
)

func (r *reading) revenueCohorts(ctx context.Context, query *SeriesQuery, basis string) (*RevenueCohortTable, error) {
	rows, err := ask[revenueCohortRow](ctx, r, "revenue of cohorts", r.questions.revenueCohorts[basis == cohortsRelative],
		append(r.aged(query), clickhouse.Named{Name: "since", Value: query.Edges[0]}, clickhouse.Named{Name: "into", Value: r.into})...)
	if err != nil {
		return nil, err
	}
	var needs rateNeeds
	for i := range rows {
		if rows[i].Currency != "" {
			needs.add(r.into, rows[i].Currency, rows[i].Day)
		}
	}
	exchange, err := r.exchange(ctx, needs)
	if err != nil {
		return nil, err
	}
	body := &RevenueCohortTable{Measure: cohortsOfRevenue, Basis: basis, Series: []RevenueCohort{}}
	missing := map[string]bool{}
	figures := func(of func(*revenueCohortRow) bool) (FlowFigures[CohortRevenue], error) {
		return cohortRevenue(rows, of, exchange, missing)
	}
	// A refund from before its customer first paid is of nobody yet.
	unassigned := func(row *revenueCohortRow) bool { return row.Bucket == edgeOfNobody || row.Period < 0 }
	if body.Outside.Unassigned, err = figures(unassigned); err != nil {
		return nil, err
	}
	if body.Outside.EarlierCustomers, err = figures(func(row *revenueCohortRow) bool {
		return row.Bucket == edgeOfEarlier && !unassigned(row)
	}); err != nil {
		return nil, err
	}
	for i, bucket := range query.buckets() {
		within := slices.DeleteFunc(slices.Clone(rows), func(row revenueCohortRow) bool { return row.Bucket != uint64(i+edgesBeforeCohorts) })
		cohort, err := revenueCohort(within, exchange, missing)
		if err != nil {
			return nil, err
		}
		cohort.Bucket = bucket
		body.Series = append(body.Series, cohort)
	}
	body.Unconverted = sortedKeys(missing)
	return body, nil
}

// revenueCohort puts the rows of one cohort together.
func revenueCohort(rows []revenueCohortRow, x *exchange, missing map[string]bool) (RevenueCohort, error) {
	cohort := RevenueCohort{Periods: []RevenueCohortPeriod{}}
	last := int64(-1)
	for i := range rows {
		cohort.CohortCustomers += int64(rows[i].Reached)
		last = max(last, rows[i].Period)
	}
	for n := range last + 1 {
		period := RevenueCohortPeriod{Period: n}
		for i := range rows {
			if row := &rows[i]; row.Period >= n {
				period.Eligible += int64(row.Reached)
			}
			if row := &rows[i]; row.Period == n && row.Currency == "" {
				period.Customers += int64(row.Customers)
			}
		}
		var err error
		if period.FlowFigures, err = cohortRevenue(rows, func(row *revenueCohortRow) bool { return row.Period == n }, x, missing); err != nil {
			return cohort, err
		}
		period.CustomerRetention = ratio(period.Customers, period.Eligible)
		first := &period
		if n > 0 {
			first = &cohort.Periods[0]
		}
		if period.Eligible == cohort.CohortCustomers {
			period.RevenueRetention = ratio(period.Converted.NetRevenueCents, first.Converted.NetRevenueCents)
		}
		cohort.Periods = append(cohort.Periods, period)
	}
	return cohort, nil
}

// cohortRevenue adds up some of the rows, converted and of each currency, and notes what
// lacks a rate.
func cohortRevenue(rows []revenueCohortRow, of func(*revenueCohortRow) bool, x *exchange, missing map[string]bool) (FlowFigures[CohortRevenue], error) {
	figures := FlowFigures[CohortRevenue]{Native: []Native[CohortRevenue]{}}
	whole := x.totals(2)
	native := map[string]*totals{}
	for i := range rows {
		row := &rows[i]
		if row.Currency == "" || !of(row) {
			continue
		}
		if native[row.Currency] == nil {
			native[row.Currency] = newExchange(row.Currency).totals(2)
		}
		amounts := []int64{row.Gross, row.Refunds}
		native[row.Currency].add(row.Currency, row.Day, amounts)
		if !whole.add(row.Currency, row.Day, amounts) {
			missing[row.Currency] = true
		}
	}
	var err error
	if figures.Converted, err = revenueOf(whole); err != nil {
		return figures, err
	}
	for _, currency := range slices.Sorted(maps.Keys(native)) {
		one := Native[CohortRevenue]{Currency: currency}
		if one.Figures, err = revenueOf(native[currency]); err != nil {
			return figures, err
		}
		figures.Native = append(figures.Native, one)
	}
	return figures, nil
}

// revenueOf are the figures of totals of charges and refunds.
func revenueOf(t *totals) (CohortRevenue, error) {
	amounts, err := t.all()
	if err != nil {
		return CohortRevenue{}, err
	}
	return CohortRevenue{amounts[0], amounts[1], amounts[0] - amounts[1]}, nil
}
