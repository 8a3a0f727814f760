package trackly

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"revstream/connectors"
)

// messagesRemembered is how many registered messages stay read.
const messagesRemembered = 4096

// New returns the API: one record, many, and the messages that records are about. In the
// contract itself there is no way to register those: that operation is ours.
func New() connectors.API {
	messages, err := NewMessageReader(messagesRemembered)
	if err != nil {
		panic(err) // for a size that is not positive only
	}
	a := api{messages}
	return connectors.API{
		Provider: Provider, Title: "Trackly SMS",
		Operations: []connectors.Operation{
			{Name: "trackly.revenue", Method: http.MethodPost, Paths: []string{"/api/v2/revenue", "/v2/revenue"}, Decode: a.revenue},
			{Name: "trackly.bulk", Method: http.MethodPost, Paths: []string{"/api/v2/revenue/bulk", "/v2/revenue/bulk"}, Decode: a.bulk},
			{Name: "trackly.messages", Method: http.MethodPost, Paths: []string{"/api/v2/messages", "/v2/messages"}, Decode: register},
		},
		Prefixes: []string{"/api/v2/", "/v2/"},
		Refuse:   refuse,
	}
}

// api is what calls share.
type api struct{ messages *MessageReader }

// refuse has the form of the per-record errors of the bulk contract: the page of the
// single operation lists codes and shows no body.
func refuse(r connectors.Refusal) connectors.Answer {
	return connectors.JSONAnswer(r.Status, struct {
		Success bool   `json:"success"`
		Code    string `json:"code"`
		Error   string `json:"error"`
	}{false, r.Code, r.Sentence()})
}

// revenue records one revenue event against a message.
func (a api) revenue(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	record, err := ReadRecord(call.Body, call.Currency, call.ReceivedAt)
	if err != nil {
		return err
	}
	resolved, err := NewResolver(registered(call.Host), a.messages).Resolve(ctx, record)
	if err != nil {
		return err
	}
	acceptance := acceptanceOf(call, 0, false)
	reading.Accept(acceptance.RevenueID, "revenue", record.Event(acceptance, resolved))
	reading.Answer = connectors.JSONAnswer(http.StatusOK, struct {
		Success   bool            `json:"success"`
		RevenueID string          `json:"revenue_id"`
		MessageID string          `json:"message_id"`
		Revenue   json.RawMessage `json:"revenue"`
	}{true, acceptance.RevenueID, record.MessageID, Number(record.Amount, record.Currency)})
	return nil
}

// recordFault is the error of one record of a bulk request.
type recordFault struct {
	Index int    `json:"index"`
	Code  string `json:"code"`
	Error string `json:"error"`
}

// bulk records many. Each record stands for itself, and the answer is 201 whatever became
// of them.
func (a api) bulk(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	bulk, err := ReadBulk(call.Body, call.RecordsMax)
	if err != nil {
		return err
	}
	resolver := NewResolver(registered(call.Host), a.messages)
	reading.Grow(len(bulk.Records))
	faults, total := []recordFault{}, int64(0)
	for i := range bulk.Records {
		record, err := bulk.Records[i].Record(call.Currency, call.ReceivedAt)
		var resolved Resolution
		if err == nil {
			resolved, err = resolver.Resolve(ctx, record)
		}
		var fault *connectors.InvalidError
		switch {
		case errors.As(err, &fault):
			faults = append(faults, recordFault{i, fault.Code, fault.Sentence()})
			reading.Refuse(fault)
		case err != nil:
			return err
		default:
			acceptance := acceptanceOf(call, i, bulk.Imported)
			reading.Accept(acceptance.RevenueID, "revenue", record.Event(acceptance, resolved))
			total += record.Amount
		}
	}
	reading.Answer = connectors.JSONAnswer(http.StatusCreated, struct {
		SuccessCount int             `json:"success_count"`
		ErrorCount   int             `json:"error_count"`
		TotalRevenue json.RawMessage `json:"total_revenue"`
		Errors       []recordFault   `json:"errors"`
	}{len(bulk.Records) - len(faults), len(faults), Number(total, call.Currency), faults})
	return nil
}

// register keeps the messages that records refer to, with their contacts, offers and short
// links, which are there before them. To register again replaces.
func register(_ context.Context, call connectors.Call, reading *connectors.Reading) error {
	entries, count, err := ReadRegistration(call.Body, call.RecordsMax)
	if err != nil {
		return err
	}
	kept := make([]connectors.Entry, len(entries))
	for i, entry := range entries {
		kept[i] = connectors.Entry{Name: name(entry.Entity, entry.ID), Value: entry.Value}
	}
	messages := slices.IndexFunc(entries, func(e Entry) bool { return e.Entity == EntityMessage })
	if messages < 0 {
		messages = len(entries)
	}
	reading.Register = [][]connectors.Entry{kept[:messages], kept[messages:]}
	reading.Answer = connectors.JSONAnswer(http.StatusCreated, struct {
		Success    bool       `json:"success"`
		Registered Registered `json:"registered"`
	}{true, count})
	return nil
}

func name(entity Entity, id string) connectors.Name {
	return connectors.Name{Kind: string(entity), ID: id}
}

// registered looks things up at the host. Most callers name offers by their external ids,
// and each request would wait for Kafka to learn that no offer of ours has that name. The
// price: an offer whose own id is another's external id is overlooked until this node has
// read its registration.
func registered(host connectors.Host) Lookup {
	return func(ctx context.Context, entity Entity, id string) ([]byte, bool, error) {
		var instead connectors.Name
		if entity == EntityOffer {
			instead = name(EntityExternalOffer, id)
		}
		return host.Registered(ctx, name(entity, id), instead)
	}
}

func acceptanceOf(call connectors.Call, index int, imported bool) Acceptance {
	id, version := call.Host.Identity(index)
	return Acceptance{
		Workspace: call.Workspace, Integration: call.Integration,
		RevenueID: id, Version: version, ReceivedAt: call.ReceivedAt, Imported: imported,
	}
}
