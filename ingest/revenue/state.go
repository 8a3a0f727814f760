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
	policy  Policy
	changes []change
	swaps   []change // of nothing but where a subscription is
	entries []Entry  // lifecycle and activity entries found on the way
}

// state is what subscriptions are worth by the policy, and what happened to them.
func (g groupFacts) state(policy Policy) []Entry {
	subscriptions, periods, deltas := g.of(KindSubscription), g.of(KindPeriod), g.of(KindMRRDelta)
	if len(subscriptions)+len(periods)+len(deltas) == 0 {
		return nil
	}
	w := worth{policy: policy}
	for _, points := range bySubscription(subscriptions) {
		w.subscription(points)
	}
	for _, terms := range bySubscription(periods) {
		w.periods(terms, g.of(KindCancellation))
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
	cancelled := w.cancellations(points)
	stages := w.policy.stages(points)
	if w.policy.ChurnAtRequest {
		stages = withoutCancelled(stages, cancelled)
	}
	var now level
	for s := range stages {
		now = w.step(now, s.level, s.at, s.reason, s.by)
	}
	if i := slices.IndexFunc(points, func(p *statement) bool { return p.Status == StatusTrialing }); i >= 0 {
		entry := points[i].entry(EntryTrialStart)
		entry.Recurring = true
		w.entries = append(w.entries, entry)
	}
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

// cancellation is a request to end a subscription, and when it was taken back, if it was.
type cancellation struct {
	at, back time.Time
	by       *statement
}

// entry is what the ledger has of the cancellation.
func (c *cancellation) entry() Entry {
	entry := c.by.entry(EntryCancellation)
	entry.OccurredAt, entry.EndsAt, entry.Recurring, entry.Reason = c.at, c.back, true, churnReason(c.by)
	return entry
}

// cancellations finds the requests to end a subscription, when each was taken
// back, and the end itself.
func (w *worth) cancellations(points []*statement) (list []cancellation) {
	var open *cancellation
	close := func() {
		if open != nil {
			list, open = append(list, *open), nil
			w.entries = append(w.entries, list[len(list)-1].entry())
		}
	}
	expired := false
	for i, p := range points {
		end, ended := endedAt(p)
		if ended && i+1 < len(points) && points[i+1].OccurredAt.Before(end) {
			ended = false // a later statement took the end back before it came
		}
		switch {
		case open == nil && p.CancelRequestedAt != nil:
			open = &cancellation{at: *p.CancelRequestedAt, by: p}
		case open == nil && ended:
			open = &cancellation{at: end, by: p}
		case p.CancelRequestedAt != nil || ended:
		case p.Status == StatusSettled || p.Status == StatusActive || p.Status == StatusTrialing:
			if open != nil {
				open.back = p.OccurredAt
			}
			close()
			expired = false
		}
		if ended && !expired {
			expired = true
			entry := p.entry(EntryExpiration)
			entry.OccurredAt, entry.Recurring, entry.Reason = end, true, churnReason(p)
			w.entries = append(w.entries, entry)
		}
	}
	close()
	return list
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

// isTerm reports whether the statement is of a paid term that is worth something.
func (s *statement) isTerm() bool {
	return s.PeriodStart != nil && s.PeriodEnd != nil && s.PeriodStart.Before(*s.PeriodEnd) && s.MRR > 0 && s.settled()
}

// termEnds returns when each valid term ends, terms in order of their starts.
// Terms that state their end keep it, and add up where they overlap, as the lines
// of one invoice do. A presumed end gives way to the next term that begins before
// it or soon after.
func termEnds(facts []*statement) (terms []*statement, ends []time.Time) {
	for _, s := range facts {
		if s.isTerm() {
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
func (w *worth) periods(facts, requests []*statement) {
	type edge struct {
		at     time.Time
		step   int64
		reason string
		by     *statement
	}
	var edges []edge
	terms, ends := termEnds(facts)
	for i, s := range terms {
		end, reason := ends[i], "voluntary"
		if w.policy.ChurnAtRequest {
			end, reason = endsAtRequest(s, end, requests)
		}
		edges = append(edges, edge{*s.PeriodStart, s.MRR, reason, s}, edge{end, -s.MRR, reason, s})
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
			w.changes = append(w.changes, change{at, last.by.Currency, last.step, last.reason, last.by, where, where, 0})
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
