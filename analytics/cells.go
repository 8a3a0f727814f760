package analytics

import (
	"slices"
	"strings"

	"revstream/ingest/revenue"
)

// A cell is how it is told which rows belong to a figure where that depends on other rows
// of the ledger: to a cohort, those of customers who first paid in a certain month. It is
// the name of the question in sql/cell_*.sql. Figures without one are sums of all rows of
// their kinds in a range.
//
// Of what is counted once, however many rows it has, one row belongs: so a count of
// distinct things is a sum over rows as well.
type cell string

const (
	cellOriginalRefunds        cell = "original_refunds"
	cellCohortRevenue          cell = "cohort_revenue"
	cellCohortPayers           cell = "cohort_payers"
	cellCohortBeginnings       cell = "cohort_beginnings"
	cellCohortMRR              cell = "cohort_mrr"
	cellCohortCustomers        cell = "cohort_customers"
	cellClosing                cell = "closing"
	cellRetained               cell = "retained"
	cellChurned                cell = "churned"
	cellPaying                 cell = "paying"
	cellCancelledMRR           cell = "cancelled_mrr"
	cellCancelledSubscriptions cell = "cancelled_subscriptions"
	cellCancelled              cell = "cancelled"
	cellTrials                 cell = "trials"
)

// ofCohorts are the cells of cohorts, whose periods may be those of each customer's own time.
var ofCohorts = []cell{cellCohortRevenue, cellCohortPayers, cellCohortBeginnings, cellCohortMRR, cellCohortCustomers}

// ofParts are the cells of answers that are broken down.
var ofParts = []cell{"", cellOriginalRefunds, cellPaying}

// ofRanges are the other cells.
var ofRanges = []cell{cellClosing, cellRetained, cellChurned, cellCancelledMRR, cellCancelledSubscriptions, cellCancelled, cellTrials}

// explainChoice is which rows are to be explained.
type explainChoice struct {
	cell cell
	// by is the dimension that the answer is broken down by, if it is.
	by string
	// relative periods of cohorts are of the customers' own time.
	relative bool
	// changed says that only the change since a moment is asked for.
	changed bool
}

// explainChoices are all there are.
func explainChoices() []explainChoice {
	var all []explainChoice
	add := func(choice explainChoice) {
		all = append(all, choice)
		choice.changed = true
		all = append(all, choice)
	}
	for _, cell := range ofRanges {
		add(explainChoice{cell: cell})
	}
	for _, cell := range ofCohorts {
		add(explainChoice{cell: cell})
		add(explainChoice{cell: cell, relative: true})
	}
	for _, cell := range ofParts {
		add(explainChoice{cell: cell})
		for name := range dimensions {
			add(explainChoice{cell: cell, by: name})
		}
	}
	return all
}

// explainText is what the questions of an explanation are completed with.
type explainText struct {
	parts
	// Belongs is the condition that a row belongs to the figure as it is known at the
	// moment of the question, Belonged as it was at the moment since when the change is
	// asked for.
	Belongs, Belonged string
}

func (c explainChoice) completed(complete func(name string, choice any) string) explainText {
	text := explainText{parts: parts{By: c.by}}
	if c.cell == "" {
		return text
	}
	text.Belongs = withoutComments(complete("cell_"+string(c.cell), struct {
		parts
		Relative bool
	}{text.parts, c.relative}))
	if c.changed {
		text.Belonged = strings.ReplaceAll(text.Belongs, "{as_of:", "{known_after:")
	}
	return text
}

// withoutComments is a question that can be put into another one.
func withoutComments(sql string) string {
	var text strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(line, "--") {
			text.WriteString(line)
		}
	}
	return strings.TrimSpace(text.String())
}

// cellFigures are those whose rows depend on others.
func cellFigures() map[string]figure {
	trials := func(flags ...string) figure {
		return figure{unit: UnitCount, cell: cellTrials, flags: flags, terms: []term{{
			kinds:   []revenue.EntryKind{revenue.EntryTrialStart, revenue.EntryTrialConversion, revenue.EntryExpiration},
			measure: entriesOf, factor: 1,
		}}}
	}
	opening := balanceOf(UnitMRR, mrrOf, 1, movementKinds...)
	opening.opening = true
	openingCustomers := countsOf(movementKinds...).within(cellPaying)
	openingCustomers.balance, openingCustomers.opening = true, true
	cancelledMRR := mrrOfKinds(1, movementKinds...).within(cellCancelledMRR)
	cancelledSubscriptions := countsOf(movementKinds...).within(cellCancelledSubscriptions)
	cancelledMRR.balance, cancelledSubscriptions.balance = true, true
	return map[string]figure{
		"openingMrrCents":  opening,
		"openingCustomers": openingCustomers,
		"closingMrrCents":  mrrOfKinds(1, movementKinds...).within(cellClosing),
		"retainedMrrCents": mrrOfKinds(1, movementKinds...).within(cellRetained),
		"churnedCustomers": countsOf(movementKinds...).within(cellChurned),

		"cancelledMrrCents":      cancelledMRR,
		"cancelledSubscriptions": cancelledSubscriptions,
		"committedMrrCents":      derived("mrrCents", "cancelledMrrCents"),
		"uniqueCancelledSubs":    countsOf(revenue.EntryCancellation).within(cellCancelled),

		"cohortTrials":      trials("trials_began"),
		"cohortConversions": trials("trials_came", "converted"),
		"endedTrials":       trials("trials_ended"),
		"endedConversions":  trials("trials_ended", "converted"),
		"conversionRate": derived("cohortConversions", "cohortTrials", "endedConversions", "endedTrials",
			"trialConversionCount", "trialCount"),
		"customerRetention": derived("customers", "eligible"),
		"revenueRetention":  derived("mrrCents", "netRevenueCents"),
	}
}

// within is the figure of the rows that belong to a cell only.
func (f figure) within(cell cell) figure {
	f.cell = cell
	return f
}

// cohortFigures are the figures of a period of a cohort, by what the cohorts are of.
func cohortFigures(figures map[string]figure) map[string]map[string]figure {
	paying := countsOf(revenue.EntryNew).within(cellCohortCustomers)
	paying.flags = []string{"paying"}
	return map[string]map[string]figure{
		cohortsOfMRR: {
			"mrrCents": figures["mrrCents"].within(cellCohortMRR), "customers": paying,
			"cohortCustomers": countsOf(revenue.EntryNew).within(cellCohortCustomers),
			"eligible":        countsOf(revenue.EntryNew).within(cellCohortCustomers),
		},
		cohortsOfRevenue: {
			"grossRevenueCents": figures["grossRevenueCents"].within(cellCohortRevenue),
			"refundCents":       figures["refundCents"].within(cellCohortRevenue),
			"netRevenueCents":   figures["netRevenueCents"].within(cellCohortRevenue),
			"customers":         countsOf(chargeKinds...).within(cellCohortPayers),
			"cohortCustomers":   countsOf(chargeKinds...).within(cellCohortBeginnings),
			"eligible":          countsOf(chargeKinds...).within(cellCohortBeginnings),
		},
	}
}

// ofRefunds reports whether refunds count in the figure.
func (f *figure) ofRefunds() bool {
	return slices.Contains(f.kinds(), string(revenue.EntryRefund))
}
