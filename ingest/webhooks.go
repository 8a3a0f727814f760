package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// postWebhook accepts a delivery of a payment provider. The answer is 2xx for
// everything that a retry would not change, unknown types and bodies that cannot
// be read among it, so that a provider never turns the endpoint off, nor keeps
// back what comes after; and never 429, for to providers that is a failed delivery.
func (s *Server) postWebhook(ctx context.Context, c *fiber.Ctx) (answer, error) {
	connector, endpoint, err := s.webhookEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	delivery, err := s.delivery(c, connector, endpoint)
	if err != nil {
		return answer{}, err
	}
	_, items, err := connector.Receive(ctx, delivery)
	if err != nil {
		return answer{}, s.refused(ctx, connector, delivery, err)
	}
	statements, err := s.book(ctx, connector, endpoint.Mode, delivery, items)
	if err != nil {
		return answer{}, err
	}
	a := answerOf(connector.Accepted.Or(connectors.Received()))
	a.accepted, a.statements = len(items), statements
	return a, nil
}

// book publishes the statements of a delivery's items, beside the delivery itself,
// and returns how many; what can never be read or stored becomes a dead letter, so
// that one bad item does not keep the others back.
func (s *Server) book(ctx context.Context, connector connectors.Connector, mode control.Mode, delivery connectors.Delivery, items []connectors.Item) (int, error) {
	var wanted []revenue.Event
	for i := range items {
		// A test delivery to an endpoint for live ones, or the other way round, books
		// nothing, and no retry would change that.
		if acceptsAll(mode, items[i].Events) {
			wanted = append(wanted, items[i].Events...)
		}
	}
	kept := keptDelivery(connector, mode, delivery, items, wanted)
	err := s.Producer.PublishDelivery(ctx, kept, wanted...)
	if errors.Is(err, stream.ErrInvalid) || errors.Is(err, stream.ErrTooLarge) {
		if wanted, err = s.bookEach(ctx, mode, items); err == nil {
			kept = keptDelivery(connector, mode, delivery, items, wanted)
			err = s.Producer.PublishDelivery(ctx, kept)
		}
	}
	if err != nil {
		return 0, err
	}
	for position, item := range items {
		if item.Err != nil {
			if err := s.quarantine(ctx, connector, delivery, position, item); err != nil {
				return 0, err
			}
		}
		s.metrics.items.WithLabelValues(connector.Provider, kept.Items[position].Outcome).Inc()
		s.Log.Debug("webhook event", zap.String("provider", connector.Provider), zap.String("endpoint", delivery.Integration),
			zap.String("type", item.Type), zap.String("event_id", item.ID), zap.String("outcome", kept.Items[position].Outcome))
	}
	s.metrics.sources.delivered(kept)
	return len(wanted), nil
}

// bookEach publishes the statements of one item after the other, when one of them
// cannot be stored, and returns those that were. An item that cannot says so.
func (s *Server) bookEach(ctx context.Context, mode control.Mode, items []connectors.Item) (booked []revenue.Event, err error) {
	for i := range items {
		item := &items[i]
		if !acceptsAll(mode, item.Events) {
			continue
		}
		switch err := s.Producer.Publish(ctx, item.Events...); {
		case errors.Is(err, stream.ErrInvalid), errors.Is(err, stream.ErrTooLarge):
			item.Events, item.Err = nil, err
		case err != nil:
			return nil, err
		default:
			booked = append(booked, item.Events...)
		}
	}
	return booked, nil
}

func acceptsAll(mode control.Mode, events []revenue.Event) bool {
	for i := range events {
		if !mode.Accepts(events[i].Livemode) {
			return false
		}
	}
	return true
}

// getWebhook answers the question that some providers ask an address before they
// use it.
func (s *Server) getWebhook(ctx context.Context, c *fiber.Ctx) (answer, error) {
	connector, endpoint, err := s.webhookEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	if connector.Challenge == nil {
		return answer{}, &failure{status: http.StatusMethodNotAllowed, code: "method_not_allowed", detail: "Deliveries are posted here."}
	}
	delivery, err := s.delivery(c, connector, endpoint)
	if err != nil {
		return answer{}, err
	}
	query, err := url.ParseQuery(string(c.Request().URI().QueryString()))
	if err != nil {
		return answer{}, &connectors.InvalidError{Code: "invalid_query", Detail: "The query cannot be read."}
	}
	said, err := connector.Challenge(delivery, query)
	if err != nil {
		return answer{}, s.refused(ctx, connector, delivery, err)
	}
	return answerOf(said), nil
}

