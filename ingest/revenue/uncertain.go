package revenue

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Note is the name of a member that connectors add to the metadata of a statement of which
// the source did not tell everything; its value is the detail.
type Note string

// The notes.
const (
	// NoteMRRUnknown: something is missing to tell what a subscription, or the term that a
	// charge paid for, is worth. The detail says what: tiers, price, currency, and so on.
	NoteMRRUnknown Note = "mrr_unknown"
	// NoteProvisional: a payment counts that an invoice may count too.
	NoteProvisional Note = "provisional"
	// NoteEstimated: the terms of a subscription are those of a later time.
	NoteEstimated Note = "estimated"
	// NoteAmountEstimated: an amount stands for another, which is not known.
	NoteAmountEstimated Note = "amount_estimated"
)

// What notes always say: metadata is the sender's own too, and may have members of the same
// names.
const (
	DetailProvisional     = "Stripe does not say whether an invoice counts it"
	DetailEstimated       = "the terms are those of a later time"
	DetailAmountEstimated = "in USD, for the price that was paid is not known"
)

var details = map[Note]string{
	NoteProvisional: DetailProvisional, NoteEstimated: DetailEstimated, NoteAmountEstimated: DetailAmountEstimated,
}

// Notes lists every note.
var Notes = []Note{NoteMRRUnknown, NoteProvisional, NoteEstimated, NoteAmountEstimated}

// quotedNotes are the notes as members of a JSON object begin.
var quotedNotes = func() (list [][]byte) {
	for _, n := range Notes {
		list = append(list, []byte(`"`+string(n)+`"`))
	}
	return list
}()

// notedKinds are the kinds of statements that connectors add notes to.
var notedKinds = []Kind{KindCharge, KindSubscription, KindAttribution}

// MayBeUncertain reports whether a statement may have a note. It is for finding those that
// have: it errs to that side only, and reads no JSON.
func (e *Event) MayBeUncertain() bool {
	return len(e.Metadata) > 0 && slices.Contains(notedKinds, e.Kind) &&
		slices.ContainsFunc(quotedNotes, func(name []byte) bool { return bytes.Contains(e.Metadata, name) })
}

// notesOf are the notes in metadata, with their details.
func notesOf(metadata json.RawMessage) map[Note]string {
	var members map[string]any
	if len(metadata) == 0 || json.Unmarshal(metadata, &members) != nil {
		return nil
	}
	found := map[Note]string{}
	for _, n := range Notes {
		if text, _ := members[string(n)].(string); text != "" && (details[n] == "" || details[n] == text) {
			found[n] = text
		}
	}
	return found
}

// Uncertain is a fact that is not known for sure: a subscription, or a payment.
type Uncertain struct {
	Note Note
	// Detail says what is not known.
	Detail   string
	Provider string
	Live     bool
	// ObjectID is that of the fact, Subscription and Customer whose it is, if that is said.
	ObjectID, Subscription, Customer string
	// Payment says that it is a payment, of which Amount counts, in minor units of Currency.
	// Of a subscription MRR counts, in 1/10,000 of them. With NoteMRRUnknown neither is said.
	Payment     bool
	Amount, MRR int64
	Currency    string
}

// Uncertainties are the uncertain facts among what a group's statements come to, as of a
// moment: a subscription that has not ended, by the terms in force then; one of which some
// terms before are estimated, by the last of these; and a payment as far as it counts.
// Terms of a subscription that is not paid for are left out with NoteMRRUnknown: it is worth
// nothing whatever its price. What was corrected, deleted, withdrawn or contradicted, or
// is counted by another fact, is uncertain no more.
func Uncertainties(events []Event, until time.Time) []Uncertain {
	facts := sortStanding(standingOf(distinct(events)))
	list := facts.uncertainPayments(until)
	for _, points := range bySubscription(facts.of(KindSubscription)) {
		list = append(list, uncertainTerms(points, until)...)
	}
	return list
}

func (g groupFacts) uncertainPayments(until time.Time) (list []Uncertain) {
	for _, entry := range g.cash() {
		switch entry.Kind {
		case EntryPurchase, EntrySubscriptionPurchase, EntryTrialConversion, EntryRenewal:
		default:
			continue // the others inherit the notes of their payment
		}
		if !entry.OccurredAt.Before(until) {
			continue
		}
		for note, detail := range notesOf(entry.Metadata) {
			u := Uncertain{Note: note, Detail: detail, Provider: entry.Provider, Live: entry.Live(), Payment: true,
				ObjectID: entry.ObjectID, Subscription: entry.Subscription, Customer: entry.Customer}
			if note != NoteMRRUnknown {
				u.Amount, u.Currency = entry.Amount, entry.Currency
			}
			list = append(list, u)
		}
	}
	return list
}

// uncertainTerms is what is uncertain of a subscription.
func uncertainTerms(points []*statement, until time.Time) (list []Uncertain) {
	var inForce, estimated *statement
	for _, s := range points { // in order of occurrence
		if !s.OccurredAt.Before(until) {
			break
		}
		inForce = s
		if notesOf(s.Metadata)[NoteEstimated] != "" {
			estimated = s
		}
	}
	add := func(s *statement, note Note) *Uncertain {
		list = append(list, Uncertain{Note: note, Detail: notesOf(s.Metadata)[note], Provider: s.Provider, Live: s.Live(),
			ObjectID: s.ObjectID, Subscription: s.Subscription, Customer: s.Customer})
		return &list[len(list)-1]
	}
	if inForce != nil && inForce.Status != StatusUnpaid && !endedBy(inForce, until) && notesOf(inForce.Metadata)[NoteMRRUnknown] != "" {
		add(inForce, NoteMRRUnknown)
	}
	if estimated != nil {
		u := add(estimated, NoteEstimated)
		switch estimated.Status {
		case StatusSettled, StatusActive, StatusPastDue:
			u.MRR, u.Currency = estimated.MRR, estimated.Currency
		}
	}
	return list
}

// endedBy reports whether a subscription has ended by the terms before a moment.
func endedBy(s *statement, until time.Time) bool {
	end, ends := endedAt(s)
	return ends && !end.After(until)
}
