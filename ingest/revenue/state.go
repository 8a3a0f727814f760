package revenue

import (
	"cmp"
	"slices"
	"time"
)

// MovementWindow groups the changes of one customer's MRR into movements: what
// happens within it after a first change is one movement, so that a plan swap is
// not a churn and a new subscription (reference/metrics.md section 2b).
const MovementWindow = 60 * time.Minute

// PastDueGrace is how long a past due subscription counts after it first became
// so, unless its provider ends it before (reference/metrics.md section 2b).
const PastDueGrace = 30 * 24 * time.Hour

// change is a step of one subscription's monthly worth.
type change struct {
	at       time.Time
	currency string
	step     int64
	reason   string
	by       *statement
	// where it is worth that, or was last; before that it was worth held, at from.
	where, from *Dimensions
	held        int64
}

// worth collects the steps of all subscriptions of a customer.
type worth struct {
	changes []change
	swaps   []change // of nothing but where a subscription is
	entries []Entry  // lifecycle and activity entries found on the way
}

func (g groupFacts) state() []Entry {
	subscriptions, periods, deltas := g.of(KindSubscription), g.of(KindPeriod), g.of(KindMRRDelta)
	if len(subscriptions)+len(periods)+len(deltas) == 0 {
		return nil
	}
	var w worth
	for _, points := range bySubscription(subscriptions) {
		w.subscription(points)
	}
	for _, terms := range bySubscription(periods) {
		w.periods(terms)
	}
	for _, steps := range bySubscription(deltas) {
		w.deltas(steps)
	}
	for i := range w.swaps {
		w.entries = append(w.entries, transfers(w.swaps[i:i+1], 0, w.swaps[i].at)...)
	}
	return append(w.entries, movements(w.changes)...)
}

// bySubscription splits facts, keeping their order.
func bySubscription(facts groupFacts) map[string][]*statement {
	split := map[string][]*statement{}
	for _, s := range facts {
		split[s.Subscription] = append(split[s.Subscription], s)
	}
	return split
}

// level is what a subscription is worth and whether it counts as active.
type level struct {
	currency string
	mrr      int64
	active   bool
	where    *Dimensions // nil of what is worth nothing
}

// step moves a subscription to a new level and records what changes.
func (w *worth) step(from, to level, at time.Time, reason string, by *statement) level {
	where := whereabouts(from, to, by)
	if to.mrr > 0 {
		to.where = where
	}
	switch {
	case from.currency == to.currency || from.mrr == 0 || to.mrr == 0:
		currency := cmp.Or(to.currency, from.currency)
		if to.mrr == 0 && from.mrr != 0 {
			currency = from.currency
		}
		c := change{at, currency, to.mrr - from.mrr, reason, by, where, cmp.Or(from.where, where), from.mrr}
		switch {
		case to.mrr != from.mrr:
			w.changes = append(w.changes, c)
		case from.mrr > 0 && !samePlace(from.where, where):
			w.swaps = append(w.swaps, c)
		}
	default:
		w.changes = append(w.changes,
			change{at, from.currency, -from.mrr, reason, by, from.where, from.where, from.mrr},
			change{at, to.currency, to.mrr, reason, by, where, where, 0})
	}
	w.activity(from, to, at, by)
	return to
}

// subscription reads statements of the form "from OccurredAt on it is worth MRR".
func (w *worth) subscription(points []*statement) {
	var now level
	var pastDueSince time.Time
	tried := false
	for i, p := range points {
		until := time.Time{}
		if i+1 < len(points) {
			until = points[i+1].OccurredAt
		}
		if p.Status != StatusPastDue {
			pastDueSince = time.Time{}
		} else if pastDueSince.IsZero() {
			pastDueSince = p.OccurredAt
		}
		now = w.step(now, levelOf(p, pastDueSince), p.OccurredAt, churnReason(p), p)
		if end, reason := endOf(p, pastDueSince); !end.IsZero() && (until.IsZero() || end.Before(until)) && end.After(p.OccurredAt) {
			now = w.step(now, level{}, end, reason, p)
		}
		if p.Status == StatusTrialing && !tried {
			tried = true
			entry := p.entry(EntryTrialStart)
			entry.Recurring = true
			w.entries = append(w.entries, entry)
		}
	}
	w.cancellations(points)
}

