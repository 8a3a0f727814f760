package revenue

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// PastDueGrace is for how long the house has a past due subscription count after it first
// became so, unless its provider ends it before (reference/metrics.md section 2b).
const PastDueGrace = 30 * 24 * time.Hour

// PastDueNever is the grace of whoever has it count until the provider ends it.
const PastDueNever time.Duration = -1

// Policy is what may be seen otherwise of the worth of subscriptions, by those who judge
// it by other definitions than the house's. The ledger is always the house's.
type Policy struct {
	// PastDueGrace is for how long a past due subscription counts after it first became
	// so, or PastDueNever.
	PastDueGrace time.Duration
	// ChurnAtRequest has a subscription be worth nothing as soon as its cancellation was
	// asked for, rather than from the end of what is paid.
	ChurnAtRequest bool
	// IgnoreDiscounts has subscriptions be worth what they are before discounts, where that
	// is said of them.
	IgnoreDiscounts bool
}

// HousePolicy is that of our own definitions.
func HousePolicy() Policy { return Policy{PastDueGrace: PastDueGrace} }

// Restate returns what of a group's ledger is another by the policy: rows that take back
// movements and activity of the house's ledger, and those in their place. So the sum of
// the ledger and of these rows is what a ledger by the policy would be, as of any moment.
// What else the ledger has, money and what happened to subscriptions, is the same by all.
func (p Policy) Restate(events []Event) []LedgerRow {
	statements := distinct(events)
	held, wanted := HousePolicy().movements(statements), p.movements(statements)
	missing, foreign := Difference(wanted, HeldOf(held))
	return append(missing, Retract(held, foreign)...)
}

// movements are the rows of a ledger by the policy that say what subscriptions are worth.
func (p Policy) movements(statements []statement) []LedgerRow {
	rows := ledger(p.valued(statements), func(stand standing) []Entry { return sortStanding(stand).state(p) })
	return slices.DeleteFunc(rows, func(row LedgerRow) bool { return row.Kind.Family() != FamilyState })
}

// valued are the statements with what the policy takes each to be worth. They stay the
// statements that they are: which of them stand, and are withdrawn, is the same by all.
func (p Policy) valued(statements []statement) []statement {
	if !p.IgnoreDiscounts {
		return statements
	}
	valued := slices.Clone(statements)
	for i := range valued {
		if e := *valued[i].Event; e.MRRBeforeDiscounts > 0 {
			e.MRR = e.MRRBeforeDiscounts
			valued[i].Event = &e
		}
	}
	return valued
}

// lasts reports whether what is past due since a moment counts still.
func (p Policy) lasts(since, at time.Time) bool {
	return p.PastDueGrace < 0 || at.Before(since.Add(p.PastDueGrace))
}

// levelOf is a subscription's level from the moment of the statement.
func (p Policy) levelOf(s *statement, pastDueSince time.Time) level {
	billable := s.Status == StatusSettled || s.Status == StatusActive ||
		s.Status == StatusPastDue && p.lasts(pastDueSince, s.OccurredAt)
	ended := s.EndsAt != nil && !s.EndsAt.After(s.OccurredAt)
	if !billable || ended || s.MRR <= 0 {
		return level{}
	}
	return level{currency: s.Currency, mrr: s.MRR, active: s.CancelRequestedAt == nil}
}

// endOf is when the statement's level ends without a further statement.
func (p Policy) endOf(s *statement, pastDueSince time.Time) (end time.Time, reason string) {
	if s.EndsAt != nil {
		end, reason = *s.EndsAt, churnReason(s)
	}
	if !pastDueSince.IsZero() && p.PastDueGrace >= 0 {
		if grace := pastDueSince.Add(p.PastDueGrace); end.IsZero() || grace.Before(end) {
			end, reason = grace, "delinquent"
		}
	}
	return end, reason
}

// stage is what a subscription is worth from a moment on.
type stage struct {
	at     time.Time
	level  level
	reason string // if it is worth less than before
	by     *statement
}

// stages are those of a subscription, in order of time, by what is said of it.
func (p Policy) stages(points []*statement) iter.Seq[stage] {
	return func(yield func(stage) bool) {
		var pastDueSince time.Time
		for i, s := range points {
			until := time.Time{}
			if i+1 < len(points) {
				until = points[i+1].OccurredAt
			}
			if s.Status != StatusPastDue {
				pastDueSince = time.Time{}
			} else if pastDueSince.IsZero() {
				pastDueSince = s.OccurredAt
			}
			if !yield(stage{s.OccurredAt, p.levelOf(s, pastDueSince), churnReason(s), s}) {
				return
			}
			end, reason := p.endOf(s, pastDueSince)
			if end.IsZero() || !until.IsZero() && !end.Before(until) || !end.After(s.OccurredAt) {
				continue
			}
			if !yield(stage{end, level{}, reason, s}) {
				return
			}
		}
	}
}

// withoutCancelled are the stages with nothing from the request of each cancellation until
// it was taken back, which the statement that takes it back is a stage of.
func withoutCancelled(stages iter.Seq[stage], cancelled []cancellation) iter.Seq[stage] {
	left := slices.Collect(stages)
	for _, c := range cancelled {
		if !c.back.IsZero() && !c.at.Before(c.back) {
			continue // it was taken back before the moment for which it was asked
		}
		left = slices.DeleteFunc(left, func(s stage) bool {
			return !s.at.Before(c.at) && (c.back.IsZero() || s.at.Before(c.back))
		})
		at, _ := slices.BinarySearchFunc(left, c.at, func(s stage, at time.Time) int { return cmp.Or(s.at.Compare(at), -1) })
		left = slices.Insert(left, at, stage{c.at, level{}, churnReason(c.by), c.by})
	}
	return slices.Values(left)
}

// endsAtRequest is when a term ends whose cancellation was asked for while it ran: the
// first of the requests does it, and none of another term.
func endsAtRequest(term *statement, end time.Time, requests []*statement) (time.Time, string) {
	for _, request := range requests { // in order of time
		at := request.OccurredAt
		if request.Subscription == term.Subscription && !at.Before(*term.PeriodStart) && at.Before(end) {
			return at, churnReason(request)
		}
	}
	return end, churnReason(term)
}
