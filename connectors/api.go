package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"revstream/ingest/revenue"
)

// API is all that revstream knows of one API that senders call themselves, as Connector
// is of a provider's webhooks. A key of the workspace says who calls, which the server
// judges before anything is read, so there is nothing to verify; and a caller hears in the
// words of the contract what became of the call. Each API's package makes one, and package
// registry names it.
type API struct {
	// Provider is that of the statements, and Title its spelling for people.
	Provider, Title string
	// Operations are what may be asked for.
	Operations []Operation
	// Prefixes are those of paths that belong to the contract without an operation: what
	// is not found there is refused in its words too.
	Prefixes []string
	// Refuse writes a refusal in the words of the contract.
	Refuse func(Refusal) Answer
	// KeyIn finds the API key in a body, for a contract that has it there; it is empty if
	// there is none. Nil: only headers carry it.
	KeyIn func(body []byte) string
}

// Owns reports whether a path, in lower case, belongs to the contract.
func (a API) Owns(path string) bool {
	return slices.ContainsFunc(a.Prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) ||
		slices.ContainsFunc(a.Operations, func(o Operation) bool { return slices.Contains(o.Paths, path) })
}

// Operation is one thing that callers of an API may ask for.
type Operation struct {
	// Name is for counters, and part of the identity of records without an id: for good.
	Name string
	// Method and Paths are where it is; paths are in lower case.
	Method string
	Paths  []string
	// Decode reads a call: what it says goes into the reading. Beside the call it knows
	// what the call's host tells. The error is an *InvalidError or a *Refusal if nothing
	// of the call is accepted; any other is temporary or a fault of ours. A record of
	// several that is at fault is an item with that error, and the others are accepted.
	Decode func(context.Context, Call, *Reading) error
}

// Call is one request to an API, by a key that may write.
type Call struct {
	// Workspace is the key's, and Alias another name by which the caller may call it.
	Workspace, Alias string
	// Integration is the id of the API key.
	Integration string
	// Currency is that of amounts without one.
	Currency string
	// Key is the API key as the headers carried it; empty if only the body did.
	Key string
	// Body is valid until the call is answered: what is kept of it has to be copied.
	Body        []byte
	ContentType string
	// ReceivedAt is when the call was accepted, UTC: later than any before it.
	ReceivedAt time.Time
	// RecordsMax is how many records a call may have.
	RecordsMax int
	// Host is who accepts it.
	Host Host
}

// Host is what accepts a call: it knows what was said in earlier ones, as a function of
// the body alone cannot. The server is one, over Kafka, and connectortest.Host one in
// memory. Errors are temporary.
type Host interface {
	// Identity is the id and version of the record at an index of the call, if the sender
	// gives it none: a retry of the same call, as far as that can be told, names the same
	// fact, and the first statement stands.
	Identity(index int) (id string, version int64)
	// NextVersion is greater than any before it, and orders what this process accepts.
	NextVersion() int64
	// FirstAccepted is when an event was first accepted, if this call says the same of it
	// as the last one did, and else when this call is. Only what was said of late is
	// remembered.
	FirstAccepted(id string, content []byte) time.Time
	// Registered finds what was registered under a name. If nothing is here, the first
	// question of a call waits for what is on its way, unless something is registered
	// under the name that would do instead; its ID may be empty.
	Registered(ctx context.Context, name, instead Name) (value []byte, found bool, err error)
	// Hold finds the state of a thing, as whoever accepted the last change of it left it.
	// Until this call is answered, no other of this process holds it. A call holds one
	// thing.
	Hold(ctx context.Context, name Name) (state []byte, found bool, err error)
	// Place sees to it that each fact is in one group, for an API whose senders may state
	// it anew in another. Items with a statement that cannot be accepted are refused. Statements are then what is to be published:
	// what says something still, and what takes facts back where they are no longer.
	// Until the call is answered, no other of this process has the facts.
	Place(ctx context.Context, reading *Reading) error
}

