// Package stripe translates Stripe's webhooks into statements about facts.
//
// One payment makes Stripe send up to five events, each with an id of its own, in
// any order, repeatedly and days late; so nothing here is counted by event. Every
// event is read as a statement about an object, under the same identity whichever
// event it came with, and versioned so that the greatest stands:
//
//   - an invoice, by the amount paid so far (group: its customer);
//   - a payment intent, or a charge without one, by the amount received, less what
//     links say an invoice already counts (group: itself);
//   - a refund, by the rank of its status; the total of a charge's refunds, by its
//     amount (group: the payment);
//   - a dispute's withdrawal, its return and its fee (group: the payment);
//   - what Stripe took in a movement of the balance, as its books say (group: the
//     payment);
//   - the terms of a subscription from a moment on (group: its customer);
//   - the attribution of a Checkout session.
//
// Events are rendered in the API version of the endpoint, of which there have
// been many since 2014. Bodies are therefore read field by field in every place
// that a version had them (see object), never into stripe-go's structs, which
// silently lose what moved. Stripe-go verifies the signature.
//
// What an event does not say (the invoice of a payment, from 2025-03-31.basil on;
// the tiers of a price; the coupon of a discount; items beyond the tenth) is looked up if the endpoint has
// an API key. Without one, or with one that may not read it, it is concluded where
// that is safe, and otherwise marked in the metadata (provisional, mrr_unknown) and
// counted in the metrics.
package stripe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "stripe"

// thinEvent is the object of an API v2 event, which names what changed and says
// nothing about it.
const thinEvent = "v2.core.event"

// source decodes deliveries. It holds no state but counters.
type source struct {
	config  Config
	metrics *metrics
}

// New returns the connector. The configuration, which holds for endpoints that say
// nothing else, must be valid; the counters are registered with the registerer, or
// nowhere if it is nil.
func New(config Config, registerer prometheus.Registerer) connectors.Connector {
	s := &source{config: config, metrics: newMetrics(registerer)}
	return connectors.Connector{
		Provider: Provider, Title: "Stripe", Secret: "the endpoint's signing secret (whsec_...)",
		Settings: config.settings(),
		Verify:   s.verify,
		Decode: func(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
			item, err := s.read(ctx, delivery)
			return []connectors.Item{item}, err
		},
		History: s.history(),
	}
}

// read translates the one event of a delivery.
func (s *source) read(ctx context.Context, delivery connectors.Delivery) (connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return connectors.Item{}, err
	}
	return s.readEvent(delivery, envelope, envelope.Text("account"), newFetcher(ctx, delivery.Client(), &delivery, envelope.Text("account")))
}

// readEvent translates an event, of a delivery or of the list of events. The latter
// does not name the account that it was asked for.
func (s *source) readEvent(delivery connectors.Delivery, envelope object, account string, api *fetcher) (connectors.Item, error) {
	item := connectors.Item{ID: envelope.Text("id"), Type: envelope.Text("type"), APIVersion: envelope.Text("api_version")}
	item.At, _ = connectors.Happened(envelope, "created")
	if envelope.Text("object") == thinEvent {
		s.metrics.thin.Inc()
		return item, nil
	}
	read := readers[item.Type]
	if read == nil && item.ID != "" && item.Type != "" {
		return item, nil
	}
	if account != "" {
		envelope["account"] = account
	}
	d := newReader(&source{config: s.config.with(delivery.Settings), metrics: s.metrics}, &delivery, envelope)
	d.api = api
	if d.fault == nil && read != nil {
		read(d)
	}
	said, err := d.item()
	item.Events, item.Lacks, item.Err = said.Events, said.Lacks, said.Err
	return item, err
}

// item is what was read. The error is a temporary one of the API.
func (d *reader) item() (connectors.Item, error) {
	if d.api != nil && d.api.failure != nil {
		return connectors.Item{}, d.api.failure
	}
	item := connectors.Item{ID: d.about.ID, Type: d.about.Type}
	if d.fault != nil {
		item.Err = d.fault
	} else {
		item.Events = d.events
		if d.api != nil {
			item.Lacks = d.api.refused
		}
	}
	return item, nil
}

// readers are what is made of each type of event. Types are strings because
// several are younger than stripe-go v76. What is missing here books nothing:
// invoices that are created, finalised, upcoming or void, credit notes (money
// that goes back comes as a refund), schedules, warnings ahead of a trial's end.
var readers = map[string]func(*reader){
	"invoice.paid":              (*reader).invoice,
	"invoice.payment_succeeded": (*reader).invoice,
	// A partly paid invoice reports only here.
	"invoice.updated":      (*reader).invoice,
	"invoice_payment.paid": (*reader).invoicePayment,

	"payment_intent.succeeded": (*reader).paymentIntent,
	"charge.succeeded":         (*reader).charge,
	"charge.captured":          (*reader).charge,
	// What Stripe takes may be known only later.
	"charge.updated": (*reader).chargeFees,

	"charge.refunded":       (*reader).refundTotal,
	"charge.refund.updated": (*reader).refund,
	"refund.created":        (*reader).refund,
	"refund.updated":        (*reader).refund,
	"refund.failed":         (*reader).refund,

	"charge.dispute.created":          (*reader).dispute,
	"charge.dispute.updated":          (*reader).dispute,
	"charge.dispute.funds_withdrawn":  (*reader).dispute,
	"charge.dispute.funds_reinstated": (*reader).dispute,
	"charge.dispute.closed":           (*reader).dispute,

	"customer.subscription.created":                (*reader).subscription,
	"customer.subscription.updated":                (*reader).subscription,
	"customer.subscription.deleted":                (*reader).subscription,
	"customer.subscription.paused":                 (*reader).subscription,
	"customer.subscription.resumed":                (*reader).subscription,
	"customer.subscription.pending_update_applied": (*reader).subscription,

	"checkout.session.completed":               (*reader).checkout,
	"checkout.session.async_payment_succeeded": (*reader).checkout,
	"checkout.session.async_payment_failed":    (*reader).checkout,
}

