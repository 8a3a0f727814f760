// Package pulsora reads revenue events of the Pulsora ingest API and states them
// as cash of a transaction and changes of a customer's MRR. It knows tokens as
// text only: what a token may do is the caller's business.
package pulsora

import (
	"encoding/json"
	"fmt"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every fact of this package.
const Provider = "pulsora"

// EventType says what happened.
type EventType string

// The seven event types of the contract.
const (
	Purchase     EventType = "purchase"
	Subscription EventType = "subscription"
	Renewal      EventType = "renewal"
	Upgrade      EventType = "upgrade"
	Downgrade    EventType = "downgrade"
	Churn        EventType = "churn"
	Refund       EventType = "refund"
)

// Envelope is a request before its data is read.
type Envelope struct {
	Type string
	// Token is the one in the body; it may be empty if the header carries it.
	Token string
	Data  connectors.Value
}

// ReadEnvelope reads the outer object of a request. The error is a
// *connectors.InvalidError.
func ReadEnvelope(text []byte) (Envelope, error) {
	var body struct {
		Type  connectors.Value `json:"type"`
		Token connectors.Value `json:"token"`
		Data  connectors.Value `json:"data"`
	}
	if err := connectors.ReadObject(text, &body); err != nil {
		return Envelope{}, err
	}
	var fields connectors.Fields
	envelope := Envelope{
		Token: fields.Text("token", body.Token),
		Type:  fields.Text("type", body.Type),
		Data:  body.Data,
	}
	return envelope, fields.Err()
}

// Event is one revenue event, valid in itself.
type Event struct {
	Type          EventType
	Visitor       string
	Session       string
	Customer      string
	TransactionID string
	Subscription  string // the customer, if the sender names none
	Processor     string
	// Amount is the magnitude in minor units of Currency.
	Amount   int64
	Currency string
	// MRR is the declared change in MRR units; 0 if there is none.
	MRR       int64
	Recurring bool
	// OccurredAt is when the sender says that it happened; zero if it does not.
	OccurredAt time.Time
	Metadata   json.RawMessage
	Plan       string
	Interval   string // day, week, month or year; empty if none or another
	Source     string
	Campaign   string
}

type dataBody struct {
	Visitor      connectors.Value `json:"visitor_fingerprint"`
	Session      connectors.Value `json:"session_id"`
	Customer     connectors.Value `json:"customer_id"`
	Amount       connectors.Value `json:"amount"`
	Currency     connectors.Value `json:"currency"`
	Transaction  connectors.Value `json:"transaction_id"`
	Processor    connectors.Value `json:"payment_processor"`
	EventType    connectors.Value `json:"event_type"`
	Subscription connectors.Value `json:"customer_subscription_id"`
	MRRImpact    connectors.Value `json:"mrr_impact"`
	IsRecurring  connectors.Value `json:"is_recurring"`
	Metadata     connectors.Value `json:"metadata"`
	Timestamp    connectors.Value `json:"timestamp"`
}

// Read reads the data of an envelope. A missing type of event is purchase;
// `timestamp`, for history, is ours: the contract has none. The error is a
// *connectors.InvalidError.
func (e Envelope) Read(now time.Time) (Event, error) {
	if e.Type != "revenue" {
		return Event{}, &connectors.InvalidError{Field: "type", Code: "invalid_type", Detail: `must be "revenue"`}
	}
	var body dataBody
	if !connectors.Given(e.Data) {
		return Event{}, &connectors.InvalidError{Field: "data", Code: "missing_data", Detail: "The data field is required."}
	}
	if err := connectors.ReadObject(e.Data, &body); err != nil {
		return Event{}, connectors.Within("data", err)
	}
	fields := connectors.Fields{Now: now}
	event := Event{
		Visitor:       fields.RequiredText("visitor_fingerprint", body.Visitor),
		Session:       fields.RequiredText("session_id", body.Session),
		Customer:      fields.RequiredText("customer_id", body.Customer),
		TransactionID: fields.RequiredText("transaction_id", body.Transaction),
		Subscription:  fields.Text("customer_subscription_id", body.Subscription),
		Processor:     fields.Text("payment_processor", body.Processor),
		Currency:      fields.Currency("currency", body.Currency, "USD"),
		OccurredAt:    fields.OccurredAt("timestamp", body.Timestamp),
		Metadata:      fields.Metadata("metadata", body.Metadata),
		Type:          Purchase,
	}
	if named := fields.Choice("event_type", body.EventType, string(Purchase), string(Subscription), string(Renewal),
		string(Upgrade), string(Downgrade), string(Churn), string(Refund)); named != "" {
		event.Type = EventType(named)
	}
	if event.Subscription == "" {
		event.Subscription = event.Customer
	}
	event.Recurring = fields.Flag("is_recurring", body.IsRecurring) || event.Type.recurring()
	event.readAmount(&fields, body)
	event.readMRR(&fields, body)
	event.readMetadata()
	return event, fields.Err()
}

func (t EventType) recurring() bool {
	return t == Subscription || t == Renewal || t == Upgrade || t == Downgrade || t == Churn
}

// readAmount holds the amount against its type: "positive numbers only", but
// refunds and churn may be written as negative, and a change of plan may cost
// nothing now.
func (e *Event) readAmount(fields *connectors.Fields, body dataBody) {
	if !connectors.Given(body.Amount) {
		fields.Missing("amount")
		return
	}
	e.Amount = fields.Amount("amount", body.Amount, e.Currency)
	switch e.Type {
	case Churn:
	case Refund:
		if e.Amount == 0 {
			fields.Invalid("amount", "must not be 0")
		}
	case Upgrade, Downgrade:
		if e.Amount < 0 {
			fields.Invalid("amount", "must not be negative; report money given back as a refund")
		}
	default:
		if e.Amount <= 0 {
			fields.Invalid("amount", "must be a positive number; report money given back as a refund")
		}
	}
	if e.Amount < 0 {
		e.Amount = -e.Amount
	}
}

// readMRR takes the declared change as given; a churn can only take away.
func (e *Event) readMRR(fields *connectors.Fields, body dataBody) {
	e.MRR = fields.MRR("mrr_impact", body.MRRImpact, e.Currency)
	if e.Type == Churn && e.MRR > 0 {
		e.MRR = -e.MRR
	}
}

// readMetadata copies the recommended keys to the dimensions of their meaning. A
// key of another type stays metadata alone.
func (e *Event) readMetadata() {
	var recommended struct {
		Plan     connectors.Value `json:"plan"`
		Interval connectors.Value `json:"interval"`
		Source   connectors.Value `json:"source"`
		Campaign connectors.Value `json:"campaign"`
	}
	if len(e.Metadata) == 0 || connectors.ReadObject(e.Metadata, &recommended) != nil {
		return
	}
	text := func(value connectors.Value) string {
		var own connectors.Fields // its faults are nobody's
		return own.Text("", value)
	}
	e.Plan, e.Source, e.Campaign = text(recommended.Plan), text(recommended.Source), text(recommended.Campaign)
	switch text(recommended.Interval) {
	case "day", "daily":
		e.Interval = "day"
	case "week", "weekly":
		e.Interval = "week"
	case "month", "monthly":
		e.Interval = "month"
	case "year", "yearly", "annual", "annually":
		e.Interval = "year"
	}
}

// ID identifies the event for its sender: two requests with one ID are the same
// event, sent again.
func (e Event) ID() string { return fmt.Sprintf("%s/%s", e.TransactionID, e.Type) }

// Acceptance is what only the acceptance of an event can say of it.
type Acceptance struct {
	Workspace   string
	Integration string // id of the API key
	// Version orders statements about the event's facts.
	Version    int64
	ReceivedAt time.Time
}

// Facts states the event:
//
//	purchase, subscription, renewal, upgrade, downgrade   charge, if it cost anything
//	refund                                                refund of the transaction
//	churn                                                 cancellation; no cash
//
// all in the group of the transaction but the cancellation, and, if mrr_impact is
// given and not 0, that change of MRR in the group of the customer. A churn
// without one ends whatever MRR was declared for its subscription.
func (e Event) Facts(a Acceptance) []revenue.Event {
	var facts []revenue.Event
	switch {
	case e.Type == Churn:
		facts = append(facts, e.fact(revenue.KindCancellation, e.Customer, a))
	case e.Type == Refund:
		fact := e.fact(revenue.KindRefund, e.TransactionID, a)
		fact.Amount, fact.Original = e.Amount, e.TransactionID
		facts = append(facts, fact)
	case e.Amount > 0:
		fact := e.fact(revenue.KindCharge, e.TransactionID, a)
		fact.Amount, fact.Billing = e.Amount, e.billing()
		facts = append(facts, fact)
	}
	if e.ofCustomer() {
		fact := e.fact(revenue.KindMRRDelta, e.Customer, a)
		fact.MRR, fact.ClosesMRR = e.MRR, e.MRR == 0
		facts = append(facts, fact)
	}
	return facts
}

// ofCustomer reports whether facts of the event are in the group of its customer.
func (e Event) ofCustomer() bool { return e.MRR != 0 || e.Type == Churn }

func (e Event) billing() revenue.Billing {
	switch {
	case e.Type == Subscription:
		return revenue.BillingFirst
	case e.Type != Purchase:
		return revenue.BillingRenewal
	case e.Recurring:
		return "" // a purchase that recurs: which one it is the fold has to say
	default:
		return revenue.BillingOneTime
	}
}

func (e Event) fact(kind revenue.Kind, groupID string, a Acceptance) revenue.Event {
	fact := revenue.Event{
		Workspace: a.Workspace, Provider: Provider, Livemode: true, ObjectID: e.ID(), Kind: kind,
		Group: revenue.GroupName(Provider, "", true, groupID), Version: a.Version,
		OccurredAt: e.OccurredAt, ReceivedAt: a.ReceivedAt, Currency: e.Currency, Recurring: e.Recurring,
		Dimensions: revenue.Dimensions{
			Customer: e.Customer, Payment: e.TransactionID, PaymentMethod: e.Processor,
			Plan: e.Plan, Interval: e.Interval, Source: e.Source, Campaign: e.Campaign,
			Visitor: e.Visitor, Session: e.Session, ExternalID: e.TransactionID, Metadata: e.Metadata,
		},
		Delivery: revenue.Delivery{ID: e.TransactionID, Type: string(e.Type), Integration: a.Integration},
	}
	if fact.OccurredAt.IsZero() {
		fact.OccurredAt = a.ReceivedAt
	}
	if e.Recurring || kind == revenue.KindMRRDelta {
		fact.Subscription = e.Subscription
	}
	return fact
}
