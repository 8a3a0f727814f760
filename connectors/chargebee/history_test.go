package chargebee

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

func pastOf(t *testing.T, scenario connectortest.Scenario, heard time.Time) connectors.Past {
	t.Helper()
	settings := map[string]string{keySetting: connectortest.ChargebeeKey}
	maps.Copy(settings, scenario.Settings)
	return connectortest.Past(t, New(), connectortest.ChargebeeAPI(t, scenario.Bodies(t), 2), settings, !scenario.Test, heard)
}

func isEvents(stream connectors.Stream) bool { return stream.KeptFor > 0 }

// One that names no customer, and an amount that is none, cannot be read by an event
// either.
func isUnreadable(err error) bool {
	return strings.Contains(err.Error(), "customer.id") || strings.Contains(err.Error(), "whole number of minor units")
}

// Whatever deliveries were lost, a backfill brings back what they said, to the last
// entry where events are still there, and the money where only the objects are; and one
// without a loss changes nothing.
func TestOutageAndBackfill(t *testing.T) {
	connector := New()
	for _, scenario := range connectortest.Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			past := pastOf(t, scenario, time.Unix(0, 0))
			heard := scenario.Statements(t, connector, nil)
			connectortest.Lost(t, heard, connectortest.ReadPast(t, connector, past, isEvents, isUnreadable), connectortest.Believed)
			listed := connectortest.ReadPast(t, connector, past, func(s connectors.Stream) bool { return !isEvents(s) }, isUnreadable)
			connectortest.Lost(t, heard, listed, connectortest.Totals)
			connectortest.CheckTotals(t, connector, past, heard, isUnreadable)
		})
	}
}

// What was before anybody told of it is presumed from what is now, and marked.
func TestYearsBefore(t *testing.T) {
	connector := New()
	for name, want := range map[string]map[revenue.Status]string{
		"signup_and_renewal": {revenue.StatusActive: "2026-01-01T00:00:00Z"},
		"trial_to_churn":     {revenue.StatusTrialing: "2026-01-01T00:00:00Z", revenue.StatusActive: "2026-01-15T00:00:00Z"},
	} {
		all := connectortest.Load(t, ".")
		scenario := all[slices.IndexFunc(all, func(s connectortest.Scenario) bool { return s.Name == name })]
		past := pastOf(t, scenario, connectortest.ReceivedAt)
		presumed := connectortest.Presumed(t, connectortest.ReadPast(t, connector, past, func(s connectors.Stream) bool { return s.Name == "subscriptions" }, nil))
		if fmt.Sprint(presumed) != fmt.Sprint(want) {
			t.Errorf("%s: presumed %v, want %v", name, presumed, want)
		}
	}
}

func TestHistoryNeedsKeyAndAddress(t *testing.T) {
	past := pastOf(t, connectortest.Load(t, ".")[0], time.Unix(0, 0))
	for _, missing := range []string{keySetting, addressSetting} {
		without := past
		without.Delivery.Settings = maps.Clone(past.Delivery.Settings)
		without.Delivery.Settings[missing] = ""
		if _, err := New().History.Streams[0].Page(t.Context(), without, connectortest.All(), ""); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
