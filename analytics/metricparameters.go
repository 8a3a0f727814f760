package analytics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"revstream/ingest/revenue"
)

// SeriesQuery is the question of the /v1/metrics endpoints, with its defaults
// filled in.
type SeriesQuery struct {
	WorkspaceSlug string
	Interval      Interval
	Zone          *time.Location
	// Edges are the bounds of the buckets: n+1 increasing instants for n buckets.
	Edges []time.Time
	Filter
	// Breakdown is what the answer is broken down by, into Top parts and the rest.
	Breakdown breakdown
	Top       int
	// Compare is the period that the answer is compared with, if it is with one.
	Compare Comparison
	// Profile is whose definitions the answer follows.
	Profile string
	// policy is what the question says itself of when subscriptions cease to count.
	policy policy
	// RefundBasis is when refunds count, in answers about money.
	RefundBasis string
	// IncludeReactivation makes reactivation count in the quick ratio of MRR.
	IncludeReactivation bool
	// chosen is what was chosen of the series' own choices, by name; empty where nothing was.
	chosen map[string]string
}

// Filter narrows a question to some of the entries. Empty fields narrow nothing.
type Filter struct {
	Provider, Currency               string
	Plan, Product, Customer, Country string
	// To what and by which claim payments are ascribed.
	Message, Offer, Campaign, Source, Visitor, AttributionType string
	// MetadataKey is a member of the metadata that has to have a value.
	MetadataKey, MetadataValue string
	// AsOf leaves out what became known after it; the zero time leaves out nothing.
	AsOf time.Time
	// Test asks about test mode and test clocks, which no other answer knows.
	Test bool
}

// inRollups reports whether the rollups can answer: they know neither what an entry
// was about nor since when it is believed.
func (f Filter) inRollups() bool {
	return f == Filter{Provider: f.Provider, Currency: f.Currency, Test: f.Test}
}

// ofMRR reports whether MRR can be told apart by the filter: it adds up by what
// movements and transfers stand for, and by nothing else.
func (f Filter) ofMRR() bool {
	f.AsOf = time.Time{}
	return f == Filter{Provider: f.Provider, Currency: f.Currency, Test: f.Test,
		Plan: f.Plan, Product: f.Product, Customer: f.Customer, Country: f.Country}
}

// refuseBreakdown refuses to break down what is no sum over parts.
func (q *SeriesQuery) refuseBreakdown() error {
	if q.Breakdown.dimension != "" {
		return badRequest(errors.New("breakdown: this answer is not one that adds up over parts; filter it instead"))
	}
	return nil
}

// refuseProfile refuses a profile that an answer cannot follow, rather than to ignore it.
func (q *SeriesQuery) refuseProfile(about string) error {
	if q.Profile != ProfileHouse {
		return badRequest(fmt.Errorf("profile: %s says nothing of %s that could be followed; leave it out", q.Profile, about))
	}
	return nil
}

// refusePolicy refuses what is said of subscriptions in an answer about something else.
func (q *SeriesQuery) refusePolicy(about string) error {
	if q.policy != (policy{}) {
		return badRequest(fmt.Errorf("%s: they say nothing of %s; leave them out", strings.Join(policyParameters, ", "), about))
	}
	return nil
}

// placed reports whether the filter is by what a customer may pass from and to.
func (f Filter) placed() bool {
	return f.Plan != "" || f.Product != "" || f.Customer != "" || f.Country != ""
}

// seriesParameters are all that the /v1/metrics endpoints know. Others are
// refused: a filter with a spelling mistake would give a wrong figure.
var seriesParameters = []string{"workspaceSlug", "since", "until", "interval", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "message", "offer", "campaign", "source", "visitor",
	"attributionType", "metadata", "asOf", "mode", "breakdown", "top", "compare", "profile"}

const (
	topDefault = 20
	topMax     = 500
)

// profile is whose definitions of what subscriptions are worth the answer follows.
func (q *SeriesQuery) profile() profile { return profileOf(q.Profile).judging(q.policy) }

// choice is a parameter that only some series have, and what it may be. Of policies, which
// are read by themselves, that is not said here.
type choice struct {
	name string
	of   []string
}

// ParseSeriesQuery reads the parameters of a /v1/metrics endpoint, which has the choices
// beside those of all. zone is that of the workspace, in which days, weeks and months are
// counted and dates are read, unless timeZone says otherwise. Without until the range ends
// now.
func ParseSeriesQuery(raw string, now time.Time, zone *time.Location, config Config, choices ...choice) (SeriesQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return SeriesQuery{}, err
	}
	p, known, chosen := parser{values: values}, slices.Clone(seriesParameters), map[string]string{}
	for _, c := range choices {
		known = append(known, c.name)
		if c.of != nil {
			chosen[c.name] = p.choice(c.name, c.of, "")
		}
	}
	p.only(known)
	return p.seriesQuery(chosen, now, zone, config)
}

