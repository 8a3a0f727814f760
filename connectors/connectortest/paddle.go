package connectortest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// PaddleKey is the API key of a PaddleAPI.
const PaddleKey = "pdl_key"

// PaddleAPI is the API of an account of Paddle Billing that sent the events: it has them,
// and the objects as the last of them about each shows it, newest first.
func PaddleAPI(events []map[string]any, pageSize int) *API {
	lists := map[string]*Renderings{"event": {}, "transaction": {}, "adjustment": {}, "subscription": {}}
	for _, event := range events {
		*lists["event"] = append(*lists["event"], event)
		kind, _, _ := strings.Cut(fmt.Sprint(event["event_type"]), ".")
		if list := lists[kind]; list != nil {
			list.Show(event["data"].(map[string]any), func(a, b map[string]any) bool { return fmt.Sprint(a["updated_at"]) < fmt.Sprint(b["updated_at"]) })
		}
	}
	return &API{
		Cursor: "after", PageSize: pageSize,
		Authorised: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+PaddleKey },
		Render: func(page []map[string]any, next string) any {
			return map[string]any{"data": page, "meta": map[string]any{"pagination": map[string]any{"has_more": next != ""}}}
		},
		Find: func(r *http.Request) ([]map[string]any, bool) {
			list := lists[strings.TrimSuffix(r.URL.Path[1:], "s")]
			if list == nil {
				return nil, false
			}
			found := slices.DeleteFunc(slices.Clone(*list), func(o map[string]any) bool { return !paddleWants(r, o) })
			slices.SortStableFunc(found, func(a, b map[string]any) int {
				return strings.Compare(paddleOrder(b), paddleOrder(a))
			})
			return found, true
		},
	}
}

// paddleWants says whether a request asks for an object, or an event.
func paddleWants(r *http.Request, o map[string]any) bool {
	query := r.URL.Query()
	among := func(parameter, member string) bool {
		wanted := query.Get(parameter)
		return wanted == "" || slices.Contains(strings.Split(wanted, ","), fmt.Sprint(o[member]))
	}
	changed, from, until := fmt.Sprint(o["updated_at"]), query.Get("updated_at[GTE]"), query.Get("updated_at[LT]")
	return changed >= from && (until == "" || changed < until) && among("status", "status") && among("event_type", "event_type")
}

// paddleOrder is what ids, which begin with a time, are in the order of.
func paddleOrder(o map[string]any) string {
	return cmp.Or(textOf(o["occurred_at"]), textOf(o["created_at"]))
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}
