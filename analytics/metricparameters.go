package analytics

import (
	"errors"
	"slices"
	"strings"
	"time"

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
	// Provider and Currency are empty for all.
	Provider string
	Currency string
}

// seriesParameters are all that the /v1/metrics endpoints know. Others are
// refused: a filter with a spelling mistake would give a wrong figure.
var seriesParameters = []string{"workspaceSlug", "since", "until", "interval", "timeZone", "provider", "currency"}

// defaultBuckets is how many buckets a series has when since is absent, the one
// that is not over included.
var defaultBuckets = map[Interval]int{IntervalDay: 30, IntervalWeek: 13, IntervalMonth: 12}

// ParseSeriesQuery reads the parameters of a /v1/metrics endpoint. zone is that
// of the workspace, in which days, weeks and months are counted and dates are
// read, unless timeZone says otherwise. Without until the range ends now.
func ParseSeriesQuery(raw string, now time.Time, zone *time.Location, config Config) (SeriesQuery, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return SeriesQuery{}, err
	}
	p := parser{values: values}
	for name := range values {
		if !slices.Contains(seriesParameters, name) {
			p.fail(clip(name), "is not one of %s", strings.Join(seriesParameters, ", "))
		}
	}
	query := SeriesQuery{
		WorkspaceSlug: p.slug(),
		Provider:      p.provider(),
		Currency:      p.currency(),
		Zone:          p.zone(zone),
		Interval: Interval(p.choice("interval",
			[]string{string(IntervalDay), string(IntervalWeek), string(IntervalMonth)}, string(IntervalDay))),
	}
	since, hasSince := p.instant("since", query.Zone, false)
	until, hasUntil := p.instant("until", query.Zone, true)
	if !hasUntil {
		until = now.UTC().Truncate(time.Microsecond)
	}
	if !hasSince {
		last := query.Interval.floor(calendarDate(until.Add(-time.Microsecond), query.Zone))
		since = startOfDay(query.Interval.step(last, 1-defaultBuckets[query.Interval]), query.Zone)
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
