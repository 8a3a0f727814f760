package analytics

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"revstream/ingest/revenue"
)

// DefinitionVersion names the definitions that the figures follow. It changes
// when a figure of the same ledger would.
const DefinitionVersion = "house-1"

// Summary is the summary object of GET /revenue: figures of a period, amounts in
// minor units of Currency. What each counts is said in openapi.yaml.
type Summary struct {
	Currency                  string      `json:"currency"`
	GrossRevenueCents         int64       `json:"grossRevenueCents"`
	NetRevenueCents           int64       `json:"netRevenueCents"`
	RefundCents               int64       `json:"refundCents"`
	RecurringNetCents         int64       `json:"recurringNetCents"`
	PurchaseCount             int64       `json:"purchaseCount"`
	SubscriptionPurchaseCount int64       `json:"subscriptionPurchaseCount"`
	RenewalCount              int64       `json:"renewalCount"`
	RefundCount               int64       `json:"refundCount"`
	CancellationCount         int64       `json:"cancellationCount"`
	PositiveChargeCount       int64       `json:"positiveChargeCount"`
	TrialCount                int64       `json:"trialCount"`
	TrialConversionCount      int64       `json:"trialConversionCount"`
	TrialConversionRate       Thousandths `json:"trialConversionRate"`
	CancellationRate          Thousandths `json:"cancellationRate"`
	RefundRate                Thousandths `json:"refundRate"`
	MRRCents                  int64       `json:"mrrCents"`
	AverageOrderValueCents    int64       `json:"averageOrderValueCents"`
	UniqueCancelledSubs       int64       `json:"uniqueCancelledSubs"`
	UniqueActiveSubs          int64       `json:"uniqueActiveSubs"`
	// Unconverted is not in the contract, and absent unless a currency had no
	// exchange rate: then its amounts are in no total, and shown here instead.
	Unconverted []Unconverted `json:"unconverted,omitempty"`
}

// Unconverted are the figures of a currency without exchange rate, in its own
// minor units.
type Unconverted struct {
	Currency          string `json:"currency"`
	GrossRevenueCents int64  `json:"grossRevenueCents"`
	NetRevenueCents   int64  `json:"netRevenueCents"`
	RefundCents       int64  `json:"refundCents"`
	RecurringNetCents int64  `json:"recurringNetCents"`
	MRRCents          int64  `json:"mrrCents"`
}

// Thousandths is a ratio with three decimals, written as a JSON number.
type Thousandths int64

// MarshalJSON writes 800 as 0.8 and 1000 as 1.
func (t Thousandths) MarshalJSON() ([]byte, error) {
	text := new(big.Rat).SetFrac64(int64(t), 1000).FloatString(3)
	return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Thousandths) UnmarshalJSON(text []byte) error {
	value, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return strconv.ErrSyntax
	}
	value.Mul(value, big.NewRat(1000, 1))
	*t = Thousandths(new(big.Int).Quo(value.Num(), value.Denom()).Int64())
	return nil
}

// moved is what flow rows come to in the currency of the answer.
type moved struct {
	counts
	totals *totals
	// converted are the positive charges whose amounts are in the totals.
	converted int64
}

func sumFlows(rows []flowRow, x *exchange) moved {
	m := moved{totals: x.totals(int(flowCount))}
	for i := range rows {
		m.add(&rows[i])
	}
	return m
}

func (m *moved) add(row *flowRow) {
	m.counts.add(&row.counts)
	if m.totals.add(row.currency, row.day, row.amounts[:]) {
		m.converted += row.positiveCharges
	}
}

// balance is what steps of MRR have come to at an instant.
type balance struct {
	at            time.Time
	mrr           map[string]int64 // 1/10,000 minor units by currency
	subscriptions int64
	customers     int64
}

// balanceAt adds up the steps before the instant, which must be an edge that they
// were read with.
func balanceAt(rows []movementRow, at time.Time) balance {
	b := balance{at: at, mrr: map[string]int64{}}
	for i := range rows {
		if rows[i].Bucket < at.UnixMicro() {
			b.add(&rows[i])
		}
	}
	return b
}

func (b *balance) add(row *movementRow) {
	b.mrr[row.Currency] += row.MRR
	b.subscriptions += row.Subscriptions
	b.customers += row.Customers
}

// rateDay is the day whose rates value the balance: that of its last instant.
func (b *balance) rateDay() time.Time { return b.at.Add(-time.Microsecond).Truncate(dayLength) }

