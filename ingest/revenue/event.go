// Package revenue holds the words of the business and their laws: what a
// statement about revenue is, which of two statements stands, and what a set of
// statements implies. It knows no clock, no network and no storage, and imports
// the standard library only.
package revenue

import (
	"encoding/json"
	"strings"
	"time"
)

// EncodingVersion is the version of the published JSON encoding of Event, the
// `v` member of every record in Kafka.
const EncodingVersion = 1

// Kind says what sort of fact a statement is about. Cash kinds say that money
// moved; state kinds say what a subscription is worth; the rest inform others.
type Kind string

// Cash kinds. Amounts are magnitudes in minor units: a refund of 5.00 USD is
// Amount 500; the direction follows from the kind.
const (
	// KindCharge is money received: a purchase, a first payment, a renewal.
	KindCharge Kind = "charge"
	// KindRefund is one refund, full or partial.
	KindRefund Kind = "refund"
	// KindRefundTotal is the cumulative refunded amount of one payment, for
	// sources that do not name all refunds. What no KindRefund of the same payment
	// accounts for counts as one refund.
	KindRefundTotal Kind = "refund_total"
	// KindDispute is money withdrawn by a dispute or chargeback.
	KindDispute Kind = "dispute"
	// KindDisputeReversal is disputed money that came back.
	KindDisputeReversal Kind = "dispute_reversal"
	// KindFee is a processing fee that is not part of a charge's own Fee; below zero,
	// one that was given back.
	KindFee Kind = "fee"
)

// State kinds.
const (
	// KindSubscription says what a subscription is worth per month from
	// OccurredAt on, until the next statement about the same subscription or
	// EndsAt (see Presumed, too).
	KindSubscription Kind = "subscription"
	// KindPeriod says that a paid term is worth MRR during [PeriodStart,
	// PeriodEnd), after which it ends by itself.
	KindPeriod Kind = "period"
	// KindMRRDelta is a change of MRR that a source declares without saying the
	// state before and after.
	KindMRRDelta Kind = "mrr_delta"
	// KindTrialStart, KindTrialConversion, KindCancellation and KindExpiration
	// are lifecycle markers that a source declares as such. They carry no money.
	KindTrialStart      Kind = "trial_start"
	KindTrialConversion Kind = "trial_conversion"
	KindCancellation    Kind = "cancellation"
	KindExpiration      Kind = "expiration"
)

// Informing kinds: they yield no ledger row of their own.
const (
	// KindLink says that Amount of the payment that the group is about is
	// already counted by another fact (an invoice), and whose it is.
	KindLink Kind = "link"
	// KindAttribution says to whom or what the charges of its group are attributed.
	KindAttribution Kind = "attribution"
)

// Kinds lists every kind, in the order of the documentation.
var Kinds = []Kind{
	KindCharge, KindRefund, KindRefundTotal, KindDispute, KindDisputeReversal, KindFee,
	KindSubscription, KindPeriod, KindMRRDelta,
	KindTrialStart, KindTrialConversion, KindCancellation, KindExpiration,
	KindLink, KindAttribution,
}

// Billing is what a source says of a charge's place in its subscription. Empty
// means unsaid: the fold derives it.
type Billing string

// The billings of a charge.
const (
	BillingOneTime Billing = "one_time"
	BillingFirst   Billing = "first"
	BillingRenewal Billing = "renewal"
)

// Status is the settlement of a cash fact, or the state of a subscription.
type Status string

// Statuses of cash facts; the empty status means settled.
const (
	StatusSettled Status = ""
	StatusPending Status = "pending"
	StatusFailed  Status = "failed"
)

// Statuses of subscriptions.
const (
	StatusActive   Status = "active"
	StatusTrialing Status = "trialing"
	StatusPastDue  Status = "past_due"
	StatusUnpaid   Status = "unpaid"
	StatusPaused   Status = "paused"
	StatusCanceled Status = "canceled"
)

