package revenue

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// EntryKind is the kind of a ledger entry: what a statement, or a set of them,
// comes to.
type EntryKind string

// Cash entries. Their Amount is a signed flow in minor units: charges and
// dispute reversals are positive, refunds, disputes and fees negative.
const (
	EntryPurchase             EntryKind = "purchase"
	EntrySubscriptionPurchase EntryKind = "subscription_purchase"
	EntryTrialConversion      EntryKind = "trial_conversion"
	EntryRenewal              EntryKind = "renewal"
	EntryRefund               EntryKind = "refund"
	EntryDispute              EntryKind = "dispute"
	EntryDisputeReversal      EntryKind = "dispute_reversal"
	EntryFee                  EntryKind = "fee"
)

// Lifecycle entries carry no money.
const (
	EntryTrialStart   EntryKind = "trial_start"
	EntryCancellation EntryKind = "cancellation"
	EntryExpiration   EntryKind = "expiration"
)

// Movement entries change a customer's MRR; activity entries change the number
// of subscriptions that are paid, unexpired and not cancelled. Transfer entries move
// MRR or a subscription from one plan to another, or between whatever else it stands
// for: with them, movements and activity add up by plan, product, billing interval,
// country, customer and subscription, too. They come to nothing in all.
const (
	EntryNew          EntryKind = "new"
	EntryReactivation EntryKind = "reactivation"
	EntryExpansion    EntryKind = "expansion"
	EntryContraction  EntryKind = "contraction"
	EntryChurn        EntryKind = "churn"
	EntryActive       EntryKind = "subscription_active"
	EntryInactive     EntryKind = "subscription_inactive"
	EntryTransfer     EntryKind = "transfer"
)

// Family groups the entry kinds by the question they answer.
type Family string

// The families of entries.
const (
	FamilyCash      Family = "cash"
	FamilyLifecycle Family = "lifecycle"
	FamilyState     Family = "state"
)

// Family of the kind: which money moved, what happened to a subscription, or
// what it is worth.
func (k EntryKind) Family() Family {
	switch k {
	case EntryPurchase, EntrySubscriptionPurchase, EntryTrialConversion, EntryRenewal,
		EntryRefund, EntryDispute, EntryDisputeReversal, EntryFee:
		return FamilyCash
	case EntryTrialStart, EntryCancellation, EntryExpiration:
		return FamilyLifecycle
	default:
		return FamilyState
	}
}

// Entry is one thing that is believed: a flow of money, a step of MRR, a
// lifecycle event. The fold of a group's statements is a set of entries.
type Entry struct {
	Workspace string
	Group     string
	// Fact is the fact whose statement is behind the entry, ObjectID the source's
	// id of it, Version that statement's version.
	Fact     string
	ObjectID string
	Version  int64
	Kind     EntryKind

	Provider string
	Account  string
	// Integration is the endpoint or API key by which the statement behind the entry
	// came in: of repeated deliveries the first.
	Integration string
	Livemode    bool
	TestClock   string
	// OccurredAt is when it takes effect, which for MRR that is known to end may
	// lie ahead. EndsAt, of a cancellation, is when it was taken back; of
	// anything else it is zero.
	OccurredAt time.Time
	EndsAt     time.Time
	// ReceivedAt is when the statement behind the entry was accepted.
	ReceivedAt time.Time

	Amount   int64 // signed flow, minor units
	Tax      int64 // signed like Amount
	Fee      int64
	Discount int64
	Currency string
	// Recurring says that a cash entry belongs to a subscription.
	Recurring bool

	MRR           int64 // signed step, 1/10,000 minor units
	Subscriptions int64 // signed step of active subscriptions
	Customers     int64 // signed step of paying customers
	Reason        string

	Dimensions
}

// Live reports whether the entry is real money.
func (e *Entry) Live() bool { return e.Livemode && e.TestClock == "" }

// RowID identifies an entry by its content, so that a row and its retraction
// carry the same id.
func (e *Entry) RowID() uint64 {
	var scratch [digestBytes]byte
	d := digester{buf: scratch[:0]}
	d.text(e.Workspace, e.Group, e.Fact, e.ObjectID, string(e.Kind), e.Provider, e.Account, e.Integration, e.TestClock, e.Currency, e.Reason)
	d.number(e.Version, e.Amount, e.Tax, e.Fee, e.Discount, e.MRR, e.Subscriptions, e.Customers)
	d.flag(e.Livemode, e.Recurring)
	d.time(e.OccurredAt, e.ReceivedAt)
	d.flag(e.EndsAt.IsZero())
	d.time(e.EndsAt)
	d.dimensions(&e.Dimensions)
	sum := d.sum()
	return binary.LittleEndian.Uint64(sum[:8])
}

// LedgerRow is a signed entry: +1 when it began to be believed, -1 when it
// ceased to be, at KnownAt: the received time of the statement that changed the
// belief. Sums of Sign * measure over the rows are what is believed now; over
// the rows with KnownAt <= T, what was believed at T.
type LedgerRow struct {
	Entry
	RowID   uint64
	Sign    int8
	KnownAt time.Time
}

// RowKey identifies what a row says: which entry changed, and when that became
// known. The signs of all rows of one key add up to what is held of it.
type RowKey struct {
	RowID   uint64
	KnownAt int64 // Unix microseconds
}

// Key of the row.
func (r *LedgerRow) Key() RowKey { return RowKey{r.RowID, r.KnownAt.UnixMicro()} }

