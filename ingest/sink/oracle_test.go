package sink

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"revstream/ingest/revenue"
)

// The oracle says what a set of statements comes to, the slow and plain way, from
// the definitions and not from the code: one figure for every workspace, currency,
// kind and hour. It covers money and movements of MRR; what it does not cover
// (lifecycle, activity and transfer entries) is held against revenue.Ledger alone.

// figureKey names a figure.
type figureKey struct {
	workspace, currency string
	kind                revenue.EntryKind
	live, recurring     bool
	hour                int64 // Unix hours
}

// figure is what is summed.
type figure struct{ entries, amount, mrr, customers int64 }

func (f *figure) add(g figure) {
	f.entries, f.amount, f.mrr, f.customers = f.entries+g.entries, f.amount+g.amount, f.mrr+g.mrr, f.customers+g.customers
}

// figures are sums by name; those that come to nothing are left out by clean.
type figures map[figureKey]figure

func (f figures) add(key figureKey, more figure) {
	sum := f[key]
	sum.add(more)
	f[key] = sum
}

func (f figures) clean() figures {
	maps.DeleteFunc(f, func(_ figureKey, sum figure) bool { return sum == figure{} })
	return f
}

// oracle is what is believed at a moment: of what was received until then.
func oracle(said []revenue.Event, until time.Time) figures {
	standing := map[[2]string]revenue.Event{} // by workspace and fact
	for _, e := range said {
		if e.ReceivedAt.After(until) {
			continue
		}
		fact := [2]string{e.Workspace, e.FactID()}
		held, known := standing[fact]
		if !known || e.Version > held.Version || e.Version == held.Version && greater(e, held) {
			standing[fact] = e
		}
	}
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, e := range standing {
		if !e.Deleted {
			groups[e.GroupKey()] = append(groups[e.GroupKey()], e)
		}
	}
	sums := figures{}
	for _, facts := range groups {
		facts = uncontradicted(facts)
		slices.SortFunc(facts, func(a, b revenue.Event) int {
			return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.FactID(), b.FactID()))
		})
		money(sums, facts)
		movements(sums, facts)
	}
	return sums.clean()
}

// greater decides between statements of one version.
func greater(a, b revenue.Event) bool {
	x, y := a.Digest(), b.Digest()
	return bytes.Compare(x[:], y[:]) > 0
}

func named(e revenue.Event, kind revenue.EntryKind, at time.Time) figureKey {
	return figureKey{e.Workspace, e.Currency, kind, e.Live(), false, at.Unix() / 3600}
}

// money adds up what moved.
func money(sums figures, facts []revenue.Event) {
	for i, e := range facts {
		var kind revenue.EntryKind
		amount, belongs := e.Amount, ofSubscription(e)
		switch e.Kind {
		case revenue.KindCharge:
			kind, amount = chargeKind(facts, i), notLinked(facts, e)
			if e.Status != revenue.StatusSettled || amount < 0 || amount == 0 && e.Amount > 0 {
				continue
			}
		case revenue.KindTrialConversion: // a marker, which is named like a charge
			sums.add(withRecurring(named(e, revenue.EntryTrialConversion, e.OccurredAt), true), figure{entries: 1})
			continue
		case revenue.KindRefund, revenue.KindRefundTotal:
			kind, amount, belongs = revenue.EntryRefund, -amount, ofPayment(facts, e)
			if e.Kind == revenue.KindRefundTotal {
				amount = -notRefundedByName(facts, e)
			}
		case revenue.KindDispute:
			kind, amount, belongs = revenue.EntryDispute, -amount, ofPayment(facts, e)
		case revenue.KindFee:
			kind, amount, belongs = revenue.EntryFee, -amount, ofPayment(facts, e)
		case revenue.KindDisputeReversal:
			kind, belongs = revenue.EntryDisputeReversal, ofPayment(facts, e)
		default:
			continue
		}
		if e.Kind != revenue.KindCharge && (amount == 0 || e.Status != revenue.StatusSettled && e.Status != revenue.StatusPending) {
			continue
		}
		sums.add(withRecurring(named(e, kind, e.OccurredAt), belongs), figure{entries: 1, amount: amount})
	}
}

func withRecurring(key figureKey, recurring bool) figureKey { key.recurring = recurring; return key }

// ofSubscription reports whether a payment belongs to a subscription.
func ofSubscription(e revenue.Event) bool {
	return e.Recurring || e.Subscription != "" && e.Billing != revenue.BillingOneTime
}

// ofPayment reports whether what is about a payment belongs to a subscription: if
// the payment is known, as it or any of its links says, else as it says of itself.
func ofPayment(facts []revenue.Event, e revenue.Event) bool {
	known := false
	for _, other := range facts {
		about := map[revenue.Kind]string{revenue.KindLink: other.Original, revenue.KindCharge: other.ObjectID}[other.Kind]
		if e.Original == "" || about != e.Original {
			continue
		}
		if known = true; ofSubscription(other) {
			return true
		}
	}
	return !known && ofSubscription(e)
}

