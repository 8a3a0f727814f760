package analytics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"revstream/clickhouse"
)

// The places of cohort tables beside their cohorts.
const (
	cohortEarlier    = "earlier"
	cohortUnassigned = "unassigned"
)

// The bases of refunds that only explanations know: those whose charge is not known.
const refundsWithoutOriginal = "withoutOriginal"

// cohortCell is a cell of a table of cohorts.
type cohortCell struct {
	// table is the question that the table answers.
	table SeriesQuery
	// place is the number of the cohort from 0 on; or it is earlier or unassigned.
	place               int
	earlier, unassigned bool
	period              int
	relative, ofRevenue bool
}

// breakdownCell reads which part of an answer that is broken down is meant: its value may be
// empty. Losses are broken down by reason as well.
func (q *ExplainQuery) breakdownCell(p *parser) {
	if text, _ := p.text("breakdown"); text == reasonDimension {
		q.by = breakdown{dimension: reasonDimension}
	} else {
		q.by = p.breakdown("breakdown")
	}
	part, given := p.values["part"]
	switch {
	case !given && q.by.dimension == "":
		return
	case !given || q.by.dimension == "":
		p.fail("part", "and breakdown work together only")
	case len(part) > 1:
		p.fail("part", "is given %d times", len(part))
	case len(part[0]) > dimensionBytesMax:
		p.fail("part", "is longer than %d bytes", dimensionBytesMax)
	case q.ofState && !dimensions[q.by.dimension].ofMRR:
		p.fail("breakdown", "%v", errNotOfMRR)
	default:
		q.part = part[0]
	}
	if dimensions[q.by.dimension].attributed {
		q.claim = q.AttributionType
	}
}

// refunds reads when refunds count.
func (q *ExplainQuery) refunds(p *parser) {
	basis := p.choice("refundBasis", []string{refundsByOwn, refundsByOriginal, refundsWithoutOriginal}, refundsByOwn)
	switch {
	case basis == refundsByOwn:
	case q.figure.ofRefunds():
		q.figure = q.figure.within(cellOriginalRefunds)
		if basis == refundsWithoutOriginal {
			q.figure.flags = []string{"lone"}
		}
	case q.ofState || basis == refundsWithoutOriginal:
		p.fail("refundBasis", "%s is not of refunds", q.Figure)
	}
}

// cohortCell reads which cell of a table of cohorts is meant, if one is.
func (q *ExplainQuery) cohortCell(p *parser, now time.Time, zone *time.Location, config Config, figures map[string]figure) {
	cohort, given := p.text("cohort")
	measure, basis := p.choice("measure", []string{cohortsOfMRR, cohortsOfRevenue}, cohortsOfMRR),
		p.choice("basis", []string{cohortsByCalendar, cohortsRelative}, cohortsByCalendar)
	if !given {
		for _, name := range []string{"measure", "basis", "period", "interval"} {
			if len(p.values[name]) > 0 {
				p.fail(name, "is of a table of cohorts, and cohort says which of them")
			}
		}
		return
	}
	cell := &cohortCell{earlier: cohort == cohortEarlier, unassigned: cohort == cohortUnassigned,
		period: -1, relative: basis == cohortsRelative, ofRevenue: measure == cohortsOfRevenue}
	defined, known := cohortFigures(figures)[measure][q.Figure]
	if !known {
		p.fail("figure", "cohorts of %s have %s only", measure, strings.Join(slices.Sorted(maps.Keys(cohortFigures(figures)[measure])), ", "))
	}
	if q.by.dimension != "" || q.figure.cell == cellOriginalRefunds {
		p.fail("cohort", "is of a table that has neither breakdown nor refundBasis")
	}
	if len(p.errs) > 0 {
		return
	}
	own := *p
	table, err := own.seriesQuery(nil, now, zone, config)
	if err != nil {
		p.errs = own.errs
		return
	}
	cell.table, q.figure, q.cohort = table, defined, cell
	q.Period = Period{table.Edges[0], table.Edges[len(table.Edges)-1]}
	if cell.earlier || cell.unassigned {
		if !cell.ofRevenue || defined.cell != cellCohortRevenue {
			p.fail("cohort", "%s is of money in cohorts of revenue only", cohort)
		}
		return
	}
	cell.at(p, zone)
	if q.Figure != "cohortCustomers" {
		cell.period = p.count("period", 0)
		if end := cell.place + 1 + cell.period; !cell.relative && end >= len(table.Edges) {
			p.fail("period", "ends after the range")
		}
	}
}

// at finds the cohort by the start of its bucket.
func (c *cohortCell) at(p *parser, zone *time.Location) {
	start, _ := p.instant("cohort", zone, false)
	starts := c.table.Edges[:len(c.table.Edges)-1]
	if c.place = slices.IndexFunc(starts, start.Equal); c.place < 0 {
		p.fail("cohort", "is not the start of a bucket of the range")
		c.place = 0
	}
}

// choice is which question explains the figure.
func (q *ExplainQuery) choice() explainChoice {
	choice := explainChoice{cell: q.figure.cell, by: q.by.dimension, changed: !q.ChangedSince.IsZero()}
	if q.cohort != nil {
		choice.relative = q.cohort.relative
	}
	if q.figure.cell == "" {
		choice.changed = false // what became known since is what counts
	}
	return choice
}

// ofCell are the values of what decides which rows belong to the figure.
func (q *ExplainQuery) ofCell(r *reading) []clickhouse.Named {
	var values []clickhouse.Named
	for _, flag := range q.figure.flags {
		values = append(values, clickhouse.Named{Name: flag, Value: true})
	}
	if q.cohort == nil {
		return append(values, clickhouse.Named{Name: "until", Value: q.Period.Until})
	}
	c := q.cohort
	nowhere := c.earlier || c.unassigned
	edge := c.table.Edges[min(c.place+1+max(0, c.period), len(c.table.Edges)-1)]
	return slices.Concat(values, r.aged(&c.table), []clickhouse.Named{
		{Name: "cohort", Value: c.place + 2}, {Name: "period", Value: c.period}, {Name: "edge", Value: edge},
		{Name: "within", Value: !nowhere}, {Name: "earlier", Value: c.earlier}, {Name: "nobody", Value: c.unassigned},
		{Name: "believed", Value: c.ofRevenue && q.figure.cell == cellCohortPayers},
	})
}

// rows are the bounds of the rows that may belong to the figure.
func (q *ExplainQuery) rows() Period {
	if q.figure.cell == "" {
		return q.Period
	}
	return Period{timeMin, always}
}

// rowsCurrency is the currency of the rows that may belong to the figure: somebody who is
// counted in a currency may have begun in another one.
func (q *ExplainQuery) rowsCurrency() string {
	switch q.figure.cell {
	case cellCohortBeginnings, cellCohortCustomers, cellCancelled:
		return ""
	}
	return q.Currency
}

// count is a parameter that is a number from 0 on.
func (p *parser) count(name string, absent int) int {
	text, given := p.text(name)
	if !given {
		return absent
	}
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 0 || n > 10_000 || fmt.Sprint(n) != text {
		p.fail(name, "%q is not a whole number from 0 on", clip(text))
		return absent
	}
	return n
}
