package stripe

import (
	"encoding/json"
	"net/http"
	"testing"

	"revstream/connectors/connectortest"
)

// A subscription shows its first ten items. The rest is asked for by an address that has a
// query already, and what cannot be had is not taken for nothing.
func TestItemsOfLaterPages(t *testing.T) {
	for subscription, want := range map[string]struct {
		shown int
		more  bool
	}{"sub_1": {3, false}, "sub_2": {1, true}} {
		fake := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			if r.URL.Path != "/v1/subscription_items" || query.Get("subscription") != "sub_1" {
				http.NotFound(w, r)
				return
			}
			next := map[string]string{"si_1": "si_2", "si_2": "si_3"}[query.Get("starting_after")]
			_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]any{"id": next}}, "has_more": next == "si_2"})
		})
		past := connectortest.Past(t, New(DefaultConfig(), nil), fake, map[string]string{"api_key": "rk_of_the_tests"}, true, connectortest.ReceivedAt)
		items := map[string]any{"has_more": true, "url": "/v1/subscription_items?subscription=" + subscription, "data": []any{map[string]any{"id": "si_1"}}}
		newFetcher(t.Context(), past.Client, &past.Delivery, "").completeLists(object{"items": items})
		if got := len(elements(items, "data")); got != want.shown || items["has_more"] != want.more {
			t.Errorf("%s: %d items, more: %v; want %+v", subscription, got, items["has_more"], want)
		}
	}
}
