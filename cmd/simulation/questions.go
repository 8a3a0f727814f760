package simulation

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/url"
	"time"
)

// cell is one figure that can be compared: of an endpoint, about a range.
type cell struct {
	endpoint string
	r        Range
	figure   figure
	// cents says that the figure is MRR rounded to minor units.
	cents bool
}

// answers are figures that the service gave.
type answers map[cell]int64

// endpoints of questions.
const (
	endpointRevenue        = "/revenue"
	endpointMetricsRevenue = "/v1/metrics/revenue"
	endpointMetricsRefunds = "/v1/metrics/refunds"
	endpointMetricsMRR     = "/v1/metrics/mrr"
)

// everything reaches beyond the history, since terms that were paid end later.
func (o Options) everything() Range {
	s := o.span()
	return Range{Since: s.begin.AddDate(0, 0, -40), Until: s.end.AddDate(3, 0, 0)}
}

// months are the calendar months of the history.
func (o Options) months() []Range {
	s := o.span()
	var months []Range
	for month := date(s.begin.Year(), s.begin.Month()); month.Before(s.end); month = month.AddDate(0, 1, 0) {
		months = append(months, Range{Since: month, Until: month.AddDate(0, 1, 0)})
	}
	return months
}

// ranges are those to ask everything about: all there is, the history, its
// calendar years, and ragged ones, for all providers and for each.
func (o Options) ranges() []Range {
	s := o.span()
	all := []Range{o.everything(), {Since: s.begin, Until: s.end}}
	for year := s.begin.Year(); year <= s.end.Year(); year++ {
		all = append(all, Range{Since: date(year, 1), Until: date(year+1, 1)})
	}
	ragged := o.ragged()
	all = append(all, ragged...)
	for _, door := range Doors {
		if !o.uses(door) {
			continue
		}
		for _, r := range append([]Range{all[0], all[1]}, ragged[:2]...) {
			r.Door = door
			all = append(all, r)
		}
	}
	return all
}