// levelOf is a subscription's level from the moment of the statement.
func levelOf(p *statement, pastDueSince time.Time) level {
	billable := p.Status == StatusSettled || p.Status == StatusActive ||
		p.Status == StatusPastDue && p.OccurredAt.Before(pastDueSince.Add(PastDueGrace))
	ended := p.EndsAt != nil && !p.EndsAt.After(p.OccurredAt)
	if !billable || ended || p.MRR <= 0 {
		return level{}
	}
	return level{currency: p.Currency, mrr: p.MRR, active: p.CancelRequestedAt == nil}
}

// endOf is when the statement's level ends without a further statement.
func endOf(p *statement, pastDueSince time.Time) (end time.Time, reason string) {
	if p.EndsAt != nil {
		end, reason = *p.EndsAt, churnReason(p)
	}
	if !pastDueSince.IsZero() {
		if grace := pastDueSince.Add(PastDueGrace); end.IsZero() || grace.Before(end) {
			end, reason = grace, "delinquent"
		}
	}
	return end, reason
}

func churnReason(p *statement) string {
	if p.Reason != "" {
		return p.Reason
	}
	if p.Status == StatusUnpaid || p.Status == StatusPastDue {
		return "delinquent"
	}
	return "voluntary"
}

// cancellations finds the requests to end a subscription, when each was taken
// back, and the end itself.
func (w *worth) cancellations(points []*statement) {
	var open *Entry
	reinstate := func(at time.Time) {
		if open != nil {
			open.EndsAt = at
			w.entries = append(w.entries, *open)
			open = nil
		}
	}
	request := func(p *statement, at time.Time) {
		if open == nil {
			entry := p.entry(EntryCancellation)
			entry.OccurredAt, entry.Recurring, entry.Reason = at, true, churnReason(p)
			open = &entry
		}
	}
	expired := false
	for i, p := range points {
		end, ended := endedAt(p)
		if ended && i+1 < len(points) && points[i+1].OccurredAt.Before(end) {
			ended = false // a later statement took the end back before it came
		}
		switch {
		case p.CancelRequestedAt != nil:
			request(p, *p.CancelRequestedAt)
		case ended:
			request(p, end)
		case p.Status == StatusSettled || p.Status == StatusActive || p.Status == StatusTrialing:
			reinstate(p.OccurredAt)
			expired = false
		}
		if ended && !expired {
			expired = true
			entry := p.entry(EntryExpiration)
			entry.OccurredAt, entry.Recurring, entry.Reason = end, true, churnReason(p)
			w.entries = append(w.entries, entry)
		}
	}
	if open != nil {
		w.entries = append(w.entries, *open)
	}
}

// endedAt is when a statement says that its subscription ended or will end.
func endedAt(p *statement) (time.Time, bool) {
	if p.EndsAt != nil {
		return *p.EndsAt, true
	}
	return p.OccurredAt, p.Status == StatusCanceled
}

// RenewalGraceMax bounds how late the next term may begin after a presumed end to
// be its renewal: a ninth of the term, at most three days. It covers the payer who
// is a day late and the month that has no 31st.
const RenewalGraceMax = 3 * 24 * time.Hour

// termEnds returns when each valid term ends, terms in order of their starts.
// Terms that state their end keep it, and add up where they overlap, as the lines
// of one invoice do. A presumed end gives way to the next term that begins before
// it or soon after.
func termEnds(facts []*statement) (terms []*statement, ends []time.Time) {
	for _, s := range facts {
		if s.PeriodStart != nil && s.PeriodEnd != nil && s.PeriodStart.Before(*s.PeriodEnd) && s.MRR > 0 && s.settled() {
			terms = append(terms, s)
		}
	}
	slices.SortFunc(terms, func(a, b *statement) int {
		return cmp.Or(a.PeriodStart.Compare(*b.PeriodStart), cmp.Compare(a.fact, b.fact))
	})
	for i, s := range terms {
		end := *s.PeriodEnd
		if s.PresumedEnd {
			grace := min(RenewalGraceMax, end.Sub(*s.PeriodStart)/9)
			for _, next := range terms[i+1:] {
				if next.PeriodStart.After(*s.PeriodStart) {
					if !next.PeriodStart.After(end.Add(grace)) {
						end = *next.PeriodStart
					}
					break
				}
			}
		}
		ends = append(ends, end)
	}
	return terms, ends
}

