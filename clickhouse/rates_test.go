package clickhouse

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func TestALaterRateTakesThePlaceOfAnEarlier(t *testing.T) {
	store := open(t)
	day := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	for _, value := range []string{"1.1", "1.087300000000000001"} {
		must(t, store.InsertRates(t.Context(), []Rate{{day, "EUR", "USD", decimal.RequireFromString(value), "test"}}))
	}
	got, _, err := Select[string](t.Context(), store, "SELECT toString(rate) FROM fx_rates FINAL WHERE day = '2026-03-14'")
	must(t, err)
	if len(got) != 1 || got[0] != "1.087300000000000001" {
		t.Errorf("rates are %v, want the later one alone", got)
	}
}