// reader reads one event. It keeps the first fault it meets and reads on with
// zero values; what it has collected counts only if there was none.
type reader struct {
	*source
	delivery *connectors.Delivery
	kind     string // the event's type
	account  string
	livemode bool
	created  time.Time
	about    revenue.Delivery
	// object is what the event is about, in the state after it; previous the
	// members that it changed, as they were.
	object, previous object

	// path is where the members lie that are being read: at the top of the event
	// first, then in its object.
	path   string
	api    *fetcher // nil without an API key
	events []revenue.Event
	fault  *connectors.InvalidError

	// listed says that the object comes from a list: as it is now, and not as an event
	// found it. heard is since when events tell of changes.
	listed bool
	heard  time.Time
}

func newReader(s *source, delivery *connectors.Delivery, envelope object) *reader {
	d := &reader{
		source: s, delivery: delivery, kind: envelope.Text("type"),
		object: envelope.Child("data.object"), previous: envelope.Child("data.previous_attributes"),
		about: revenue.Delivery{
			ID: envelope.Text("id"), Type: envelope.Text("type"),
			APIVersion: envelope.Text("api_version"), Integration: delivery.Integration,
		},
	}
	// Connect endpoints hear of many accounts; each event names its own.
	if d.account = envelope.Text("account"); d.account == "" {
		d.account = delivery.Account
	}
	// The envelope's flag is the authority: objects were seen to disagree.
	live, given := envelope.Value("livemode").(bool)
	if d.livemode = live; !given {
		d.invalid("livemode", "must be true or false")
	}
	if d.created = d.seconds(envelope, "created"); d.created.IsZero() {
		d.invalid("created", "is required")
	}
	for _, name := range [...]string{"id", "type"} {
		if _, isText := envelope.Value(name).(string); !isText && envelope.Value(name) != nil {
			d.invalid(name, "must be a string")
		}
		if envelope.Text(name) == "" {
			d.invalid(name, "is required")
		}
	}
	// From here on members are those of the object.
	d.path = "data.object."
	// The first disputes (2013) had no id of their own, one to a charge.
	if d.object != nil && d.object.Text("object") == "dispute" && d.object["id"] == nil {
		d.object["id"] = d.object["charge"]
	}
	switch id := d.object.Value("id"); {
	case id != nil && idOf(id) == "":
		d.invalid("id", "must be a string that is not empty")
	case id == nil:
		d.invalid("id", "is required")
	}
	return d
}

// group names the group of a payment or customer.
func (d *reader) group(id string) string {
	return revenue.GroupName(Provider, d.account, d.livemode, id)
}

// statement begins a statement of the given kind about an object, in the group of
// a payment or customer.
func (d *reader) statement(kind revenue.Kind, objectID, groupID string, at time.Time) revenue.Event {
	if objectID == "" || groupID == "" { // of a refund in a list
		d.invalid("id", "is required")
	}
	return revenue.Event{
		Workspace: d.delivery.Workspace, Provider: Provider, Account: d.account, Livemode: d.livemode,
		ObjectID: objectID, Kind: kind, TestClock: d.object.ID("test_clock"), Group: d.group(groupID),
		OccurredAt: at, ReceivedAt: d.delivery.ReceivedAt.UTC().Truncate(time.Microsecond),
		Delivery: d.about,
	}
}

// told is the version of a statement about money that moved: the higher n, the later.
// At one n an event knows better than a list, above all when it happened.
func (d *reader) told(n int64) int64 {
	if d.listed {
		return 2 * n
	}
	return 2*n + 1
}

// emit adds a statement.
func (d *reader) emit(e revenue.Event) {
	d.checkTime("created", e.OccurredAt)
	d.events = append(d.events, e)
}

// checkTime refuses what cannot be: before there was a Stripe, or ahead of the
// clock. Only simulated clocks run ahead, and those are kept apart by test mode.
func (d *reader) checkTime(field string, at time.Time) {
	latest := d.delivery.ReceivedAt.Add(connectors.OccurredAheadMax)
	if !d.livemode {
		latest = d.delivery.ReceivedAt.AddDate(connectors.PeriodAheadYearsMax, 0, 0)
	}
	if at.Before(connectors.OccurredMin()) || at.After(latest) {
		d.invalid(field, "%s is not a time that it can have happened", at.Format(time.RFC3339))
	}
}

// invalid records what is wrong with a field, named from where d.path is.
func (d *reader) invalid(field, format string, args ...any) {
	if d.fault == nil {
		code := "invalid_" + field[strings.LastIndexByte(field, '.')+1:]
		d.fault = &connectors.InvalidError{Field: d.path + field, Code: code, Detail: fmt.Sprintf(format, args...)}
	}
}
