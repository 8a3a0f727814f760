package connectors

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"revstream/ingest/revenue"
)

// Reader reads one event of a delivery into statements. It keeps the first fault
// it meets and reads on with zero values; what it has collected counts only if
// there was none, so that a mapping is a list of fields and no error handling.
type Reader struct {
	// Delivery is what the event came in.
	Delivery *Delivery
	// Provider, Account and Livemode are part of every identity. Account and
	// Livemode begin as the endpoint's; an event that names its own sets them before
	// the first statement.
	Provider, Account string
	Livemode          bool
	// About goes into every statement: the event's id, type and API version.
	About revenue.Delivery
	// At is when the event happened, if the provider says so: see Item.
	At time.Time
	// Lacks is what the provider's API refuses to say: see Item.
	Lacks error
	// Exponents are the decimals of the currencies of which the provider has another
	// idea than ISO 4217, by upper-case code.
	Exponents map[string]int

	events []revenue.Event
	fault  *InvalidError
}

// NewReader begins an event of a delivery.
func NewReader(provider string, delivery *Delivery, about revenue.Delivery) *Reader {
	about.Integration = delivery.Integration
	return &Reader{Delivery: delivery, Provider: provider, Account: delivery.Account, Livemode: delivery.Livemode, About: about}
}

// Item is what has been read.
func (r *Reader) Item() Item {
	item := Item{ID: r.About.ID, Type: r.About.Type, APIVersion: r.About.APIVersion, At: r.At}
	if r.fault != nil {
		item.Err = r.fault
		return item
	}
	item.Events, item.Lacks = r.events, r.Lacks
	return item
}

// Fault is the first fault; nil if there was none.
func (r *Reader) Fault() error {
	if r.fault == nil {
		return nil
	}
	return r.fault
}

// Statement begins a statement about an object, in the group of a payment (cash)
// or of a customer (state, and the payments of a subscription). The caller sets
// its Version; see README.md for how to choose it.
func (r *Reader) Statement(kind revenue.Kind, objectID, groupID string, at time.Time) revenue.Event {
	if objectID == "" || groupID == "" {
		r.Invalid("id", "is required")
	}
	return revenue.Event{
		Workspace: r.Delivery.Workspace, Provider: r.Provider, Account: r.Account, Livemode: r.Livemode,
		ObjectID: objectID, Kind: kind, Group: revenue.GroupName(r.Provider, r.Account, r.Livemode, groupID),
		OccurredAt: at, ReceivedAt: r.Delivery.ReceivedAt.UTC().Truncate(time.Microsecond),
		Dimensions: revenue.Dimensions{ExternalID: objectID}, Delivery: r.About,
	}
}

// Emit adds a statement. It refuses what cannot be: an amount below zero or beyond
// revenue.AmountMax, a time before there was such a provider or ahead of the clock.
func (r *Reader) Emit(e revenue.Event) {
	for _, part := range [...]struct {
		name   string
		amount int64
	}{{"amount", e.Amount}, {"tax", e.Tax}, {"fee", e.Fee}, {"discount", e.Discount}} {
		if part.amount < 0 || part.amount > revenue.AmountMax {
			r.Invalid(part.name, "%d is not an amount", part.amount)
		}
	}
	// Simulated clocks run ahead, and are kept apart by test mode.
	latest := r.Delivery.ReceivedAt.Add(OccurredAheadMax)
	if !r.Livemode {
		latest = r.Delivery.ReceivedAt.AddDate(PeriodAheadYearsMax, 0, 0)
	}
	if e.OccurredAt.Before(OccurredMin()) || e.OccurredAt.After(latest) {
		r.Invalid("occurred_at", "%s is not a time that it can have happened", e.OccurredAt.Format(time.RFC3339))
	}
	r.events = append(r.events, e)
}

