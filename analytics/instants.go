package analytics

import (
	"errors"
	"strings"
	"time"
)

// Ranges outside these years are refused: the rollups count hours in 32 bits
// from 1970 on.
const (
	yearMin = 1970
	yearMax = 2105
)

// beginning is the since of a range that has none.
var beginning = time.Unix(0, 0).UTC()

var (
	errInstantSyntax = errors.New("must be a date (2024-01-31) or an ISO 8601 instant (2024-01-31T10:30:00Z)")
	errInstantYear   = errors.New("must lie in the years 1970 to 2105")
)

// instantLayouts are the forms of ISO 8601 that are read; time.Parse accepts a
// fraction wherever there are seconds. What has no offset is in the zone that
// the caller names.
var instantLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04",
}

// parseInstant reads a bound of a range. A date alone is the whole day: its
// start as since, its end as until (endOfDay). An instant is itself, so that
// ranges of instants are half open.
func parseInstant(text string, zone *time.Location, endOfDay bool) (time.Time, error) {
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		if endOfDay {
			date = date.AddDate(0, 0, 1)
		}
		return inYears(startOfDay(date, zone))
	}
	// A "+" that was not escaped arrives as a space, and no layout has one.
	if date, clock, ok := strings.Cut(text, "T"); ok {
		text = date + "T" + strings.Replace(clock, " ", "+", 1)
	}
	for _, layout := range instantLayouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return inYears(at)
		}
	}
	return time.Time{}, errInstantSyntax
}

// inYears checks the year and drops what is finer than the ledger's microseconds.
func inYears(at time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if at.Year() < yearMin || at.Year() > yearMax {
		return time.Time{}, errInstantYear
	}
	return at, nil
}

// startOfDay is the first instant of a calendar day (of which date is the UTC
// midnight) in a zone. That is not always midnight: clocks that are put forward
// at midnight begin the day at one, and clocks put back have two midnights, of
// which time.Date does not say which it takes. So the midnight of every offset
// in force around then, and every change of offset, are candidates.
func startOfDay(date time.Time, zone *time.Location) time.Time {
	if zone == time.UTC {
		return date
	}
	var first time.Time
	consider := func(at time.Time) {
		local := at.In(zone)
		begun := !time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC).Before(date)
		if begun && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	const reach = 36 * time.Hour // farther than any offset
	for at, end := date.Add(-reach), date.Add(reach); at.Before(end); {
		_, offset := at.In(zone).Zone()
		consider(date.Add(-time.Duration(offset) * time.Second))
		_, change := at.In(zone).ZoneBounds()
		if change.IsZero() || !change.Before(end) {
			break
		}
		consider(change)
		at = change
	}
	return first.UTC()
}

// Interval is the width of the buckets of a series.
type Interval string

// The intervals of series: hours of the clock, calendar days, ISO weeks (from
// Monday), calendar months, quarters and years, all in the time zone of the question.
const (
	IntervalHour    Interval = "hour"
	IntervalDay     Interval = "day"
	IntervalWeek    Interval = "week"
	IntervalMonth   Interval = "month"
	IntervalQuarter Interval = "quarter"
	IntervalYear    Interval = "year"
)

// defaultBuckets is how many buckets a series has when since is absent, the one
// that is not over included.
var defaultBuckets = map[Interval]int{
	IntervalHour: 48, IntervalDay: 30, IntervalWeek: 13, IntervalMonth: 12, IntervalQuarter: 8, IntervalYear: 5,
}

var intervals = []Interval{IntervalHour, IntervalDay, IntervalWeek, IntervalMonth, IntervalQuarter, IntervalYear}

// floor is the first date of the bucket that the date lies in; both are UTC
// midnights that stand for calendar dates.
func (i Interval) floor(date time.Time) time.Time {
	switch i {
	case IntervalWeek:
		return date.AddDate(0, 0, -(int(date.Weekday())+6)%7)
	case IntervalMonth:
		return date.AddDate(0, 0, 1-date.Day())
	case IntervalQuarter:
		return date.AddDate(0, -(int(date.Month())-1)%3, 1-date.Day())
	case IntervalYear:
		return date.AddDate(0, 1-int(date.Month()), 1-date.Day())
	default:
		return date
	}
}

// step is the first date of a bucket n later, date being the first of one.
func (i Interval) step(date time.Time, n int) time.Time {
	switch i {
	case IntervalWeek:
		return date.AddDate(0, 0, 7*n)
	case IntervalMonth:
		return date.AddDate(0, n, 0)
	case IntervalQuarter:
		return date.AddDate(0, 3*n, 0)
	case IntervalYear:
		return date.AddDate(n, 0, 0)
	default:
		return date.AddDate(0, 0, n)
	}
}

// start is when the bucket begins that the instant lies in.
func (i Interval) start(at time.Time, zone *time.Location) time.Time {
	if i != IntervalHour {
		return startOfDay(i.floor(calendarDate(at, zone)), zone)
	}
	local := at.In(zone)
	return at.Add(-time.Duration(local.Minute())*time.Minute - time.Duration(local.Second())*time.Second -
		time.Duration(local.Nanosecond()))
}

// after is when the bucket n later begins, start being the beginning of one.
func (i Interval) after(start time.Time, n int, zone *time.Location) time.Time {
	if i == IntervalHour {
		return i.start(start.Add(time.Duration(n)*time.Hour), zone)
	}
	return startOfDay(i.step(i.floor(calendarDate(start, zone)), n), zone)
}

// calendarDate is the date of an instant in a zone, as a UTC midnight.
func calendarDate(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
}

var errBucketsMax = errors.New("the range has too many buckets for this interval")

// edgesOf cuts [since, until) at the starts of the interval's buckets in the
// zone: n+1 strictly increasing instants for n buckets, the first and the last
// of which the range may clip.
func edgesOf(since, until time.Time, interval Interval, zone *time.Location, bucketsMax int) ([]time.Time, error) {
	edges := []time.Time{since}
	for edge := interval.start(since, zone); ; {
		edge = interval.after(edge, 1, zone)
		if !edge.Before(until) {
			return append(edges, until), nil
		}
		// A day that a zone skipped altogether has no bucket.
		if edge.After(edges[len(edges)-1]) {
			edges = append(edges, edge)
		}
		if len(edges) > bucketsMax {
			return nil, errBucketsMax
		}
	}
}