func (s *Server) webhookEndpoint(c *fiber.Ctx) (connectors.Connector, control.Endpoint, error) {
	connector, known := s.providers[c.Params("provider")]
	endpoint, err := s.Directory.FindEndpoint(c.Params("endpoint"))
	switch {
	case errors.Is(err, control.ErrUnknown), err == nil && (!known || endpoint.Provider != connector.Provider):
		return connectors.Connector{}, control.Endpoint{}, notFound("There is no such webhook endpoint.")
	case err != nil:
		return connectors.Connector{}, control.Endpoint{}, err
	}
	return connector, endpoint, nil
}

func (s *Server) delivery(c *fiber.Ctx, connector connectors.Connector, endpoint control.Endpoint) (connectors.Delivery, error) {
	// Settings that were right when they were stored and are not any more are ours to
	// mend while the provider keeps trying.
	settings, err := connector.Settle(endpoint.Settings())
	if err != nil {
		return connectors.Delivery{}, s.busy(fmt.Errorf("settings of endpoint %s: %w", endpoint.ID, err))
	}
	body, err := s.readBody(c)
	if err != nil {
		return connectors.Delivery{}, err
	}
	delivery := connectors.Delivery{
		Workspace: endpoint.Workspace, Integration: endpoint.ID, Account: endpoint.Account,
		Livemode: endpoint.Mode != control.ModeTest, Secrets: control.Reveal(endpoint.Secrets), Settings: settings,
		// Copied, because fasthttp uses the buffer again.
		Header: headers(c), Body: bytes.Clone(body), ReceivedAt: s.clock.next(), Answers: &connectors.Answers{},
	}
	if len(c.Get(fiber.HeaderContentEncoding)) > 0 {
		delivery.Wire = bytes.Clone(c.Request().Body())
	}
	return delivery, nil
}

// quarantine keeps a delivery because of an item that will never be read, until a
// person or a later version of the program deals with it. A repeated delivery
// replaces its letter.
func (s *Server) quarantine(ctx context.Context, connector connectors.Connector, delivery connectors.Delivery, position int, item connectors.Item) error {
	s.Log.Warn("webhook event quarantined", zap.String("provider", connector.Provider), zap.String("endpoint", delivery.Integration),
		zap.String("type", item.Type), zap.String("event_id", item.ID), zap.Error(item.Err))
	return wrap("quarantine a webhook event", s.Producer.Quarantine(ctx, stream.DeadLetter{
		Topic: "webhooks/" + connector.Provider + "/" + delivery.Integration, Partition: -1, Offset: int64(position),
		Reason: stream.ReasonWebhook, Error: item.Err.Error(),
		Key: []byte(delivery.Workspace), Value: delivery.Body, At: delivery.ReceivedAt,
	}))
}

// refused turns an error of receiving into the provider's answer. It asks for a retry
// of whatever is not the sender's own fault.
func (s *Server) refused(ctx context.Context, connector connectors.Connector, delivery connectors.Delivery, err error) error {
	switch {
	case errors.Is(err, connectors.ErrBadSignature):
		err = s.diagnosed(connector, delivery, err)
		s.metrics.refusals.WithLabelValues(connector.Provider, string(connectors.ReasonOf(err))).Inc()
		s.Log.Info("webhook delivery refused", zap.String("provider", connector.Provider), zap.String("endpoint", delivery.Integration), zap.Error(err))
		s.keepRefusal(ctx, connector, delivery, err)
		f := s.failureOf(err)
		if connector.RefusedStatus != 0 {
			f.status = connector.RefusedStatus
		}
		return f
	case errors.Is(err, connectors.ErrMalformed), errors.Is(err, stream.ErrBusy):
		return err
	case errors.As(err, new(*connectors.RefusedError)):
		s.Log.Warn("webhook delivery cannot be read: the provider's API refuses", zap.String("provider", connector.Provider), zap.String("endpoint", delivery.Integration), zap.Error(err))
		s.keepRefusal(ctx, connector, delivery, err)
		return s.busy(err)
	default:
		return s.busy(err)
	}
}

// answerOf is a connector's answer as one of ours.
func answerOf(a connectors.Answer) answer {
	return answer{status: a.Status, contentType: a.ContentType, body: []byte(a.Body)}
}

// headers copies the request's headers.
func headers(c *fiber.Ctx) http.Header {
	header := http.Header{}
	c.Request().Header.VisitAll(func(name, value []byte) { header.Add(string(name), string(value)) })
	return header
}
