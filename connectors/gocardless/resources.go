package gocardless

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"golang.org/x/sync/errgroup"

	"revstream/connectors"
)

// Types of resources, as they are called in paths, and in the singular in links.
const (
	payments      = "payments"
	refunds       = "refunds"
	subscriptions = "subscriptions"
	mandates      = "mandates"
)

var links = map[string]string{
	payments: "links.payment", refunds: "links.refund", subscriptions: "links.subscription", mandates: "links.mandate",
}

// fetchesMax is how many requests are under way at once for one delivery.
// GoCardless waits ten seconds for the answer to a batch that may name hundreds of
// objects, and takes a thousand requests a minute.
const fetchesMax = 8

// resources are what the events of a delivery are about, each fetched once.
type resources struct {
	settings connectors.Settings
	client   connectors.Client

	mu   sync.Mutex
	held map[resource]fetched
}

// resource names an object of the API.
type resource struct{ kind, id string }

type fetched struct {
	object connectors.Object
	// err is an ErrMalformed: there is no such object, or it is none.
	err error
}

func newResources(delivery *connectors.Delivery) *resources {
	return &resources{settings: delivery.Settings, client: delivery.Client(), held: map[resource]fetched{}}
}

// gather fetches what the events are about, then the payments of refunds that name
// no mandate, then the mandates that name the customers. The error is temporary.
func (r *resources) gather(ctx context.Context, events []connectors.Object) error {
	var about []resource
	for _, data := range events {
		if wanted, known := readers[typeOf(data)]; known {
			about = append(about, linked(data, wanted.resource))
		}
	}
	if err := r.fetch(ctx, about); err != nil {
		return err
	}
	var paid, mandated []resource
	for _, wanted := range about {
		if object := r.held[wanted].object; linked(object, mandates).id == "" {
			paid = append(paid, linked(object, payments))
		}
	}
	if err := r.fetch(ctx, paid); err != nil {
		return err
	}
	for _, wanted := range append(about, paid...) {
		mandated = append(mandated, linked(r.held[wanted].object, mandates))
	}
	return r.fetch(ctx, mandated)
}

// linked is the resource of a kind that an object links to; one without an id if it
// links to none.
func linked(object connectors.Object, kind string) resource {
	return resource{kind, object.ID(links[kind])}
}

// fetch reads those of the resources that are not held.
func (r *resources) fetch(ctx context.Context, wanted []resource) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchesMax)
	asked := map[resource]bool{}
	for _, one := range wanted {
		r.mu.Lock()
		_, known := r.held[one]
		r.mu.Unlock()
		if known || asked[one] || one.id == "" {
			continue
		}
		asked[one] = true
		group.Go(func() error {
			path := "/" + one.kind + "/" + url.PathEscape(one.id)
			answer, err := r.client.Fetch(ctx, r.settings["api_url"], path, authorise(r.settings["access_token"]))
			if err != nil && !errors.Is(err, connectors.ErrMalformed) {
				return err
			}
			object := answer.Child(one.kind)
			if err == nil && object == nil {
				err = &connectors.InvalidError{Code: "unknown_object", Detail: "What the provider answers at " + path + " is none of its " + one.kind + "."}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.held[one] = fetched{object, err}
			return nil
		})
	}
	return group.Wait()
}

// about is what an event is about.
func (r *resources) about(data connectors.Object) (connectors.Object, error) {
	wanted := linked(data, readers[typeOf(data)].resource)
	if wanted.id == "" {
		return nil, &connectors.InvalidError{Field: links[wanted.kind], Code: "missing_" + wanted.kind, Detail: "is required"}
	}
	found := r.held[wanted]
	return found.object, found.err
}

// customerOf is whose an object is, by its mandate or that of its payment; empty if
// it was paid without one.
func (r *resources) customerOf(object connectors.Object) (string, error) {
	mandate := linked(object, mandates)
	if mandate.id == "" {
		payment := r.held[linked(object, payments)]
		if payment.err != nil {
			return "", payment.err
		}
		mandate = linked(payment.object, mandates)
	}
	found := r.held[mandate]
	return found.object.ID("links.customer"), found.err
}
