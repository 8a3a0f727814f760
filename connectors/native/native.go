// Package native reads revstream's own form of an event: the canonical statement
// with friendly amounts and derived defaults. It knows nothing of HTTP; how a
// request is cut into events is in this package, how it came in is not.
package native

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of an event that names none.
const Provider = "native"

// Acceptance is what only the acceptance of an event can say of it, and the
// defaults that depend on who sent it.
type Acceptance struct {
	Workspace string
	// WorkspaceAliases are other names by which the sender may call it.
	WorkspaceAliases []string
	Integration      string // id of the API key
	Currency         string // of an event that names none
	// ObjectID and ObjectIDVersion are those of an event that names no object: the
	// version goes with how the id was made.
	ObjectID        string
	ObjectIDVersion int64
	// Version is that of an event that names its object and no version.
	Version int64
	// ReceivedAt is also when an event occurred that does not say.
	ReceivedAt time.Time
}

// body is an event as written. Its members are the documented schema: others are
// an error.
type body struct {
	Workspace connectors.Value `json:"workspace"`
	Provider  connectors.Value `json:"provider"`
	Account   connectors.Value `json:"account"`
	Livemode  connectors.Value `json:"livemode"`
	ObjectID  connectors.Value `json:"object_id"`
	Kind      connectors.Value `json:"kind"`
	TestClock connectors.Value `json:"test_clock"`
	Group     connectors.Value `json:"group"`
	Version   connectors.Value `json:"version"`
	Deleted   connectors.Value `json:"deleted"`

	OccurredAt connectors.Value `json:"occurred_at"`

	Amount          connectors.Value `json:"amount"`
	AmountDecimal   connectors.Value `json:"amount_decimal"`
	Tax             connectors.Value `json:"tax"`
	TaxDecimal      connectors.Value `json:"tax_decimal"`
	Fee             connectors.Value `json:"fee"`
	FeeDecimal      connectors.Value `json:"fee_decimal"`
	Discount        connectors.Value `json:"discount"`
	DiscountDecimal connectors.Value `json:"discount_decimal"`
	Currency        connectors.Value `json:"currency"`
	Recurring       connectors.Value `json:"recurring"`
	Billing         connectors.Value `json:"billing"`
	Status          connectors.Value `json:"status"`
	Original        connectors.Value `json:"original"`

	MRR                       connectors.Value `json:"mrr"`
	MRRDecimal                connectors.Value `json:"mrr_decimal"`
	MRRBeforeDiscounts        connectors.Value `json:"mrr_before_discounts"`
	MRRBeforeDiscountsDecimal connectors.Value `json:"mrr_before_discounts_decimal"`
	ClosesMRR                 connectors.Value `json:"closes_mrr"`
	EndsAt                    connectors.Value `json:"ends_at"`
	CancelRequestedAt         connectors.Value `json:"cancel_requested_at"`
	PeriodStart               connectors.Value `json:"period_start"`
	PeriodEnd                 connectors.Value `json:"period_end"`
	Reason                    connectors.Value `json:"reason"`

	Customer        connectors.Value `json:"customer"`
	CustomerName    connectors.Value `json:"customer_name"`
	Country         connectors.Value `json:"country"`
	Subscription    connectors.Value `json:"subscription"`
	Invoice         connectors.Value `json:"invoice"`
	Payment         connectors.Value `json:"payment"`
	Product         connectors.Value `json:"product"`
	Plan            connectors.Value `json:"plan"`
	Quantity        connectors.Value `json:"quantity"`
	Interval        connectors.Value `json:"interval"`
	IntervalCount   connectors.Value `json:"interval_count"`
	PaymentMethod   connectors.Value `json:"payment_method"`
	Message         connectors.Value `json:"message"`
	Offer           connectors.Value `json:"offer"`
	Contact         connectors.Value `json:"contact"`
	Campaign        connectors.Value `json:"campaign"`
	Source          connectors.Value `json:"source"`
	Visitor         connectors.Value `json:"visitor"`
	Session         connectors.Value `json:"session"`
	AttributionType connectors.Value `json:"attribution_type"`
	ExternalID      connectors.Value `json:"external_id"`
	Imported        connectors.Value `json:"imported"`
	Metadata        connectors.Value `json:"metadata"`
}

