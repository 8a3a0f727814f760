package paddle

import (
	"fmt"
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
	return connectortest.Past(t, New(), connectortest.PaddleAPI(scenario.Bodies(t), 1), map[string]string{"api_key": connectortest.PaddleKey}, !scenario.Test, heard)
}

// An amount that cannot be read is in no event either.
func isNoAmount(err error) bool { return strings.Contains(err.Error(), "whole number of minor units") }

func isEvents(stream connectors.Stream) bool { return stream.KeptFor > 0 }

func isObjects(stream connectors.Stream) bool { return !isEvents(stream) }

// Whatever deliveries were lost, a backfill brings back what they said, to the last
// entry where events are still there, and the money where only the objects are; and one
// without a loss changes nothing. Which payment began a subscription is told at its
// beginning only.
func TestOutageAndBackfill(t *testing.T) {
	connector := New()
	for _, scenario := range connectortest.Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			past := pastOf(t, scenario, time.Unix(0, 0))
			heard := scenario.Statements(t, connector, nil)
			connectortest.Lost(t, heard, connectortest.ReadPast(t, connector, past, isEvents, isNoAmount), connectortest.Believed)
			connectortest.Lost(t, heard, connectortest.ReadPast(t, connector, past, isObjects, isNoAmount), connectortest.Totals)
			connectortest.CheckTotals(t, connector, past, heard, isNoAmount)
			none := connectors.Window{From: time.Unix(0, 0), Until: time.Unix(3600, 0)}
			for _, stream := range connector.History.Streams {
				if page, err := stream.Page(t.Context(), past, none, ""); err != nil || len(page.Items) != 0 {
					t.Errorf("%s: outside the window %+v, %v", stream.Name, page, err)
				}
			}
		})
	}
}

// What was before anybody told of it is presumed from what is now, and marked.
func TestYearsBefore(t *testing.T) {
	connector := New()
	for name, want := range map[string]map[revenue.Status]string{
		"signup_and_renewal": {revenue.StatusActive: "2026-01-01T00:00:04Z"},
		"trial_to_churn":     {revenue.StatusTrialing: "2026-01-01T00:00:04Z", revenue.StatusActive: "2026-01-15T00:00:04Z"},
	} {
		all := connectortest.Load(t, ".")
		scenario := all[slices.IndexFunc(all, func(s connectortest.Scenario) bool { return s.Name == name })]
		batches := connectortest.ReadPast(t, connector, pastOf(t, scenario, connectortest.ReceivedAt), isObjects, nil)
		presumed := connectortest.Presumed(t, batches)
		if fmt.Sprint(presumed) != fmt.Sprint(want) {
			t.Errorf("%s: presumed %v, want %v", name, presumed, want)
		}
		uncertain := revenue.Uncertainties(slices.Concat(batches...), connectortest.ReceivedAt)
		if len(uncertain) != 1 || uncertain[0].Note != revenue.NoteEstimated || uncertain[0].MRR == 0 || uncertain[0].Subscription == "" {
			t.Errorf("%s: %+v is uncertain, want one subscription's terms of before", name, uncertain)
		}
	}
}
