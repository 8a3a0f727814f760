package ingest

import (
	"context"
	"crypto/sha256"
	"net/http"
	"time"

	"revstream/connectors/pulsora"
)

// pulsoraToken finds the token in a body; a body that cannot be read has none.
func pulsoraToken(body []byte) string {
	envelope, err := pulsora.ReadEnvelope(body)
	if err != nil {
		return ""
	}
	return envelope.Token
}

// postIngest queues one revenue event. The token may be in the header, the body
// or both, but then they must agree.
func (s *Server) postIngest(ctx context.Context, r request) (answer, error) {
	envelope, err := pulsora.ReadEnvelope(r.body)
	if err != nil {
		return answer{}, err
	}
	if r.headerToken != "" && envelope.Token != "" && r.headerToken != envelope.Token {
		return answer{}, unauthorized()
	}
	event, err := envelope.Read(r.receivedAt)
	if err != nil {
		return answer{}, err
	}
	seen := s.sighting(r, event, envelope.Data)
	facts := event.Facts(pulsora.Acceptance{
		Workspace: r.workspace.ID, Integration: r.key.ID,
		Version: version(seen.at), ReceivedAt: seen.at,
	})
	if err := s.Producer.Publish(ctx, facts...); err != nil {
		return answer{}, err
	}
	a := jsonAnswer(http.StatusAccepted, struct {
		Success bool `json:"success"`
	}{true})
	a.accepted, a.statements = 1, len(facts)
	return a, nil
}

// sighting is an event that came in of late.
type sighting struct {
	digest [sha256.Size]byte
	at     time.Time
}

// sighting is when the event was first accepted. The contract has no time of
// occurrence, so a retry would move the money to the time of the retry: an equal
// event that this process remembers keeps the first time, and with it the very
// same statements. Otherwise the latest statement stands, which makes a changed
// event with a known id a correction, and a retry that is not remembered (after a
// restart, on another node) the same amounts a little later.
func (s *Server) sighting(r request, event pulsora.Event, data []byte) sighting {
	id := r.workspace.ID + "|" + event.ID()
	now := sighting{sha256.Sum256(data), r.receivedAt}
	if first, found := s.sightings.Get(id); found && first.digest == now.digest {
		return first
	}
	s.sightings.Add(id, now)
	return now
}
