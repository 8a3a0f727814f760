// Package generic receives webhooks of senders that have no connector of their own:
// those that sign as Standard Webhooks says, and those that sign with a shared secret
// in a way that the endpoint's settings describe. What a body means, a program in jq
// says: it turns the body into statements in the words of Statement.
//
// Numbers with decimals reach the program as text, as they were sent, and a statement
// takes them as text: no amount passes through a float. The program is a function of
// the body and the headers alone: it has no clock, no environment and no files.
//
// Source: jqlang.org/manual, as github.com/itchyny/gojq has it.
package generic

import (
	"context"
	"errors"
	"fmt"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here; an endpoint's account tells
// its senders apart.
const Provider = "generic"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Any sender", Secret: "the secret that the sender signs with, or shows",
		Settings: append(signatureSettings(),
			connectors.Setting{
				Name: "mapping", Required: true, Check: checkProgram,
				About: "A jq program that turns a body into statements; see connectors/generic/README.md.",
			},
			connectors.Setting{
				Name: "event_id", Default: "id",
				About: "Where the body has the event's id, for logs: names joined by dots.",
			},
			connectors.Setting{
				Name: "event_type", Default: "type",
				About: "Where the body has the event's type, for logs and counters: names joined by dots.",
			},
		),
		Verify: verify,
		Decode: decode,
	}
}

func decode(ctx context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	body, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	about := revenue.Delivery{ID: body.ID(delivery.Settings["event_id"]), Type: body.Text(delivery.Settings["event_type"])}
	item := connectors.Item{ID: about.ID, Type: about.Type}
	outputs, err := run(ctx, delivery.Settings["mapping"], body, delivery.Header)
	switch {
	case errors.Is(err, connectors.ErrMalformed):
		item.Err = err
		return []connectors.Item{item}, nil
	case err != nil:
		return nil, fmt.Errorf("running the mapping: %w", err)
	}
	r := connectors.NewReader(Provider, &delivery, about)
	for _, output := range outputs {
		state(r, output)
	}
	return []connectors.Item{r.Item()}, nil
}
