package revenue

import (
	"cmp"
	"slices"
	"time"
)

// fold derives what the standing statements of one group come to. It is pure:
// the same set gives the same entries. Their order is of no meaning.
func fold(stand standing) []Entry { return sortStanding(stand).fold() }

func (g groupFacts) fold() []Entry {
	entries := g.cash()
	entries = append(entries, g.markers()...)
	return append(entries, g.state(HousePolicy())...)
}

// groupFacts are the standing statements of a group, tombstones left out, in
// order of kind and, within one, of occurrence (ties by fact).
type groupFacts []*statement

func sortStanding(stand standing) groupFacts {
	group := make(groupFacts, 0, len(stand))
	for _, s := range stand {
		if !s.Deleted {
			group = append(group, s)
		}
	}
	slices.SortFunc(group, func(a, b *statement) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.fact, b.fact))
	})
	return group.withoutContradicted()
}

// of returns the facts of one kind.
func (g groupFacts) of(kind Kind) groupFacts {
	begin, found := slices.BinarySearchFunc(g, kind, func(s *statement, kind Kind) int { return cmp.Compare(s.Kind, kind) })
	if !found {
		return nil
	}
	end := begin + 1
	for end < len(g) && g[end].Kind == kind {
		end++
	}
	return g[begin:end]
}

// entry starts an entry of the given kind from the statement behind it.
func (s *statement) entry(kind EntryKind) Entry {
	return Entry{
		Workspace: s.Workspace, Group: s.Group, Fact: s.fact, ObjectID: s.ObjectID, Version: s.Version, Kind: kind,
		Provider: s.Provider, Account: s.Account, Integration: s.Delivery.Integration, Livemode: s.Livemode, TestClock: s.TestClock,
		OccurredAt: s.OccurredAt, ReceivedAt: s.ReceivedAt, Currency: s.Currency, Recurring: s.Recurring,
		Dimensions: s.Dimensions,
	}
}

// flow sets the money of an entry, all parts with the direction of the flow.
func (e *Entry) flow(direction, amount int64, of *statement) {
	e.Amount, e.Tax, e.Fee, e.Discount = direction*amount, direction*of.Tax, direction*of.Fee, direction*of.Discount
}

// settled reports whether a cash fact is money that moved.
func (s *statement) settled() bool { return s.Status == StatusSettled }

// recurring reports whether a cash fact belongs to a subscription.
func (s *statement) recurring() bool {
	return s.Recurring || s.Subscription != "" && s.Billing != BillingOneTime
}

// reversals are the facts that are about a payment, and the direction of their flow.
var reversals = [...]struct {
	kind      Kind
	entry     EntryKind
	direction int64
}{
	{KindRefund, EntryRefund, -1}, {KindRefundTotal, EntryRefund, -1},
	{KindDispute, EntryDispute, -1}, {KindDisputeReversal, EntryDisputeReversal, 1}, {KindFee, EntryFee, -1},
}

