package ingest

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"

	"revstream/connectors"
	"revstream/connectors/native"
)

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

// postEvents accepts canonical events. Each stands for itself: 202 if any was
// accepted, 400 if none was.
func (s *Server) postEvents(ctx context.Context, r request) (answer, error) {
	texts, err := native.Split(r.body, isLines(r.contentType), s.cfg.RecordsPerRequestMax)
	if err != nil {
		return answer{}, err
	}
	events := s.eventLists.borrow()
	defer s.eventLists.giveBack(events)
	results := make([]result, len(texts))
	for i, text := range texts {
		event, err := native.Read(text, s.nativeAcceptance(r, i))
		var invalid *connectors.InvalidError
		switch {
		case errors.As(err, &invalid):
			results[i] = result{Index: i, Status: "rejected", Code: invalid.Code, Detail: invalid.Detail, Pointer: pointer(invalid.Field)}
		case err != nil:
			return answer{}, err
		default:
			results[i] = result{Index: i, ID: event.FactID(), Status: "accepted"}
			*events = append(*events, event)
		}
	}
	if err := s.Producer.Publish(ctx, *events...); err != nil {
		return answer{}, err
	}
	return eventsAnswer(len(*events), results), nil
}

func eventsAnswer(accepted int, results []result) answer {
	var a answer
	if accepted == 0 {
		a = jsonAnswer(http.StatusBadRequest, problem{
			Type: "about:blank", Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest,
			Detail: "No event was accepted.", Code: "no_event_accepted", Results: results,
		})
		a.contentType = contentProblem
	} else {
		a = jsonAnswer(http.StatusAccepted, struct {
			Accepted int      `json:"accepted"`
			Rejected int      `json:"rejected"`
			Results  []result `json:"results"`
		}{accepted, len(results) - accepted, results})
	}
	a.accepted, a.rejected, a.statements = accepted, len(results)-accepted, accepted
	return a
}

func (s *Server) nativeAcceptance(r request, index int) native.Acceptance {
	id, v := (&host{server: s, request: r}).Identity(index)
	return native.Acceptance{
		Workspace: r.workspace.ID, WorkspaceAliases: []string{r.workspace.Slug}, Integration: r.key.ID, Currency: r.currency(),
		ObjectID: id, ObjectIDVersion: v,
		// Each later than the one before: of two statements about one fact in a
		// request, the second stands.
		Version: version(s.clock.next()), ReceivedAt: r.receivedAt,
	}
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