// EmitLinked adds a charge to another group than its own, that of its subscription,
// and a link to its own. It is for providers whose refunds and disputes name the
// payment alone: they are found in the payment's group, and learn from the link whose
// it was; and a statement about the charge that does not know of the subscription
// counts nothing beside it.
func (r *Reader) EmitLinked(charge revenue.Event, groupID string) {
	link := r.Statement(revenue.KindLink, charge.ObjectID, charge.ObjectID, charge.OccurredAt)
	link.Version, link.Status = charge.Version, charge.Status
	link.Original, link.Amount, link.Currency, link.Recurring = charge.ObjectID, charge.Amount, charge.Currency, true
	link.Dimensions = charge.Dimensions
	charge.Group = revenue.GroupName(r.Provider, r.Account, r.Livemode, groupID)
	charge.Recurring = true
	r.Emit(charge)
	r.Emit(link)
}

// Invalid records what is wrong with a member, named by its path.
func (r *Reader) Invalid(place, format string, args ...any) {
	if r.fault == nil {
		detail := fmt.Sprintf(format, args...)
		if len(detail) > detailBytesMax {
			detail = strings.ToValidUTF8(detail[:detailBytesMax], "") + "..."
		}
		r.fault = &InvalidError{Field: place, Code: "invalid_" + place[strings.LastIndexByte(place, '.')+1:], Detail: detail}
	}
}

// RequiredID is Object.ID of what must be there.
func (r *Reader) RequiredID(o Object, places ...string) string {
	id := o.ID(places...)
	if id == "" {
		r.Invalid(places[0], "is required")
	}
	return id
}

// Currency reads a currency that must be there, in either case, as ISO 4217.
func (r *Reader) Currency(o Object, places ...string) string {
	code := strings.ToUpper(o.Text(places...))
	if _, known := revenue.Exponent(code); !known {
		r.Invalid(places[0], "%q is not an ISO 4217 currency", code)
	}
	return code
}

// Minor reads a whole number of the provider's minor units, be it in quotes, as
// those of ISO 4217; 0 if none is given.
func (r *Reader) Minor(o Object, currency string, places ...string) int64 {
	value := o.Value(places...)
	if value == nil {
		return 0
	}
	units, err := strconv.ParseInt(o.Literal(places...), 10, 64)
	if err != nil || units > revenue.AmountMax || units < -revenue.AmountMax {
		r.Invalid(places[0], "must be a whole number of minor units")
		return 0
	}
	iso, _ := revenue.Exponent(currency)
	theirs, differs := r.Exponents[currency]
	if !differs {
		return units
	}
	minor, divisor := units, int64(1)
	for ; theirs < iso; theirs++ {
		minor *= 10
	}
	for ; theirs > iso; theirs-- {
		divisor *= 10
	}
	if minor%divisor != 0 {
		r.Invalid(places[0], "%d is not a whole amount of %s, which %s sends times %d", units, currency, r.Provider, divisor)
		return 0
	}
	return minor / divisor
}

// Major reads a decimal number of major units, be it in quotes, exactly as
// written; 0 if none is given. More decimals than the currency has are a fault.
func (r *Reader) Major(o Object, currency string, places ...string) int64 {
	if o.Value(places...) == nil {
		return 0
	}
	minor, err := revenue.ParseAmount(o.Literal(places...), currency)
	if err != nil {
		r.Invalid(places[0], "must be a decimal amount of %s: %v", currency, err)
		return 0
	}
	return minor
}

// MRR is the monthly worth of minor units per billing term, in MRR units; terms
// are day, week, month or year.
func (r *Reader) MRR(place string, minor int64, interval string, count int64) int64 {
	mrr, err := revenue.MonthlyMRR(new(big.Rat).SetInt64(minor), interval, count)
	if err != nil || mrr > revenue.AmountMax*revenue.MRRScale || mrr < 0 {
		r.Invalid(place, "%d per %d %q is no monthly worth", minor, count, interval)
		return 0
	}
	return mrr
}

// ListPrice says what a term comes to a month before the discounts that its MRR is after, in
// MRR units. Where that is not more there are none, and nothing is said.
func ListPrice(to *revenue.Event, mrr int64) {
	if mrr > to.MRR {
		to.MRRBeforeDiscounts = mrr
	}
}

