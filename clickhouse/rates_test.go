package clickhouse

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func TestALaterRateGoesBeforeAnEarlier(t *testing.T) {
	store := open(t)
	day := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	for _, value := range []string{"1.1", "1.087300000000000001"} {
		must(t, store.InsertRates(t.Context(), []Rate{
			{day, "EUR", "USD", decimal.RequireFromString(value), "test"},
			{day.AddDate(0, 0, -1), "EUR", "USD", decimal.RequireFromString("2"), "test"},
		}))
	}
	exec(t, store, "OPTIMIZE TABLE fx_rates FINAL")
	pairs, err := store.LatestRates(t.Context())
	must(t, err)
	want := RatePair{"EUR", "USD", 2, day.AddDate(0, 0, -1), day, "1.087300000000000001", "test"}
	if len(pairs) != 1 || pairs[0] != want {
		t.Errorf("pairs are %+v, want %+v", pairs, want)
	}
	kept, _, err := Select[string](t.Context(), store, "SELECT toString(rate) FROM fx_rates WHERE day = '2026-03-14' ORDER BY loaded_at")
	must(t, err)
	if len(kept) != 2 || kept[0] != "1.1" {
		t.Errorf("on record are %v, want the earlier one as well", kept)
	}
}
