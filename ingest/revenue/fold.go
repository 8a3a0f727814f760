package revenue

import (
	"cmp"
	"slices"
)

// fold derives what the standing statements of one group come to. It is pure:
// the same set gives the same entries. Their order is of no meaning.
func fold(standing map[string]*statement) []Entry {
	group := sortStanding(standing)
	entries := group.cash()
	entries = append(entries, group.markers()...)
	return append(entries, group.state()...)
}

// groupFacts are the standing statements of a group by kind, tombstones left
// out, each slice in order of occurrence (ties by fact).
type groupFacts map[Kind][]*statement

func sortStanding(standing map[string]*statement) groupFacts {
	group := make(groupFacts, 4)
	for _, s := range standing {
		if !s.Deleted {
			group[s.Kind] = append(group[s.Kind], s)
		}
	}
	for _, facts := range group {
		slices.SortFunc(facts, func(a, b *statement) int {
			return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.fact, b.fact))
		})
	}
	return group
}

// entry starts an entry of the given kind from the statement behind it.
func (s *statement) entry(kind EntryKind) Entry {
	return Entry{
		Workspace: s.Workspace, Group: s.Group, Fact: s.fact, ObjectID: s.ObjectID, Version: s.Version, Kind: kind,
		Provider: s.Provider, Account: s.Account, Livemode: s.Livemode, TestClock: s.TestClock,
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

func (g groupFacts) cash() []Entry {
	var entries []Entry
	originals := g.originals()
	paid := map[string]bool{} // subscriptions that have had a positive charge
	for _, s := range g[KindCharge] {
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
		g.attribute(&entry)
		entries = append(entries, entry)
	}
	for _, s := range g[KindRefund] {
		entries = appendReversal(entries, s, EntryRefund, -1, originals)
	}
	for _, s := range g[KindRefundTotal] {
		if !g.refundsKnown(s) {
			entries = appendReversal(entries, s, EntryRefund, -1, originals)
		}
	}
	for _, s := range g[KindDispute] {
		entries = appendReversal(entries, s, EntryDispute, -1, originals)
	}
	for _, s := range g[KindDisputeReversal] {
		entries = appendReversal(entries, s, EntryDisputeReversal, 1, originals)
	}
	for _, s := range g[KindFee] {
		entries = appendReversal(entries, s, EntryFee, -1, originals)
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
	for _, s := range g[KindTrialStart] {
		if s.Subscription == charge.Subscription && !s.OccurredAt.After(charge.OccurredAt) {
			return true
		}
	}
	for _, s := range g[KindSubscription] {
		if s.Status == StatusTrialing && s.Subscription == charge.Subscription && !s.OccurredAt.After(charge.OccurredAt) {
			return true
		}
	}
	return false
}

func (g groupFacts) conversionDeclared(subscription string) bool {
	return slices.ContainsFunc(g[KindTrialConversion], func(s *statement) bool { return s.Subscription == subscription })
}

// linked is how much of a charge other facts already count.
func (g groupFacts) linked(charge *statement) (amount int64) {
	for _, link := range g[KindLink] {
		if link.Original == charge.ObjectID && link.fact != charge.fact {
			amount += link.Amount
		}
	}
	return amount
}

// refundsKnown reports whether single refunds of the payment are known, which
// then count instead of its total.
func (g groupFacts) refundsKnown(total *statement) bool {
	return slices.ContainsFunc(g[KindRefund], func(s *statement) bool { return s.Original == total.Original })
}

// originals finds charges, and the links that stand for them, by every id that
// a refund may name.
func (g groupFacts) originals() map[string]*statement {
	index := map[string]*statement{}
	for _, kind := range []Kind{KindLink, KindCharge} {
		for _, s := range g[kind] {
			ids := []string{s.ObjectID, s.Payment, s.Invoice}
			if kind == KindLink {
				ids = []string{s.Original, s.Invoice}
			}
			for _, id := range ids {
				// A link names the subscription, which the bare payment does not.
				if held := index[id]; id != "" && (held == nil || held.Kind == KindCharge) {
					index[id] = s
				}
			}
		}
	}
	return index
}

// appendReversal appends the entry of a refund, dispute or fee, which inherits
// from the charge it is about.
func appendReversal(entries []Entry, s *statement, kind EntryKind, direction int64, originals map[string]*statement) []Entry {
	if !s.settled() && s.Status != StatusPending || s.Amount == 0 {
		return entries
	}
	entry := s.entry(kind)
	entry.flow(direction, s.Amount, s)
	entry.Recurring = s.recurring()
	original := originals[s.Original]
	if original == nil {
		original = originals[s.Invoice]
	}
	if original != nil {
		entry.Recurring = original.recurring()
		entry.inherit(&original.Dimensions)
	}
	return append(entries, entry)
}

// attribute fills the entry's empty dimensions from the attributions of its group.
func (g groupFacts) attribute(entry *Entry) {
	for _, s := range g[KindAttribution] {
		if s.Original == entry.ObjectID || s.Original == entry.Payment || s.Original == entry.Invoice ||
			s.Original == entry.Subscription {
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

// markers are the lifecycle entries that sources declare as such.
func (g groupFacts) markers() []Entry {
	var entries []Entry
	for kind, entryKind := range map[Kind]EntryKind{
		KindTrialStart: EntryTrialStart, KindTrialConversion: EntryTrialConversion,
		KindCancellation: EntryCancellation, KindExpiration: EntryExpiration,
	} {
		for _, s := range g[kind] {
			entry := s.entry(entryKind)
			entry.Recurring = true
			entries = append(entries, entry)
		}
	}
	return entries
}
