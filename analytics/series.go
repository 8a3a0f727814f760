package analytics

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// SeriesHead is what every answer of /v1/metrics begins with.
type SeriesHead struct {
	Metric        string `json:"metric"`
	WorkspaceSlug string `json:"workspaceSlug"`
	Interval      string `json:"interval"`
	TimeZone      string `json:"timeZone"`
	Since         string `json:"since"`
	Until         string `json:"until"`
	// Currency is that of all amounts but native ones.
	Currency          string `json:"currency"`
	DefinitionVersion string `json:"definitionVersion"`
	// Breakdown is what the answer is broken down by, if it is.
	Breakdown string `json:"breakdownBy,omitempty"`
	// CompleteThrough is the instant before which everything accepted is in the
	// answer; null if nothing has been stored yet.
	CompleteThrough *string `json:"completeThrough"`
	// AsOf is the moment that was asked for, if one was. Final says that everything
	// accepted until then is in the answer, which will therefore never be another.
	AsOf  *string `json:"asOf,omitempty"`
	Final *bool   `json:"final,omitempty"`
}

// Bucket is a bucket of a series, half open. Partial says that the range clips
// it.
type Bucket struct {
	Start   string `json:"start"`
	End     string `json:"end"`
	Partial bool   `json:"partial"`
}

// FlowSeries is the body of /v1/metrics/revenue and /v1/metrics/refunds; T are the
// figures of the one or the other.
type FlowSeries[T any] struct {
	SeriesHead
	// RefundBasis is own, if refunds count when they were made, or original, if when their
	// charges were. Then WithoutOriginal are those whose charge is not known, which count
	// when they were made.
	RefundBasis     string          `json:"refundBasis"`
	WithoutOriginal []LoneRefunds   `json:"withoutOriginal,omitempty"`
	Total           FlowFigures[T]  `json:"total"`
	Series          []FlowBucket[T] `json:"series"`
	// Unconverted is absent unless a currency had no exchange rate.
	Unconverted []Unconverted `json:"unconverted,omitempty"`
	// Breakdown is there if it was asked for; its parts add up to the series.
	Breakdown []FlowPart[T] `json:"breakdown,omitempty"`
	// Previous is the answer to the same question about the period that it is compared
	// with, if it is.
	Previous *FlowSeries[T] `json:"previous,omitempty"`
}

// FlowBucket is a bucket with its figures.
type FlowBucket[T any] struct {
	Bucket
	FlowFigures[T]
}

// FlowFigures are figures in the currency of the answer, and natively.
type FlowFigures[T any] struct {
	Converted T           `json:"converted"`
	Native    []Native[T] `json:"native"`
}

// Native are the figures of one currency, in its own minor units.
type Native[T any] struct {
	Currency string `json:"currency"`
	Figures  T      `json:"figures"`
}

// RevenueFigures are what moved; amounts in minor units, tax, fees and discounts
// of charges only.
type RevenueFigures struct {
	GrossRevenueCents         int64  `json:"grossRevenueCents"`
	NetRevenueCents           int64  `json:"netRevenueCents"`
	RefundCents               int64  `json:"refundCents"`
	RecurringNetCents         int64  `json:"recurringNetCents"`
	PurchasesCents            int64  `json:"purchasesCents"`
	SubscriptionsCents        int64  `json:"subscriptionsCents"`
	RenewalsCents             int64  `json:"renewalsCents"`
	TaxCents                  int64  `json:"taxCents"`
	FeeCents                  int64  `json:"feeCents"`
	DiscountCents             int64  `json:"discountCents"`
	DisputeCents              int64  `json:"disputeCents"`
	DisputeReversalCents      int64  `json:"disputeReversalCents"`
	PositiveChargeCount       int64  `json:"positiveChargeCount"`
	PurchaseCount             int64  `json:"purchaseCount"`
	SubscriptionPurchaseCount int64  `json:"subscriptionPurchaseCount"`
	RenewalCount              int64  `json:"renewalCount"`
	RefundCount               int64  `json:"refundCount"`
	AverageOrderValueCents    *int64 `json:"averageOrderValueCents"`
}

func revenueFigures(m *moved, amounts []int64) RevenueFigures {
	figures := RevenueFigures{
		GrossRevenueCents: amounts[flowGross], NetRevenueCents: amounts[flowGross] - amounts[flowRefund],
		RefundCents: amounts[flowRefund], RecurringNetCents: amounts[flowRecurringNet],
		PurchasesCents: amounts[flowPurchase], SubscriptionsCents: amounts[flowSubscriptionPurchase],
		RenewalsCents: amounts[flowRenewal], TaxCents: amounts[flowTax], FeeCents: amounts[flowFee],
		DiscountCents: amounts[flowDiscount], DisputeCents: amounts[flowDispute],
		DisputeReversalCents: amounts[flowDisputeReversal], PositiveChargeCount: m.positiveCharges,
		PurchaseCount: m.of(revenue.EntryPurchase), SubscriptionPurchaseCount: m.subscriptionPurchases,
		RenewalCount: m.of(revenue.EntryRenewal), RefundCount: m.of(revenue.EntryRefund),
	}
	if m.converted > 0 {
		average := share(figures.NetRevenueCents, m.converted, 1)
		figures.AverageOrderValueCents = &average
	}
	return figures
}