// Ledger is the history of what a group's statements came to: for every moment
// at which a statement was received, the difference between the fold of what was
// known then and of what was known before. It is a function of the set of
// statements: order, repetition and batching of their arrival do not show.
func Ledger(events []Event) []LedgerRow {
	if len(events) == 1 {
		return single(&events[0])
	}
	return ledger(distinct(events), fold)
}

// folding is what a group's standing statements come to, by some definitions.
type folding func(standing) []Entry

// ledger is the history of what distinct statements come to.
func ledger(statements []statement, fold folding) []LedgerRow {
	if revised(statements) {
		return restated(statements, fold)
	}
	rows, _ := advance(standing{}, map[uint64]*counted{}, statements, fold)
	return rows
}

// single is the ledger of one statement: by far the most frequent group.
func single(event *Event) []LedgerRow {
	if event.Deleted || event.Withdrawn {
		return nil
	}
	entries := groupFacts{{Event: event, fact: event.FactID()}}.fold()
	rows := make([]LedgerRow, len(entries))
	for i := range entries {
		rows[i] = LedgerRow{Entry: entries[i], RowID: entries[i].RowID(), Sign: 1, KnownAt: event.ReceivedAt}
	}
	return rows
}

// advance takes statements in, in order of their received times, and returns the
// rows that each moment adds.
func advance(stand standing, believed map[uint64]*counted, statements []statement, fold folding) ([]LedgerRow, map[uint64]*counted) {
	var rows []LedgerRow
	for i := 0; i < len(statements); {
		knownAt := statements[i].ReceivedAt
		changed := false
		for ; i < len(statements) && statements[i].ReceivedAt.Equal(knownAt); i++ {
			changed = stand.take(&statements[i]) || changed
		}
		if !changed {
			continue
		}
		next := count(fold(stand))
		rows = appendDifference(rows, next, believed, knownAt)
		believed = next
	}
	return rows, believed
}

// Fold is what a group's statements come to now.
func Fold(events []Event) []Entry {
	return fold(standingOf(distinct(events)))
}

// counted is an entry and how often it is believed; two statements can come to
// equal entries.
type counted struct {
	entry Entry
	n     int
}

func count(entries []Entry) map[uint64]*counted {
	counts := make(map[uint64]*counted, len(entries))
	for i := range entries {
		id := entries[i].RowID()
		if c := counts[id]; c != nil {
			c.n++
		} else {
			counts[id] = &counted{entries[i], 1}
		}
	}
	return counts
}

// appendDifference appends the rows that lead from before to after, retractions
// first, in an order that depends on their content alone.
func appendDifference(rows []LedgerRow, after, before map[uint64]*counted, knownAt time.Time) []LedgerRow {
	begin := len(rows)
	add := func(id uint64, c *counted, n int) {
		sign := int8(1)
		if n < 0 {
			sign, n = -1, -n
		}
		for range n {
			rows = append(rows, LedgerRow{Entry: c.entry, RowID: id, Sign: sign, KnownAt: knownAt})
		}
	}
	for id, c := range after {
		n := c.n
		if was := before[id]; was != nil {
			n -= was.n
		}
		add(id, c, n)
	}
	for id, c := range before {
		if after[id] == nil {
			add(id, c, -c.n)
		}
	}
	slices.SortFunc(rows[begin:], func(a, b LedgerRow) int {
		return cmp.Or(cmp.Compare(a.Sign, b.Sign), a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.RowID, b.RowID))
	})
	return rows
}

// Held is what a store holds of a group: the sum of signs for each row key.
type Held map[RowKey]int64

// HeldOf sums rows that a store is known to hold.
func HeldOf(rows []LedgerRow) Held {
	held := make(Held, len(rows))
	for i := range rows {
		key := rows[i].Key()
		if held[key] += int64(rows[i].Sign); held[key] == 0 {
			delete(held, key)
		}
	}
	return held
}

// Difference returns the rows to append so that a store that holds held comes to
// hold desired, and the keys it holds that desired does not know (left by an
// attempt with other statements or other code), with their sums: the caller has
// to read those rows and append that many of the opposite sign.
func Difference(desired []LedgerRow, held Held) (missing []LedgerRow, foreign Held) {
	wanted := HeldOf(desired)
	settled := make(map[RowKey]bool, len(wanted))
	for i := range desired {
		key := desired[i].Key()
		if settled[key] {
			continue
		}
		settled[key] = true
		missing = appendSigned(missing, desired[i], wanted[key]-held[key])
	}
	for key, n := range held {
		if n != 0 && !settled[key] {
			if foreign == nil {
				foreign = Held{}
			}
			foreign[key] = n
		}
	}
	return missing, foreign
}

// Retract returns the rows that take foreign rows back: for each row read from
// the store whose key foreign names, as many of the opposite sign as are held.
func Retract(read []LedgerRow, foreign Held) []LedgerRow {
	var rows []LedgerRow
	settled := make(map[RowKey]bool, len(foreign))
	for i := range read {
		key := read[i].Key()
		if n, named := foreign[key]; named && !settled[key] {
			settled[key] = true
			rows = appendSigned(rows, read[i], -n)
		}
	}
	return rows
}

// appendSigned appends |n| copies of the row with the sign of n.
func appendSigned(rows []LedgerRow, row LedgerRow, n int64) []LedgerRow {
	row.Sign = 1
	if n < 0 {
		row.Sign, n = -1, -n
	}
	for range n {
		rows = append(rows, row)
	}
	return rows
}
