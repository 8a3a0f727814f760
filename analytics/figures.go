package analytics

import (
	"maps"
	"slices"

	"revstream/ingest/revenue"
)

// A figure is a number that answers have, by the name it has there. Most are sums over
// rows of the ledger, each of which counts by its kind: these can be explained row by
// row. The others are worked out of figures.
type figure struct {
	terms []term
	unit  Unit
	// balance figures are of everything before the end of the range, whatever its start.
	balance bool
	// opening figures are balances before the beginning of the range.
	opening bool
	// from names what the figure is worked out of, if it has no terms.
	from []string
	// cell says which rows belong to the figure, where that depends on others; flags are
	// what its question is narrowed by.
	cell  cell
	flags []string
}

// Unit is what a figure's rows are counted in: the stored unit, before any rounding or
// conversion.
type Unit string

// The units of figures.
const (
	UnitMinor Unit = "minor unit"
	UnitMRR   Unit = "1/10000 minor unit"
	UnitCount Unit = "count"
)

// measures are the numbers of a row, or the sums of some rows of one kind.
type measures struct {
	entries, positive, amount, tax, fee, discount int64
	mrr, subscriptions, customers                 int64
}

// term says that rows of the kinds count with a measure, times a factor: refunds and
// disputes are negative in the ledger and magnitudes in figures.
type term struct {
	kinds   []revenue.EntryKind
	measure func(*measures) int64
	factor  int64
	// recurringOnly leaves out what belongs to no subscription.
	recurringOnly bool
}

var (
	chargeKinds = []revenue.EntryKind{
		revenue.EntryPurchase, revenue.EntrySubscriptionPurchase, revenue.EntryTrialConversion, revenue.EntryRenewal,
	}
	subscriptionKinds = chargeKinds[1:3]
	recurringKinds    = chargeKinds[1:]
	movementKinds     = []revenue.EntryKind{
		revenue.EntryNew, revenue.EntryReactivation, revenue.EntryExpansion, revenue.EntryContraction, revenue.EntryChurn,
		revenue.EntryTransfer,
	}
	activityKinds = []revenue.EntryKind{revenue.EntryActive, revenue.EntryInactive, revenue.EntryTransfer}
)

func entriesOf(m *measures) int64       { return m.entries }
func positiveOf(m *measures) int64      { return m.positive }
func amountOf(m *measures) int64        { return m.amount }
func taxOf(m *measures) int64           { return m.tax }
func feeOf(m *measures) int64           { return m.fee }
func discountOf(m *measures) int64      { return m.discount }
func mrrOf(m *measures) int64           { return m.mrr }
func subscriptionsOf(m *measures) int64 { return m.subscriptions }
func customersOf(m *measures) int64     { return m.customers }

// amountsOf, countsOf and mrrOfKinds are the three frequent forms of figures.
func amountsOf(factor int64, kinds ...revenue.EntryKind) figure {
	return figure{unit: UnitMinor, terms: []term{{kinds: kinds, measure: amountOf, factor: factor}}}
}

func countsOf(kinds ...revenue.EntryKind) figure {
	return figure{unit: UnitCount, terms: []term{{kinds: kinds, measure: entriesOf, factor: 1}}}
}

func mrrOfKinds(factor int64, kinds ...revenue.EntryKind) figure {
	return figure{unit: UnitMRR, terms: []term{{kinds: kinds, measure: mrrOf, factor: factor}}}
}

func chargesBy(unit Unit, measure func(*measures) int64, kinds ...revenue.EntryKind) figure {
	return figure{unit: unit, terms: []term{{kinds: kinds, measure: measure, factor: 1}}}
}

func balanceOf(unit Unit, measure func(*measures) int64, factor int64, kinds ...revenue.EntryKind) figure {
	return figure{unit: unit, balance: true, terms: []term{{kinds: kinds, measure: measure, factor: factor}}}
}

func derived(from ...string) figure { return figure{from: from} }

