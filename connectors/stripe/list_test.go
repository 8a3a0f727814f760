package stripe

import (
	"encoding/json"
	"net/http"
	"testing"

	"revstream/connectors/connectortest"
)

// An invoice shows its first ten lines. The rest is asked for, and what cannot be had is not
// taken for nothing.
func TestLinesOfLaterPages(t *testing.T) {
	for invoice, want := range map[string]struct {
		shown int
		more  bool
	}{"in_1": {3, false}, "in_2": {1, true}} {
		fake := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/invoices/in_1/lines" {
				http.NotFound(w, r)
				return
			}
			next := map[string]string{"il_1": "il_2", "il_2": "il_3"}[r.URL.Query().Get("starting_after")]
			_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]any{"id": next}}, "has_more": next == "il_2"})
		})
		past := connectortest.Past(t, New(DefaultConfig(), nil), fake, map[string]string{"api_key": "rk_of_the_tests"}, true, connectortest.ReceivedAt)
		lines := map[string]any{"has_more": true, "url": "/v1/invoices/" + invoice + "/lines", "data": []any{map[string]any{"id": "il_1"}}}
		newFetcher(t.Context(), past.Client, &past.Delivery, "").completeLines(object{"lines": lines})
		if got := len(elements(lines, "data")); got != want.shown || lines["has_more"] != want.more {
			t.Errorf("%s: %d lines, more: %v; want %+v", invoice, got, lines["has_more"], want)
		}
	}
}
