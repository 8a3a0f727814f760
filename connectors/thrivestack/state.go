package thrivestack

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every fact of this package.
const Provider = "thrivestack"

// State is what is known of one transaction. Its JSON form is what the caller
// keeps between requests.
type State struct {
	TransactionID string `json:"transaction_id"`
	Body          Body   `json:"body"`
	// Version is that of the statements last made; it only ever grows.
	Version int64 `json:"version"`
	// OccurredAt is the transaction's date.
	OccurredAt time.Time `json:"occurred_at"`
	Deleted    bool      `json:"deleted,omitempty"`
	// Stated are all facts ever stated of the transaction, in the groups where they
	// were: what the present body no longer implies has to be taken back there.
	Stated []Place `json:"stated,omitempty"`
}

// Place is a fact of the transaction in a group.
type Place struct {
	Group string       `json:"group"`
	Kind  revenue.Kind `json:"kind"`
}

// Acceptance is what only the acceptance of a request can say.
type Acceptance struct {
	Workspace   string
	Integration string // id of the API key
	ReceivedAt  time.Time
}

// Create states a transaction that the request gives in full, in place of
// whatever was known (nil if nothing). The statements are to be published after
// the state is kept: then a state always knows every fact that may have been
// published. The same body again gives the same statements with the same
// version, so that a retry changes nothing and completes what was cut off. The
// error is a *connectors.InvalidError.
func Create(known *State, body Body, a Acceptance) (State, []revenue.Event, error) {
	if connectors.Given(body.Date) && !connectors.Given(body.TransactionDate) {
		body.TransactionDate = body.Date
	}
	body.Date = nil
	return next(known, body, a)
}

// Update states a known transaction with the members that the request gives.
// For order and errors see Create.
func Update(known State, update Body, a Acceptance) (State, []revenue.Event, error) {
	state, events, err := next(&known, known.Body.merge(update), a)
	var invalid *connectors.InvalidError
	if connectors.Given(update.Date) && errors.As(err, &invalid) && invalid.Field == "transaction_date" {
		// The caller knows it by another name.
		err = &connectors.InvalidError{Field: "date", Code: "invalid_date", Detail: invalid.Detail}
	}
	return state, events, err
}

// Delete takes back every fact of a known transaction. Its statements are to be
// published before the state is kept: until then the transaction is there and
// can be deleted again.
func Delete(known State, a Acceptance) (State, []revenue.Event) {
	known.Version = max(a.ReceivedAt.UnixMicro(), known.Version+1)
	known.Deleted = true
	return known, known.retractions(nil, a)
}

func next(known *State, body Body, a Acceptance) (State, []revenue.Event, error) {
	t, err := body.read(a.ReceivedAt)
	if err != nil {
		return State{}, nil, err
	}
	state := State{TransactionID: t.id, Body: body, Version: a.ReceivedAt.UnixMicro(), OccurredAt: t.at}
	if known != nil {
		state.Stated = known.Stated
		if !known.Deleted && known.Body.equal(body) {
			state.Version = known.Version
		} else {
			state.Version = max(state.Version, known.Version+1)
		}
	}
	events := t.facts(a)
	var places []Place
	for i := range events {
		events[i].Version = state.Version
		places = append(places, Place{events[i].Group, events[i].Kind})
	}
	events = append(events, state.retractions(places, a)...)
	state.Stated = slices.Clone(state.Stated)
	for _, place := range places {
		if !slices.Contains(state.Stated, place) {
			state.Stated = append(state.Stated, place)
		}
	}
	return state, events, nil
}

// retractions are tombstones for everything ever stated but what stands.
func (s State) retractions(standing []Place, a Acceptance) []revenue.Event {
	var events []revenue.Event
	for _, place := range s.Stated {
		if slices.Contains(standing, place) {
			continue
		}
		events = append(events, revenue.Event{
			Workspace: a.Workspace, Provider: Provider, Livemode: true, ObjectID: s.TransactionID, Kind: place.Kind, Group: place.Group,
			Version: s.Version, Deleted: true, OccurredAt: s.OccurredAt, ReceivedAt: a.ReceivedAt,
			Delivery: revenue.Delivery{ID: s.TransactionID, Type: "transaction", Integration: a.Integration},
		})
	}
	return events
}

