package chargebee

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// kindsListed are the kinds that the site of the tests has lists of.
var kindsListed = []string{"event", "transaction", "subscription", "invoice", "customer"}

func rendered(o map[string]any) float64 {
	return cmp.Or(connectortest.Number(o["resource_version"]), connectortest.Number(o["updated_at"]))
}

// complete puts into an object what its API says of it and its event says beside it.
func complete(o map[string]any, kind string, event, content map[string]any) map[string]any {
	imply := func(member string, value any) {
		if o[member] == nil {
			o[member] = value
		}
	}
	imply("object", kind)
	if kind == "customer" || kind == "event" {
		return o
	}
	imply("updated_at", event["occurred_at"])
	if customer, shown := content["customer"].(map[string]any); shown {
		imply("customer_id", customer["id"])
	}
	if invoice, shown := content["invoice"].(map[string]any); shown && kind == "transaction" && o["type"] == "payment" {
		imply("linked_invoices", []any{map[string]any{"invoice_id": invoice["id"]}})
	}
	return o
}

// newSite is a site that has the events of a scenario, and the objects as its last event
// about each shows them, in pages of two.
func newSite(t *testing.T, scenario connectortest.Scenario) *connectortest.API {
	t.Helper()
	lists := map[string]*connectortest.Renderings{}
	for _, kind := range kindsListed {
		lists[kind] = &connectortest.Renderings{}
	}
	for _, event := range scenario.Bodies(t) {
		*lists["event"] = append(*lists["event"], event)
		content := event["content"].(map[string]any)
		for _, kind := range kindsListed {
			o, shown := content[kind].(map[string]any)
			if !shown {
				continue
			}
			o = complete(maps.Clone(o), kind, event, content)
			lists[kind].Show(o, func(a, b map[string]any) bool { return rendered(a) < rendered(b) })
		}
	}
	return &connectortest.API{
		Cursor: "offset", PageSize: 2,
		Authorised: func(r *http.Request) bool {
			user, password, basic := r.BasicAuth()
			return basic && user == "site_key" && password == ""
		},
		Render: func(page []map[string]any, next string) any {
			answer := map[string]any{"list": []any{}}
			for _, o := range page {
				kind := fmt.Sprint(o["object"])
				answer["list"] = append(answer["list"].([]any), map[string]any{kind: o})
			}
			if next != "" {
				answer["next_offset"] = next
			}
			return answer
		},
		Find: func(r *http.Request) ([]map[string]any, bool) {
			kind := strings.TrimSuffix(r.URL.Path[1:], "s")
			list := lists[kind]
			if list == nil {
				return nil, false
			}
			return find(t, r, *list), true
		},
	}
}

// find chooses as the API does, by time or by ids, oldest first.
func find(t *testing.T, r *http.Request, list []map[string]any) []map[string]any {
	query := r.URL.Query()
	found := slices.DeleteFunc(slices.Clone(list), func(o map[string]any) bool {
		return o["deleted"] == true && query.Get("include_deleted") != "true"
	})
	for name, values := range query {
		member, operator, _ := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		switch operator {
		case "between":
			var bounds [2]float64
			if err := json.Unmarshal([]byte(values[0]), &bounds); err != nil {
				t.Errorf("%s=%s: %v", name, values[0], err)
			}
			found = slices.DeleteFunc(found, func(o map[string]any) bool {
				at := connectortest.Number(o[member])
				return at <= bounds[0] || at >= bounds[1] // the narrower of what it may mean
			})
		case "in":
			var wanted []string
			if err := json.Unmarshal([]byte(values[0]), &wanted); err != nil || len(wanted) == 0 {
				t.Errorf("%s=%s: %v", name, values[0], err)
			}
			found = slices.DeleteFunc(found, func(o map[string]any) bool { return !slices.Contains(wanted, fmt.Sprint(o[member])) })
		case "asc":
			slices.SortStableFunc(found, func(a, b map[string]any) int {
				return cmp.Compare(connectortest.Number(a[values[0]]), connectortest.Number(b[values[0]]))
			})
		}
	}
	return found
}

func pastOf(t *testing.T, scenario connectortest.Scenario, heard time.Time) connectors.Past {
	t.Helper()
	settings := map[string]string{keySetting: "site_key"}
	maps.Copy(settings, scenario.Settings)
	return connectortest.Past(t, New(), newSite(t, scenario), settings, !scenario.Test, heard)
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
