package sink

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// sending is one call of a sender, or a record that somebody wrote to the topic
// past ingest and that nobody can read.
type sending struct {
	after  time.Duration // since the one before
	events []revenue.Event
	poison *poison
}

// poison is a record that can never be a statement, and what is wrong with it.
type poison struct {
	key    string
	value  []byte
	reason string
}

// historyWorkspaces are all that a history tells of, but for poison.
const historyWorkspaces = 3

// knownWorkspaces is a Workspaces for histories.
func knownWorkspaces(_ context.Context, ids []string) (unknown []string, err error) {
	for _, id := range ids {
		var number int
		if _, err := fmt.Sscanf(id, "w%d", &number); err != nil || number >= historyWorkspaces {
			unknown = append(unknown, id)
		}
	}
	return unknown, nil
}

// historyBegin is when the first statement of a history is received.
var historyBegin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// newHistory draws what senders say in the course of one simulation: payments and
// customers that are told in disorder, repeatedly, wrongly at first, taken back and
// restored, and statements without any sense. It follows from the random source
// alone.
func newHistory(random *rand.Rand, statements int) []sending {
	h := &teller{random: random}
	for len(h.told) < statements {
		switch random.IntN(4) {
		case 0:
			h.payment()
		case 1, 2:
			h.customer()
		default:
			h.nonsense()
		}
	}
	return h.sendings()
}

// teller collects what there is to say.
type teller struct {
	random  *rand.Rand
	told    []revenue.Event
	stories int
}

// moment draws an instant. All are two hours or more apart, or the same.
func (h *teller) moment() time.Time {
	return historyBegin.Add(time.Duration(h.random.IntN(60*12)) * 2 * time.Hour)
}

func (h *teller) chance(percent int) bool { return h.random.IntN(100) < percent }

func (h *teller) amount() int64 { return int64(h.random.IntN(10)) * 250 }

func (h *teller) currency() string { return []string{"USD", "EUR", "JPY"}[h.random.IntN(3)] }

func (h *teller) say(e revenue.Event) { h.told = append(h.told, e) }

// fact begins a statement of a new story's group.
func (h *teller) fact(group string, kind revenue.Kind, object string, at time.Time) revenue.Event {
	return revenue.Event{
		Workspace: fmt.Sprintf("w%d", h.stories%historyWorkspaces), Provider: "p", Livemode: h.stories%7 != 0, Group: group,
		Kind: kind, ObjectID: object, Version: 1, OccurredAt: at, Currency: "USD",
	}
}

// payment is a charge with whatever may follow it, each told more than once in
// different words.
func (h *teller) payment() {
	h.stories++
	group, at, currency := fmt.Sprintf("payment-%d", h.stories), h.moment(), h.currency()
	charge := h.fact(group, revenue.KindCharge, group, at)
	charge.Currency, charge.Amount, charge.Recurring = currency, 1000+h.amount(), h.chance(30)
	h.say(charge)
	h.reconsider(charge)
	later := func() time.Time { at = at.Add(time.Duration(h.random.IntN(5)) * 24 * time.Hour); return at }
	for _, follow := range []revenue.Kind{revenue.KindRefund, revenue.KindRefund, revenue.KindRefundTotal,
		revenue.KindDispute, revenue.KindDisputeReversal, revenue.KindFee, revenue.KindLink} {
		if !h.chance(25) {
			continue
		}
		e := h.fact(group, follow, fmt.Sprintf("%s-%d", group, h.random.IntN(3)), later())
		e.Currency, e.Amount, e.Original = currency, h.amount(), group
		e.Status = []revenue.Status{"", "", revenue.StatusPending, revenue.StatusFailed}[h.random.IntN(4)]
		h.say(e)
		h.reconsider(e)
	}
}

// reconsider says a fact again: corrected, with equal versions that disagree,
// deleted, and undeleted.
func (h *teller) reconsider(e revenue.Event) {
	if h.chance(20) {
		e.Amount, e.Version = e.Amount+250, e.Version+1
		h.say(e)
	}
	if h.chance(10) { // a tie of versions
		e.Amount += 500
		h.say(e)
	}
	if h.chance(15) {
		e.Deleted, e.Version = true, e.Version+1
		h.say(e)
		if h.chance(50) {
			e.Deleted, e.Version = false, e.Version+1
			h.say(e)
		}
	}
}

