package analytics

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// ExplainQuery is the question of GET /v1/explain, with its defaults filled in.
type ExplainQuery struct {
	WorkspaceSlug string
	// Figure is the name of a figure that some answer has.
	Figure string
	Period Period
	Filter
	// ChangedSince leaves out what was known by then already; the zero time leaves out
	// nothing.
	ChangedSince time.Time
	// After is the last row of the page before.
	After cursor
	Limit int
	// Profile is whose definitions figures of MRR follow.
	Profile string
	policy  policy

	// figure is what Figure is there, in the cell that is meant.
	figure figure
	// ofState says that the figure is of MRR and whoever pays it.
	ofState bool
	// by and part say which part of an answer that is broken down, and claim by whose claim.
	by          breakdown
	part, claim string
	// cohort is the cell of a table of cohorts, if it is one.
	cohort *cohortCell
}

var explainParameters = []string{"workspaceSlug", "figure", "since", "until", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "message", "offer", "campaign", "source", "visitor",
	"attributionType", "metadata", "asOf", "mode", "changedSince",
	"breakdown", "part", "refundBasis", "cohort", "period", "measure", "basis", "interval", "profile", "pastDueDays", "churnTiming", "discounts", "limit", "cursor"}

const (
	explainLimitDefault = 50
	explainLimitMax     = 500
)

// timeMin is before everything that is known.
var timeMin = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// ParseExplainQuery reads the parameters of /v1/explain. The range of a cell is that of
// its bucket; a balance needs only the end. Without until it ends now, or at asOf.
func ParseExplainQuery(raw string, now time.Time, zone *time.Location, figures map[string]figure, config Config) (ExplainQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return ExplainQuery{}, err
	}
	p := parser{values: values}
	p.only(explainParameters)
	query := ExplainQuery{WorkspaceSlug: p.slug(), Limit: p.number("limit", explainLimitDefault, explainLimitMax)}
	zone = p.zone(zone)
	query.Filter = p.filter(now, zone)
	query.Profile, query.policy = p.choice("profile", profileNames, ProfileHouse), p.policy()
	query.named(&p, figures)
	query.breakdownCell(&p)
	query.refunds(&p)
	query.period(&p, now, zone)
	query.cohortCell(&p, now, zone, config, figures)
	if query.ChangedSince, _ = p.instant("changedSince", zone, false); query.ChangedSince.After(now) {
		p.fail("changedSince", "lies ahead")
	}
	if !query.AsOf.IsZero() && !query.ChangedSince.IsZero() && query.ChangedSince.After(query.AsOf) {
		p.fail("changedSince", "is after asOf")
	}
	query.After = cursor{timeMin, 0, timeMin}
	if text, given := p.text("cursor"); given {
		if query.After, err = parseCursor(text); err != nil {
			p.fail("cursor", "%v", err)
		}
	}
	return query, errors.Join(p.errs...)
}

// named reads which figure is meant.
func (q *ExplainQuery) named(p *parser, figures map[string]figure) {
	name, given := p.text("figure")
	figure, known := figures[name]
	if inCohorts := cohortFigures(figures)[cohortsOfMRR]; !known && len(p.values["cohort"]) > 0 {
		figure, known = inCohorts[name]
	}
	switch {
	case !given:
		p.fail("figure", "is required")
	case !known:
		p.fail("figure", "%q is not one of %s", clip(name), strings.Join(slices.Sorted(maps.Keys(figures)), ", "))
	}
	ofRevenue := p.values.Get("measure") == cohortsOfRevenue
	if q.ofState = figure.ofState() && !ofRevenue; q.ofState && !q.ofMRR() {
		p.fail("figure", "%v", errNotOfMRR)
	}
	if known && q.Profile != ProfileHouse && (ofRevenue || !followsProfiles(name, figures)) {
		p.fail("profile", "no profile defines %s otherwise", name)
	}
	if known && q.policy != (policy{}) && (ofRevenue || !followsProfiles(name, figures)) {
		p.fail(strings.Join(policyParameters, ", "), "they say nothing of %s", name)
	}
	// Who pays for a plan, say, is no sum of movements.
	if name == "customers" && (q.placed() || len(p.values["breakdown"]) > 0) {
		figure = countsOf(movementKinds...).within(cellPaying)
		figure.balance = true
	}
	q.Figure, q.figure = name, figure
}

// profile is whose definitions the figure follows.
func (q *ExplainQuery) profile() profile { return profileOf(q.Profile).judging(q.policy) }

func (q *ExplainQuery) period(p *parser, now time.Time, zone *time.Location) {
	since, hasSince := p.instant("since", zone, false)
	until, hasUntil := p.instant("until", zone, true)
	if !hasUntil {
		until = q.present(now)
	}
	if !hasSince {
		since = beginning
	}
	p.ordered("since", since, "until", until)
	switch {
	case q.figure.opening && hasSince:
		until = since
		fallthrough
	case q.figure.balance:
		since = beginning
	}
	q.Period = Period{since, until}
}

// knownAfter is when that became known which is the last to be left out.
func (q *ExplainQuery) knownAfter() time.Time {
	if q.ChangedSince.IsZero() {
		return timeMin
	}
	return q.ChangedSince
}

// head is the explanation without totals and rows.
func (q *ExplainQuery) head() *Explanation {
	body := &Explanation{
		Figure: q.Figure, WorkspaceSlug: q.WorkspaceSlug, Unit: q.figure.unit, DerivedFrom: q.figure.from,
		Until: exactInstant(q.Period.Until), DefinitionVersion: q.profile().version(),
		Totals: []ExplainedTotal{}, Rows: []ExplainedRow{},
	}
	if !q.figure.balance {
		body.Since = exactInstant(q.Period.Since)
	}
	if !q.AsOf.IsZero() {
		body.AsOf = exactInstant(q.AsOf)
	}
	if !q.ChangedSince.IsZero() {
		body.ChangedSince = exactInstant(q.ChangedSince)
	}
	return body
}

// only refuses parameters that the endpoint does not know: a filter with a spelling
// mistake would give a wrong figure.
func (p *parser) only(known []string) {
	for name := range p.values {
		if !slices.Contains(known, name) {
			p.fail(clip(name), "is not one of %s", strings.Join(known, ", "))
		}
	}
}
