package ingest

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/ingest/stream"
)

// postWebhook accepts a delivery of a payment provider. The answer is 2xx for
// everything that a retry would not change, types that are unknown among it, so
// that a provider never turns the endpoint off; and never 429, for to providers
// that is a failed delivery.
func (s *Server) postWebhook(ctx context.Context, c *fiber.Ctx) (answer, error) {
	provider := c.Params("provider")
	endpoint, known := s.Directory.Endpoint(c.Params("endpoint"))
	decode := s.Decoders[provider]
	if !known || decode == nil || endpoint.Provider != provider {
		return answer{}, notFound("There is no such webhook endpoint.")
	}
	decoded, err := decode(ctx, connectors.Delivery{
		Workspace: endpoint.Workspace, Integration: endpoint.ID, Account: endpoint.Account, Secrets: endpoint.Secrets,
		Header: headers(c),
		// The raw bytes are what was signed; copied, because fasthttp uses the buffer
		// again.
		Body:       bytes.Clone(c.Request().Body()),
		ReceivedAt: s.clock.next(),
	})
	if err != nil {
		return answer{}, s.webhookError(provider, err)
	}
	if err := s.Producer.Publish(ctx, decoded.Events...); err != nil {
		return answer{}, err
	}
	if decoded.Ignored {
		s.metrics.ignored.WithLabelValues(provider).Inc()
		s.Log.Debug("webhook delivery books nothing", zap.String("provider", provider), zap.String("type", decoded.Type), zap.String("event_id", decoded.ID))
	}
	a := jsonAnswer(http.StatusOK, struct {
		Received bool `json:"received"`
	}{true})
	a.accepted, a.statements = 1, len(decoded.Events)
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