// seriesQuery reads what the questions of all series have.
func (p *parser) seriesQuery(chosen map[string]string, now time.Time, zone *time.Location, config Config) (SeriesQuery, error) {
	query := SeriesQuery{
		WorkspaceSlug: p.slug(),
		Zone:          p.zone(zone),
		Interval:      Interval(p.choice("interval", texts(intervals), string(IntervalDay))),
		chosen:        chosen,
	}
	query.Filter = p.filter(now, query.Zone)
	query.Breakdown, query.Top = p.breakdown("breakdown"), p.number("top", topDefault, topMax)
	query.Compare = Comparison(p.choice("compare", texts(comparisons), ""))
	query.Profile, query.policy = p.choice("profile", profileNames, ProfileHouse), p.policy()
	since, hasSince := p.instant("since", query.Zone, false)
	until, hasUntil := p.instant("until", query.Zone, true)
	if !hasUntil {
		until = query.present(now)
	}
	if !hasSince {
		last := query.Interval.start(until.Add(-time.Microsecond), query.Zone)
		since = query.Interval.after(last, 1-defaultBuckets[query.Interval], query.Zone)
		if since.Before(beginning) {
			since = beginning
		}
	}
	p.ordered("since", since, "until", until)
	p.within("until", Period{since, until}, config)
	if len(p.errs) > 0 {
		return SeriesQuery{}, errors.Join(p.errs...)
	}
	var err error
	query.Edges, err = edgesOf(since, until, query.Interval, query.Zone, config.SeriesBucketsMax)
	if err != nil {
		p.fail("interval", "%v: at most %d", err, config.SeriesBucketsMax)
	}
	if previous, compared := query.previous(); compared && err == nil && previous.Edges[0].Before(beginning) {
		p.fail("compare", "the period before begins before %d", yearMin)
	}
	return query, errors.Join(p.errs...)
}

// filter reads what narrows a question.
func (p *parser) filter(now time.Time, zone *time.Location) Filter {
	f := Filter{
		Provider: p.provider(), Currency: p.currency(),
		Plan: p.dimension("plan"), Product: p.dimension("product"), Customer: p.dimension("customer"),
		Country: p.dimension("country"), Message: p.dimension("message"), Offer: p.dimension("offer"),
		Campaign: p.dimension("campaign"), Source: p.dimension("source"), Visitor: p.dimension("visitor"),
		AttributionType: p.dimension("attributionType"), AsOf: p.asOf(now, zone), Test: p.test(),
	}
	if text := p.dimension("metadata"); text != "" {
		key, value, valued := strings.Cut(text, ":")
		if f.MetadataKey, f.MetadataValue = key, value; !valued || key == "" {
			p.fail("metadata", "%q is not key:value", clip(text))
		}
	}
	return f
}

// test reports whether the question is about test mode.
func (p *parser) test() bool { return p.choice("mode", []string{"live", "test"}, "live") == "test" }

// present is where a range ends that has no until: now, or the moment as of which the
// question is asked, so that it stays the same question.
func (f Filter) present(now time.Time) time.Time {
	if !f.AsOf.IsZero() {
		return f.AsOf
	}
	return now.UTC().Truncate(time.Microsecond)
}

// asOf is a moment that has been: what will be known later cannot be told. A date is
// the last moment of that day.
func (p *parser) asOf(now time.Time, zone *time.Location) time.Time {
	at, given := p.instant("asOf", zone, true)
	if text, _ := p.text("asOf"); given && len(text) == len(time.DateOnly) {
		at = at.Add(-time.Microsecond)
	}
	if given && at.After(now) {
		p.fail("asOf", "lies ahead")
	}
	return at
}

const dimensionBytesMax = 512

// dimension is any printable text.
func (p *parser) dimension(name string) string {
	value, _ := p.text(name)
	switch {
	case len(value) > dimensionBytesMax:
		p.fail(name, "is longer than %d bytes", dimensionBytesMax)
	case strings.ToValidUTF8(value, "") != value || strings.ContainsFunc(value, unicode.IsControl):
		p.fail(name, "has characters that are not printable")
	}
	return value
}

// zone is an IANA name. "Local" would be the zone of this machine, which is
// nobody's question.
func (p *parser) zone(absent *time.Location) *time.Location {
	name, given := p.text("timeZone")
	if !given {
		return absent
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		p.fail("timeZone", "%q is not an IANA time zone", clip(name))
		return absent
	}
	return zone
}

func (p *parser) currency() string {
	currency, given := p.text("currency")
	if !given {
		return ""
	}
	if _, known := revenue.Exponent(currency); !known {
		p.fail("currency", "%q is not an ISO 4217 code in upper case", clip(currency))
	}
	return currency
}