// Read reads one event as a complete statement; the error is a
// *connectors.InvalidError. What the event does not say follows from the
// acceptance: an object id, the currency, a version by the order of acceptance.
func Read(text []byte, a Acceptance) (revenue.Event, error) {
	var b body
	if err := connectors.ReadObjectStrictly(text, &b); err != nil {
		return revenue.Event{}, err
	}
	r := reader{Fields: connectors.Fields{Now: a.ReceivedAt}, body: b}
	r.identity(a)
	r.money(a)
	r.dimensions()
	r.state()
	r.rules()
	r.event.Group = r.group()
	return r.event, r.Err()
}

// reader fills an event from a body.
type reader struct {
	connectors.Fields
	body  body
	event revenue.Event
}

// kinds is every kind as text, for the check and its message.
func kinds() []string {
	names := make([]string, len(revenue.Kinds))
	for i, kind := range revenue.Kinds {
		names[i] = string(kind)
	}
	return names
}

func (r *reader) identity(a Acceptance) {
	b, e := &r.body, &r.event
	e.Workspace = a.Workspace
	if named := r.Text("workspace", b.Workspace); named != "" && named != a.Workspace && !slices.Contains(a.WorkspaceAliases, named) {
		r.Invalid("workspace", "is not the workspace of the API key")
	}
	e.Kind = revenue.Kind(r.Choice("kind", b.Kind, kinds()...))
	if e.Kind == "" {
		r.Missing("kind")
	}
	e.Provider = cmp.Or(r.Text("provider", b.Provider), Provider)
	e.Account = r.Text("account", b.Account)
	e.Livemode = !connectors.Given(b.Livemode) || r.Flag("livemode", b.Livemode)
	e.ObjectID, e.Version = r.Text("object_id", b.ObjectID), a.Version
	if e.ObjectID == "" {
		e.ObjectID, e.Version = a.ObjectID, a.ObjectIDVersion
	}
	if strings.TrimSpace(e.ObjectID) == "" { // many senders' empty fields would be one fact
		r.Invalid("object_id", "must not be blank")
	}
	e.TestClock = r.Text("test_clock", b.TestClock)
	if connectors.Given(b.Version) {
		e.Version = r.Integer("version", b.Version, -1<<63, 1<<63-1)
	}
	e.Deleted = r.Flag("deleted", b.Deleted)
	if e.Deleted && e.ObjectID == a.ObjectID {
		r.Missing("object_id")
	}
	e.OccurredAt, e.ReceivedAt = r.OccurredAt("occurred_at", b.OccurredAt), a.ReceivedAt
	if e.OccurredAt.IsZero() {
		e.OccurredAt = a.ReceivedAt
	}
	e.Delivery = revenue.Delivery{ID: r.Text("external_id", b.ExternalID), Type: string(e.Kind), Integration: a.Integration}
}

func (r *reader) money(a Acceptance) {
	b, e := &r.body, &r.event
	e.Currency = r.Currency("currency", b.Currency, a.Currency)
	for _, amount := range [...]struct {
		name           string
		minor, decimal connectors.Value
		to             *int64
	}{
		{"amount", b.Amount, b.AmountDecimal, &e.Amount},
		{"tax", b.Tax, b.TaxDecimal, &e.Tax},
		{"fee", b.Fee, b.FeeDecimal, &e.Fee},
		{"discount", b.Discount, b.DiscountDecimal, &e.Discount},
	} {
		*amount.to = r.amount(amount.name, amount.minor, amount.decimal, e.Currency)
	}
	e.Recurring = r.Flag("recurring", b.Recurring)
	e.Billing = revenue.Billing(r.Choice("billing", b.Billing,
		string(revenue.BillingOneTime), string(revenue.BillingFirst), string(revenue.BillingRenewal)))
	e.Status = r.status()
	e.Original = r.Text("original", b.Original)
}

