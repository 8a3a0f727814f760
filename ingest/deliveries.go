package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"revstream/connectors"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// keptDelivery is what is kept of a delivery that was accepted.
func keptDelivery(connector connectors.Connector, mode control.Mode, delivery connectors.Delivery, items []connectors.Item, statements []revenue.Event) *stream.Delivery {
	kept := &stream.Delivery{
		ID: deliveryID(), Workspace: delivery.Workspace, Endpoint: delivery.Integration, Provider: connector.Provider,
		Account: delivery.Account, Livemode: delivery.Livemode, ReceivedAt: delivery.ReceivedAt,
		Header: withoutSecrets(connector, delivery), Body: delivery.Body, Answers: delivery.Answers.Kept(), Statements: statements,
	}
	for _, item := range items {
		shown := stream.DeliveredItem{ID: item.ID, Type: item.Type, APIVersion: item.APIVersion, At: item.At, Outcome: string(item.Outcome())}
		if trouble := cmp.Or(item.Err, item.Lacks); trouble != nil {
			shown.Error = trouble.Error()
		}
		if !acceptsAll(mode, item.Events) {
			shown.Outcome = string(connectors.OutcomeOtherMode)
		}
		kept.Items = append(kept.Items, shown)
	}
	return kept
}

// deliveryID is the id of a delivery: 96 random bits.
func deliveryID() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	return "dlv_" + hex.EncodeToString(random[:])
}

// secretHeaders say who the sender is by something that is secret in itself. A
// signature is none: it proves knowledge of the secret for one body only.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Api-Token"}

// withoutSecrets are the headers of a delivery that may be kept: without those that
// are secret by their name, and without any that carries a secret of the endpoint.
func withoutSecrets(connector connectors.Connector, delivery connectors.Delivery) http.Header {
	secrets := slices.Clone(delivery.Secrets)
	for _, setting := range connector.Settings {
		if setting.Secret {
			secrets = append(secrets, delivery.Settings[setting.Name])
		}
	}
	header := http.Header{}
	for name, values := range delivery.Header {
		if slices.Contains(secretHeaders, http.CanonicalHeaderKey(name)) || slices.ContainsFunc(values, func(value string) bool {
			return slices.ContainsFunc(secrets, func(secret string) bool { return reveals(value, secret) })
		}) {
			continue
		}
		header[name] = values
	}
	return header
}

// reveals reports whether a text has a secret in it, as it is or in base64.
func reveals(text, secret string) bool {
	return secret != "" && (strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))))
}

// keepRefusal notes that a delivery was not accepted, without its body: whoever sends
// what does not verify must not fill our disks. Not more than so many a second are
// noted, and none is waited for: the counters have them all.
func (s *Server) keepRefusal(ctx context.Context, connector connectors.Connector, delivery connectors.Delivery, cause error) {
	s.metrics.sources.refused(delivery, connector.Provider, connectors.ReasonOf(cause))
	if !s.refusalsKept.AllowN(s.Now(), 1) {
		return
	}
	refusal := &stream.Delivery{
		ID: deliveryID(), Workspace: delivery.Workspace, Endpoint: delivery.Integration, Provider: connector.Provider,
		Account: delivery.Account, Livemode: delivery.Livemode, ReceivedAt: delivery.ReceivedAt,
		Refusal: string(connectors.ReasonOf(cause)), Items: []stream.DeliveredItem{{Outcome: string(connectors.OutcomeRefused), Error: cause.Error()}},
	}
	go func() {
		if err := s.Producer.PublishDelivery(context.WithoutCancel(ctx), refusal); err != nil {
			s.Log.Warn("note a refused delivery", zap.String("endpoint", refusal.Endpoint), zap.Error(err))
		}
	}()
}

// diagnosed says more exactly why a delivery does not verify, where that can be found
// out: see connectors.Connector.Diagnose.
func (s *Server) diagnosed(connector connectors.Connector, delivery connectors.Delivery, cause error) error {
	if connectors.ReasonOf(cause) != connectors.ReasonMismatch || !s.diagnoses.AllowN(s.Now(), 1) {
		return cause
	}
	var others []string
	for _, endpoint := range s.Directory.Endpoints(delivery.Workspace) {
		if endpoint.Provider == connector.Provider && endpoint.ID != delivery.Integration {
			others = append(others, control.Reveal(endpoint.Secrets)...)
		}
	}
	return connector.Diagnose(delivery, others, cause)
}
