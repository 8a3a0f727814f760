package revenue

import (
	"slices"
	"time"
)

// place is what MRR stands for: what it can be broken down by.
type place struct{ plan, product, subscription, customer, country, interval string }

func placeOf(d *Dimensions) place {
	return place{d.Plan, d.Product, d.Subscription, d.Customer, d.Country, d.Interval}
}

// samePlace reports whether MRR stands for the same.
func samePlace(a, b *Dimensions) bool { return a == b || placeOf(a) == placeOf(b) }

// whereabouts is what a subscription's MRR stands for from a statement on. What the
// statement leaves unsaid is as it was, and what ends ends where it was, whatever its
// last statement says.
func whereabouts(from, to level, by *statement) *Dimensions {
	if from.mrr == 0 {
		return &by.Dimensions
	}
	if to.mrr == 0 {
		return from.where
	}
	if samePlace(&by.Dimensions, from.where) {
		return from.where // most often, and nothing to copy
	}
	filled := by.Dimensions
	for _, pair := range [...]struct {
		into *string
		from string
	}{
		{&filled.Plan, from.where.Plan}, {&filled.Product, from.where.Product}, {&filled.Subscription, from.where.Subscription},
		{&filled.Customer, from.where.Customer}, {&filled.Country, from.where.Country},
		{&filled.Interval, from.where.Interval},
	} {
		if *pair.into == "" {
			*pair.into = pair.from
		}
	}
	if samePlace(&filled, from.where) {
		return from.where
	}
	return &filled
}

// stand says what the entry's MRR stands for.
func (e *Entry) stand(where *Dimensions) {
	e.Plan, e.Product, e.Subscription, e.Customer, e.Country, e.Interval =
		where.Plan, where.Product, where.Subscription, where.Customer, where.Country, where.Interval
}

// activity records that a subscription begins or ceases to be active, or is so somewhere
// else than before.
func (w *worth) activity(from, to level, at time.Time, by *statement) {
	record := func(kind EntryKind, in level, n int64) {
		entry := by.entry(kind)
		entry.OccurredAt, entry.Currency, entry.Subscriptions, entry.Recurring = at, in.currency, n, true
		entry.stand(in.where)
		w.entries = append(w.entries, entry)
	}
	switch {
	case to.active && !from.active:
		record(EntryActive, to, 1)
	case from.active && !to.active:
		record(EntryInactive, from, -1)
	case from.active && (from.currency != to.currency || !samePlace(from.where, to.where)):
		record(EntryTransfer, from, -1)
		record(EntryTransfer, to, 1)
	}
}

// coverage is where a subscription with paid terms counts as active: where it did, as
// long as a term is there, for the lines of one invoice may be of several plans.
func coverage(now level, running []*statement) level {
	if len(running) == 0 {
		return level{}
	}
	there := func(s *statement) bool { return s.Currency == now.currency && samePlace(&s.Dimensions, now.where) }
	if now.active && slices.ContainsFunc(running, there) {
		return now
	}
	last := running[len(running)-1]
	return level{currency: last.Currency, active: true, where: &last.Dimensions}
}

// transfers are what a movement leaves unsaid. It stands for what the last change of its
// window stands for, all of it; where the changes were of several plans, say, transfers
// put right how much is whose. They add up to nothing.
func transfers(window []change, moved int64, at time.Time) []Entry {
	last := &window[len(window)-1]
	simple := true
	for i := range window {
		simple = simple && samePlace(window[i].where, last.where) && samePlace(window[i].from, last.where)
	}
	if simple {
		return nil
	}
	type share struct {
		where *Dimensions
		mrr   int64
		by    *statement
	}
	var shares []share
	known := map[place]int{}
	add := func(where *Dimensions, mrr int64, by *statement) {
		i, found := known[placeOf(where)]
		if !found {
			i, shares = len(shares), append(shares, share{where: where})
			known[placeOf(where)] = i
		}
		shares[i].mrr, shares[i].by = shares[i].mrr+mrr, by
	}
	for i := range window {
		c := &window[i]
		add(c.from, -c.held, c.by)
		add(c.where, c.held+c.step, c.by)
	}
	add(last.where, -moved, last.by)
	var entries []Entry
	for _, s := range shares {
		if s.mrr == 0 {
			continue
		}
		entry := s.by.entry(EntryTransfer)
		entry.OccurredAt, entry.Currency, entry.MRR, entry.Recurring = at, last.currency, s.mrr, true
		entry.stand(s.where)
		entries = append(entries, entry)
	}
	return entries
}