// RefundFigures are refunds beside the charges of the same time. Rates are null
// where there was nothing to refund. Disputes are no refunds, and shown apart.
type RefundFigures struct {
	RefundCents          int64        `json:"refundCents"`
	RefundCount          int64        `json:"refundCount"`
	GrossRevenueCents    int64        `json:"grossRevenueCents"`
	PositiveChargeCount  int64        `json:"positiveChargeCount"`
	RefundRate           *Thousandths `json:"refundRate"`
	RefundRateByAmount   *Thousandths `json:"refundRateByAmount"`
	DisputeCents         int64        `json:"disputeCents"`
	DisputeCount         int64        `json:"disputeCount"`
	DisputeReversalCents int64        `json:"disputeReversalCents"`
	DisputeReversalCount int64        `json:"disputeReversalCount"`
}

func refundFigures(m *moved, amounts []int64) RefundFigures {
	return RefundFigures{
		RefundCents: amounts[flowRefund], RefundCount: m.of(revenue.EntryRefund), GrossRevenueCents: amounts[flowGross],
		PositiveChargeCount: m.positiveCharges,
		RefundRate:          ratio(m.of(revenue.EntryRefund), m.positiveCharges),
		RefundRateByAmount:  ratio(amounts[flowRefund], amounts[flowGross]),
		DisputeCents:        amounts[flowDispute], DisputeCount: m.of(revenue.EntryDispute),
		DisputeReversalCents: amounts[flowDisputeReversal], DisputeReversalCount: m.of(revenue.EntryDisputeReversal),
	}
}

// ratio is a share, or null of nothing.
func ratio(part, whole int64) *Thousandths {
	if whole <= 0 {
		return nil
	}
	rate := Thousandths(share(part, whole, 1000))
	return &rate
}

func (s *Server) revenueSeries(ctx context.Context, request asked) (answered, error) {
	return flowSeries(ctx, s, request, "revenue", revenueFigures)
}

func (s *Server) refundSeries(ctx context.Context, request asked) (answered, error) {
	return flowSeries(ctx, s, request, "refunds", refundFigures)
}

// seriesQuestion reads the question of a series, which has the choices beside what all have.
func (s *Server) seriesQuestion(request asked, choices ...choice) (SeriesQuery, control.Workspace, error) {
	workspace, zone, err := s.whoseQuestion(request)
	if err != nil {
		return SeriesQuery{}, control.Workspace{}, err
	}
	query, err := ParseSeriesQuery(request.query, s.now(), zone, s.config, choices...)
	if err != nil {
		return SeriesQuery{}, control.Workspace{}, badRequest(err)
	}
	return query, workspace, nil
}

// whoseQuestion is the workspace that is asked about, and its time zone.
func (s *Server) whoseQuestion(request asked) (control.Workspace, *time.Location, error) {
	values, err := url.ParseQuery(request.query)
	if err != nil {
		return control.Workspace{}, nil, badRequest(errors.New("the parameters are not URL-encoded"))
	}
	slug := parser{values: values}
	name := slug.slug()
	if len(slug.errs) > 0 {
		return control.Workspace{}, nil, badRequest(errors.Join(slug.errs...))
	}
	workspace, err := s.workspace(request.key, name)
	if err != nil {
		return control.Workspace{}, nil, err
	}
	zone, err := time.LoadLocation(workspace.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return workspace, zone, nil
}

func flowSeries[T any](ctx context.Context, s *Server, request asked, metric string, figures func(*moved, []int64) T) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, choice{"refundBasis", []string{refundsByOwn, refundsByOriginal}})
	if err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	if r.profile = profileOf(query.Profile); r.profile.refunds == "" {
		if err := query.refuseProfile(metric); err != nil {
			return answered{}, err
		}
	}
	query.RefundBasis = cmp.Or(query.chosen["refundBasis"], r.profile.refunds, refundsByOwn)
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return answered{}, err
	}
	body, err := readFlowAnswer(ctx, r, &query, figures)
	if err != nil {
		return r.answered(nil, complete), err
	}
	body.SeriesHead = query.head(metric, workspace, complete)
	if previous, compared := query.previous(); compared {
		if body.Previous, err = readFlowAnswer(ctx, r, &previous, figures); err != nil {
			return r.answered(nil, complete), err
		}
		body.Previous.SeriesHead = previous.head(metric, workspace, complete)
	}
	return r.answered(body, complete), nil
}