// newFigures are all figures of all answers, by name (reference/metrics.md sections 2b
// and 3).
func newFigures() map[string]figure {
	figures := map[string]figure{
		"grossRevenueCents": amountsOf(1, chargeKinds...),
		"refundCents":       amountsOf(-1, revenue.EntryRefund),
		"netRevenueCents":   amountsOf(1, append(slices.Clone(chargeKinds), revenue.EntryRefund)...),
		"recurringNetCents": {unit: UnitMinor, terms: []term{
			{kinds: recurringKinds, measure: amountOf, factor: 1},
			{kinds: []revenue.EntryKind{revenue.EntryRefund}, measure: amountOf, factor: 1, recurringOnly: true},
		}},
		"purchasesCents":     amountsOf(1, revenue.EntryPurchase),
		"subscriptionsCents": amountsOf(1, subscriptionKinds...),
		"renewalsCents":      amountsOf(1, revenue.EntryRenewal),
		"taxCents":           chargesBy(UnitMinor, taxOf, chargeKinds...),
		"discountCents":      chargesBy(UnitMinor, discountOf, chargeKinds...),
		"feeCents": {unit: UnitMinor, terms: []term{
			{kinds: chargeKinds, measure: feeOf, factor: 1},
			{kinds: []revenue.EntryKind{revenue.EntryFee}, measure: amountOf, factor: -1},
		}},
		"disputeCents":         amountsOf(-1, revenue.EntryDispute),
		"disputeReversalCents": amountsOf(1, revenue.EntryDisputeReversal),

		"positiveChargeCount":       chargesBy(UnitCount, positiveOf, chargeKinds...),
		"subscriptionPurchaseCount": chargesBy(UnitCount, positiveOf, subscriptionKinds...),
		"purchaseCount":             countsOf(revenue.EntryPurchase),
		"renewalCount":              countsOf(revenue.EntryRenewal),
		"refundCount":               countsOf(revenue.EntryRefund),
		"disputeCount":              countsOf(revenue.EntryDispute),
		"disputeReversalCount":      countsOf(revenue.EntryDisputeReversal),
		"cancellationCount":         countsOf(revenue.EntryCancellation),
		"trialCount":                countsOf(revenue.EntryTrialStart),
		"trialConversionCount":      countsOf(revenue.EntryTrialConversion),

		"trialConversionRate":    derived("trialConversionCount", "trialCount"),
		"cancellationRate":       derived("uniqueCancelledSubs", "uniqueActiveSubs"),
		"refundRate":             derived("refundCount", "positiveChargeCount"),
		"grossMrrChurn":          derived("contractionCents", "churnCents", "mrrCents"),
		"netMrrChurn":            derived("contractionCents", "churnCents", "expansionCents", "reactivationCents", "mrrCents"),
		"quickRatio":             derived("newCents", "expansionCents", "contractionCents", "churnCents"),
		"arpaCents":              derived("mrrCents", "customers"),
		"ltvCents":               derived("mrrCents", "openingMrrCents", "churnedCustomers"),
		"averageSalePriceCents":  derived("newCents", "newCustomers"),
		"customerChurnRate":      derived("churnedCustomers", "openingCustomers"),
		"grossRevenueRetention":  derived("retainedMrrCents", "openingMrrCents"),
		"netRevenueRetention":    derived("closingMrrCents", "openingMrrCents"),
		"refundRateByAmount":     derived("refundCents", "grossRevenueCents"),
		"averageOrderValueCents": derived("netRevenueCents", "positiveChargeCount"),
		"fxCents":                derived("mrrCents", "newCents", "reactivationCents", "expansionCents", "contractionCents", "churnCents", "transferCents"),
	}
	maps.Copy(figures, mrrFigureDefinitions())
	maps.Copy(figures, cellFigures())
	figures["uniqueActiveSubs"] = figures["activeSubscriptions"]
	return figures
}

// mrrFigureDefinitions are the figures that rows of state add up to.
func mrrFigureDefinitions() map[string]figure {
	return map[string]figure{
		"newCents":          mrrOfKinds(1, revenue.EntryNew),
		"reactivationCents": mrrOfKinds(1, revenue.EntryReactivation),
		"expansionCents":    mrrOfKinds(1, revenue.EntryExpansion),
		"contractionCents":  mrrOfKinds(-1, revenue.EntryContraction),
		"churnCents":        mrrOfKinds(-1, revenue.EntryChurn),
		"transferCents":     mrrOfKinds(1, revenue.EntryTransfer),
		"mrrCents":          balanceOf(UnitMRR, mrrOf, 1, movementKinds...),
		"arrCents":          balanceOf(UnitMRR, mrrOf, 12, movementKinds...),
		"customers":         balanceOf(UnitCount, customersOf, 1, movementKinds...),

		"newCustomers":         chargesBy(UnitCount, customersOf, revenue.EntryNew),
		"reactivatedCustomers": chargesBy(UnitCount, customersOf, revenue.EntryReactivation),
		"lostCustomers":        {unit: UnitCount, terms: []term{{kinds: []revenue.EntryKind{revenue.EntryChurn}, measure: customersOf, factor: -1}}},
		"newSubscriptions":     chargesBy(UnitCount, subscriptionsOf, revenue.EntryActive),
		"endedSubscriptions":   {unit: UnitCount, terms: []term{{kinds: []revenue.EntryKind{revenue.EntryInactive}, measure: subscriptionsOf, factor: -1}}},

		"activeSubscriptions": balanceOf(UnitCount, subscriptionsOf, 1, activityKinds...),
	}
}

// kinds are those of the rows behind the figure.
func (f *figure) kinds() (kinds []string) {
	for _, term := range f.terms {
		kinds = append(kinds, texts(term.kinds)...)
	}
	return kinds
}

// ofState reports whether movements or activity of subscriptions are behind the figure.
func (f *figure) ofState() bool {
	return slices.ContainsFunc(f.terms, func(t term) bool { return t.kinds[0].Family() == revenue.FamilyState })
}

// followsProfiles reports whether a figure is of MRR or of those who pay it, which is what
// profiles define, or worked out of such.
func followsProfiles(name string, figures map[string]figure) bool {
	f := figures[name]
	return f.ofState() || slices.ContainsFunc(f.from, func(part string) bool { return followsProfiles(part, figures) })
}

// counts is what rows of a kind come to in the figure. It is linear, so that the rows'
// contributions add up to that of their sums.
func (f *figure) counts(kind revenue.EntryKind, recurring bool, m *measures) (units int64) {
	for _, term := range f.terms {
		if slices.Contains(term.kinds, kind) && (recurring || !term.recurringOnly) {
			units += term.factor * term.measure(m)
		}
	}
	return units
}