// facts is what the transaction comes to:
//
//	type     status              facts
//	payment  paid                charge
//	payment  refund              charge, refund of all of it
//	payment  charged_back        charge, dispute of all of it
//	payment  failed, cancelled   charge that failed: no money
//	refund   paid, refund        refund, of the invoice's charge
//	refund   charged_back        dispute
//	refund   failed, cancelled   refund that failed: no money
//
// and, if money was received for a subscription, the paid term. A transaction has
// one date, so all of its facts occurred then: a refund with a date of its own is
// a transaction of type refund.
func (t transaction) facts(a Acceptance) []revenue.Event {
	failed := t.status == statusFailed || t.status == statusCancelled
	reversal := revenue.KindRefund
	if t.status == statusChargedBack {
		reversal = revenue.KindDispute
	}
	if t.refund {
		return []revenue.Event{t.reversal(reversal, t.invoice, failed, a)}
	}
	events := []revenue.Event{t.charge(failed, a)}
	if t.status == statusRefund || t.status == statusChargedBack {
		events = append(events, t.reversal(reversal, t.id, false, a))
	}
	if t.subscription && !failed && t.listMRR > 0 {
		events = append(events, t.period(a))
	}
	return events
}

func (t transaction) fact(kind revenue.Kind, a Acceptance) revenue.Event {
	event := revenue.Event{
		Workspace: a.Workspace, Provider: Provider, Livemode: true, ObjectID: t.id, Kind: kind, Group: t.groupName(),
		OccurredAt: t.at, ReceivedAt: a.ReceivedAt, Currency: t.currency, Recurring: t.subscription,
		Dimensions: revenue.Dimensions{
			Customer: t.customer, CustomerName: t.customerName, Invoice: t.invoice, Payment: t.id,
			PaymentMethod: t.paymentMethod, ExternalID: t.id, Metadata: t.metadata(),
		},
		Delivery: revenue.Delivery{ID: t.id, Type: "transaction", Integration: a.Integration},
	}
	if t.subscription {
		// The contract names no subscription: a customer's terms are taken as one.
		event.Subscription = t.customer
		event.Interval, event.IntervalCount = t.termUnit, t.termFrequency
	}
	return event
}

// groupName is the customer for what belongs to a subscription, since which
// charge is the first is judged there; else the invoice, where a refund finds its
// charge; else the transaction alone.
func (t transaction) groupName() string {
	id := t.id
	switch {
	case t.subscription:
		id = t.customer
	case t.invoice != "":
		id = t.invoice
	}
	return revenue.GroupName(Provider, "", true, id)
}

// metadata keeps the product telemetry's group, for which no dimension is.
func (t transaction) metadata() json.RawMessage {
	text, _ := json.Marshal(map[string]string{"group_id": t.group}) // a map of strings always encodes
	return text
}

func (t transaction) charge(failed bool, a Acceptance) revenue.Event {
	event := t.fact(revenue.KindCharge, a)
	event.Amount, event.Tax, event.Fee, event.Discount = t.amount, t.tax, t.fee, t.discount
	if failed {
		event.Status = revenue.StatusFailed
	}
	if !t.subscription {
		event.Billing = revenue.BillingOneTime
	}
	return event
}

// reversal is money given back. Gateways keep their fee, and a fee on the refund
// would count as one returned, so it carries none.
func (t transaction) reversal(kind revenue.Kind, original string, failed bool, a Acceptance) revenue.Event {
	event := t.fact(kind, a)
	event.Amount, event.Tax, event.Original = t.amount, t.tax, original
	if t.refund {
		event.Payment = "" // that of its charge
	}
	if failed {
		event.Status = revenue.StatusFailed
	}
	return event
}

func (t transaction) period(a Acceptance) revenue.Event {
	event := t.fact(revenue.KindPeriod, a)
	event.MRR, event.PeriodStart, event.PeriodEnd = t.mrr, &t.periodStart, &t.periodEnd
	connectors.ListPrice(&event, t.listMRR)
	event.PresumedEnd = t.presumedEnd
	return event
}
