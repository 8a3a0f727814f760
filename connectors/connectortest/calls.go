package connectortest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// CallFixture is one call of an API.
type CallFixture struct {
	// Operation is the name of what is asked for.
	Operation string `json:"operation"`
	// IdempotencyKey is that of the header, and Key the API key of the headers, which
	// nobody checks here.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	Key            string `json:"key,omitempty"`
	Fixture
}

// APIKit holds an API against what is asked of all, as Kit does a provider's webhooks.
type APIKit struct {
	API connectors.API
	// OwnIdentity says that senders name provider and versions themselves.
	OwnIdentity bool
	// Encode and Decode are those of the statements in Kafka.
	Encode func([]byte, *revenue.Event) ([]byte, error)
	Decode func([]byte) (revenue.Event, error)
}

// Run runs the scenarios of the package under test.
func (k APIKit) Run(t *testing.T) {
	asked := map[string]bool{}
	for _, scenario := range Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			calls, statements := k.call(t, scenario)
			compareGolden(t, scenario.Name, calls)
			scenario.checkOrders(t, statements)
		})
		for _, call := range scenario.Calls {
			asked[call.Operation] = true
		}
	}
	for _, operation := range k.API.Operations {
		if !asked[operation.Name] {
			t.Errorf("no scenario asks for %s", operation.Name)
		}
	}
	k.runRefusals(t)
}

// runRefusals holds the words for what any call may be told.
func (k APIKit) runRefusals(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		answer := k.API.Refuse(connectors.Refusal{Status: status, Code: "code", Detail: "must be told", Field: "member"})
		if answer.Status/100 != status/100 || answer.ContentType == "" || !json.Valid([]byte(answer.Body)) {
			t.Errorf("refused with %d: %+v", status, answer)
		}
	}
}

// goldenCall is a call in a golden file: what is answered, what is kept, which later
// versions have to read, and what it says.
type goldenCall struct {
	Operation  string          `json:"operation"`
	Status     int             `json:"status"`
	Answer     json.RawMessage `json:"answer"`
	Registered [][]goldenEntry `json:"registered,omitempty"`
	KeptBefore []goldenEntry   `json:"kept_before,omitempty"`
	KeptAfter  []goldenEntry   `json:"kept_after,omitempty"`
	Items      []goldenItem    `json:"items,omitempty"`
	// Published is shown if it is not what the items say.
	Published []revenue.Event `json:"published,omitzero"`
}

