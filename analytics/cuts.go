package analytics

import (
	"slices"
	"time"
)

// cuts says which rollup may serve which part of a range that is divided at
// edges. A UTC day without an edge inside it lies in one bucket and comes from
// the daily rollup; of the other days, the hours without an edge inside come from
// the hourly rollup; the hours that an edge divides come from the entries
// themselves. So every division is exact, in any time zone, and only the entries
// of divided hours are read one by one.
type cuts struct {
	// edges are strictly increasing; days and hours are UTC starts of what edges
	// divide.
	edges []time.Time
	days  []time.Time
	hours []time.Time
}

const dayLength = 24 * time.Hour

// cutsOf finds the days and hours that the edges divide. Truncate counts from a
// UTC midnight, so it finds UTC days and hours.
func cutsOf(edges []time.Time) cuts {
	c := cuts{edges: edges}
	for _, edge := range edges {
		if day := edge.Truncate(dayLength); !day.Equal(edge) {
			c.days = append(c.days, day)
		}
		if hour := edge.Truncate(time.Hour); !hour.Equal(edge) {
			c.hours = append(c.hours, hour)
		}
	}
	c.days = slices.CompactFunc(c.days, time.Time.Equal)
	c.hours = slices.CompactFunc(c.hours, time.Time.Equal)
	return c
}

// byHour makes every day of the range a divided one, so that the hourly rollup
// serves it.
func (c cuts) byHour() cuts {
	c.days = nil
	for day := c.since().Truncate(dayLength); day.Before(c.until()); day = day.Add(dayLength) {
		c.days = append(c.days, day)
	}
	return c
}

// parts are the sources that the division needs: the daily rollup if a day is
// whole, the hourly one if a day is divided, the entries if an hour is.
func (c cuts) parts() parts {
	end := c.until().Add(dayLength - 1).Truncate(dayLength)
	days := int(end.Sub(c.since().Truncate(dayLength)) / dayLength)
	return parts{Days: days > len(c.days), Hours: len(c.days) > 0, Entries: len(c.hours) > 0}
}

func (c cuts) since() time.Time { return c.edges[0] }
func (c cuts) until() time.Time { return c.edges[len(c.edges)-1] }
