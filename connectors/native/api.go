package native

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"

	"revstream/connectors"
)

// New returns the API, which has one operation.
func New() connectors.API {
	return connectors.API{
		Provider: Provider, Title: "revstream",
		Operations: []connectors.Operation{
			{Name: "native", Method: http.MethodPost, Paths: []string{"/v1/events"}, Decode: decode},
		},
		Refuse: connectors.ProblemAnswer,
	}
}

// decode reads canonical events, each of which stands for itself.
func decode(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	texts, err := Split(call.Body, isLines(call.ContentType), call.RecordsMax)
	if err != nil {
		return err
	}
	a := Acceptance{
		Workspace: call.Workspace, WorkspaceAliases: []string{call.Alias}, Integration: call.Integration,
		Currency: call.Currency, ReceivedAt: call.ReceivedAt,
	}
	reading.Grow(len(texts))
	for i, text := range texts {
		a.ObjectID, a.ObjectIDVersion = call.Host.Identity(i)
		// Each later than the one before: of two statements about one fact in a
		// request, the second stands.
		a.Version = call.Host.NextVersion()
		event, err := Read(text, a)
		var fault *connectors.InvalidError
		switch {
		case errors.As(err, &fault):
			reading.Refuse(fault)
		case err != nil:
			return err
		default:
			reading.Accept(event.FactID(), string(event.Kind), event)
		}
	}
	if err := call.Host.Place(ctx, reading); err != nil {
		return err
	}
	reading.Answer = answer(reading.Items)
	return nil
}

// result is what became of one event of a request.
type result struct {
	Index  int    `json:"index"`
	ID     string `json:"id,omitempty"` // the fact's
	Status string `json:"status"`       // accepted or rejected
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Pointer is the JSON pointer of the member at fault, within the event.
	Pointer string `json:"pointer,omitempty"`
}

// answer is 202 if any event was accepted, and 400 if none was.
func answer(items []connectors.Item) connectors.Answer {
	results, accepted := make([]result, len(items)), 0
	for i := range items {
		results[i] = result{Index: i, ID: items[i].ID, Status: "accepted"}
		var fault *connectors.InvalidError
		if errors.As(items[i].Err, &fault) {
			results[i] = result{Index: i, Status: "rejected", Code: fault.Code, Detail: fault.Detail, Pointer: connectors.Pointer(fault.Field)}
		} else {
			accepted++
		}
	}
	if accepted == 0 {
		a := connectors.JSONAnswer(http.StatusBadRequest, struct {
			connectors.Problem
			Results []result `json:"results,omitempty"`
		}{connectors.NewProblem(connectors.Refusal{Status: http.StatusBadRequest, Code: "no_event_accepted", Detail: "No event was accepted."}), results})
		a.ContentType = connectors.ContentProblem
		return a
	}
	return connectors.JSONAnswer(http.StatusAccepted, struct {
		Accepted int      `json:"accepted"`
		Rejected int      `json:"rejected"`
		Results  []result `json:"results"`
	}{accepted, len(results) - accepted, results})
}

// isLines reports whether the content type is one of those in use for NDJSON.
func isLines(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = contentType
	}
	switch strings.ToLower(media) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines":
		return true
	}
	return false
}
