package registry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/connectors/paddle"
	"revstream/connectors/registry"
	"revstream/connectors/stripe"
	"revstream/ingest/revenue"
)

func all(t *testing.T) []connectors.Connector {
	t.Helper()
	return registry.New(stripe.DefaultConfig(), nil)
}

// TestConnectorsAreComplete holds each connector against what the rest of the
// system takes for granted.
func TestConnectorsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	seen := map[string]bool{}
	for _, c := range all(t) {
		if !name.MatchString(c.Provider) || seen[c.Provider] {
			t.Errorf("provider %q is no name, or has two connectors", c.Provider)
		}
		seen[c.Provider] = true
		for _, setting := range c.Settings {
			if strings.Contains(setting.Name, "url") && !setting.Outbound {
				t.Errorf("%s: tenants may set %s, and our requests go there", c.Provider, setting.Name)
			}
		}
		if c.Title == "" || c.Secret == "" || c.Verify == nil || c.Decode == nil {
			t.Errorf("%s: title, secret, Verify and Decode are needed", c.Provider)
		}
		var required []string
		for _, s := range c.Settings {
			if !name.MatchString(s.Name) || s.About == "" {
				t.Errorf("%s: setting %q needs a name in snake case and a sentence", c.Provider, s.Name)
			}
			if s.Default != "" && s.Check != nil && s.Check(s.Default) != nil {
				t.Errorf("%s: the default of %s is not valid: %v", c.Provider, s.Name, s.Check(s.Default))
			}
			if s.Required {
				required = append(required, s.Name)
			}
		}
		_, err := c.Settle(map[string]string{"no_such_setting": "x"})
		for _, wanted := range append(required, "no_such_setting") {
			if err == nil || !strings.Contains(err.Error(), wanted) {
				t.Errorf("%s: %s is not named in %v", c.Provider, wanted, err)
			}
		}
	}
}

// TestEveryFolderIsRegistered finds providers that were written and forgotten, and
// such as do not use the tests of all.
func TestEveryFolderIsRegistered(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("..", "*", "testdata", "scenarios"))
	if err != nil || len(folders) < 2 {
		t.Fatalf("%d folders with scenarios, %v", len(folders), err)
	}
	for _, folder := range folders {
		provider := filepath.Base(filepath.Dir(filepath.Dir(folder)))
		if !slices.ContainsFunc(all(t), func(c connectors.Connector) bool { return c.Provider == provider }) {
			t.Errorf("connectors/%s is not registered", provider)
		}
		tests := ""
		paths, _ := filepath.Glob(filepath.Join("..", provider, "*_test.go"))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tests += string(text)
		}
		if !strings.Contains(tests, "func FuzzDecode(") || !strings.Contains(tests, ".Run(t)") {
			t.Errorf("connectors/%s does not run connectortest.Kit, or has no FuzzDecode", provider)
		}
	}
}

// providersLeast is how many the table has; the page's own example is not in it.
const providersLeast = 13

// TestTheTableIsRight holds the table of README.md against the connectors and what their
// scenarios book.
func TestTheTableIsRight(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z]+) \| .+ \| (\d+) \| (\d+) \| .+ \|$`).FindAllStringSubmatch(string(text), -1) {
		rows[row[1]] = row[2:]
	}
	held := 0
	for _, c := range all(t) {
		types, scenarios := booked(t, c.Provider)
		row, listed := rows[c.Provider]
		if want := []string{strconv.Itoa(types), strconv.Itoa(scenarios)}; listed && !slices.Equal(row, want) {
			t.Errorf("%s: types and scenarios are %v, the table has %v", c.Provider, want, row)
		}
		if listed {
			held++
		}
		delete(rows, c.Provider)
	}
	if len(rows) > 0 {
		t.Errorf("the table has %v, which are not registered", rows)
	}
	if held < providersLeast {
		t.Errorf("the table has %d providers", held)
	}
}

// booked counts the scenarios of a provider, and the types of events that they book.
func booked(t *testing.T, provider string) (types, scenarios int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", provider, "testdata", "golden", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var deliveries [][]struct {
			Type    string
			Outcome connectors.Outcome
		}
		if err := json.Unmarshal(text, &deliveries); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, item := range slices.Concat(deliveries...) {
			if item.Outcome == connectors.OutcomeBooked {
				seen[item.Type] = true
			}
		}
	}
	return len(seen), len(paths)
}

// TestAnyOrderOfAllProviders lets the deliveries of all scenarios of all providers, and
// what the direct APIs accepted, arrive together, in any order and repeatedly: what is
// believed in the end is always the same.
func TestAnyOrderOfAllProviders(t *testing.T) {
	var statements [][]revenue.Event
	for _, c := range all(t) {
		for i, scenario := range connectortest.Load(t, filepath.Join("..", c.Provider)) {
			for _, events := range scenario.Statements(t, c, connectortest.AnySettings(c)) {
				for j := range events { // scenarios tell of the same customers
					events[j].Group = scenario.Name + string(rune('a'+i)) + events[j].Group
				}
				statements = append(statements, events)
			}
		}
	}
	names := []string{paddle.Provider, stripe.Provider}
	for provider, life := range direct(t) {
		statements, names = append(statements, life...), append(names, provider)
	}
	inOrder := make([]int, len(statements))
	for i := range inOrder {
		inOrder[i] = i
	}
	_, first := connectortest.Arrive(statements, inOrder)
	for _, provider := range names {
		if !strings.Contains(first, "Provider:"+provider) {
			t.Fatalf("nothing of %s is believed", provider)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		order := connectortest.Orders(len(statements)).Draw(r, "arrivals")
		if _, believed := connectortest.Arrive(statements, order); believed != first {
			r.Fatalf("order %v is believed otherwise", order)
		}
	})
}
