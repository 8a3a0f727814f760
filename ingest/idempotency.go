package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/ingest/stream"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotency-Replayed"
	// idempotencyKeyBytesMax is the length that Stripe allows.
	idempotencyKeyBytesMax = 255
)

// idempotencyKey reads the header of a POST, quoted (as the IETF draft has it) or
// bare. Other methods are idempotent by themselves.
func idempotencyKey(c *fiber.Ctx, method string) (string, error) {
	key := strings.TrimSpace(c.Get(headerIdempotencyKey))
	if key == "" || method != http.MethodPost {
		return "", nil
	}
	if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(key) > idempotencyKeyBytesMax || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", &failure{status: http.StatusBadRequest, code: "invalid_idempotency_key",
			detail: fmt.Sprintf("Idempotency-Key must have at most %d printable ASCII characters.", idempotencyKeyBytesMax)}
	}
	return key, nil
}

// kept is the stored answer to an Idempotency-Key.
type kept struct {
	Payload     string `json:"payload"` // SHA-256 of the body
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// once serves a request with an Idempotency-Key at most once: a repeat gets the
// first answer. Only answers of success are kept: what failed did nothing, and is
// tried again. If we die between the work and the keeping, the repeat is served,
// but to facts of the same identity, of which the first stand.
func (s *Server) once(ctx context.Context, r request, serve func(context.Context, request) (answer, error)) (answer, error) {
	if r.idempotencyKey == "" {
		return serve(ctx, r)
	}
	name := strings.Join([]string{r.workspace.ID, r.key.ID, r.door, r.idempotencyKey}, "|")
	if !s.running.add(name) {
		return answer{}, &failure{status: http.StatusConflict, code: "idempotency_key_in_use", retryAfter: s.cfg.RetryAfter,
			detail: "A request with this Idempotency-Key is being served."}
	}
	defer s.running.remove(name)

	digest := sha256.Sum256(r.body)
	payload := hex.EncodeToString(digest[:])
	first, found, err := s.keptAnswer(ctx, name)
	if err != nil {
		return answer{}, err
	}
	if found && first.Payload != payload {
		return answer{}, &failure{status: http.StatusUnprocessableEntity, code: "idempotency_key_reused",
			detail: "This Idempotency-Key was used with another payload."}
	}
	if found {
		return answer{status: first.Status, contentType: first.ContentType, body: []byte(first.Body), replayed: true}, nil
	}
	a, err := serve(ctx, r)
	if err != nil || a.status >= http.StatusMultipleChoices {
		return a, err
	}
	err = s.keep(ctx, name, kept{payload, a.status, a.contentType, cmp.Or(string(a.kept), string(a.body))})
	if errors.Is(err, stream.ErrTooLarge) {
		// The work is done and its facts have the identity that a repeat has: only
		// the very same answer cannot be promised.
		s.Log.Warn("answer not kept for its Idempotency-Key", zap.String("door", r.door), zap.Error(err))
		return a, nil
	}
	return a, err
}

func (s *Server) keptAnswer(ctx context.Context, name string) (first kept, found bool, err error) {
	value, found, err := s.Idempotency.GetLatest(ctx, name)
	if err != nil || !found {
		return kept{}, false, wrap("look up idempotency key", err)
	}
	if err := json.Unmarshal(value, &first); err != nil {
		return kept{}, false, fmt.Errorf("read kept answer: %w", err)
	}
	return first, true, nil
}

func (s *Server) keep(ctx context.Context, name string, first kept) error {
	value, err := json.Marshal(first)
	if err != nil {
		return fmt.Errorf("encode answer to keep: %w", err)
	}
	return wrap("keep answer", s.Idempotency.Put(ctx, name, value))
}

// wrap says what was being done, of an error.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// sweepBatchMax bounds what is dropped at once, so that nothing waits for long.
const sweepBatchMax = 10_000

// Sweep drops all answers older than IdempotencyTTL and returns how many. Several
// nodes may sweep: dropping twice is dropping once.
func (s *Server) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		dropped, err := s.Idempotency.Expire(ctx, s.Now().Add(-s.cfg.IdempotencyTTL), sweepBatchMax)
		total += dropped
		if err != nil || dropped < sweepBatchMax {
			return total, wrap("drop old idempotency keys", err)
		}
	}
}

// keySet is the set of keys being served by this process.
type keySet struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

// add reports whether the key was not there.
func (k *keySet) add(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.keys[key]; there {
		return false
	}
	if k.keys == nil {
		k.keys = map[string]struct{}{}
	}
	k.keys[key] = struct{}{}
	return true
}

func (k *keySet) remove(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, key)
}
