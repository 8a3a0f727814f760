package analytics

import (
	"errors"
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
}

// Filter narrows a question to some of the entries. Empty fields narrow nothing.
type Filter struct {
	Provider, Currency               string
	Plan, Product, Customer, Country string
	// AsOf leaves out what became known after it; the zero time leaves out nothing.
	AsOf time.Time
}

// inRollups reports whether the rollups can answer: they know neither what an entry
// was about nor since when it is believed.
func (f Filter) inRollups() bool {
	return f.Plan == "" && f.Product == "" && f.Customer == "" && f.Country == "" && f.AsOf.IsZero()
}

// seriesParameters are all that the /v1/metrics endpoints know. Others are
// refused: a filter with a spelling mistake would give a wrong figure.
var seriesParameters = []string{"workspaceSlug", "since", "until", "interval", "timeZone",
	"provider", "currency", "plan", "product", "customer", "country", "asOf"}

// ParseSeriesQuery reads the parameters of a /v1/metrics endpoint. zone is that
// of the workspace, in which days, weeks and months are counted and dates are
// read, unless timeZone says otherwise. Without until the range ends now.
func ParseSeriesQuery(raw string, now time.Time, zone *time.Location, config Config) (SeriesQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return SeriesQuery{}, err
	}
	p := parser{values: values}
	p.only(seriesParameters)
	query := SeriesQuery{
		WorkspaceSlug: p.slug(),
		Zone:          p.zone(zone),
		Interval:      Interval(p.choice("interval", texts(intervals), string(IntervalDay))),
	}
	query.Filter = p.filter(now, query.Zone)
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
	query.Edges, err = edgesOf(since, until, query.Interval, query.Zone, config.SeriesBucketsMax)
	if err != nil {
		p.fail("interval", "%v: at most %d", err, config.SeriesBucketsMax)
	}
	return query, errors.Join(p.errs...)
}

// filter reads what narrows a question.
func (p *parser) filter(now time.Time, zone *time.Location) Filter {
	return Filter{
		Provider: p.provider(), Currency: p.currency(),
		Plan: p.dimension("plan"), Product: p.dimension("product"), Customer: p.dimension("customer"),
		Country: p.dimension("country"), AsOf: p.asOf(now, zone),
	}
}

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
