package stripe

import (
	"slices"
	"testing"

	"revstream/connectors/connectortest"
)

// TestAKeyCompletesTheSameFacts: an endpoint is given a key, and Stripe sends again what it
// sent before, or a backfill reads it. What is then known stands above what was not, whichever
// comes first, and beside nothing.
func TestAKeyCompletesTheSameFacts(t *testing.T) {
	connector := New(DefaultConfig(), nil)
	for _, name := range []string{"api_items", "api_tiers"} {
		scenarios := connectortest.Load(t, ".")
		s := scenarios[slices.IndexFunc(scenarios, func(s connectortest.Scenario) bool { return s.Name == name })]
		known := s.Statements(t, connector, nil)
		s.Settings, s.API = nil, nil
		for i, unknown := range s.Statements(t, connector, nil) {
			if len(unknown) == 0 || len(unknown) != len(known[i]) {
				t.Fatalf("%s: %d statements without a key, %d with one", name, len(unknown), len(known[i]))
			}
			for j, without := range unknown {
				with := known[i][j]
				if with.ObjectID != without.ObjectID || with.FactID() != without.FactID() || !without.Deleted && with.Version <= without.Version {
					t.Errorf("%s: with a key %s at version %d, without one %s at %d", name, with.ObjectID, with.Version, without.ObjectID, without.Version)
				}
			}
		}
	}
}
