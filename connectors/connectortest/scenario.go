// Package connectortest is what every connector is held against: scenarios of
// signed deliveries with figures worked out by hand, golden statements, every
// order of arrival with repeats, the ways a delivery can fail to verify, and a
// fuzz test. It is for tests only.
package connectortest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// ReceivedAt is when the deliveries of scenarios are accepted: after everything
// that they tell of.
var ReceivedAt = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// APISetting is the setting by which connectors that fetch are told the base URL
// of the provider's API.
const APISetting = "api_url"

// Scenario is what happened to one customer: all deliveries of it that the provider
// sends, and the figures that it comes to. It is a file of testdata/scenarios, in
// which a member that is not known is a fault.
type Scenario struct {
	// Name is the file's, About says in a sentence what happens.
	Name  string `json:"-"`
	About string `json:"about"`
	// Settings are those of the endpoint, beside the kit's; Test says that it is for
	// test mode.
	Settings map[string]string `json:"settings,omitempty"`
	Test     bool              `json:"test,omitempty"`
	// Deliveries are in the order in which it happened. API is what the provider's
	// API answers, by path.
	Deliveries []Fixture                  `json:"deliveries,omitempty"`
	API        map[string]json.RawMessage `json:"api,omitempty"`

	// Calls are, of an API, what Deliveries are of a provider's webhooks. Currency is the
	// workspace's; empty is USD.
	Calls    []CallFixture `json:"calls,omitempty"`
	Currency string        `json:"currency,omitempty"`

	// Cash is the sum of the flows by kind of entry and currency ("renewal USD"), in
	// minor units, and Lifecycle counts the entries of the lifecycle kinds. Zeros may
	// be left out.
	Cash      map[string]int64 `json:"cash"`
	Lifecycle map[string]int64 `json:"lifecycle,omitempty"`
	// MRR is the monthly worth right before moments, and ListMRR what it is for those who
	// ignore discounts (revenue.Policy).
	MRR     []Worth `json:"mrr,omitempty"`
	ListMRR []Worth `json:"list_mrr,omitempty"`
}

// Worth is the monthly worth by currency right before a moment, in minor units with
// four decimals ("3000.0000").
type Worth struct {
	Before time.Time         `json:"before"`
	Worth  map[string]string `json:"worth"`
}

// Fixture is one delivery without its signature.
type Fixture struct {
	Header map[string]string `json:"header,omitempty"`
	// Body is the JSON that is delivered, byte by byte; Text is a body of another
	// kind, and Form one that is a form, of values that travel in base64.
	Body json.RawMessage   `json:"body,omitempty"`
	Text string            `json:"text,omitempty"`
	Form map[string]string `json:"form,omitempty"`
}

func (f Fixture) bytes() []byte {
	switch {
	case f.Text != "":
		return []byte(f.Text)
	case f.Form != nil:
		form := url.Values{}
		for name, value := range f.Form {
			form.Set(name, base64.StdEncoding.EncodeToString([]byte(value)))
		}
		return []byte(form.Encode())
	default:
		return slices.Clone([]byte(f.Body))
	}
}

// Load reads the scenarios of a provider's folder.
func Load(t testing.TB, folder string) []Scenario {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "testdata", "scenarios", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios in %s: %v", folder, err)
	}
	var scenarios []Scenario
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := Scenario{Name: strings.TrimSuffix(filepath.Base(path), ".json")}
		decoder := json.NewDecoder(file)
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&s)
		_ = file.Close()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if s.About == "" || len(s.Deliveries)+len(s.Calls) == 0 {
			t.Fatalf("%s tells nothing", path)
		}
		scenarios = append(scenarios, s)
	}
	return scenarios
}

// Deliveries are the scenario's deliveries to an endpoint of the connector, not
// signed. The provider's API is served until the test ends.
func (s Scenario) prepare(t testing.TB, connector connectors.Connector, settings map[string]string) []connectors.Delivery {
	t.Helper()
	given := map[string]string{}
	for _, from := range []map[string]string{settings, s.Settings} {
		for name, value := range from {
			given[name] = value
		}
	}
	if s.API != nil {
		given[APISetting] = s.serve(t)
	}
	settled, err := connector.Settle(given)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	deliveries := make([]connectors.Delivery, len(s.Deliveries))
	for i, fixture := range s.Deliveries {
		header := http.Header{}
		for name, value := range fixture.Header {
			header.Set(name, value)
		}
		deliveries[i] = connectors.Delivery{
			Workspace: "acme", Integration: "we_1", Account: "acct_1", Livemode: !s.Test,
			Settings: settled, Header: header, Body: fixture.bytes(), ReceivedAt: ReceivedAt, Answers: &connectors.Answers{},
		}
	}
	return deliveries
}

// serve answers as the provider's API, and returns its base URL.
func (s Scenario) serve(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		object, known := s.API[r.URL.RequestURI()]
		if !known {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(object)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Statements are what the deliveries of a scenario become, without verification.
func (s Scenario) Statements(t testing.TB, connector connectors.Connector, settings map[string]string) [][]revenue.Event {
	t.Helper()
	var statements [][]revenue.Event
	for i, delivery := range s.prepare(t, connector, settings) {
		items, err := connector.Decode(t.Context(), delivery)
		if err != nil {
			t.Fatalf("%s: delivery %d: %v", s.Name, i+1, err)
		}
		var events []revenue.Event
		for _, item := range items {
			events = append(events, item.Events...)
		}
		statements = append(statements, events)
	}
	return statements
}

// AnySettings are some that a connector takes: something for each that is
// required.
func AnySettings(connector connectors.Connector) map[string]string {
	settings := map[string]string{}
	for _, s := range connector.Settings {
		if s.Required {
			settings[s.Name] = "any"
		}
	}
	return settings
}