func (g groupFacts) cash() []Entry {
	var entries []Entry
	var paid map[string]bool // subscriptions that have had a positive charge
	charges := g.of(KindCharge)
	if len(charges) > 0 {
		paid = make(map[string]bool, 1)
	}
	for _, s := range charges {
		amount := s.Amount - g.linked(s)
		if !s.settled() || amount < 0 || amount == 0 && s.Amount > 0 {
			continue
		}
		entry := s.entry(g.chargeKind(s, paid))
		entry.Recurring = s.recurring()
		if amount == s.Amount {
			entry.flow(1, amount, s)
		} else {
			entry.Amount = amount // parts of a remainder are not known
		}
		g.attribute(&entry, entry.ObjectID)
		entries = append(entries, entry)
	}
	var originals map[string]originalFacts
	for _, reversal := range reversals {
		facts := g.of(reversal.kind)
		if len(facts) > 0 && originals == nil {
			originals = g.originals()
		}
		for _, s := range facts {
			if entry, moved := g.reversal(s, reversal.entry, reversal.direction, originals); moved {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}

// chargeKind tells a one-time purchase, a subscription's first paid charge, the
// first one after a trial, and a renewal apart. What the source says goes before
// what the group implies, except that a source which calls the first charge
// after a trial a renewal (Stripe) does not know of the conversion.
func (g groupFacts) chargeKind(s *statement, paid map[string]bool) EntryKind {
	if !s.recurring() {
		return EntryPurchase
	}
	first := !paid[s.Subscription]
	if s.Amount > 0 {
		paid[s.Subscription] = true
	}
	switch {
	case first && s.Amount > 0 && g.triedBefore(s) && !g.conversionDeclared(s.Subscription):
		return EntryTrialConversion
	case s.Billing == BillingFirst:
		return EntrySubscriptionPurchase
	case s.Billing == BillingRenewal:
		return EntryRenewal
	case first:
		return EntrySubscriptionPurchase
	default:
		return EntryRenewal
	}
}

func (g groupFacts) triedBefore(charge *statement) bool {
	for _, s := range g.of(KindTrialStart) {
		if s.Subscription == charge.Subscription && !s.OccurredAt.After(charge.OccurredAt) {
			return true
		}
	}
	for _, s := range g.of(KindSubscription) {
		if s.Status == StatusTrialing && s.Subscription == charge.Subscription && !s.OccurredAt.After(charge.OccurredAt) {
			return true
		}
	}
	return false
}

func (g groupFacts) conversionDeclared(subscription string) bool {
	return slices.ContainsFunc(g.of(KindTrialConversion), func(s *statement) bool { return s.Subscription == subscription })
}

// linked is how much of a charge other facts already count.
func (g groupFacts) linked(charge *statement) (amount int64) {
	for _, link := range g.of(KindLink) {
		if link.Original == charge.ObjectID && link.fact != charge.fact {
			amount += link.Amount
		}
	}
	return amount
}

// unnamed is how much of a payment's total of refunds no single refund accounts
// for. A refund that failed accounts for its part: it was in the total once.
func (g groupFacts) unnamed(total *statement) int64 {
	rest := total.Amount
	for _, s := range g.of(KindRefund) {
		if s.Original == total.Original {
			rest -= s.Amount
		}
	}
	return max(0, rest)
}

// originalFacts is what a refund may name: a link says whose a payment is, which the
// bare charge often does not know.
type originalFacts struct {
	links  []*statement
	charge *statement
}

// originals finds charges and links by every id that a refund may name.
func (g groupFacts) originals() map[string]originalFacts {
	index := map[string]originalFacts{}
	for _, s := range g.of(KindLink) {
		for _, id := range [...]string{s.Original, s.Invoice} {
			if held := index[id]; id != "" {
				held.links = append(held.links, s)
				index[id] = held
			}
		}
	}
	for _, s := range g.of(KindCharge) {
		for _, id := range [...]string{s.ObjectID, s.Payment, s.Invoice} {
			if held := index[id]; id != "" && held.charge == nil {
				held.charge = s
				index[id] = held
			}
		}
	}
	return index
}

// reversal is the entry of a refund, dispute or fee, which inherits from the
// payment it is about, and whether it moved money at all.
func (g groupFacts) reversal(s *statement, kind EntryKind, direction int64, originals map[string]originalFacts) (Entry, bool) {
	amount := s.Amount
	if s.Kind == KindRefundTotal {
		amount = g.unnamed(s)
	}
	if !s.settled() && s.Status != StatusPending || amount == 0 {
		return Entry{}, false
	}
	entry := s.entry(kind)
	entry.Recurring = s.recurring()
	if amount == s.Amount {
		entry.flow(direction, amount, s)
	} else {
		entry.Amount = direction * amount // parts of a remainder are not known
	}
	original, found := originals[s.Original]
	if !found {
		original = originals[s.Invoice]
	}
	// What one link does not know another may: an allocation names the invoice, the
	// payment itself that it was for a subscription.
	from := original.links
	if original.charge != nil {
		from = append(from[:len(from):len(from)], original.charge)
	}
	if len(from) > 0 {
		entry.Recurring = slices.ContainsFunc(from, (*statement).recurring)
	}
	for _, fact := range from {
		entry.inherit(&fact.Dimensions)
	}
	g.attribute(&entry, s.Original)
	return entry, true
}

// attribute fills the entry's empty dimensions from the attributions of its
// group that name the payment, or what it was for.
func (g groupFacts) attribute(entry *Entry, payment string) {
	for _, s := range g.of(KindAttribution) {
		if s.Original != "" && slices.Contains([]string{payment, entry.Payment, entry.Invoice, entry.Subscription}, s.Original) {
			entry.inherit(&s.Dimensions)
		}
	}
}

// inherit fills empty dimensions from those of a related fact.
func (d *Dimensions) inherit(from *Dimensions) {
	for _, pair := range [...]struct {
		to   *string
		from string
	}{
		{&d.Customer, from.Customer}, {&d.CustomerName, from.CustomerName}, {&d.Country, from.Country},
		{&d.Subscription, from.Subscription}, {&d.Invoice, from.Invoice}, {&d.Payment, from.Payment},
		{&d.Product, from.Product}, {&d.Plan, from.Plan},
		{&d.Message, from.Message}, {&d.Offer, from.Offer}, {&d.Contact, from.Contact},
		{&d.Campaign, from.Campaign}, {&d.Source, from.Source}, {&d.Visitor, from.Visitor},
		{&d.Session, from.Session}, {&d.AttributionType, from.AttributionType},
	} {
		if *pair.to == "" {
			*pair.to = pair.from
		}
	}
	if len(d.Metadata) == 0 {
		d.Metadata = from.Metadata
	}
}

// declared are the lifecycle events that sources state as such.
var declared = [...]struct {
	kind  Kind
	entry EntryKind
}{
	{KindTrialStart, EntryTrialStart}, {KindTrialConversion, EntryTrialConversion},
	{KindCancellation, EntryCancellation}, {KindExpiration, EntryExpiration},
}

// markers are the lifecycle entries of declared events.
func (g groupFacts) markers() []Entry {
	var entries []Entry
	for _, marker := range declared {
		for _, s := range g.of(marker.kind) {
			entry := s.entry(marker.entry)
			entry.Recurring = true
			entries = append(entries, entry)
		}
	}
	g.takeBack(entries)
	return entries
}

// takeBack says of declared cancellations when each was taken back, for there is no event
// of that: the subscription went on, by a term or a growth that began after the request,
// or is stated to be active without one.
func (g groupFacts) takeBack(entries []Entry) {
	if len(g.of(KindCancellation)) == 0 {
		return
	}
	wentOn := map[string][]time.Time{} // by subscription
	for _, s := range g {
		if at, on := s.goesOn(); on {
			wentOn[s.Subscription] = append(wentOn[s.Subscription], at)
		}
	}
	for _, times := range wentOn {
		slices.SortFunc(times, time.Time.Compare)
	}
	for i := range entries {
		e := &entries[i]
		if times := wentOn[e.Subscription]; e.Kind == EntryCancellation {
			next, _ := slices.BinarySearchFunc(times, e.OccurredAt.Add(time.Microsecond), time.Time.Compare)
			if next < len(times) {
				e.EndsAt = times[next]
			}
		}
	}
}

// goesOn reports whether the statement says that its subscription goes on, and from when.
// A term may be paid for before it begins, and after.
func (s *statement) goesOn() (at time.Time, on bool) {
	switch s.Kind {
	case KindSubscription:
		active := s.Status == StatusSettled || s.Status == StatusActive || s.Status == StatusTrialing
		return s.OccurredAt, active && s.CancelRequestedAt == nil && s.EndsAt == nil
	case KindPeriod:
		at = s.OccurredAt
		if s.isTerm() && s.PeriodStart.Before(at) {
			at = *s.PeriodStart
		}
		return at, s.isTerm()
	case KindMRRDelta:
		return s.OccurredAt, s.MRR > 0 && !s.ClosesMRR
	}
	return time.Time{}, false
}