// amount reads minor units, or a decimal of major units as a number or its text.
func (r *reader) amount(name string, minor, decimal connectors.Value, currency string) int64 {
	decimalName := name + "_decimal"
	if !connectors.Given(decimal) {
		return r.Integer(name, minor, 0, revenue.AmountMax)
	}
	if connectors.Given(minor) {
		r.Invalid(decimalName, "must not be given beside %s", name)
	}
	value := r.AmountText(decimalName, r.decimal(decimalName, decimal), currency)
	if value < 0 {
		r.Invalid(decimalName, "must not be negative: the kind says which way the money went")
	}
	return value
}

// decimal is the literal text of a number, which may be quoted.
func (r *reader) decimal(name string, value connectors.Value) string {
	if value.Kind() == '"' {
		return r.Text(name, value)
	}
	if value.Kind() != '0' {
		r.Invalid(name, "must be a decimal number or its text")
		return "0"
	}
	return string(value)
}

// status is that of a cash fact or of a subscription, as the kind has it.
func (r *reader) status() revenue.Status {
	if r.event.Kind == revenue.KindSubscription {
		return revenue.Status(r.Choice("status", r.body.Status, string(revenue.StatusActive), string(revenue.StatusTrialing),
			string(revenue.StatusPastDue), string(revenue.StatusUnpaid), string(revenue.StatusPaused), string(revenue.StatusCanceled)))
	}
	status := r.Choice("status", r.body.Status, "settled", string(revenue.StatusPending), string(revenue.StatusFailed))
	if status == "settled" {
		return revenue.StatusSettled
	}
	return revenue.Status(status)
}

func (r *reader) dimensions() {
	b, d := &r.body, &r.event.Dimensions
	for _, text := range [...]struct {
		name  string
		value connectors.Value
		to    *string
	}{
		{"customer", b.Customer, &d.Customer}, {"customer_name", b.CustomerName, &d.CustomerName},
		{"subscription", b.Subscription, &d.Subscription}, {"invoice", b.Invoice, &d.Invoice},
		{"payment", b.Payment, &d.Payment}, {"product", b.Product, &d.Product}, {"plan", b.Plan, &d.Plan},
		{"payment_method", b.PaymentMethod, &d.PaymentMethod}, {"message", b.Message, &d.Message},
		{"offer", b.Offer, &d.Offer}, {"contact", b.Contact, &d.Contact}, {"campaign", b.Campaign, &d.Campaign},
		{"source", b.Source, &d.Source}, {"visitor", b.Visitor, &d.Visitor}, {"session", b.Session, &d.Session},
		{"attribution_type", b.AttributionType, &d.AttributionType}, {"external_id", b.ExternalID, &d.ExternalID},
		{"country", b.Country, &d.Country},
	} {
		*text.to = r.Text(text.name, text.value)
	}
	if c := d.Country; c != "" && (len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z') {
		r.Invalid("country", "must be an ISO 3166-1 code of two capital letters")
	}
	d.Quantity = r.Integer("quantity", b.Quantity, 0, quantityMax)
	d.Interval = r.Choice("interval", b.Interval, "day", "week", "month", "year")
	d.IntervalCount = r.Integer("interval_count", b.IntervalCount, 1, intervalCountMax)
	if d.Interval != "" && d.IntervalCount == 0 {
		d.IntervalCount = 1
	}
	d.Imported = r.Flag("imported", b.Imported)
	d.Metadata = r.Metadata("metadata", b.Metadata)
}

// Limits of counts.
const (
	quantityMax      = 1_000_000_000
	intervalCountMax = 10_000
)
