package revenue

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"time"
)

// Digest identifies the content of a statement: everything but when and how it
// was delivered. Two deliveries of one statement have one digest.
type Digest [16]byte

// Digest is the content digest of the statement.
func (e *Event) Digest() Digest {
	var scratch [digestBytes]byte
	d := digester{buf: scratch[:0]}
	d.text(e.Workspace, e.FactID(), e.TestClock, e.Group)
	d.number(e.Version, e.Amount, e.Tax, e.Fee, e.Discount, e.MRR)
	d.flag(e.Deleted, e.Recurring, e.ClosesMRR, e.PresumedEnd)
	d.time(e.OccurredAt)
	d.text(e.Currency, string(e.Billing), string(e.Status), e.Original, e.Reason)
	d.optional(e.EndsAt, e.CancelRequestedAt, e.PeriodStart, e.PeriodEnd)
	d.dimensions(&e.Dimensions)
	// Only then, so that the digests of all other statements are what they were before there were such.
	if e.Presumed {
		d.flag(true)
	}
	if e.MRRBeforeDiscounts != 0 {
		d.number(e.MRRBeforeDiscounts)
	}
	return d.sum()
}

// Supersedes reports whether statement a stands against statement b about the
// same fact: the higher version does, and between equal versions the greater
// digest, so that every reader chooses the same whatever order it read them in.
func Supersedes(a, b *Event) bool {
	return (&statement{Event: a, digest: a.Digest()}).supersedes(&statement{Event: b, digest: b.Digest()})
}

// statement is an event with its digest and fact, computed once.
type statement struct {
	*Event
	fact   string
	digest Digest
}

func (s *statement) supersedes(other *statement) bool {
	if s.Version != other.Version {
		return s.Version > other.Version
	}
	return bytes.Compare(s.digest[:], other.digest[:]) > 0
}

// standing is the statement of each fact that stands.
type standing map[string]*statement

// take lets a statement stand if it supersedes what does, and reports whether.
func (st standing) take(s *statement) bool {
	if held := st[s.fact]; held != nil && !s.supersedes(held) {
		return false
	}
	st[s.fact] = s
	return true
}

// earlier reports which of two deliveries of one statement is kept: the one received
// first, and of two received at once the one by the lesser integration, so that the
// order they are read in does not show.
func (s *statement) earlier(other *statement) bool {
	return cmp.Or(s.ReceivedAt.Compare(other.ReceivedAt), cmp.Compare(s.Delivery.Integration, other.Delivery.Integration)) < 0
}

// distinct drops repeated deliveries of one statement, of the same revision, keeping
// the earliest received, and sorts by received time; ties are in content order, so the result
// is a function of the set.
func distinct(events []Event) []statement {
	type record struct {
		identity
		revision  int64
		withdrawn bool
	}
	position := make(map[record]int, len(events))
	statements := make([]statement, 0, len(events))
	for i := range events {
		s := statement{Event: &events[i], fact: events[i].FactID(), digest: events[i].Digest()}
		id := record{s.identity(), s.Revision, s.Withdrawn}
		if at, known := position[id]; !known {
			position[id] = len(statements)
			statements = append(statements, s)
		} else if s.earlier(&statements[at]) {
			statements[at] = s
		}
	}
	slices.SortFunc(statements, func(a, b statement) int {
		return cmp.Or(a.ReceivedAt.Compare(b.ReceivedAt), cmp.Compare(a.fact, b.fact), bytes.Compare(a.digest[:], b.digest[:]),
			cmp.Compare(a.Revision, b.Revision), a.compareWithdrawal(b))
	})
	return statements
}

// Distinct returns the statements without repeated deliveries, each with its
// earliest received time. It is what a group has to remember.
func Distinct(events []Event) []Event {
	statements := distinct(events)
	kept := make([]Event, len(statements))
	for i := range statements {
		kept[i] = *statements[i].Event
	}
	return kept
}

// digester hashes fields unambiguously: every text carries its length.
type digester struct {
	buf []byte
}

// digestBytes is room for the fields of nearly every statement, so that hashing
// one allocates nothing.
const digestBytes = 1024

func (d *digester) text(values ...string) {
	for _, v := range values {
		d.buf = binary.AppendUvarint(d.buf, uint64(len(v)))
		d.buf = append(d.buf, v...)
	}
}

func (d *digester) number(values ...int64) {
	for _, v := range values {
		d.buf = binary.AppendVarint(d.buf, v)
	}
}

func (d *digester) flag(values ...bool) {
	for _, v := range values {
		d.buf = strconv.AppendBool(d.buf, v)
	}
}

func (d *digester) time(values ...time.Time) {
	for _, v := range values {
		d.number(v.UnixMicro())
	}
}

func (d *digester) optional(values ...*time.Time) {
	for _, v := range values {
		d.flag(v != nil)
		if v != nil {
			d.time(*v)
		}
	}
}

func (d *digester) dimensions(v *Dimensions) {
	d.text(v.Customer, v.CustomerName, v.Country, v.Subscription, v.Invoice, v.Payment, v.Product, v.Plan,
		v.Interval, v.PaymentMethod, v.Message, v.Offer, v.Contact, v.Campaign, v.Source, v.Visitor, v.Session,
		v.AttributionType, v.ExternalID, string(v.Metadata))
	d.number(v.Quantity, v.IntervalCount)
	d.flag(v.Imported)
}

func (d *digester) sum() Digest {
	full := sha256.Sum256(d.buf)
	return Digest(full[:16])
}