// notLinked is what of a charge no other fact counts.
func notLinked(facts []revenue.Event, charge revenue.Event) int64 {
	rest := charge.Amount
	for _, e := range facts {
		if e.Kind == revenue.KindLink && e.Original == charge.ObjectID {
			rest -= e.Amount
		}
	}
	return rest
}

// notRefundedByName is what of a total of refunds no single refund accounts for.
func notRefundedByName(facts []revenue.Event, total revenue.Event) int64 {
	rest := total.Amount
	for _, e := range facts {
		if e.Kind == revenue.KindRefund && e.Original == total.Original {
			rest -= e.Amount
		}
	}
	return max(0, rest)
}

// chargeKind is what a charge is to its subscription: what its source says, or
// whether money came for the subscription before it.
func chargeKind(facts []revenue.Event, n int) revenue.EntryKind {
	charge := facts[n]
	if !ofSubscription(charge) {
		return revenue.EntryPurchase
	}
	paid, tried, converted := false, false, false
	for i, e := range facts {
		if e.Subscription != charge.Subscription {
			continue
		}
		rest := notLinked(facts, e)
		paid = paid || i < n && e.Kind == revenue.KindCharge && ofSubscription(e) && e.Amount > 0 &&
			e.Status == revenue.StatusSettled && rest > 0
		tried = tried || !e.OccurredAt.After(charge.OccurredAt) &&
			(e.Kind == revenue.KindTrialStart || e.Kind == revenue.KindSubscription && e.Status == revenue.StatusTrialing)
		converted = converted || e.Kind == revenue.KindTrialConversion
	}
	switch {
	case !paid && charge.Amount > 0 && tried && !converted:
		return revenue.EntryTrialConversion
	case charge.Billing == revenue.BillingFirst, charge.Billing == "" && !paid:
		return revenue.EntrySubscriptionPurchase
	default:
		return revenue.EntryRenewal
	}
}

// step is a change of what a customer is worth in one currency.
type step struct {
	at       time.Time
	currency string
	mrr      int64
	live     bool
}

// movements adds up how the worth of the customer changes, per currency, and what
// each change is called. All times of a history are equal or two hours apart, so
// a movement is what happens at one instant.
func movements(sums figures, facts []revenue.Event) {
	steps := worth(facts)
	var firstPaid time.Time
	for _, s := range steps {
		if s.mrr > 0 && (firstPaid.IsZero() || s.at.Before(firstPaid)) {
			firstPaid = s.at
		}
	}
	instants := map[figureKey]time.Time{}
	for _, s := range steps {
		instants[figureKey{currency: s.currency, hour: s.at.UnixMicro()}] = s.at
	}
	for key, at := range instants {
		var before, after int64
		live := false
		for _, s := range steps {
			if s.currency != key.currency || s.at.After(at) {
				continue
			}
			after += s.mrr
			if s.at.Before(at) {
				before += s.mrr
			} else {
				live = s.live
			}
		}
		if before == after {
			continue
		}
		kind, customers := movementKind(before, after, at.After(firstPaid))
		sums.add(figureKey{facts[0].Workspace, key.currency, kind, live, true, at.Unix() / 3600},
			figure{entries: 1, mrr: after - before, customers: customers})
	}
}

func movementKind(before, after int64, paidBefore bool) (kind revenue.EntryKind, customers int64) {
	switch {
	case before == 0 && paidBefore:
		return revenue.EntryReactivation, 1
	case before == 0:
		return revenue.EntryNew, 1
	case after == 0:
		return revenue.EntryChurn, -1
	case after > before:
		return revenue.EntryExpansion, 0
	default:
		return revenue.EntryContraction, 0
	}
}

// worth are the steps of all subscriptions of a customer.
func worth(facts []revenue.Event) (steps []step) {
	split := map[string]map[revenue.Kind][]revenue.Event{}
	for _, e := range facts {
		if split[e.Subscription] == nil {
			split[e.Subscription] = map[revenue.Kind][]revenue.Event{}
		}
		split[e.Subscription][e.Kind] = append(split[e.Subscription][e.Kind], e)
	}
	for _, told := range split {
		steps = append(steps, stated(told[revenue.KindSubscription])...)
		steps = append(steps, paidTerms(told[revenue.KindPeriod])...)
		steps = append(steps, declaredChanges(told[revenue.KindMRRDelta])...)
	}
	return steps
}