// customer has subscriptions that are told in one of three ways, and pays for
// them.
func (h *teller) customer() {
	h.stories++
	group, currency := fmt.Sprintf("customer-%d", h.stories), h.currency()
	for n := range 1 + h.random.IntN(2) {
		subscription := fmt.Sprintf("%s-sub-%d", group, n)
		switch h.random.IntN(3) {
		case 0:
			h.subscription(group, subscription, currency)
		case 1:
			h.terms(group, subscription, currency)
		default:
			h.deltas(group, subscription)
		}
		for i := range h.random.IntN(3) {
			charge := h.fact(group, revenue.KindCharge, fmt.Sprintf("%s-invoice-%d", subscription, i), h.moment())
			charge.Currency, charge.Amount, charge.Subscription = currency, h.amount(), subscription
			charge.Billing = []revenue.Billing{"", "", revenue.BillingFirst, revenue.BillingRenewal, revenue.BillingOneTime}[h.random.IntN(5)]
			h.say(charge)
			h.reconsider(charge)
		}
		if h.chance(20) {
			trial := h.fact(group, revenue.KindTrialStart, subscription+"-trial", h.moment())
			trial.Subscription = subscription
			h.say(trial)
		}
	}
}

// subscription is stated from time to time: it changes its price, becomes past
// due, lapses and comes back.
func (h *teller) subscription(group, subscription, currency string) {
	for i := range 1 + h.random.IntN(5) {
		e := h.fact(group, revenue.KindSubscription, fmt.Sprintf("%s@%d", subscription, i), h.moment())
		e.Subscription, e.Currency, e.MRR = subscription, currency, h.amount()*revenue.MRRScale
		if h.chance(10) {
			e.Currency = h.currency()
		}
		e.Status = []revenue.Status{"", revenue.StatusActive, revenue.StatusActive, revenue.StatusTrialing,
			revenue.StatusPastDue, revenue.StatusPaused, revenue.StatusCanceled}[h.random.IntN(7)]
		e.Presumed = h.chance(20)
		if h.chance(25) {
			end := h.moment()
			e.EndsAt = &end
		}
		h.say(e)
		h.reconsider(e)
	}
}

// terms are paid one after the other, with gaps and overlaps.
func (h *teller) terms(group, subscription, currency string) {
	begin := h.moment()
	for i := range 1 + h.random.IntN(4) {
		end := begin.AddDate(0, 1, 0)
		e := h.fact(group, revenue.KindPeriod, fmt.Sprintf("%s@%d", subscription, i), begin)
		e.Subscription, e.Currency, e.MRR = subscription, currency, h.amount()*revenue.MRRScale
		e.PeriodStart, e.PeriodEnd, e.PresumedEnd = &begin, &end, h.chance(50)
		h.say(e)
		h.reconsider(e)
		begin = end.Add(time.Duration([]int{0, 0, 24, -24, 20 * 24}[h.random.IntN(5)]) * time.Hour)
	}
}

// deltas are changes that a source declares without the state before and after.
func (h *teller) deltas(group, subscription string) {
	for i := range 1 + h.random.IntN(5) {
		e := h.fact(group, revenue.KindMRRDelta, fmt.Sprintf("%s@%d", subscription, i), h.moment())
		e.Subscription, e.Currency = subscription, []string{"USD", "USD", "EUR"}[h.random.IntN(3)]
		e.MRR, e.ClosesMRR = (h.amount()-750)*revenue.MRRScale, h.chance(15)
		h.say(e)
		h.reconsider(e)
	}
}

