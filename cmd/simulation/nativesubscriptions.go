package simulation

import "time"

// termsStory is a subscription told by the terms that were paid.
func (n *shop) termsStory() {
	p, id := n.plan(), n.name("sub")
	var terms []term
	at := anchored(n.startBefore(24 * time.Hour))
	for at.Before(n.span.end.Add(-2 * time.Hour)) {
		end := p.next(at)
		body := n.event("period", n.name("term"), at, 1)
		body["subscription"], body["amount"], body["interval"], body["interval_count"] = id, p.net, p.interval, p.count
		body["period_start"] = at.Format(time.RFC3339)
		if n.chance(0.5) { // else it follows from the interval
			body["period_end"] = end.Format(time.RFC3339)
		}
		n.say(at, body)
		terms = append(terms, term{at, end, p.monthly(1)})
		if n.corrected() { // the term was never paid for
			later := n.event("period", body["object_id"].(string), at, 2)
			later["subscription"] = id
			n.say(at.Add(time.Hour), tombstone(later))
			terms = terms[:len(terms)-1]
		} else {
			n.reversals(n.charge(id, at.Add(time.Minute), p.net))
		}
		if at = end; n.chance(0.05) {
			break
		}
		for n.chance(0.05) {
			at = p.next(at)
		}
	}
	n.cover(n.account, id, terms)
}

// states tells what a subscription is worth from when on.
type states struct {
	*shop
	id       string
	of       *subscription
	plan     plan
	quantity int64
}

// point tells of a state; extra members are given in pairs.
func (s *states) point(at time.Time, status string, extra ...any) {
	body := s.event("subscription", s.name("state"), at, 1)
	body["subscription"], body["status"], body["plan"], body["quantity"] = s.id, status, s.plan.name, s.quantity
	body["mrr_decimal"] = number(mrrDecimal(s.plan.monthly(s.quantity)))
	for i := 0; i < len(extra); i += 2 {
		body[extra[i].(string)] = extra[i+1]
	}
	s.say(at, body)
}

func (s *states) monthly() int64 { return s.plan.monthly(s.quantity) }

// statesStory is a subscription with a trial perhaps, more and fewer seats, and an
// end that is asked for, taken back, or comes.
func (n *shop) statesStory() {
	s := &states{shop: n, id: n.name("sub"), plan: n.plan("month", "month", "year"), quantity: int64(n.between(1, 20))}
	s.of = n.account.subscribe(s.id)
	at := anchored(n.startBefore(60 * 24 * time.Hour))
	if n.chance(0.4) {
		n.tried = s.id
		s.point(at, "trialing")
		n.add(flow{what: trialStart, at: at})
		if at = at.AddDate(0, 0, 14); n.chance(0.4) { // nobody was convinced
			s.point(at, "canceled")
			s.end(at, at)
			return
		}
	}
	s.point(at, "active")
	s.of.from(at, s.monthly(), true)
	n.charge(s.id, at.Add(time.Minute), s.plan.net*s.quantity)
	s.renewals(at)
}

// end books what an end comes to, asked for at one moment and effective at another.
func (s *states) end(asked, at time.Time) {
	s.of.from(at, 0, false)
	s.add(flow{what: cancellation, at: asked, subscription: s.id})
	s.add(flow{what: expiration, at: at})
}

// renewals go on from the first payment to the end of the history, or the end.
func (s *states) renewals(at time.Time) {
	for {
		next := s.plan.next(at)
		middle := at.Add(next.Sub(at) / 2).Truncate(time.Second)
		if !middle.Before(s.span.end) {
			return
		}
		switch {
		case s.chance(0.06):
			s.point(middle, "canceled")
			s.end(middle, middle)
			return
		case s.chance(0.06):
			if s.cancelAtEnd(middle, next) {
				return
			}
		case s.chance(0.1):
			s.quantity = int64(s.between(1, 40))
			s.point(middle, "active")
			s.of.from(middle, s.monthly(), true)
		}
		if at = next; !at.Before(s.span.end.Add(-2 * time.Hour)) {
			return
		}
		s.reversals(s.charge(s.id, at, s.plan.net*s.quantity))
	}
}

// cancelAtEnd asks for the end with the period; sometimes that is thought better
// of. It reports whether the subscription ended.
func (s *states) cancelAtEnd(asked, end time.Time) bool {
	s.point(asked, "active", "cancel_requested_at", asked.Format(time.RFC3339), "ends_at", end.Format(time.RFC3339))
	s.of.from(asked, s.monthly(), false)
	back := asked.Add(end.Sub(asked) / 2).Truncate(time.Second)
	if s.chance(0.4) && back.Before(s.span.end) {
		s.point(back, "active")
		s.of.from(back, s.monthly(), true)
		s.add(flow{what: cancellation, at: asked, subscription: s.id, takenBack: back})
		return false
	}
	s.end(asked, end)
	return true
}

// deltasStory is a subscription told by what changed, with the milestones that
// its source declares.
func (n *shop) deltasStory() {
	p, id := n.plan("month", "year"), n.name("sub")
	of := n.account.subscribe(id)
	mrr := int64(0)
	at := anchored(n.startBefore(40 * 24 * time.Hour))
	change := func(at time.Time, delta int64, closes bool) {
		body := n.event("mrr_delta", n.name("delta"), at, 1)
		body["subscription"] = id
		if mrr += delta; closes {
			body["closes_mrr"], mrr = true, 0
		} else {
			body["mrr_decimal"] = mrrDecimal(delta)
		}
		n.say(at, body)
		of.from(at, mrr, true)
	}
	mark := func(kind string, what happening, at time.Time) {
		body := n.event(kind, n.name("mark"), at, 1)
		body["subscription"] = id
		n.say(at, body)
		n.add(flow{what: what, at: at, subscription: id})
	}
	if n.chance(0.3) {
		mark("trial_start", trialStart, at)
		at = at.AddDate(0, 0, 7)
		mark("trial_conversion", trialConversion, at)
	}
	change(at, p.monthly(1), false)
	for next := at; next.Before(n.span.end.Add(-2 * time.Hour)); next = p.next(next) {
		n.reversals(n.charge(id, next.Add(time.Second), p.net))
		middle := next.Add(p.next(next).Sub(next) / 2).Truncate(time.Second)
		if !middle.Before(n.span.end) {
			return
		}
		switch {
		case n.chance(0.1):
			change(middle, int64(n.between(1, 500))*mrrUnits/8, false)
		case n.chance(0.05):
			change(middle, -mrr/3, false)
		case n.chance(0.06):
			change(middle, 0, true)
			mark("cancellation", cancellation, middle)
			mark("expiration", expiration, middle)
			return
		}
	}
}
