package thrivestack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// New returns the API: transactions are created, changed in part and deleted.
func New() connectors.API {
	paths := []string{"/revenue/transactions"}
	return connectors.API{
		Provider: Provider, Title: "ThriveStack",
		Operations: []connectors.Operation{
			{Name: "thrivestack.create", Method: http.MethodPost, Paths: paths, Decode: create},
			{Name: "thrivestack.update", Method: http.MethodPut, Paths: paths, Decode: update},
			{Name: "thrivestack.delete", Method: http.MethodDelete, Paths: paths, Decode: remove},
		},
		Prefixes: paths,
		Refuse:   refuse,
	}
}

// refuse has a form of ours: the contract lists statuses and shows no body.
func refuse(r connectors.Refusal) connectors.Answer {
	if r.Status == http.StatusForbidden { // the contract says 401 for a key without the scope
		r.Status = http.StatusUnauthorized
	}
	return connectors.JSONAnswer(r.Status, struct {
		Success bool   `json:"success"`
		Error   string `json:"error"`
		Message string `json:"message"`
	}{false, r.Code, r.Sentence()})
}

func notFound() error { return connectors.NotFound("transaction_id does not exist.") }

// create creates a transaction, or replaces one that is known.
func create(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	body, known, err := held(ctx, call)
	if err != nil {
		return err
	}
	state, events, err := Create(known, body, acceptanceOf(call))
	if err != nil {
		return err
	}
	return keepFirst(reading, state, events)
}

// update changes the members of a known transaction that are given.
func update(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	body, known, err := held(ctx, call)
	if err != nil {
		return err
	}
	if known == nil || known.Deleted {
		return notFound()
	}
	state, events, err := Update(*known, body, acceptanceOf(call))
	if err != nil {
		return err
	}
	return keepFirst(reading, state, events)
}

// keepFirst keeps the new state before what it states is published, because a fact that was
// published and is in no state could never be taken back: if we die in between, the caller
// has no answer, sends the request again, and the same statements are published.
func keepFirst(reading *connectors.Reading, state State, events []revenue.Event) (err error) {
	reading.Before, err = entries(state)
	accept(reading, state, events)
	return err
}

// remove takes a transaction back. Here the statements go first: they name no new fact,
// and until they are published the transaction can be deleted again.
func remove(ctx context.Context, call connectors.Call, reading *connectors.Reading) error {
	_, known, err := held(ctx, call)
	if err != nil {
		return err
	}
	if known == nil || known.Deleted {
		return notFound()
	}
	state, events := Delete(*known, acceptanceOf(call))
	reading.After, err = entries(state)
	accept(reading, state, events)
	return err
}

func accept(reading *connectors.Reading, state State, events []revenue.Event) {
	reading.Accept(state.TransactionID, "transaction", events...)
	reading.Answer = connectors.JSONAnswer(http.StatusOK, struct {
		Success       bool   `json:"success"`
		TransactionID string `json:"transaction_id"`
	}{true, state.TransactionID})
}

// held reads a body, and what is known of its transaction, by whichever node accepted it;
// nil if nothing is. From then on no other call changes it.
func held(ctx context.Context, call connectors.Call) (Body, *State, error) {
	body, id, err := ReadBody(call.Body)
	if err != nil {
		return Body{}, nil, err
	}
	value, found, err := call.Host.Hold(ctx, connectors.Name{ID: id})
	if err != nil || !found {
		return body, nil, err
	}
	var state State
	if err := json.Unmarshal(value, &state); err != nil {
		return Body{}, nil, fmt.Errorf("read state of transaction: %w", err)
	}
	return body, &state, nil
}

func entries(state State) ([]connectors.Entry, error) {
	value, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("encode state of transaction: %w", err)
	}
	return []connectors.Entry{{Name: connectors.Name{ID: state.TransactionID}, Value: value}}, nil
}

func acceptanceOf(call connectors.Call) Acceptance {
	return Acceptance{Workspace: call.Workspace, Integration: call.Integration, ReceivedAt: call.ReceivedAt}
}