// Event is a versioned statement about one fact: fact F of workspace W is now
// this, at version V. Between statements about one fact the highest version
// stands (see Supersedes), so duplicates, reordering and replays cannot change
// what is believed. Times are UTC instants with microseconds.
type Event struct {
	// Workspace owns the fact.
	Workspace string `json:"workspace"`
	// Provider, Account, Livemode, ObjectID and Kind are the identity of the fact
	// (see FactID). They come from the source, never from the delivery.
	Provider string `json:"provider"`
	Account  string `json:"account,omitempty"`
	Livemode bool   `json:"livemode"`
	ObjectID string `json:"object_id"`
	Kind     Kind   `json:"kind"`
	// TestClock names the provider's simulated clock that the object lives on.
	// Such facts, like those of test mode, are kept apart from real ones.
	TestClock string `json:"test_clock,omitempty"`
	// Group names what the fact is folded with: the payment of a cash fact, the
	// customer of a state fact. With Workspace it is the Kafka key.
	Group string `json:"group"`
	// Version orders the statements about one fact.
	Version int64 `json:"version"`
	// Deleted makes the statement a tombstone: the fact is believed no longer.
	Deleted bool `json:"deleted,omitempty"`
	// Withdrawn takes back, by its content, a statement that should never have been
	// made: what a corrected reading of its source no longer says. Revision orders
	// the sayings and withdrawals of one statement: see said. It is 0 when a source
	// is read for the first time.
	Withdrawn bool  `json:"withdrawn,omitempty"`
	Revision  int64 `json:"revision,omitempty"`
	// OccurredAt is when it happened; ReceivedAt when we accepted the statement.
	OccurredAt time.Time `json:"occurred_at"`
	ReceivedAt time.Time `json:"received_at"`

	// Amount, Tax, Fee and Discount are magnitudes in minor units of Currency.
	// Tax and Fee are parts of Amount; Discount was taken off before it.
	Amount   int64  `json:"amount,omitempty"`
	Tax      int64  `json:"tax,omitempty"`
	Fee      int64  `json:"fee,omitempty"`
	Discount int64  `json:"discount,omitempty"`
	Currency string `json:"currency,omitempty"` // ISO 4217, upper case
	// Recurring says that a charge, refund or dispute belongs to a subscription.
	Recurring bool    `json:"recurring,omitempty"`
	Billing   Billing `json:"billing,omitempty"`
	Status    Status  `json:"status,omitempty"`
	// Original is the object id of the payment that a refund, dispute or
	// attribution is about.
	Original string `json:"original,omitempty"`

	// MRR is the monthly worth in 1/10,000 minor units (a signed change for
	// KindMRRDelta).
	MRR int64 `json:"mrr,omitempty"`
	// MRRBeforeDiscounts is what MRR of a KindSubscription or KindPeriod was before the
	// discounts that it is after, so greater; 0 if it is after none, or that is not known.
	MRRBeforeDiscounts int64 `json:"mrr_before_discounts,omitempty"`
	// ClosesMRR makes a KindMRRDelta end whatever MRR was declared before for its
	// subscription, for sources that report churn without an amount.
	ClosesMRR bool `json:"closes_mrr,omitempty"`
	// EndsAt is when a subscription ends or ended, if known.
	EndsAt *time.Time `json:"ends_at,omitempty"`
	// CancelRequestedAt is when its cancellation was asked for, if it was.
	CancelRequestedAt *time.Time `json:"cancel_requested_at,omitempty"`
	// PeriodStart and PeriodEnd bound the paid term, half open.
	PeriodStart *time.Time `json:"period_start,omitempty"`
	PeriodEnd   *time.Time `json:"period_end,omitempty"`
	// PresumedEnd says that PeriodEnd follows from the billing interval alone: the
	// next term of the subscription ends it, a little earlier or later.
	PresumedEnd bool `json:"presumed_end,omitempty"`
	// Reason says why MRR ended: voluntary, delinquent, dispute or refund.
	Reason string `json:"reason,omitempty"`
	// Presumed says that a KindSubscription was concluded afterwards, from bills or from
	// later terms. It holds only of the time before the first terms that were stated of
	// the subscription: whoever was told knows better from then on.
	Presumed bool `json:"presumed,omitempty"`

	Dimensions
	Delivery Delivery `json:"delivery,omitzero"`
}

