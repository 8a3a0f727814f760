package ingest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// postWebhook accepts a delivery of a payment provider. The answer is 2xx for
// everything that a retry would not change, types that are unknown among it, so
// that a provider never turns the endpoint off; and never 429, for to providers
// that is a failed delivery.
func (s *Server) postWebhook(ctx context.Context, c *fiber.Ctx) (answer, error) {
	provider := c.Params("provider")
	endpoint, err := s.Directory.FindEndpoint(c.Params("endpoint"))
	decode := s.Decoders[provider]
	switch {
	case errors.Is(err, control.ErrUnknown), err == nil && (decode == nil || endpoint.Provider != provider):
		return answer{}, notFound("There is no such webhook endpoint.")
	case err != nil:
		return answer{}, err
	}
	decoded, err := decode(ctx, connectors.Delivery{
		Workspace: endpoint.Workspace, Integration: endpoint.ID, Account: endpoint.Account, Secrets: control.Reveal(endpoint.Secrets),
		Header: headers(c),
		// The raw bytes are what was signed; copied, because fasthttp uses the buffer
		// again.
		Body:       bytes.Clone(c.Request().Body()),
		ReceivedAt: s.clock.next(),
	})
	if err != nil {
		return answer{}, s.webhookError(provider, err)
	}
	// A test delivery to an endpoint for live ones, or the other way round, books
	// nothing, and no retry would change that.
	wanted := slices.DeleteFunc(decoded.Events, func(e revenue.Event) bool { return !endpoint.Mode.Accepts(e.Livemode) })
	if err := s.Producer.Publish(ctx, wanted...); err != nil {
		return answer{}, err
	}
	if decoded.Ignored || len(wanted) < len(decoded.Events) {
		s.metrics.ignored.WithLabelValues(provider).Inc()
		s.Log.Debug("webhook delivery books nothing", zap.String("provider", provider), zap.String("type", decoded.Type), zap.String("event_id", decoded.ID))
	}
	a := jsonAnswer(http.StatusOK, struct {
		Received bool `json:"received"`
	}{true})
	a.accepted, a.statements = 1, len(wanted)
	return a, nil
}

// webhookError asks the provider to retry whatever is not its own fault.
func (s *Server) webhookError(provider string, err error) error {
	if errors.Is(err, connectors.ErrBadSignature) || errors.Is(err, connectors.ErrMalformed) {
		s.Log.Info("webhook delivery refused", zap.String("provider", provider), zap.Error(err))
		return err
	}
	if errors.Is(err, stream.ErrBusy) {
		return err
	}
	return s.busy(err)
}

// headers copies the request's headers.
func headers(c *fiber.Ctx) http.Header {
	header := http.Header{}
	c.Request().Header.VisitAll(func(name, value []byte) { header.Add(string(name), string(value)) })
	return header
}