// readFlowAnswer is the answer but for its head.
func readFlowAnswer[T any](ctx context.Context, r *reading, query *SeriesQuery, figures func(*moved, []int64) T) (*FlowSeries[T], error) {
	r.by = query.Breakdown
	kinds, err := r.flowKinds(ctx, query.Edges, false, true)
	if err != nil {
		return nil, err
	}
	var lone []LoneRefunds
	if query.RefundBasis == refundsByOriginal {
		var refunds []kindRow
		if refunds, lone, err = r.refundsByOriginal(ctx, query.Edges); err != nil {
			return nil, err
		}
		kinds = append(withoutRefunds(kinds), refunds...)
	}
	rows := flowRows(kinds)
	exchange, err := r.flowExchange(ctx, rows)
	if err != nil {
		return nil, err
	}
	answer, err := flowAnswer(query, rows, exchange, figures)
	if err == nil {
		answer.RefundBasis, answer.WithoutOriginal = query.RefundBasis, lone
	}
	return answer, err
}

// flowExchange reads the rates that the rows need.
func (r *reading) flowExchange(ctx context.Context, rows []flowRow) (*exchange, error) {
	var needs rateNeeds
	for i := range rows {
		needs.add(r.into, rows[i].currency, rows[i].day)
	}
	return r.exchange(ctx, needs)
}

func flowAnswer[T any](query *SeriesQuery, rows []flowRow, x *exchange, figures func(*moved, []int64) T) (*FlowSeries[T], error) {
	answer := &FlowSeries[T]{Series: []FlowBucket[T]{}}
	var err error
	var all *moved
	if answer.Total, all, err = flowFigures(rows, x, figures); err != nil {
		return nil, err
	}
	answer.Unconverted = unconverted(all.totals, x.totals(1))
	if query.Breakdown.dimension != "" {
		if answer.Breakdown, err = flowParts(query, rows, x, figures); err != nil {
			return nil, err
		}
	}
	for i, bucket := range query.buckets() {
		var within []flowRow
		within, rows = splitBefore(rows, query.Edges[i+1], func(row *flowRow) int64 { return row.bucket })
		one := FlowBucket[T]{Bucket: bucket}
		if one.FlowFigures, _, err = flowFigures(within, x, figures); err != nil {
			return nil, err
		}
		answer.Series = append(answer.Series, one)
	}
	return answer, nil
}

// flowFigures derives the figures of some rows, converted and of each currency.
func flowFigures[T any](rows []flowRow, x *exchange, figures func(*moved, []int64) T) (FlowFigures[T], *moved, error) {
	answer := FlowFigures[T]{Native: []Native[T]{}}
	all := sumFlows(rows, x)
	amounts, err := all.totals.all()
	if err != nil {
		return answer, nil, err
	}
	answer.Converted = figures(&all, amounts)
	native := map[string]*moved{}
	var currencies []string
	for i := range rows {
		currency := rows[i].currency
		if native[currency] == nil {
			native[currency] = &moved{totals: newExchange(currency).totals(int(flowCount))}
			currencies = append(currencies, currency)
		}
		native[currency].add(&rows[i])
	}
	slices.Sort(currencies)
	for _, currency := range currencies {
		if amounts, err = native[currency].totals.all(); err != nil {
			return answer, nil, err
		}
		answer.Native = append(answer.Native, Native[T]{currency, figures(native[currency], amounts)})
	}
	return answer, &all, nil
}

// splitBefore divides rows, which are in order of their bucket, at an edge.
func splitBefore[R any](rows []R, edge time.Time, bucket func(*R) int64) (before, rest []R) {
	n := 0
	for n < len(rows) && bucket(&rows[n]) < edge.UnixMicro() {
		n++
	}
	return rows[:n], rows[n:]
}

// head fills in what every series answer says of itself.
func (q *SeriesQuery) head(metric string, workspace control.Workspace, complete time.Time) SeriesHead {
	head := SeriesHead{
		Metric: metric, WorkspaceSlug: workspace.Slug, Interval: string(q.Interval), TimeZone: q.Zone.String(),
		Since: q.instant(q.Edges[0]), Until: q.instant(q.Edges[len(q.Edges)-1]),
		Currency: workspace.Currency, DefinitionVersion: q.profile().version(),
	}
	if q.Breakdown.dimension != "" {
		head.Breakdown = q.Breakdown.String()
	}
	if !complete.IsZero() {
		text := complete.Format(time.RFC3339Nano)
		head.CompleteThrough = &text
	}
	if !q.AsOf.IsZero() {
		text, final := q.instant(q.AsOf), q.AsOf.Before(complete)
		head.AsOf, head.Final = &text, &final
	}
	return head
}

// instant writes an instant in the time zone of the question.
func (q *SeriesQuery) instant(at time.Time) string { return at.In(q.Zone).Format(time.RFC3339Nano) }

// buckets are the bounds of the buckets between the edges.
func (q *SeriesQuery) buckets() []Bucket {
	buckets := make([]Bucket, len(q.Edges)-1)
	for i := range buckets {
		start, end := q.Edges[i], q.Edges[i+1]
		whole := start.Equal(q.Interval.start(start, q.Zone)) && end.Equal(q.Interval.after(start, 1, q.Zone))
		buckets[i] = Bucket{q.instant(start), q.instant(end), !whole}
	}
	return buckets
}