// Dimensions say whose and what a fact is. All are optional; none takes part in
// identity.
type Dimensions struct {
	Customer     string `json:"customer,omitempty"`
	CustomerName string `json:"customer_name,omitempty"`
	Country      string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Subscription string `json:"subscription,omitempty"`
	Invoice      string `json:"invoice,omitempty"`
	Payment      string `json:"payment,omitempty"` // payment intent, charge or transaction id
	Product      string `json:"product,omitempty"`
	Plan         string `json:"plan,omitempty"`
	Quantity     int64  `json:"quantity,omitempty"`
	// Interval and IntervalCount are the billing term: day, week, month or year.
	Interval      string `json:"interval,omitempty"`
	IntervalCount int64  `json:"interval_count,omitempty"`
	PaymentMethod string `json:"payment_method,omitempty"`

	Message         string `json:"message,omitempty"`
	Offer           string `json:"offer,omitempty"`
	Contact         string `json:"contact,omitempty"`
	Campaign        string `json:"campaign,omitempty"`
	Source          string `json:"source,omitempty"`
	Visitor         string `json:"visitor,omitempty"`
	Session         string `json:"session,omitempty"`
	AttributionType string `json:"attribution_type,omitempty"`

	// ExternalID is the id by which the source's user knows the fact.
	ExternalID string `json:"external_id,omitempty"`
	// Imported marks history that was loaded rather than reported as it happened.
	Imported bool `json:"imported,omitempty"`
	// Metadata is a JSON object of the caller's own, searchable.
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// Delivery is where a statement came from. It takes no part in identity or in
// the choice between statements.
type Delivery struct {
	// ID is the source's delivery or event id, Type its event type.
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
	// APIVersion is the version of the source's payload, Integration the endpoint
	// or API key it came in by.
	APIVersion  string `json:"api_version,omitempty"`
	Integration string `json:"integration,omitempty"`
}

// FactID is the identity of the fact within its workspace: provider, account,
// mode, object id and kind, joined by "|" (which is escaped within them).
func (e *Event) FactID() string {
	mode := "test"
	if e.Livemode {
		mode = "live"
	}
	var b strings.Builder
	b.Grow(len(e.Provider) + len(e.Account) + len(e.ObjectID) + len(e.Kind) + 8)
	for i, part := range [...]string{e.Provider, e.Account, mode, e.ObjectID, string(e.Kind)} {
		if i > 0 {
			b.WriteByte('|')
		}
		if strings.IndexByte(part, '|') >= 0 || strings.IndexByte(part, '%') >= 0 {
			part = strings.NewReplacer("%", "%25", "|", "%7C").Replace(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

// GroupKey names a group across workspaces.
type GroupKey struct {
	Workspace, Group string
}

// GroupKey is the group that the statement is folded with.
func (e *Event) GroupKey() GroupKey { return GroupKey{e.Workspace, e.Group} }

// String is the Kafka key of the group's records: workspace, "|", group.
func (k GroupKey) String() string { return k.Workspace + "|" + k.Group }

// Append appends String to dst.
func (k GroupKey) Append(dst []byte) []byte {
	return append(append(append(dst, k.Workspace...), '|'), k.Group...)
}

// Live reports whether the fact is real money: live mode and no test clock.
func (e *Event) Live() bool { return e.Livemode && e.TestClock == "" }

// Span is the range of time, both ends included, outside of which the statement
// gives rise to no entry, whatever else its group says.
func (e *Event) Span() (from, to time.Time) {
	from, to = e.OccurredAt, e.OccurredAt
	if e.Status == StatusPastDue {
		to = to.Add(PastDueGrace) // see subscription
	}
	for _, at := range [...]*time.Time{e.EndsAt, e.CancelRequestedAt, e.PeriodStart, e.PeriodEnd} {
		switch {
		case at == nil:
		case at.Before(from):
			from = *at
		case at.After(to):
			to = *at
		}
	}
	return from, to
}

// GroupName names the group of a payment or customer within a workspace: the
// source, its account and mode, and the id, so that equal ids of two sources, or
// of test and live mode, do not meet.
func GroupName(provider, account string, livemode bool, id string) string {
	mode := "test"
	if livemode {
		mode = "live"
	}
	return provider + "|" + account + "|" + mode + "|" + id
}
