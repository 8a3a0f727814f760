package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/connectors/trackly"
	"revstream/ingest/revenue"
)

// postRevenue records one revenue event against a message.
func (s *Server) postRevenue(ctx context.Context, r request) (answer, error) {
	record, err := trackly.ReadRecord(r.body, r.currency(), r.receivedAt)
	if err != nil {
		return answer{}, err
	}
	resolved, err := s.resolver(r).Resolve(ctx, record)
	if err != nil {
		return answer{}, err
	}
	acceptance := r.tracklyAcceptance(0, false)
	if err := s.Producer.Publish(ctx, record.Event(acceptance, resolved)); err != nil {
		return answer{}, err
	}
	a := jsonAnswer(http.StatusOK, struct {
		Success   bool            `json:"success"`
		RevenueID string          `json:"revenue_id"`
		MessageID string          `json:"message_id"`
		Revenue   json.RawMessage `json:"revenue"`
	}{true, acceptance.RevenueID, record.MessageID, trackly.Number(record.Amount, record.Currency)})
	a.accepted, a.statements = 1, 1
	return a, nil
}

func (s *Server) resolver(r request) *trackly.Resolver {
	return trackly.NewResolver(s.lookup(r.workspace.ID), s.messages)
}

// bulkFault is the error of one record of a bulk request.
type bulkFault struct {
	Index int    `json:"index"`
	Code  string `json:"code"`
	Error string `json:"error"`
}

// postRevenueBulk records many. Each record stands for itself, and the answer is
// 201 whatever became of them; nothing is answered before all that were accepted
// are durable.
func (s *Server) postRevenueBulk(ctx context.Context, r request) (answer, error) {
	bulk, err := trackly.ReadBulk(r.body, s.cfg.RecordsPerRequestMax)
	if err != nil {
		return answer{}, err
	}
	resolver := s.resolver(r)
	events := s.eventLists.borrow()
	defer s.eventLists.giveBack(events)
	faults := []bulkFault{}
	total := int64(0)
	for i := range bulk.Records {
		event, err := s.bulkRecord(ctx, r, resolver, &bulk.Records[i], r.tracklyAcceptance(i, bulk.Imported))
		var invalid *connectors.InvalidError
		switch {
		case errors.As(err, &invalid):
			f := s.failureOf(err)
			faults = append(faults, bulkFault{i, f.code, f.sentence()})
		case err != nil:
			return answer{}, err
		default:
			*events = append(*events, event)
			total += event.Amount
		}
	}
	if err := s.Producer.Publish(ctx, *events...); err != nil {
		return answer{}, err
	}
	a := jsonAnswer(http.StatusCreated, struct {
		SuccessCount int             `json:"success_count"`
		ErrorCount   int             `json:"error_count"`
		TotalRevenue json.RawMessage `json:"total_revenue"`
		Errors       []bulkFault     `json:"errors"`
	}{len(*events), len(faults), trackly.Number(total, r.currency()), faults})
	a.accepted, a.rejected, a.statements = len(*events), len(faults), len(*events)
	return a, nil
}

func (s *Server) bulkRecord(ctx context.Context, r request, resolver *trackly.Resolver, body *trackly.RecordBody, a trackly.Acceptance) (revenue.Event, error) {
	record, err := body.Record(r.currency(), r.receivedAt)
	if err != nil {
		return revenue.Event{}, err
	}
	resolved, err := resolver.Resolve(ctx, record)
	if err != nil {
		return revenue.Event{}, err
	}
	return record.Event(a, resolved), nil
}

// currency is what amounts without one are in: the workspace's own.
func (r request) currency() string {
	if r.workspace.Currency == "" {
		return "USD"
	}
	return r.workspace.Currency
}

func (r request) tracklyAcceptance(index int, imported bool) trackly.Acceptance {
	id, version := r.identity(index)
	return trackly.Acceptance{
		Workspace: r.workspace.ID, Integration: r.key.ID,
		RevenueID: id, Version: version, ReceivedAt: r.receivedAt, Imported: imported,
	}
}

// identity is the id and version of a record whose source has no id: of the
// Idempotency-Key and the record's place in the request, so that a repeat names
// the same fact and the first statement stands; else made up once, beginning with
// the time, so that neighbours in time are neighbours in the store.
func (r request) identity(index int) (id string, v int64) {
	if r.idempotencyKey != "" {
		of := strings.Join([]string{r.workspace.ID, r.key.ID, r.door, r.idempotencyKey, strconv.Itoa(index)}, "\x00")
		sum := sha256.Sum256([]byte(of))
		return hex.EncodeToString(sum[:idBytes]), firstWins(r.receivedAt)
	}
	return newID(r.receivedAt), version(r.receivedAt)
}

// idBytes makes an id of 24 hexadecimal characters.
const idBytes = 12

func newID(at time.Time) string {
	var id [idBytes]byte
	binary.BigEndian.PutUint32(id[:], uint32(at.Unix()))
	if _, err := rand.Read(id[4:]); err != nil {
		panic(fmt.Sprintf("read random bytes: %v", err)) // never returned since Go 1.24
	}
	return hex.EncodeToString(id[:])
}