// convert values the balance in one currency, in totals of one amount.
func (b *balance) convert(x *exchange) *totals {
	t := x.totals(1)
	for currency, mrr := range b.mrr {
		t.add(currency, b.rateDay(), []int64{mrr})
	}
	return t
}

// summarise derives the summary of a period.
func summarise(rows []flowRow, level balance, cancelled int64, x *exchange) (Summary, error) {
	m := sumFlows(rows, x)
	amounts, err := m.totals.all()
	if err != nil {
		return Summary{}, err
	}
	levels := level.convert(x)
	mrr, err := levels.rounded(0, revenue.MRRScale)
	if err != nil {
		return Summary{}, err
	}
	// Net is the difference of what is published, so that the three agree.
	net := amounts[flowGross] - amounts[flowRefund]
	trials, conversions := m.of(revenue.EntryTrialStart), m.of(revenue.EntryTrialConversion)
	refunds := m.of(revenue.EntryRefund)
	summary := Summary{
		Currency:                  x.into,
		GrossRevenueCents:         amounts[flowGross],
		NetRevenueCents:           net,
		RefundCents:               amounts[flowRefund],
		RecurringNetCents:         amounts[flowRecurringNet],
		PurchaseCount:             m.of(revenue.EntryPurchase),
		SubscriptionPurchaseCount: m.subscriptionPurchases,
		RenewalCount:              m.of(revenue.EntryRenewal),
		RefundCount:               refunds,
		CancellationCount:         m.of(revenue.EntryCancellation),
		PositiveChargeCount:       m.positiveCharges,
		TrialCount:                trials,
		TrialConversionCount:      conversions,
		TrialConversionRate:       Thousandths(share(conversions, trials, 1000)),
		CancellationRate:          Thousandths(share(cancelled, level.subscriptions+cancelled, 1000)),
		RefundRate:                Thousandths(share(refunds, m.positiveCharges, 1000)),
		MRRCents:                  mrr,
		AverageOrderValueCents:    share(net, m.converted, 1),
		UniqueCancelledSubs:       cancelled,
		UniqueActiveSubs:          level.subscriptions,
		Unconverted:               unconverted(m.totals, levels),
	}
	return summary, nil
}

func unconverted(flows, levels *totals) []Unconverted {
	currencies := append(flows.missingCurrencies(), levels.missingCurrencies()...)
	slices.Sort(currencies)
	var list []Unconverted
	for _, currency := range slices.Compact(currencies) {
		one := Unconverted{Currency: currency}
		if amounts := flows.missing[currency]; amounts != nil {
			one.GrossRevenueCents, one.RefundCents = amounts[flowGross], amounts[flowRefund]
			one.NetRevenueCents = amounts[flowGross] - amounts[flowRefund]
			one.RecurringNetCents = amounts[flowRecurringNet]
		}
		if mrr := levels.missing[currency]; mrr != nil {
			one.MRRCents = revenue.RoundMRR(mrr[0])
		}
		list = append(list, one)
	}
	return list
}

// SeriesBucket is a bucket of GET /revenue's series: what moved on a UTC day in
// one currency, in that currency's minor units, not converted.
type SeriesBucket struct {
	Currency           string `json:"currency"`
	RevenueCents       int64  `json:"revenueCents"`
	PurchasesCents     int64  `json:"purchasesCents"`
	RenewalsCents      int64  `json:"renewalsCents"`
	SubscriptionsCents int64  `json:"subscriptionsCents"`
	RefundsCents       int64  `json:"refundsCents"`
	Date               string `json:"date"`
}

// dailySeries lists the days and currencies that money moved on, in order of the
// date.
func dailySeries(rows []flowRow) []SeriesBucket {
	series := []SeriesBucket{}
	for i := range rows {
		row := &rows[i]
		if row.positiveCharges == 0 && row.of(revenue.EntryRefund) == 0 {
			continue
		}
		series = append(series, SeriesBucket{
			Currency: row.currency, RevenueCents: row.amounts[flowGross], PurchasesCents: row.amounts[flowPurchase],
			RenewalsCents: row.amounts[flowRenewal], SubscriptionsCents: row.amounts[flowSubscriptionPurchase],
			RefundsCents: row.amounts[flowRefund], Date: row.day.Format(time.DateOnly),
		})
	}
	return series
}