type goldenEntry struct {
	Kind  string          `json:"kind,omitempty"`
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

func goldenEntries(entries []connectors.Entry) (shown []goldenEntry) {
	for _, entry := range entries {
		shown = append(shown, goldenEntry{entry.Name.Kind, entry.Name.ID, entry.Value})
	}
	return shown
}

// call makes the calls of a scenario, one after the other.
func (k APIKit) call(t testing.TB, s Scenario) (calls []goldenCall, statements [][]revenue.Event) {
	t.Helper()
	host := NewHost()
	for i, fixture := range s.Calls {
		operation := operationOf(t, k.API, fixture.Operation)
		reading, err := host.Accept(t.Context(), operation, fixture.IdempotencyKey, s.prepareCall(fixture))
		if err != nil {
			refusal := connectors.RefusalOf(err)
			if refusal == nil {
				t.Fatalf("%s: call %d: %v", s.Name, i+1, err)
			}
			answer := k.API.Refuse(*refusal)
			calls = append(calls, goldenCall{Operation: operation.Name, Status: answer.Status, Answer: json.RawMessage(answer.Body)})
			statements = append(statements, nil)
			continue
		}
		shown := goldenCall{Operation: operation.Name, Status: reading.Answer.Status, Answer: json.RawMessage(reading.Answer.Body),
			KeptBefore: goldenEntries(reading.Before), KeptAfter: goldenEntries(reading.After)}
		for _, step := range reading.Register {
			shown.Registered = append(shown.Registered, goldenEntries(step))
		}
		var said []revenue.Event
		for _, item := range reading.Items {
			k.origin(host).checkItem(t, item)
			outcome := item.Outcome()
			if item.Err != nil {
				outcome = connectors.OutcomeRefused
			}
			shown.Items = append(shown.Items, golden(item, outcome))
			said = append(said, item.Events...)
		}
		if !slices.EqualFunc(said, reading.Statements, func(a, b revenue.Event) bool { return a.Digest() == b.Digest() }) {
			shown.Published = reading.Statements
		}
		calls, statements = append(calls, shown), append(statements, reading.Statements)
	}
	return calls, statements
}

func (s Scenario) prepareCall(fixture CallFixture) connectors.Call {
	return connectors.Call{Currency: s.Currency, Key: fixture.Key, Body: fixture.bytes(), ContentType: fixture.Header["Content-Type"]}
}

func operationOf(t testing.TB, api connectors.API, name string) connectors.Operation {
	t.Helper()
	at := slices.IndexFunc(api.Operations, func(o connectors.Operation) bool { return o.Name == name })
	if at < 0 {
		t.Fatalf("%s has no operation %q", api.Provider, name)
	}
	return api.Operations[at]
}

// CallStatements are what the calls of a scenario state, call by call.
func (s Scenario) CallStatements(t testing.TB, api connectors.API) [][]revenue.Event {
	t.Helper()
	_, statements := APIKit{API: api, OwnIdentity: true}.call(t, s)
	return statements
}

func (k APIKit) origin(h *Host) origin {
	o := origin{k.API.Provider, "acme", "key_1", ReceivedAt, h.now()}
	if k.OwnIdentity {
		o.provider = ""
	}
	return o
}

// Fuzz makes two calls with whatever comes, after those of all scenarios, and checks that
// each is refused, or becomes what the rest of the system can take, twice the same.
func (k APIKit) Fuzz(f *testing.F) {
	before := NewHost()
	for _, scenario := range Load(f, ".") {
		var last []byte
		for _, fixture := range scenario.Calls {
			operation := operationOf(f, k.API, fixture.Operation)
			at := slices.IndexFunc(k.API.Operations, func(o connectors.Operation) bool { return o.Name == fixture.Operation })
			if _, err := before.Accept(f.Context(), operation, fixture.IdempotencyKey, scenario.prepareCall(fixture)); connectors.RefusalOf(err) == nil && err != nil {
				f.Fatal(err)
			}
			f.Add(last, fixture.bytes(), uint8(at), uint8(at))
			last = fixture.bytes()
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, a, b uint8) {
		host, again := before.clone(), before.clone()
		k.fuzzOne(t, host, again, a, first)
		k.fuzzOne(t, host, again, b, second)
	})
}

func (k APIKit) fuzzOne(t *testing.T, host, other *Host, at uint8, body []byte) {
	operation := k.API.Operations[int(at)%len(k.API.Operations)]
	call := connectors.Call{Body: body}
	if at >= 128 {
		call.ContentType = "application/x-ndjson"
	}
	reading, err := host.Accept(t.Context(), operation, "", call)
	again, secondErr := other.Accept(t.Context(), operation, "", call)
	if !reflect.DeepEqual(reading, again) || !reflect.DeepEqual(err, secondErr) {
		t.Fatalf("read differently the second time: %v, %v", err, secondErr)
	}
	if err != nil {
		if connectors.RefusalOf(err) == nil {
			t.Fatalf("neither accepted nor refused: %v", err)
		}
		return
	}
	if !json.Valid([]byte(reading.Answer.Body)) {
		t.Errorf("answer %+v", reading.Answer)
	}
	for _, item := range reading.Items {
		k.origin(host).checkItem(t, item)
	}
	for i := range reading.Statements {
		k.checkEncoding(t, &reading.Statements[i])
	}
	revenue.Ledger(reading.Statements)
}

// checkEncoding checks that a statement that was accepted can be stored as it is.
func (k APIKit) checkEncoding(t *testing.T, e *revenue.Event) {
	text, err := k.Encode(nil, e)
	if err != nil {
		t.Fatalf("%+v was accepted and cannot be encoded: %v", e, err)
	}
	if decoded, err := k.Decode(text); err != nil || decoded.Digest() != e.Digest() {
		t.Fatalf("%s comes back changed: %v", text, err)
	}
}
