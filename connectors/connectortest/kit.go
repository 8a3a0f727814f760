package connectortest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Kit holds a connector against what is asked of all.
type Kit struct {
	Connector connectors.Connector
	// Secret verifies what Sign signed with it, Other is one of the same form.
	Secret, Other string
	// Sign puts on a delivery what the provider would at a moment. It must cope with
	// any body.
	Sign func(delivery *connectors.Delivery, secret string, at time.Time)
	// Timed says that the signature covers its time, Bodiless that it does not cover
	// the body (a password in a header).
	Timed, Bodiless bool
	// Settings are what every endpoint of the tests is told.
	Settings map[string]string
}

// Run runs the scenarios of the package under test, and what can be wrong with
// their signatures.
func (k Kit) Run(t *testing.T) {
	for _, scenario := range Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			statements := k.receiveAll(t, scenario)
			scenario.checkOrders(t, statements)
		})
	}
	k.runSignatures(t)
}

// goldenItem is an item in a golden file.
type goldenItem struct {
	ID         string             `json:"id,omitempty"`
	Type       string             `json:"type,omitempty"`
	Outcome    connectors.Outcome `json:"outcome"`
	Error      string             `json:"error,omitempty"`
	Statements []revenue.Event    `json:"statements,omitempty"`
}

func golden(item connectors.Item, outcome connectors.Outcome) goldenItem {
	shown := goldenItem{ID: item.ID, Type: item.Type, Outcome: outcome, Statements: item.Events}
	if item.Err != nil {
		shown.Error = item.Err.Error()
	}
	return shown
}

// receiveAll receives the signed deliveries of a scenario and compares what they
// become with its golden file.
func (k Kit) receiveAll(t *testing.T, scenario Scenario) [][]revenue.Event {
	t.Helper()
	var all [][]goldenItem
	var statements [][]revenue.Event
	for i, delivery := range scenario.prepare(t, k.Connector, k.Settings) {
		k.sign(&delivery, k.Secret, ReceivedAt)
		_, items, err := k.Connector.Receive(t.Context(), delivery)
		if err != nil {
			t.Fatalf("delivery %d: %v", i+1, err)
		}
		k.checkAnswers(t, scenario, delivery, items)
		received, events := []goldenItem{}, []revenue.Event{}
		for _, item := range items {
			k.origin(delivery).checkItem(t, item)
			received, events = append(received, golden(item, item.Outcome())), append(events, item.Events...)
		}
		all, statements = append(all, received), append(statements, events)
	}
	compareGolden(t, scenario.Name, all)
	return statements
}

// checkAnswers checks that a delivery says the same when it is read again with the answers
// that were kept, whatever the API says by then: here, that it has nothing; and no less once
// its endpoint is revoked, which forgets the key, without saying that it lacks something.
func (k Kit) checkAnswers(t *testing.T, scenario Scenario, delivery connectors.Delivery, items []connectors.Item) {
	t.Helper()
	if scenario.API == nil {
		return
	}
	text, err := json.Marshal(delivery.Answers.Kept())
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	delivery.Settings = maps.Clone(delivery.Settings)
	delivery.Settings[APISetting] = Scenario{}.serve(t)
	delivery.Answers = connectors.NewAnswers(kept)
	again, err := k.Connector.Decode(t.Context(), delivery)
	if err != nil || !reflect.DeepEqual(again, items) {
		t.Errorf("read again %+v, %v; before %+v", again, err, items)
	}
	for _, setting := range k.Connector.Settings {
		if setting.Secret && !setting.Required {
			delivery.Settings[setting.Name] = setting.Default
		}
	}
	delivery.Answers = connectors.NewAnswers(kept)
	again, err = k.Connector.Decode(t.Context(), delivery)
	for i := range again {
		if again[i].Lacks == nil && !reflect.DeepEqual(again[i].Events, items[i].Events) {
			t.Errorf("read without its key %+v; before %+v", again[i], items[i])
		}
	}
	if err != nil || len(again) != len(items) {
		t.Errorf("read without its key: %d items, %v", len(again), err)
	}
}

// sign makes the delivery one that verifies with the secret.
func (k Kit) sign(delivery *connectors.Delivery, secret string, at time.Time) {
	delivery.Header = delivery.Header.Clone()
	if delivery.Header == nil {
		delivery.Header = http.Header{}
	}
	delivery.Secrets = []string{k.Secret}
	k.Sign(delivery, secret, at)
}

func compareGolden(t *testing.T, name string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(want, text) {
		t.Errorf("%s differs from what the deliveries become; see go test -update and git diff. Got:\n%s", path, text)
	}
}

