package stripe

import (
	"cmp"
	"slices"
	"time"

	"revstream/ingest/revenue"
)

// listedSubscription reads a subscription as it is now, which says how it ended, and
// what it was before events told of it: what its invoices say, and where they say nothing
// (none is of its beginning) the earliest terms that are known, marked as estimated.
// All of that is presumed, and yields to whatever was stated of that time.
func (d *reader) listedSubscription() {
	o := d.object
	now := d.terms(o)
	name := d.shown(o).name()
	d.object, _ = d.complete(o)
	created := cmp.Or(d.seconds(o, "created"), d.created)
	if now.terminal {
		d.emit(d.state(now, d.endedAt(o), name, now.version))
	}
	if !created.Before(d.heard) || now.terminal && now.status == revenue.StatusUnpaid || o.Text("status") == "incomplete" {
		return // events tell, or it never was one
	}
	until := d.heard
	if now.terminal && d.endedAt(o).Before(until) {
		until = d.endedAt(o)
	}
	known := d.requested(d.known(now, created, until), now, until)
	for i, b := range known {
		name := b.name()
		if b.at.Equal(created) {
			name = createdTerms
		}
		e := d.state(b.terms, b.at, name, termsPresumed)
		// That it is to end is not presumed: the subscription says so now.
		if e.Presumed = now.terminal || b.cancelRequestedAt == nil || i < len(known)-1; !e.Presumed {
			e.Version = termsStated
		}
		d.emit(e)
	}
	if last := len(known) - 1; !now.terminal && (last < 0 || known[last].name() != now.name()) {
		d.emit(d.state(now, d.delivery.ReceivedAt.UTC().Truncate(time.Second), now.name(), termsStated))
	}
}

// known are the terms of the subscription in [created, until), in order of time.
func (d *reader) known(now terms, created, until time.Time) []billed {
	bills := d.billedTerms(until)
	for i := range bills { // one that began before it was made was not known before
		if bills[i].at.Before(created) {
			bills[i].at = created
		}
	}
	for len(bills) > 1 && bills[1].at.Equal(created) {
		bills = bills[1:]
	}
	first := until
	base := now
	if len(bills) > 0 {
		first, base = bills[0].at, bills[0].terms
	}
	all := append(d.estimated(base, created, first), bills...)
	return slices.DeleteFunc(all, func(b billed) bool { return !b.at.Before(until) })
}

// estimated are the terms in [created, until), of which no bill tells: those of a later
// time, and a trial before them if there was one.
func (d *reader) estimated(later terms, created, until time.Time) []billed {
	if !created.Before(until) {
		return nil
	}
	later.status, later.terminal, later.reason, later.estimated = revenue.StatusActive, false, "", true
	later.cancelRequestedAt, later.endsAt = nil, nil
	trialEnd := d.seconds(d.object, "trial_end")
	if !trialEnd.After(created) {
		return []billed{{created, later}}
	}
	tried := later
	tried.status = revenue.StatusTrialing
	all := []billed{{created, tried}}
	if trialEnd.Before(until) {
		all = append(all, billed{trialEnd, later})
	}
	return all
}

// requested adds the request to end the subscription, from when it was made.
func (d *reader) requested(known []billed, now terms, until time.Time) []billed {
	at := now.cancelRequestedAt
	if at == nil || !at.Before(until) || len(known) == 0 {
		return known
	}
	next := slices.IndexFunc(known, func(b billed) bool { return b.at.After(*at) })
	if next < 0 {
		next = len(known)
	}
	if next > 0 {
		known = slices.Insert(known, next, billed{*at, known[next-1].terms})
	}
	for i := next; i < len(known); i++ {
		known[i].cancelRequestedAt, known[i].endsAt, known[i].reason = at, now.endsAt, now.reason
	}
	if next > 0 && known[next-1].at.Equal(*at) {
		known = slices.Delete(known, next-1, next)
	}
	return known
}
