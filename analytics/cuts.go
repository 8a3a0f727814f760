package analytics

import (
	"slices"
	"time"
)

// cuts says which rollup may serve which part of a range that is divided at
// edges. A UTC month without an edge inside it lies in one bucket and comes from
// the monthly rollup; of the other months, the days without an edge inside come from
// the daily one, of the other days the hours from the hourly one, and the hours that
// an edge divides come from the entries themselves. So every division is exact, in
// any time zone, and only the entries of divided hours are read one by one.
type cuts struct {
	// edges are strictly increasing; months, days and hours are UTC starts of what
	// edges divide.
	edges  []time.Time
	months []time.Time
	days   []time.Time
	hours  []time.Time
}

const dayLength = 24 * time.Hour

// cutsOf finds the months, days and hours that the edges divide. Truncate counts
// from a UTC midnight, so it finds UTC days and hours.
func cutsOf(edges []time.Time) cuts {
	c := cuts{edges: edges}
	for _, edge := range edges {
		if month := startOfMonth(edge); !month.Equal(edge) {
			c.months = append(c.months, month)
		}
		if day := edge.Truncate(dayLength); !day.Equal(edge) {
			c.days = append(c.days, day)
		}
		if hour := edge.Truncate(time.Hour); !hour.Equal(edge) {
			c.hours = append(c.hours, hour)
		}
	}
	c.months = slices.CompactFunc(c.months, time.Time.Equal)
	c.days = slices.CompactFunc(c.days, time.Time.Equal)
	c.hours = slices.CompactFunc(c.hours, time.Time.Equal)
	return c
}

func startOfMonth(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// byHour makes every day of the range a divided one, so that the hourly rollup
// serves it.
func (c cuts) byHour() cuts {
	c.days = nil
	c.months = c.everyMonth()
	for day := c.since().Truncate(dayLength); day.Before(c.until()); day = day.Add(dayLength) {
		c.days = append(c.days, day)
	}
	return c
}

// byDay makes every month of the range a divided one, so that no rollup is wider
// than a day.
func (c cuts) byDay() cuts {
	c.months = c.everyMonth()
	return c
}

func (c cuts) everyMonth() (months []time.Time) {
	for month := startOfMonth(c.since()); month.Before(c.until()); month = month.AddDate(0, 1, 0) {
		months = append(months, month)
	}
	return months
}

// parts are the sources that the division needs: a rollup if one of its buckets is
// whole and lies in a divided one of the next wider rollup, the entries if an hour
// is divided.
func (c cuts) parts() parts {
	first, last := c.since().Truncate(dayLength), c.until().Add(dayLength-1).Truncate(dayLength)
	days := int(last.Sub(first) / dayLength)
	return parts{
		Months: len(c.everyMonth()) > len(c.months),
		Days:   days > len(c.days), Hours: len(c.days) > 0, Entries: len(c.hours) > 0,
	}
}

func (c cuts) since() time.Time { return c.edges[0] }
func (c cuts) until() time.Time { return c.edges[len(c.edges)-1] }