// periods reads paid terms: each is worth its MRR from start to end, and what is
// not renewed ends by itself.
func (w *worth) periods(facts []*statement) {
	type edge struct {
		at   time.Time
		step int64
		by   *statement
	}
	var edges []edge
	terms, ends := termEnds(facts)
	for i, s := range terms {
		edges = append(edges, edge{*s.PeriodStart, s.MRR, s}, edge{ends[i], -s.MRR, s})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step), cmp.Compare(a.by.fact, b.by.fact))
	})
	var running []*statement
	var now level
	for i := 0; i < len(edges); {
		at := edges[i].at
		var last edge
		for ; i < len(edges) && edges[i].at.Equal(at); i++ {
			last = edges[i]
			where := &last.by.Dimensions
			w.changes = append(w.changes, change{at, last.by.Currency, last.step, "voluntary", last.by, where, where, 0})
			if last.step > 0 {
				running = append(running, last.by)
			} else {
				running = slices.DeleteFunc(running, func(s *statement) bool { return s == last.by })
			}
		}
		next := coverage(now, running)
		w.activity(now, next, at, last.by)
		if now.active && !next.active {
			expiration := last.by.entry(EntryExpiration)
			expiration.OccurredAt, expiration.Recurring = at, true
			w.entries = append(w.entries, expiration)
		}
		now = next
	}
}

// deltas reads declared changes. A subscription is never worth less than
// nothing: a churn whose beginning was never reported takes away what is known.
func (w *worth) deltas(deltas []*statement) {
	now := level{}
	for _, s := range deltas {
		next := max(0, now.mrr+s.MRR)
		if s.ClosesMRR {
			next = 0
		}
		if now.mrr > 0 && now.currency != s.Currency && !s.ClosesMRR {
			next = max(0, s.MRR)
		}
		to := level{currency: s.Currency, mrr: next, active: next > 0}
		now = w.step(now, to, s.OccurredAt, churnReason(s), s)
	}
}

// movements turns the steps of a customer's subscriptions into movements, per
// currency: the state before against the state after each window.
func movements(changes []change) []Entry {
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.currency, b.currency), cmp.Compare(a.by.fact, b.by.fact), cmp.Compare(a.step, b.step))
	})
	byCurrency := map[string][]change{}
	var firstPaid time.Time
	for _, c := range changes {
		byCurrency[c.currency] = append(byCurrency[c.currency], c)
		if c.step > 0 && firstPaid.IsZero() {
			firstPaid = c.at
		}
	}
	var entries []Entry
	for _, list := range byCurrency {
		var before int64
		for i := 0; i < len(list); {
			first, begin := i, list[i].at
			after := before
			for ; i < len(list) && list[i].at.Before(begin.Add(MovementWindow)); i++ {
				after += list[i].step
			}
			if after != before {
				entries = append(entries, movement(before, after, begin, firstPaid, &list[i-1]))
			}
			entries = append(entries, transfers(list[first:i], after-before, begin)...)
			before = after
		}
	}
	return entries
}

func movement(before, after int64, at, firstPaid time.Time, last *change) Entry {
	entry := last.by.entry(movementKind(before, after, at.After(firstPaid)))
	entry.stand(last.where)
	entry.OccurredAt, entry.Currency, entry.MRR, entry.Recurring = at, last.currency, after-before, true
	switch entry.Kind {
	case EntryNew, EntryReactivation:
		entry.Customers = 1
	case EntryChurn:
		entry.Customers, entry.Reason = -1, last.reason
	case EntryContraction:
		entry.Reason = last.reason
	}
	return entry
}

func movementKind(before, after int64, paidBefore bool) EntryKind {
	switch {
	case before == 0 && paidBefore:
		return EntryReactivation
	case before == 0:
		return EntryNew
	case after == 0:
		return EntryChurn
	case after > before:
		return EntryExpansion
	default:
		return EntryContraction
	}
}