// nonsense is a statement that need not fit any other of its group.
func (h *teller) nonsense() {
	random := h.random
	at := historyBegin.Add(time.Duration(random.IntN(40)) * 2 * time.Hour) // ties of time
	group := fmt.Sprintf("any-%d", random.IntN(6))
	object := func() string { return fmt.Sprintf("%s-o%d", group, random.IntN(5)) }
	e := h.fact(group, revenue.Kinds[random.IntN(len(revenue.Kinds))], object(), at)
	e.Workspace, e.Livemode = fmt.Sprintf("w%d", random.IntN(3)), true
	e.Version, e.Deleted, e.Currency, e.Amount = int64(random.IntN(4)), h.chance(10), h.currency(), h.amount()
	e.Status = []revenue.Status{"", "", "", revenue.StatusPending, revenue.StatusFailed, revenue.StatusActive,
		revenue.StatusTrialing, revenue.StatusPastDue, revenue.StatusCanceled}[random.IntN(9)]
	e.Original, e.Subscription = object(), []string{"", "s1", "s2"}[random.IntN(3)]
	e.MRR, e.Recurring, e.ClosesMRR = h.amount()*revenue.MRRScale, h.chance(50), h.chance(15)
	if e.Kind == revenue.KindMRRDelta && h.chance(50) {
		e.MRR = -e.MRR
	}
	if e.Kind == revenue.KindPeriod {
		end := at.Add(time.Duration(1+random.IntN(30)) * 24 * time.Hour)
		e.Status, e.PeriodStart, e.PeriodEnd, e.PresumedEnd = "", &at, &end, h.chance(50)
	}
	if e.Kind == revenue.KindSubscription && h.chance(25) {
		end := h.moment()
		e.EndsAt = &end
	}
	h.say(e)
}

// sendings brings what there is to say into disorder, repeats some of it, mixes
// poison in, and says when each is received, now and then several at once.
func (h *teller) sendings() []sending {
	h.disorder()
	var list []sending
	received := historyBegin
	var said []revenue.Event
	for rest := h.told; len(rest) > 0; {
		if !h.chance(20) {
			received = received.Add(time.Duration(1+h.random.IntN(90)) * time.Minute)
		}
		n := min(len(rest), 1+h.random.IntN(5))
		events := slices.Clone(rest[:n])
		rest = rest[n:]
		if len(said) > 0 && h.chance(30) {
			events = append(events, said[h.random.IntN(len(said))]) // a repeat, received anew
		}
		for i := range events {
			events[i].ReceivedAt = received
			events[i].Delivery.ID = fmt.Sprintf("d%d-%d", len(list), i)
		}
		said = append(said, events...)
		list = append(list, sending{after: h.pause(), events: events})
		if h.chance(6) {
			list = append(list, sending{after: h.pause(), poison: h.poison(events[0])})
		}
	}
	return list
}

func (h *teller) pause() time.Duration { return time.Duration(h.random.IntN(1200)) * time.Millisecond }

// disorder moves every statement some way, in some histories any way.
func (h *teller) disorder() {
	reach := []int{0, 5, 40, len(h.told)}[h.random.IntN(4)]
	type placed struct {
		place int
		event revenue.Event
	}
	list := make([]placed, len(h.told))
	for i, e := range h.told {
		list[i] = placed{i + h.random.IntN(reach+1), e}
	}
	slices.SortStableFunc(list, func(a, b placed) int { return a.place - b.place })
	for i := range list {
		h.told[i] = list[i].event
	}
}

// poison is a record with a key of a real group, so that it lies among its
// statements.
func (h *teller) poison(like revenue.Event) *poison {
	whole, err := stream.EncodeEvent(nil, &like)
	if err != nil {
		panic(err) // the teller says nothing that cannot be encoded
	}
	p := &poison{key: like.GroupKey().String()}
	switch h.random.IntN(5) {
	case 0:
		p.value, p.reason = whole[:1+h.random.IntN(len(whole)-1)], stream.ReasonSyntax // cut short
	case 1:
		p.value, p.reason = append([]byte(`{"v":99,`), whole[len(`{"v":1,`):]...), stream.ReasonVersion
	case 2:
		p.value, p.reason = fmt.Appendf(nil, `{"v":1,"workspace":%q}`, like.Workspace), stream.ReasonInvalid
	case 3:
		p.value, p.reason = bytes.Replace(whole, fmt.Appendf(nil, `"workspace":%q`, like.Workspace), []byte(`"workspace":"nowhere"`), 1), stream.ReasonWorkspace
	default:
		p.value, p.reason = nil, stream.ReasonSyntax
	}
	return p
}
