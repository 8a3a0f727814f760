package paddle

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// newPaddle has the objects of a scenario as its last delivery about each shows them, in
// pages of one, newest first.
func newPaddle(t *testing.T, scenario connectortest.Scenario) *connectortest.API {
	t.Helper()
	lists := map[string]*connectortest.Renderings{"transaction": {}, "adjustment": {}, "subscription": {}}
	for _, event := range scenario.Bodies(t) {
		kind, _, _ := strings.Cut(fmt.Sprint(event["event_type"]), ".")
		if list := lists[kind]; list != nil {
			list.Show(event["data"].(map[string]any), func(a, b map[string]any) bool { return fmt.Sprint(a["updated_at"]) < fmt.Sprint(b["updated_at"]) })
		}
	}
	return &connectortest.API{
		Cursor: "after", PageSize: 1,
		Authorised: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer pdl_key" },
		Render: func(page []map[string]any, next string) any {
			return map[string]any{"data": page, "meta": map[string]any{"pagination": map[string]any{"has_more": next != ""}}}
		},
		Find: func(r *http.Request) ([]map[string]any, bool) {
			list := lists[strings.TrimSuffix(r.URL.Path[1:], "s")]
			if list == nil {
				return nil, false
			}
			query := r.URL.Query()
			found := slices.DeleteFunc(slices.Clone(*list), func(o map[string]any) bool {
				changed, from, until, status := fmt.Sprint(o["updated_at"]), query.Get("updated_at[GTE]"), query.Get("updated_at[LT]"), query.Get("status")
				return changed < from || until != "" && changed >= until || status != "" && !slices.Contains(strings.Split(status, ","), fmt.Sprint(o["status"]))
			})
			slices.SortStableFunc(found, func(a, b map[string]any) int {
				return strings.Compare(fmt.Sprint(b["created_at"]), fmt.Sprint(a["created_at"]))
			})
			return found, true
		},
	}
}

func pastOf(t *testing.T, scenario connectortest.Scenario, heard time.Time) connectors.Past {
	t.Helper()
	return connectortest.Past(t, New(), newPaddle(t, scenario), map[string]string{"api_key": "pdl_key"}, !scenario.Test, heard)
}

// An amount that cannot be read is in no event either.
func isNoAmount(err error) bool { return strings.Contains(err.Error(), "whole number of minor units") }

func every(connectors.Stream) bool { return true }

// Whatever deliveries were lost, a backfill brings back the money, and one without a
// loss changes nothing. Which payment began a subscription is told at its beginning only.
func TestOutageAndBackfill(t *testing.T) {
	connector := New()
	for _, scenario := range connectortest.Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			past := pastOf(t, scenario, time.Unix(0, 0))
			heard := scenario.Statements(t, connector, nil)
			connectortest.Lost(t, heard, connectortest.ReadPast(t, connector, past, every, isNoAmount), connectortest.Totals)
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
		presumed := connectortest.Presumed(t, connectortest.ReadPast(t, connector, pastOf(t, scenario, connectortest.ReceivedAt), every, nil))
		if fmt.Sprint(presumed) != fmt.Sprint(want) {
			t.Errorf("%s: presumed %v, want %v", name, presumed, want)
		}
	}
}
