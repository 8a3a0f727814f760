package paddle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
)

// fakePaddle has the objects of a scenario as its last delivery about each shows them,
// in pages of one.
func fakePaddle(t *testing.T, scenario connectortest.Scenario) http.Handler {
	lists := map[string][]map[string]any{}
	for _, fixture := range scenario.Deliveries {
		decoder := json.NewDecoder(strings.NewReader(string(fixture.Body)))
		decoder.UseNumber()
		var event struct {
			Type string         `json:"event_type"`
			Data map[string]any `json:"data"`
		}
		if err := decoder.Decode(&event); err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(event.Type, ".")
		list := slices.DeleteFunc(lists[kind], func(o map[string]any) bool {
			return o["id"] == event.Data["id"] && fmt.Sprint(o["updated_at"]) <= fmt.Sprint(event.Data["updated_at"])
		})
		if !slices.ContainsFunc(list, func(o map[string]any) bool { return o["id"] == event.Data["id"] }) {
			list = append(list, event.Data)
		}
		lists[kind] = list
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer pdl_key" {
			http.Error(w, "no key", http.StatusForbidden)
			return
		}
		query := r.URL.Query()
		found := slices.Clone(lists[strings.TrimSuffix(r.URL.Path[1:], "s")])
		found = slices.DeleteFunc(found, func(o map[string]any) bool {
			from, until := query.Get("created_at[GTE]"), query.Get("created_at[LT]")
			created := fmt.Sprint(o["created_at"])
			return from != "" && (created < from || created >= until)
		})
		if after := query.Get("after"); after != "" {
			found = found[1+slices.IndexFunc(found, func(o map[string]any) bool { return o["id"] == after }):]
		}
		page := append([]map[string]any{}, found[:min(1, len(found))]...)
		_ = json.NewEncoder(w).Encode(map[string]any{"data": page, "meta": map[string]any{"pagination": map[string]any{"has_more": len(found) > len(page)}}})
	})
}

func cashOf(statements [][]revenue.Event) string {
	order := make([]int, len(statements))
	for i := range order {
		order[i] = i
	}
	rows, _ := connectortest.Arrive(statements, order)
	cash := map[string]int64{}
	for _, row := range rows {
		if row.Kind.Family() == revenue.FamilyCash {
			kind := "charge"
			if row.Amount < 0 || row.Kind == revenue.EntryDisputeReversal {
				kind = string(row.Kind)
			}
			cash[kind+" "+row.Currency] += int64(row.Sign) * row.Amount
		}
	}
	maps.DeleteFunc(cash, func(_ string, sum int64) bool { return sum == 0 })
	return fmt.Sprint(cash)
}

// Whatever deliveries were lost, a backfill brings back the money, and one without a
// loss changes nothing.
func TestOutageAndBackfill(t *testing.T) {
	connector := New()
	for _, scenario := range connectortest.Load(t, ".") {
		t.Run(scenario.Name, func(t *testing.T) {
			server := httptest.NewServer(fakePaddle(t, scenario))
			defer server.Close()
			settings, err := connector.Settle(map[string]string{"api_url": server.URL, "api_key": "pdl_key"})
			if err != nil {
				t.Fatal(err)
			}
			past := connectors.Past{Delivery: connectors.Delivery{Workspace: "acme", Integration: "we_1", Account: "acct_1", Livemode: !scenario.Test,
				Settings: settings, ReceivedAt: connectortest.ReceivedAt}}
			window := connectors.Window{From: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Until: connectortest.ReceivedAt}
			var listed [][]revenue.Event
			for _, stream := range connector.History.Streams {
				for cursor := ""; ; {
					page, err := stream.Page(context.Background(), past, window, cursor)
					if err != nil {
						t.Fatal(err)
					}
					for _, item := range page.Items {
						listed = append(listed, item.Events)
					}
					if cursor = page.Next; cursor == "" {
						break
					}
				}
			}
			heard := scenario.Statements(t, connector, nil)
			want := cashOf(heard)
			rapid.Check(t, func(r *rapid.T) {
				var arrived [][]revenue.Event
				for _, statements := range heard {
					if rapid.Bool().Draw(r, "delivered") {
						arrived = append(arrived, statements)
					}
				}
				if got := cashOf(append(arrived, listed...)); got != want {
					r.Fatalf("after the backfill %s, without an outage %s", got, want)
				}
			})
			none := window
			none.Until = none.From.Add(time.Hour)
			if page, err := connector.History.Streams[1].Page(t.Context(), past, none, ""); err != nil || len(page.Items) != 0 {
				t.Errorf("outside the window %+v, %v", page, err)
			}
		})
	}
}
