package connectors

import (
	"strings"
	"time"
)

// Bounds of dates. What lies outside is a mistake of the sender (a zero value, a
// timestamp in milliseconds, the year 9999) and would spoil every range query.
const (
	// OccurredAheadMax is how far ahead of our clock a payment may lie.
	OccurredAheadMax = 24 * time.Hour
	// PeriodAheadYearsMax is how many years ahead a paid term may end.
	PeriodAheadYearsMax = 20
)

// OccurredMin is the earliest moment that revenue can have occurred at.
func OccurredMin() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// layouts are the forms of ISO 8601 that are in use, with a zone and without.
// Fractions of a second need no layout of their own.
var layouts = [...]string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
}

// ParseTime reads an ISO 8601 date or instant, of which the one without a zone is
// UTC, as a UTC instant with microseconds. A day that the calendar does not have
// is no time.
func ParseTime(text string) (instant time.Time, ok bool) {
	if len(text) < len("2006-01-02") || len(text) > 40 {
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

// OccurredAt reads when something happened; the zero time if it was not given.
func (f *Fields) OccurredAt(name string, value Value) time.Time {
	at, given := f.instant(name, value)
	if given && (at.Before(OccurredMin()) || at.After(f.Now.Add(OccurredAheadMax))) {
		f.Invalid(name, "must lie between 2000-01-01 and a day from now")
		return time.Time{}
	}
	return at
}

// PeriodBound reads the start or end of a paid term, which may lie ahead; the
// zero time if it was not given.
func (f *Fields) PeriodBound(name string, value Value) time.Time {
	at, given := f.instant(name, value)
	if given {
		f.CheckPeriodBound(name, at)
	}
	return at
}

// InclusivePeriodEnd reads the last moment of a paid term as its exclusive end
// (see InclusiveEnd); the zero time if it was not given.
func (f *Fields) InclusivePeriodEnd(name string, value Value) time.Time {
	at, given := f.instant(name, value)
	if !given {
		return time.Time{}
	}
	at = InclusiveEnd(f.Text(name, value), at)
	f.CheckPeriodBound(name, at)
	return at
}

// CheckPeriodBound records a fault if a term cannot start or end at the moment.
func (f *Fields) CheckPeriodBound(name string, at time.Time) {
	if at.Before(OccurredMin()) || at.After(f.Now.AddDate(PeriodAheadYearsMax, 0, 0)) {
		f.Invalid(name, "must lie between 2000-01-01 and %d years from now", PeriodAheadYearsMax)
	}
}

// Instant reads a time, wherever it lies; the zero time if it was not given.
func (f *Fields) Instant(name string, value Value) time.Time {
	at, _ := f.instant(name, value)
	return at
}

// instant reads a time. Given is apart from the zero time, which is the year 1.
func (f *Fields) instant(name string, value Value) (at time.Time, given bool) {
	text := f.Text(name, value)
	if text == "" {
		return time.Time{}, false
	}
	at, given = ParseTime(text)
	if !given {
		f.Invalid(name, "must be an ISO 8601 date or time, not %q", text)
	}
	return at, given
}

// InclusiveEnd turns the last moment of a term, as its sender wrote it, into the
// term's exclusive end: a bare date and a time in the last second of a day both
// mean that the whole day is part of the term. The text shows the sender's day,
// which the UTC instant at does not.
func InclusiveEnd(text string, at time.Time) time.Time {
	if len(text) == len("2006-01-02") {
		return at.AddDate(0, 0, 1)
	}
	if strings.HasPrefix(text[len("2006-01-02T"):], "23:59:59") {
		return at.Truncate(time.Second).Add(time.Second)
	}
	return at
}

// AddTerm is the end of a term of so many day, week, month or year intervals from
// start. A month from the 31st ends on the last day that the month has, where
// the calendar's arithmetic would run into the next.
func AddTerm(start time.Time, interval string, count int) time.Time {
	switch interval {
	case "day":
		return start.AddDate(0, 0, count)
	case "week":
		return start.AddDate(0, 0, 7*count)
	case "year":
		return addMonths(start, 12*count)
	default:
		return addMonths(start, count)
	}
}

func addMonths(start time.Time, months int) time.Time {
	end := start.AddDate(0, months, 0)
	if end.Day() != start.Day() { // ran over the end of the month
		end = end.AddDate(0, 0, -end.Day())
	}
	return end
}
