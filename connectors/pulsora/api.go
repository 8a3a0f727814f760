package pulsora

import (
	"context"
	"net/http"

	"revstream/connectors"
)

// New returns the API, which has one operation.
func New() connectors.API {
	return connectors.API{
		Provider: Provider, Title: "Pulsora",
		Operations: []connectors.Operation{
			{Name: "pulsora", Method: http.MethodPost, Paths: []string{"/api/ingest"}, Decode: decode},
		},
		Refuse: refuse,
		KeyIn:  token,
	}
}

// token finds the token in a body; a body that cannot be read has none.
func token(body []byte) string {
	envelope, err := ReadEnvelope(body)
	if err != nil {
		return ""
	}
	return envelope.Token
}

// refuse has the forms of the contract's table.
func refuse(r connectors.Refusal) connectors.Answer {
	type fault struct {
		Error string `json:"error"`
	}
	switch r.Status {
	case http.StatusUnauthorized:
		return connectors.JSONAnswer(r.Status, fault{"Invalid API token"})
	case http.StatusForbidden:
		return connectors.JSONAnswer(r.Status, fault{"Revenue events require secret token"})
	case http.StatusTooManyRequests:
		return connectors.JSONAnswer(r.Status, fault{"Rate limited"})
	case http.StatusBadRequest:
		return connectors.JSONAnswer(r.Status, struct {
			Message string `json:"message"`
		}{r.Sentence()})
	default:
		return connectors.JSONAnswer(r.Status, fault{r.Sentence()})
	}
}

// decode reads one event. The token may be in the header, the body or both, but then they
// must agree.
//
// The contract has no time of occurrence, so a retry would move the money to the time of
// the retry: an equal event that is remembered keeps the first time, and with it the very
// same statements. Otherwise the latest statement stands, which makes a changed event with
// a known id a correction, and a retry that is not remembered (after a restart, on another
// node) the same amounts a little later. A correction may name another customer, to whom
// the change of MRR then moves.
func decode(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	envelope, err := ReadEnvelope(call.Body)
	if err != nil {
		return err
	}
	if call.Key != "" && envelope.Token != "" && call.Key != envelope.Token {
		return connectors.Unauthorized()
	}
	event, err := envelope.Read(call.ReceivedAt)
	if err != nil {
		return err
	}
	first := call.Host.FirstAccepted(event.ID(), envelope.Data)
	reading.Accept(event.ID(), string(event.Type), event.Facts(Acceptance{
		Workspace: call.Workspace, Integration: call.Integration,
		Version: connectors.Version(first), ReceivedAt: first,
	})...)
	if event.ofCustomer() {
		if err := call.Host.Place(ctx, reading); err != nil {
			return err
		}
		if err := reading.Items[0].Err; err != nil {
			return err
		}
	}
	reading.Answer = connectors.JSONAnswer(http.StatusAccepted, struct {
		Success bool `json:"success"`
	}{true})
	return nil
}