// origin is what statements have of whoever took them in.
type origin struct {
	// provider is empty if senders name it, and versions, themselves.
	provider, workspace, integration string
	// since and until bound when they were received.
	since, until time.Time
}

func (k Kit) origin(delivery connectors.Delivery) origin {
	return origin{k.Connector.Provider, delivery.Workspace, delivery.Integration, delivery.ReceivedAt, delivery.ReceivedAt}
}

// checkItem checks that the rest of the system can take an item.
func (o origin) checkItem(t testing.TB, item connectors.Item) {
	t.Helper()
	if item.Err != nil && len(item.Events) > 0 {
		t.Errorf("%d statements beside %v", len(item.Events), item.Err)
	}
	if item.Err != nil && !errors.Is(item.Err, connectors.ErrMalformed) && !errors.Is(item.Err, connectors.ErrBadSignature) {
		t.Errorf("an item's error is neither malformed nor a bad signature: %v", item.Err)
	}
	for i := range item.Events {
		o.checkStatement(t, &item.Events[i])
	}
}

func (o origin) checkStatement(t testing.TB, e *revenue.Event) {
	t.Helper()
	if e.Workspace != o.workspace || (o.provider != "" && e.Provider != o.provider) || e.ObjectID == "" ||
		!slices.Contains(revenue.Kinds, e.Kind) || e.Group == "" || strings.HasSuffix(e.Group, "|") {
		t.Errorf("identity: %+v", e)
	}
	if e.Delivery.Integration != o.integration {
		t.Errorf("came in by %q: %+v", e.Delivery.Integration, e)
	}
	for part, amount := range []int64{e.Amount, e.Tax, e.Fee, e.Discount} {
		if part == 0 && e.Kind == revenue.KindFee {
			amount = max(amount, -amount) // it may be given back
		}
		if amount < 0 || amount > revenue.AmountMax {
			t.Errorf("amount %d of %+v", amount, e)
		}
	}
	if _, known := revenue.Exponent(e.Currency); !known && (e.Amount != 0 || e.MRR != 0) {
		t.Errorf("currency %q", e.Currency)
	}
	if e.Version < 0 && o.provider != "" {
		t.Errorf("version %d of %s", e.Version, e.FactID())
	}
	if e.OccurredAt.Before(connectors.OccurredMin()) || e.OccurredAt.Location() != time.UTC ||
		e.ReceivedAt.Before(o.since) || e.ReceivedAt.After(o.until) {
		t.Errorf("times of %+v", e)
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}

// Fuzz signs whatever comes, and checks that it becomes what the rest of the
// system can take, twice the same. A connector that fetches gets the second text
// from the provider's API, whatever it asks for.
func (k Kit) Fuzz(f *testing.F) {
	scenarios := Load(f, ".")
	for _, scenario := range scenarios {
		objects := slices.Collect(maps.Values(scenario.API))
		for _, fixture := range scenario.Deliveries {
			body := fixture.bytes()
			if len(objects) == 0 {
				f.Add(body, []byte("{}"))
			}
			for _, object := range objects {
				f.Add(body, []byte(object))
			}
		}
	}
	fetches := slices.ContainsFunc(k.Connector.Settings, func(s connectors.Setting) bool { return s.Name == APISetting })
	template := scenarios[0]
	f.Fuzz(func(t *testing.T, body, object []byte) {
		k.fuzzOne(t, template, body, object, fetches)
	})
}

func (k Kit) fuzzOne(t *testing.T, template Scenario, body, object []byte, fetches bool) {
	template.API = nil
	settings := maps.Clone(k.Settings)
	if fetches {
		if settings == nil {
			settings = map[string]string{}
		}
		settings[APISetting] = serveAlways(t, object)
	}
	delivery := template.prepare(t, k.Connector, settings)[0]
	delivery.Body = body
	k.sign(&delivery, k.Secret, ReceivedAt)
	_, items, err := k.Connector.Receive(t.Context(), delivery)
	if err != nil {
		// A provider that signs within the body cannot sign just any, and what was
		// fetched may say that it has to be fetched again.
		return
	}
	_, again, err := k.Connector.Receive(t.Context(), delivery)
	if err != nil || !reflect.DeepEqual(items, again) {
		t.Fatalf("read differently the second time: %v", err)
	}
	var events []revenue.Event
	for _, item := range items {
		k.origin(delivery).checkItem(t, item)
		events = append(events, item.Events...)
	}
	revenue.Ledger(events)
}
