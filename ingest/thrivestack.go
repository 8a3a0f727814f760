package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"

	"revstream/connectors/thrivestack"
	"revstream/ingest/revenue"
)

// postTransaction creates a transaction, or replaces one that is known.
func (s *Server) postTransaction(ctx context.Context, r request) (answer, error) {
	return s.changeTransaction(ctx, r, func(known *thrivestack.State, body thrivestack.Body, a thrivestack.Acceptance) (thrivestack.State, []revenue.Event, error) {
		return thrivestack.Create(known, body, a)
	})
}

// putTransaction changes the members of a known transaction that are given.
func (s *Server) putTransaction(ctx context.Context, r request) (answer, error) {
	return s.changeTransaction(ctx, r, func(known *thrivestack.State, body thrivestack.Body, a thrivestack.Acceptance) (thrivestack.State, []revenue.Event, error) {
		if known == nil || known.Deleted {
			return thrivestack.State{}, nil, transactionNotFound()
		}
		return thrivestack.Update(*known, body, a)
	})
}

func transactionNotFound() *failure { return notFound("transaction_id does not exist.") }

// changeTransaction keeps the new state, then publishes what it states, then
// answers. In this order, because a fact that was published and is in no state
// could never be taken back: if we die in between, the caller has no answer,
// sends the request again, and the same statements are published.
func (s *Server) changeTransaction(ctx context.Context, r request,
	change func(*thrivestack.State, thrivestack.Body, thrivestack.Acceptance) (thrivestack.State, []revenue.Event, error),
) (answer, error) {
	body, id, err := thrivestack.ReadBody(r.body)
	if err != nil {
		return answer{}, err
	}
	key := transactionKey(r, id)
	if err := s.stripes.lock(ctx, key); err != nil {
		return answer{}, err
	}
	defer s.stripes.unlock(key)
	known, err := s.transaction(ctx, key)
	if err != nil {
		return answer{}, err
	}
	state, events, err := change(known, body, r.thrivestackAcceptance())
	if err != nil {
		return answer{}, err
	}
	if err := s.keepTransaction(ctx, key, state); err != nil {
		return answer{}, err
	}
	if err := s.Producer.Publish(ctx, events...); err != nil {
		return answer{}, err
	}
	return transactionAnswer(id, len(events)), nil
}

// deleteTransaction takes a transaction back. Here the statements go first: they
// name no new fact, and until they are published the transaction can be deleted
// again.
func (s *Server) deleteTransaction(ctx context.Context, r request) (answer, error) {
	_, id, err := thrivestack.ReadBody(r.body)
	if err != nil {
		return answer{}, err
	}
	key := transactionKey(r, id)
	if err := s.stripes.lock(ctx, key); err != nil {
		return answer{}, err
	}
	defer s.stripes.unlock(key)
	known, err := s.transaction(ctx, key)
	if err != nil {
		return answer{}, err
	}
	if known == nil || known.Deleted {
		return answer{}, transactionNotFound()
	}
	state, events := thrivestack.Delete(*known, r.thrivestackAcceptance())
	if err := s.Producer.Publish(ctx, events...); err != nil {
		return answer{}, err
	}
	if err := s.keepTransaction(ctx, key, state); err != nil {
		return answer{}, err
	}
	return transactionAnswer(id, len(events)), nil
}

func transactionKey(r request, id string) string { return r.workspace.ID + "|" + id }

func (r request) thrivestackAcceptance() thrivestack.Acceptance {
	return thrivestack.Acceptance{Workspace: r.workspace.ID, Integration: r.key.ID, ReceivedAt: r.receivedAt}
}

func transactionAnswer(id string, statements int) answer {
	a := jsonAnswer(http.StatusOK, struct {
		Success       bool   `json:"success"`
		TransactionID string `json:"transaction_id"`
	}{true, id})
	a.accepted, a.statements = 1, statements
	return a
}

// transaction is what is known, by whichever node accepted it; nil if nothing.
func (s *Server) transaction(ctx context.Context, key string) (*thrivestack.State, error) {
	value, found, err := s.Transactions.GetLatest(ctx, key)
	if err != nil || !found {
		return nil, wrap("look up transaction", err)
	}
	var state thrivestack.State
	if err := json.Unmarshal(value, &state); err != nil {
		return nil, fmt.Errorf("read state of transaction: %w", err)
	}
	return &state, nil
}

func (s *Server) keepTransaction(ctx context.Context, key string, state thrivestack.State) error {
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode state of transaction: %w", err)
	}
	return wrap("keep state of transaction", s.Transactions.Put(ctx, key, value))
}

// stripes let one request at a time through for a key. Keys share stripes, which
// costs a wait now and then and needs no bookkeeping.
type stripes struct {
	seed  maphash.Seed
	locks [512]chan struct{}
}

func (s *stripes) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
}

func (s *stripes) of(key string) chan struct{} {
	return s.locks[maphash.String(s.seed, key)%uint64(len(s.locks))]
}

// lock waits for the key's turn; the error is the context's.
func (s *stripes) lock(ctx context.Context, key string) error {
	select {
	case s.of(key) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for an earlier request: %w", ctx.Err())
	}
}

func (s *stripes) unlock(key string) { <-s.of(key) }