// unixMost is the year 2200 in Unix seconds: beyond it nothing is planned, and not
// far beyond it stores run out of dates.
const unixMost = 7258118400

// Time reads an instant: ISO 8601, or Unix seconds or milliseconds, which their
// magnitude tells apart; the zero time if none is given.
func (r *Reader) Time(o Object, places ...string) time.Time {
	at, known := Happened(o, places...)
	if !known && o.Value(places...) != nil {
		r.Invalid(places[0], "is not a time")
	}
	return at
}

// Happened is the instant at the first of the places that has one, as Reader.Time
// reads it; for Item.At, which is never worth refusing an event for.
func Happened(o Object, places ...string) (at time.Time, known bool) {
	switch value := o.Value(places...).(type) {
	case string:
		if at, ok := ParseTime(value); ok && !at.Before(time.Unix(0, 0)) && at.Unix() <= unixMost {
			return at, true
		}
	case json.Number:
		if at, err := SignedAt(value.String()); err == nil && at.Unix() <= unixMost {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// RequiredTime is Time of what must be there.
func (r *Reader) RequiredTime(o Object, places ...string) time.Time {
	if o.Value(places...) == nil {
		r.Invalid(places[0], "is required")
	}
	return r.Time(o, places...)
}

// Moment is Time of what may be unknown.
func (r *Reader) Moment(o Object, places ...string) *time.Time {
	at := r.Time(o, places...)
	if at.IsZero() {
		return nil
	}
	return &at
}

// Version is that of a statement whose truth is what was the case at a moment: the
// latest stands. Microseconds, as providers stamp their objects no finer.
func Version(at time.Time) int64 { return at.UnixMicro() }

// Note fills the metadata of a statement from the provider's own objects at the
// places, of which later ones override, and its attribution from what shops are
// wont to put there. Money is not refused for what somebody wrote beside it: what
// is too large is left out. Keys are sorted, so that two events about one object
// yield equal statements.
func Note(to *revenue.Dimensions, o Object, places ...string) {
	merged := Object{}
	for _, place := range places {
		for name, value := range o.Child(place) {
			merged[name] = value
		}
	}
	to.Metadata = encodeMetadata(merged)
	for _, field := range attribution {
		if dimension := field.dimension(to); *dimension == "" {
			*dimension = merged.Text(field.names...)
		}
	}
}

func encodeMetadata(members Object) json.RawMessage {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	text := []byte{'{'}
	for _, name := range names {
		key, keyErr := json.Marshal(name)
		value, valueErr := json.Marshal(members[name])
		if keyErr != nil || valueErr != nil || len(text)+len(key)+len(value)+len(`,:}`) > MetadataBytesMax ||
			depth(value) >= MetadataDepthMax {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, key...), ':'), value...)
	}
	if len(text) == 1 {
		return nil
	}
	return append(text, '}')
}

// attribution are the names by which shops put into metadata where a sale came
// from, each with the dimension it fills; the first that is given does.
var attribution = []struct {
	dimension func(*revenue.Dimensions) *string
	names     []string
}{
	{func(d *revenue.Dimensions) *string { return &d.Message }, []string{"message_id", "message"}},
	{func(d *revenue.Dimensions) *string { return &d.Offer }, []string{"offer_id", "offer"}},
	{func(d *revenue.Dimensions) *string { return &d.Contact }, []string{"contact_id", "contact"}},
	{func(d *revenue.Dimensions) *string { return &d.Campaign }, []string{"utm_campaign", "campaign"}},
	{func(d *revenue.Dimensions) *string { return &d.Source }, []string{"utm_source", "source"}},
	{func(d *revenue.Dimensions) *string { return &d.Visitor }, []string{"visitor_id", "visitor"}},
	{func(d *revenue.Dimensions) *string { return &d.Session }, []string{"session_id", "session"}},
	{func(d *revenue.Dimensions) *string { return &d.AttributionType }, []string{"attribution_type"}},
}
