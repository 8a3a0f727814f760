package simulation

import (
	"slices"
	"time"
)

// term is a time that was paid for, [start, end), and what it is worth a month.
type term struct {
	start, end time.Time
	mrr        int64
}

// cover books a subscription that is worth, at any moment, what the terms around
// that moment are. Where they run out it expires.
func (b *book) cover(c *customer, id string, terms []term) {
	var moments []time.Time
	for _, t := range terms {
		moments = append(moments, t.start, t.end)
	}
	slices.SortFunc(moments, time.Time.Compare)
	s := c.subscribe(id)
	covered := false
	for _, at := range slices.CompactFunc(moments, time.Time.Equal) {
		level, was := int64(0), covered
		covered = false
		for _, t := range terms {
			if !at.Before(t.start) && at.Before(t.end) {
				level, covered = level+t.mrr, covered || t.mrr > 0
			}
		}
		s.from(at, level, covered)
		if was && !covered {
			b.add(flow{what: expiration, at: at})
		}
	}
}
