package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"time"

	"revstream/connectors"
)

// host is the connectors.Host of one request.
type host struct {
	server  *Server
	request request
	// caughtUp says that everything registered before the request has been read.
	caughtUp bool
	held     string // key of the table; empty if nothing is
	placed   func() // lets go of the facts that are; nil if there are none
}

// Identity is the id and version of a record whose source has no id: of the
// Idempotency-Key and the record's place in the request, so that a repeat names
// the same fact and the first statement stands; else made up once, beginning with
// the time, so that neighbours in time are neighbours in the store.
func (h *host) Identity(index int) (id string, v int64) {
	r := &h.request
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

// NextVersion is of the clock, which gives no time twice.
func (h *host) NextVersion() int64 { return version(h.server.clock.next()) }

// sighting is an event that came in of late.
type sighting struct {
	digest [sha256.Size]byte
	at     time.Time
}

// FirstAccepted knows the events that this process remembers.
func (h *host) FirstAccepted(id string, content []byte) time.Time {
	id = h.request.workspace.ID + "|" + id
	now := sighting{sha256.Sum256(content), h.request.receivedAt}
	if first, found := h.server.sightings.Get(id); found && first.digest == now.digest {
		return first.at
	}
	h.server.sightings.Add(id, now)
	return now.at
}

// Registered finds at once what this node has read already. The first miss waits until
// everything acknowledged before it has been read, for the registration may still be on
// its way to this node; from then on a miss of the same request is a miss.
func (h *host) Registered(ctx context.Context, name, instead connectors.Name) ([]byte, bool, error) {
	workspace, table := h.request.workspace.ID, h.server.Messages
	key := tableKey(workspace, name)
	value, found, err := table.Get(key)
	if err == nil && !found && !h.caughtUp && !h.isHere(instead) {
		value, found, err = table.GetLatest(ctx, key)
		h.caughtUp = err == nil
	}
	h.server.metrics.lookup(found)
	return value, found, err
}

// isHere reports whether this node knows something under the name.
func (h *host) isHere(name connectors.Name) bool {
	if name.ID == "" {
		return false
	}
	// An error of the disk is met again, and reported, by the lookup that follows.
	_, found, err := h.server.Messages.Get(tableKey(h.request.workspace.ID, name))
	return err == nil && found
}

// Hold keeps other requests of this process from the thing until release, and reads its
// state as whichever node accepted it has left it.
func (h *host) Hold(ctx context.Context, name connectors.Name) ([]byte, bool, error) {
	if h.held != "" {
		return nil, false, errors.New("a call holds one thing")
	}
	key := tableKey(h.request.workspace.ID, name)
	if err := h.server.stripes.lock(ctx, key); err != nil {
		return nil, false, err
	}
	h.held = key
	value, found, err := h.server.Transactions.GetLatest(ctx, key)
	return value, found, wrap("look up state", err)
}

// Place asks for the facts of all items at once: see Server.place.
func (h *host) Place(ctx context.Context, reading *connectors.Reading) (err error) {
	facts := make([]string, 0, len(reading.Statements))
	of := make([]int, 0, len(reading.Statements)) // item of each statement
	for i := range reading.Items {
		item := &reading.Items[i]
		for j := range item.Events {
			facts, of = append(facts, item.Events[j].FactID()), append(of, i)
		}
		item.Events = nil
	}
	statements, release, err := h.server.place(ctx, reading.Statements, facts, func(i int, fault *connectors.InvalidError) {
		reading.Items[of[i]] = connectors.Item{Err: fault}
	})
	if err != nil {
		return err
	}
	reading.Statements, h.placed = statements, release
	return nil
}

// release lets others have what the request held.
func (h *host) release() {
	if h.placed != nil {
		h.placed()
	}
	if h.held != "" {
		h.server.stripes.unlock(h.held)
	}
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
