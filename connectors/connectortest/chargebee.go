package connectortest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// chargebeeKinds are the kinds that a site has lists of.
var chargebeeKinds = []string{"event", "transaction", "subscription", "invoice", "customer"}

// chargebeeVersion tells which of two renderings is the later one.
func chargebeeVersion(o map[string]any) float64 {
	return cmp.Or(Number(o["resource_version"]), Number(o["updated_at"]))
}

// chargebeeComplete puts into an object what its API says of it and its event says beside it.
func chargebeeComplete(o map[string]any, kind string, event, content map[string]any) map[string]any {
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

// ChargebeeKey is the API key of a ChargebeeAPI.
const ChargebeeKey = "site_key"

// ChargebeeAPI is the API of a site of Chargebee that sent the events: it has them, and the
// objects as the last of them about each shows it, oldest first.
func ChargebeeAPI(t testing.TB, events []map[string]any, pageSize int) *API {
	lists := map[string]*Renderings{}
	for _, kind := range chargebeeKinds {
		lists[kind] = &Renderings{}
	}
	for _, event := range events {
		*lists["event"] = append(*lists["event"], event)
		content := event["content"].(map[string]any)
		for _, kind := range chargebeeKinds {
			o, shown := content[kind].(map[string]any)
			if !shown {
				continue
			}
			o = chargebeeComplete(maps.Clone(o), kind, event, content)
			lists[kind].Show(o, func(a, b map[string]any) bool { return chargebeeVersion(a) < chargebeeVersion(b) })
		}
	}
	return &API{
		Cursor: "offset", PageSize: pageSize,
		Authorised: func(r *http.Request) bool {
			user, password, basic := r.BasicAuth()
			return basic && user == ChargebeeKey && password == ""
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
			return chargebeeFind(t, r, *list), true
		},
	}
}

// chargebeeFind chooses as the API does, by time or by ids, oldest first.
func chargebeeFind(t testing.TB, r *http.Request, list []map[string]any) []map[string]any {
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
				at := Number(o[member])
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
				return cmp.Compare(Number(a[values[0]]), Number(b[values[0]]))
			})
		}
	}
	return found
}
