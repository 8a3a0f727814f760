package connectors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"revstream/ingest/revenue"
)

// Connector is all that revstream knows of one provider. Each provider's package
// makes one, and package registry names it.
type Connector struct {
	// Provider is the {provider} of the route, of every statement and of the
	// configuration: lower case, and for good.
	Provider string
	// Title is the provider's own spelling, and Secret says which of its secrets
	// verifies deliveries; both are for people.
	Title, Secret string
	// CheckSecret refuses a secret that cannot be the provider's; nil takes any.
	CheckSecret func(secret string) error
	// Settings are what an endpoint of the provider may be told.
	Settings []Setting

	// Verify finds the secret by which a delivery verifies. It reads nothing but the
	// delivery. The error wraps ErrBadSignature, mostly as a *SignatureError.
	Verify func(Delivery) (Verification, error)
	// Decode reads a delivery that verified into its items, in the order of the
	// body. Apart from objects that it has to fetch it is a pure function of the
	// delivery: no clock, no state, so that the same delivery yields the same facts.
	// It returns an ErrMalformed if the body as a whole can never be understood; an
	// item that cannot says so itself. Any other error is temporary: the provider
	// should send the delivery again.
	Decode func(context.Context, Delivery) ([]Item, error)
	// Challenge answers the question that a provider asks the address, by GET, before
	// it sends anything there. Nil: it asks none.
	Challenge func(Delivery, url.Values) (Answer, error)

	// History reads the provider's past from its API; nil if that is not known here.
	History *History

	// Accepted is the answer that the provider takes for success; the zero value is
	// 200 with {"received":true}.
	Accepted Answer
	// RefusedStatus is the status for a delivery that does not verify; zero is 400.
	RefusedStatus int
}

// Answer is an HTTP answer in a provider's words.
type Answer struct {
	Status            int
	ContentType, Body string
}

// Or is the answer, or the fallback if it is the zero one.
func (a Answer) Or(fallback Answer) Answer {
	if a == (Answer{}) {
		return fallback
	}
	return a
}

// Received is the usual answer to a delivery.
func Received() Answer {
	return Answer{Status: http.StatusOK, ContentType: "application/json", Body: `{"received":true}`}
}

// Verification says how a delivery verified.
type Verification struct {
	// Secret is the position in Delivery.Secrets of the one that did; it tells when
	// an old one is not needed any more.
	Secret int
	// Refused are the items that do not verify, by position, of a provider that
	// signs each item of a batch by itself.
	Refused map[int]error
}

// Item is one event of a delivery; most deliveries have one.
type Item struct {
	// ID and Type are the provider's id and type of the event, for logs and
	// counters; never for identity.
	ID, Type string
	// APIVersion is the version in which it is rendered, and At when it happened, as
	// the provider says; both may be unknown. They tell of the source's health.
	APIVersion string
	At         time.Time
	// Events are the statements to publish, complete and valid, with workspace,
	// group, version and received time. None is a normal result.
	Events []revenue.Event
	// Lacks is what the provider's API refuses to say about the item, mostly a
	// *RefusedError: it is booked as far as its body goes, and says in the metadata what
	// is unknown.
	Lacks error
	// Err is why the item can never be read, or that it does not verify: an
	// ErrMalformed or ErrBadSignature. Then there are no Events.
	Err error
}

// Outcome is what becomes of an item.
type Outcome string

// The outcomes of items.
const (
	// OutcomeBooked: it became statements.
	OutcomeBooked Outcome = "booked"
	// OutcomeIncomplete: it became statements, but of its body alone, because the
	// provider's API refuses what else there is to know to the endpoint's key. Once the
	// key may read it, a replay completes them.
	OutcomeIncomplete Outcome = "incomplete"
	// OutcomeIgnored: its type is unknown, or it books nothing. It is acknowledged
	// and counted, for sending it again would not change it.
	OutcomeIgnored Outcome = "ignored"
	// OutcomeQuarantined: it cannot be read, and is kept as a dead letter, for
	// neither would sending it again change that.
	OutcomeQuarantined Outcome = "quarantined"
	// OutcomeRefused: it does not verify, beside others of its batch that do; of a call
	// to an API, it is at fault.
	OutcomeRefused Outcome = "refused"
	// OutcomeOtherMode: its endpoint is for test mode and it is live, or the other way
	// round; it books nothing, and no retry would change that.
	OutcomeOtherMode Outcome = "other_mode"
)

// Outcome is what becomes of the item.
func (i Item) Outcome() Outcome {
	switch {
	case errors.Is(i.Err, ErrBadSignature):
		return OutcomeRefused
	case i.Err != nil:
		return OutcomeQuarantined
	case len(i.Events) == 0:
		return OutcomeIgnored
	case i.Lacks != nil:
		return OutcomeIncomplete
	default:
		return OutcomeBooked
	}
}

// Ignored reports whether the item books nothing and that is as it should be.
func (i Item) Ignored() bool { return i.Outcome() == OutcomeIgnored }

// Receive verifies a delivery and reads it. The error is an ErrBadSignature if
// nothing of it verifies (reject), and temporary otherwise (the provider should
// send it again). What can be verified and not read is an item with an error: one
// bad item of a batch does not keep the others back.
func (c Connector) Receive(ctx context.Context, delivery Delivery) (Verification, []Item, error) {
	verification, err := c.verify(delivery)
	if err != nil {
		return Verification{}, nil, fmt.Errorf("verifying a delivery of %s: %w", c.Provider, err)
	}
	items, err := c.Decode(ctx, delivery)
	switch {
	case errors.Is(err, ErrMalformed):
		items = []Item{{Err: err}}
	case err != nil:
		return Verification{}, nil, fmt.Errorf("reading a delivery of %s: %w", c.Provider, err)
	}
	refused := 0
	for position := range items {
		if cause := verification.Refused[position]; cause != nil {
			items[position] = Item{ID: items[position].ID, Type: items[position].Type, Err: cause}
			refused++
		}
	}
	if refused > 0 && refused == len(items) {
		return Verification{}, nil, fmt.Errorf("verifying a delivery of %s: none of %d items: %w", c.Provider, refused, items[0].Err)
	}
	return verification, items, nil
}

// verify tries what a compressed delivery became, and then what came: proxies
// compress what was signed, and a provider might sign what it compressed.
func (c Connector) verify(delivery Delivery) (Verification, error) {
	verification, err := c.Verify(delivery)
	if errors.Is(err, ErrBadSignature) && delivery.Wire != nil {
		delivery.Body = delivery.Wire
		if onTheWire, wireErr := c.Verify(delivery); wireErr == nil {
			return onTheWire, nil
		}
	}
	return verification, err
}
