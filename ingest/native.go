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
	facts := make([]string, 0, len(texts))
	of := make([]int, 0, len(texts)) // index of each event in the request
	for i, text := range texts {
		event, err := native.Read(text, s.nativeAcceptance(r, i))
		var invalid *connectors.InvalidError
		switch {
		case errors.As(err, &invalid):
			results[i] = rejected(i, invalid)
		case err != nil:
			return answer{}, err
		default:
			results[i] = result{Index: i, ID: event.FactID(), Status: "accepted"}
			*events, facts, of = append(*events, event), append(facts, results[i].ID), append(of, i)
		}
	}
	accepted := len(facts)
	statements, release, err := s.place(ctx, *events, facts, func(i int, fault *connectors.InvalidError) {
		results[of[i]] = rejected(of[i], fault)
		accepted--
	})
	if err != nil {
		return answer{}, err
	}
	defer release()
	*events = statements
	if err := s.Producer.Publish(ctx, statements...); err != nil {
		return answer{}, err
	}
	a := eventsAnswer(accepted, results)
	a.statements = len(statements)
	return a, nil
}

func rejected(index int, fault *connectors.InvalidError) result {
	return result{Index: index, Status: "rejected", Code: fault.Code, Detail: fault.Detail, Pointer: pointer(fault.Field)}
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
	a.accepted, a.rejected = accepted, len(results)-accepted
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