func date(year int, month time.Month) time.Time {
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// ragged ranges begin and end anywhere, to the microsecond.
func (o Options) ragged() []Range {
	s, random := o.span(), rand.New(rand.NewPCG(o.Seed, 0x726167))
	anywhere := func() time.Time {
		return s.begin.Add(time.Duration(random.Int64N(int64(s.end.Sub(s.begin))))).Truncate(time.Microsecond)
	}
	var ranges []Range
	for len(ranges) < 8 {
		a, b := anywhere(), anywhere()
		if b.Before(a) {
			a, b = b, a
		}
		if len(ranges) == 7 { // within an hour or so
			b = a.Add(97 * time.Minute)
		}
		if a.Before(b) {
			ranges = append(ranges, Range{Since: a, Until: b})
		}
	}
	return ranges
}

// interval of a series that has not too many buckets.
func (r Range) interval() string {
	if r.Until.Sub(r.Since) > 90*24*time.Hour {
		return "month"
	}
	return "day"
}

func (r Range) values() url.Values {
	values := url.Values{"since": {instant(r.Since)}, "until": {instant(r.Until)}}
	if r.Door != "" {
		values.Set("provider", string(r.Door))
	}
	return values
}

func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// put asks a question and notes the figures of its answer.
func (i *inspector) put(ctx context.Context, q question, into answers) error {
	switch q.endpoint {
	case endpointRevenue:
		return i.askRevenue(ctx, q.r, into)
	case endpointMetricsMRR:
		return i.askMRR(ctx, q.r, into)
	default:
		return i.askFlows(ctx, q.endpoint, q.r, into)
	}
}

// summaryAnswer is the part of GET /revenue's answer that is compared.
type summaryAnswer struct {
	Total   int64
	Summary struct {
		Currency                                                                 string
		GrossRevenueCents, RefundCents, NetRevenueCents, RecurringNetCents       int64
		PurchaseCount, SubscriptionPurchaseCount, RenewalCount, RefundCount      int64
		CancellationCount, PositiveChargeCount, TrialCount, TrialConversionCount int64
		MRRCents, UniqueCancelledSubs, UniqueActiveSubs, AverageOrderValueCents  int64
		TrialConversionRate, CancellationRate, RefundRate                        float64
		// Unconverted is there if the workspace holds money without exchange rate:
		// such charges are counted, but in no total.
		Unconverted []struct{ Currency string }
	}
}

func (i *inspector) askRevenue(ctx context.Context, r Range, into answers) error {
	values := r.values()
	values.Set("pageSize", "1")
	var a summaryAnswer
	if _, err := i.ask(ctx, endpointRevenue, values, &a); err != nil {
		return err
	}
	s := &a.Summary
	if err := i.checkCurrency(endpointRevenue, s.Currency); err != nil {
		return err
	}
	for figure, value := range map[figure]int64{
		figureGross: s.GrossRevenueCents, figureRefunds: s.RefundCents, figureNet: s.NetRevenueCents,
		figureRecurringNet: s.RecurringNetCents, figurePurchases: s.PurchaseCount,
		figureSubscriptionPurchases: s.SubscriptionPurchaseCount, figureRenewals: s.RenewalCount,
		figureRefundCount: s.RefundCount, figureCancellations: s.CancellationCount,
		figurePositiveCharges: s.PositiveChargeCount, figureTrials: s.TrialCount,
		figureTrialConversions: s.TrialConversionCount, figureCancelledSubscriptions: s.UniqueCancelledSubs,
		figureActiveSubscriptions: s.UniqueActiveSubs, figureItems: a.Total,
	} {
		into[cell{endpointRevenue, r, figure, false}] = value
	}
	into[cell{endpointRevenue, r, figureMRR, true}] = s.MRRCents
	i.checkRates(r, &a)
	return nil
}

// checkRates holds the ratios of an answer against its own figures.
func (i *inspector) checkRates(r Range, a *summaryAnswer) {
	s := &a.Summary
	thousandths := func(rate float64) int64 { return int64(rate*1000 + 0.5) }
	for _, ratio := range []struct {
		name             string
		got, part, whole int64
		scale            int64
	}{
		{"trialConversionRate", thousandths(s.TrialConversionRate), s.TrialConversionCount, s.TrialCount, 1000},
		{"refundRate", thousandths(s.RefundRate), s.RefundCount, s.PositiveChargeCount, 1000},
		{"cancellationRate", thousandths(s.CancellationRate), s.UniqueCancelledSubs, s.UniqueCancelledSubs + s.UniqueActiveSubs, 1000},
		{"averageOrderValueCents", s.AverageOrderValueCents, s.NetRevenueCents, s.PositiveChargeCount, 1},
	} {
		if ratio.part < 0 {
			continue // more refunds than revenue: rounding is not what is looked at here
		}
		if ratio.scale == 1 && len(s.Unconverted) > 0 {
			continue // the average is of the converted charges, whose number is not published
		}
		want := int64(0)
		if ratio.whole > 0 { // half up
			want = (2*ratio.scale*ratio.part + ratio.whole) / (2 * ratio.whole)
		}
		if ratio.got != want {
			i.complain("%s %s: %s is %d, and %d/%d is %d", endpointRevenue, r, ratio.name, ratio.got, ratio.part, ratio.whole, want)
		}
	}
}

func (i *inspector) checkCurrency(endpoint, currency string) error {
	if currency != i.options.Currency {
		return &refusal{fmt.Errorf("%s sums up in %s, and the run is in %s: give it the workspace's currency", endpoint, currency, i.options.Currency)}
	}
	return nil
}

// flowFigures are those of /v1/metrics/revenue and refunds; a figure that an
// endpoint does not have is nil.
type flowFigures struct {
	GrossRevenueCents, NetRevenueCents, RefundCents, RecurringNetCents          *int64
	TaxCents, FeeCents, DiscountCents, DisputeCents, DisputeReversalCents       *int64
	PositiveChargeCount, PurchaseCount, SubscriptionPurchaseCount, RenewalCount *int64
	RefundCount, DisputeCount, DisputeReversalCount                             *int64
}

func (f *flowFigures) note(endpoint string, r Range, into answers) {
	for figure, value := range map[figure]*int64{
		figureGross: f.GrossRevenueCents, figureNet: f.NetRevenueCents, figureRefunds: f.RefundCents,
		figureRecurringNet: f.RecurringNetCents, figureTax: f.TaxCents, figureFees: f.FeeCents,
		figureDiscounts: f.DiscountCents, figureDisputes: f.DisputeCents, figureDisputeReversals: f.DisputeReversalCents,
		figurePositiveCharges: f.PositiveChargeCount, figurePurchases: f.PurchaseCount,
		figureSubscriptionPurchases: f.SubscriptionPurchaseCount, figureRenewals: f.RenewalCount,
		figureRefundCount: f.RefundCount, figureDisputeCount: f.DisputeCount, figureDisputeReversalCount: f.DisputeReversalCount,
	} {
		if value != nil {
			into[cell{endpoint, r, figure, false}] = *value
		}
	}
}

// bucket is one of a series.
type bucket struct {
	Start, End time.Time
}

func (b bucket) within(r Range) Range {
	return Range{Since: b.Start.UTC(), Until: b.End.UTC(), Door: r.Door}
}

func (i *inspector) askFlows(ctx context.Context, endpoint string, r Range, into answers) error {
	var a struct {
		Currency string
		Total    struct{ Converted flowFigures }
		Series   []struct {
			bucket
			Converted flowFigures
		}
	}
	values := r.values()
	values.Set("interval", r.interval())
	values.Set("timeZone", "UTC")
	if _, err := i.ask(ctx, endpoint, values, &a); err != nil {
		return err
	}
	if err := i.checkCurrency(endpoint, a.Currency); err != nil {
		return err
	}
	a.Total.Converted.note(endpoint, r, into)
	for n := range a.Series {
		a.Series[n].Converted.note(endpoint+" series", a.Series[n].within(r), into)
	}
	return nil
}

func (i *inspector) askMRR(ctx context.Context, r Range, into answers) error {
	var a struct {
		Currency string
		Series   []struct {
			bucket
			ActiveSubscriptions, Customers int64
			MRRCents                       int64
			Exact                          struct{ New, Reactivation, Expansion, Contraction, Churn, MRR string }
		}
	}
	values := r.values()
	values.Set("interval", r.interval())
	values.Set("timeZone", "UTC")
	if _, err := i.ask(ctx, endpointMetricsMRR, values, &a); err != nil {
		return err
	}
	if err := i.checkCurrency(endpointMetricsMRR, a.Currency); err != nil {
		return err
	}
	for n := range a.Series {
		b := &a.Series[n]
		within := b.within(r)
		into[cell{endpointMetricsMRR, within, figureActiveSubscriptions, false}] = b.ActiveSubscriptions
		into[cell{endpointMetricsMRR, within, figureCustomers, false}] = b.Customers
		into[cell{endpointMetricsMRR, within, figureMRR, true}] = b.MRRCents
		for figure, text := range map[figure]string{
			figureNew: b.Exact.New, figureReactivation: b.Exact.Reactivation, figureExpansion: b.Exact.Expansion,
			figureContraction: b.Exact.Contraction, figureChurn: b.Exact.Churn, figureMRR: b.Exact.MRR,
		} {
			units, err := unitsOf(text)
			if err != nil {
				return &refusal{err}
			}
			if figure == figureContraction || figure == figureChurn { // given as magnitudes
				units = -units
			}
			into[cell{endpointMetricsMRR, within, figure, false}] = units
		}
	}
	return nil
}

// unitsOf reads minor units with all their decimals as MRR units.
func unitsOf(text string) (int64, error) {
	value, ok := new(big.Rat).SetString(text)
	if ok {
		value.Mul(value, big.NewRat(mrrUnits, 1))
	}
	if !ok || !value.IsInt() || !value.Num().IsInt64() {
		return 0, fmt.Errorf("%q is not an MRR with four decimals", text)
	}
	return value.Num().Int64(), nil
}