// uncontradicted leaves out what is presumed of a time when terms of the subscription had
// been stated.
func uncontradicted(facts []revenue.Event) []revenue.Event {
	return slices.DeleteFunc(slices.Clone(facts), func(e revenue.Event) bool {
		return e.Presumed && slices.ContainsFunc(facts, func(told revenue.Event) bool {
			return told.Kind == e.Kind && told.Subscription == e.Subscription && !told.Presumed && !told.OccurredAt.After(e.OccurredAt)
		})
	})
}

// level is what a subscription is worth for a while.
type level struct {
	currency string
	mrr      int64
}

// move is the step, or two in two currencies, from one level to another.
func move(from, to level, e revenue.Event, at time.Time) (steps []step) {
	if from.currency == to.currency && from.mrr == to.mrr {
		return nil
	}
	sums := map[string]int64{}
	sums[from.currency] -= from.mrr
	sums[to.currency] += to.mrr
	for currency, mrr := range sums {
		if mrr != 0 {
			steps = append(steps, step{at, currency, mrr, e.Live()})
		}
	}
	return steps
}

// stated reads statements of what a subscription is worth from then on.
func stated(points []revenue.Event) (steps []step) {
	var now level
	for i, e := range points {
		next := level{}
		grace := pastDueSince(points, i).Add(revenue.PastDueGrace)
		pays := e.Status == revenue.StatusSettled || e.Status == revenue.StatusActive || e.Status == revenue.StatusPastDue && e.OccurredAt.Before(grace)
		if pays && e.MRR > 0 && (e.EndsAt == nil || e.EndsAt.After(e.OccurredAt)) {
			next = level{e.Currency, e.MRR}
		}
		steps = append(steps, move(now, next, e, e.OccurredAt)...)
		now = next
		var end time.Time
		if e.EndsAt != nil {
			end = *e.EndsAt
		}
		if e.Status == revenue.StatusPastDue && (end.IsZero() || grace.Before(end)) {
			end = grace
		}
		last := i+1 == len(points)
		if !end.IsZero() && end.After(e.OccurredAt) && (last || end.Before(points[i+1].OccurredAt)) {
			steps = append(steps, move(now, level{}, e, end)...)
			now = level{}
		}
	}
	return steps
}

// pastDueSince is when the unbroken run of past due statements up to i began.
func pastDueSince(points []revenue.Event, i int) time.Time {
	since := points[i].OccurredAt
	for ; i >= 0 && points[i].Status == revenue.StatusPastDue; i-- {
		since = points[i].OccurredAt
	}
	return since
}

// paidTerms reads terms that are each worth something from beginning to end.
func paidTerms(terms []revenue.Event) (steps []step) {
	valid := slices.DeleteFunc(slices.Clone(terms), func(e revenue.Event) bool {
		return e.PeriodStart == nil || e.PeriodEnd == nil || !e.PeriodStart.Before(*e.PeriodEnd) || e.MRR <= 0 || e.Status != revenue.StatusSettled
	})
	for _, e := range valid {
		end := *e.PeriodEnd
		if e.PresumedEnd {
			var next time.Time // the earliest term that begins later
			for _, other := range valid {
				if other.PeriodStart.After(*e.PeriodStart) && (next.IsZero() || other.PeriodStart.Before(next)) {
					next = *other.PeriodStart
				}
			}
			late := min(revenue.RenewalGraceMax, end.Sub(*e.PeriodStart)/9)
			if !next.IsZero() && !next.After(end.Add(late)) {
				end = next
			}
		}
		steps = append(steps, step{*e.PeriodStart, e.Currency, e.MRR, e.Live()}, step{end, e.Currency, -e.MRR, e.Live()})
	}
	return steps
}

// declaredChanges reads changes; nothing is ever worth less than nothing.
func declaredChanges(deltas []revenue.Event) (steps []step) {
	var now level
	for _, e := range deltas {
		next := level{e.Currency, max(0, now.mrr+e.MRR)}
		switch {
		case e.ClosesMRR:
			next = level{now.currency, 0}
		case now.mrr > 0 && now.currency != e.Currency:
			next = level{e.Currency, max(0, e.MRR)}
		}
		steps = append(steps, move(now, next, e, e.OccurredAt)...)
		now = next
	}
	return steps
}

// believed sums ledger rows in the oracle's terms: what was known until then.
func believed(rows []revenue.LedgerRow, until time.Time) figures {
	sums := figures{}
	for i := range rows {
		r := &rows[i]
		if r.KnownAt.After(until) || r.Kind.Family() == revenue.FamilyLifecycle || r.Kind == revenue.EntryActive || r.Kind == revenue.EntryInactive ||
			r.Kind == revenue.EntryTransfer {
			continue
		}
		sign := int64(r.Sign)
		sums.add(figureKey{r.Workspace, r.Currency, r.Kind, r.Live(), r.Recurring, r.OccurredAt.Unix() / 3600},
			figure{sign, sign * r.Amount, sign * r.MRR, sign * r.Customers})
	}
	return sums.clean()
}