// Misplaced is an error of revenue.Placement in the words for callers.
func Misplaced(err error) *InvalidError {
	if errors.Is(err, revenue.ErrMovedTooOften) {
		return &InvalidError{Field: "group", Code: "moved_too_often", Detail: "The fact has been in too many groups: delete it, and give it another object_id."}
	}
	return &InvalidError{Field: "version", Code: "version_taken", Detail: "A statement of this version has the fact in another group. A correction has a higher version."}
}

// Name is what something is kept under within its workspace.
type Name struct {
	// Kind may be empty, if an API keeps but one.
	Kind, ID string
}

// Entry is something to keep.
type Entry struct {
	Name  Name
	Value []byte
}

// Reading is what a call says, and what has to be durable before it is answered. It can be
// used again after a Reset.
type Reading struct {
	// Items are the records, in the order of the body, and Statements those of all items,
	// one after the other, unless Host.Place has seen to them.
	Items      []Item
	Statements []revenue.Event
	// Register is to be found later, by Host.Registered. It is kept in steps: what is in
	// one is there before the next begins.
	Register [][]Entry
	// Before and After are states of what is held, kept before the statements are
	// published or after: whichever leaves what a retry mends if we die in between.
	Before, After []Entry
	// Answer is what the caller is told when all of that is durable.
	Answer Answer
}

// Grow makes room for so many records of one statement each.
func (r *Reading) Grow(records int) {
	r.Items = slices.Grow(r.Items, records)
	r.Statements = slices.Grow(r.Statements, records)
}

// Accept adds a record with its statements.
func (r *Reading) Accept(id, kind string, statements ...revenue.Event) {
	from := len(r.Statements)
	r.Statements = append(r.Statements, statements...)
	r.Items = append(r.Items, Item{ID: id, Type: kind, Events: r.Statements[from:len(r.Statements):len(r.Statements)]})
}

// Refuse adds a record at fault.
func (r *Reading) Refuse(fault *InvalidError) { r.Items = append(r.Items, Item{Err: fault}) }

// Refused counts the records at fault.
func (r *Reading) Refused() (count int) {
	for i := range r.Items {
		if r.Items[i].Err != nil {
			count++
		}
	}
	return count
}

// Reset empties the reading, and keeps its memory: a statement is a kilobyte, and a call
// may have a thousand.
func (r *Reading) Reset() {
	clear(r.Items) // lets go of the texts
	clear(r.Statements)
	*r = Reading{Items: r.Items[:0], Statements: r.Statements[:0]}
}

// Refusal is why a call is not served, before a contract has put it into words.
type Refusal struct {
	// Status is that of HTTP.
	Status int
	// Code, Detail and Field are as in an InvalidError.
	Code, Detail, Field string
}

// Error names the code and the detail.
func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

// Sentence is the detail as a sentence, for contracts that have no member for the field.
func (r *Refusal) Sentence() string { return sentence(r.Field, r.Detail) }

// RefusalOf is what a caller hears of an error of Decode; nil if that is not the caller's
// fault.
func RefusalOf(err error) *Refusal {
	var refusal *Refusal
	var invalid *InvalidError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &invalid):
		status := http.StatusBadRequest
		if strings.HasPrefix(invalid.Code, "too_many_") {
			status = http.StatusRequestEntityTooLarge
		}
		return &Refusal{Status: status, Code: invalid.Code, Detail: invalid.Detail, Field: invalid.Field}
	default:
		return nil
	}
}

// JSONAnswer is an answer with a JSON body, of a type that cannot fail to encode.
func JSONAnswer(status int, body any) Answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("encode answer: %v", err)) // a programmer's error
	}
	return Answer{Status: status, ContentType: "application/json", Body: string(text)}
}

// NotFound refuses what is not there.
func NotFound(detail string) *Refusal {
	return &Refusal{Status: http.StatusNotFound, Code: "not_found", Detail: detail}
}

// Unauthorized refuses a caller whose key is not a good one.
func Unauthorized() *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "The API key is missing, unknown or revoked."}
}
