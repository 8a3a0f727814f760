package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Deliveries are found by all that names them, in pages without a gap; one that comes
// again is one, and of several readings the last is shown.
func TestDeliveriesAreFound(t *testing.T) {
	store := open(t)
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var rows []Delivery
	for i := range 30 {
		rows = append(rows, Delivery{
			ID: fmt.Sprintf("dlv_%02d", i), Workspace: "w", Endpoint: fmt.Sprintf("we_%d", i%2), Provider: "stripe",
			ReceivedAt: begin.Add(time.Duration(i/3) * time.Hour), // three at once
			EventIDs:   []string{fmt.Sprintf("evt_%d", i)}, Types: []string{"invoice.paid"}, Versions: []string{""}, Outcomes: []string{"booked"},
			HappenedAt: []time.Time{begin}, Names: []string{fmt.Sprintf("in_%d", i), "cus_1"}, Statements: 1, Bytes: 2, Record: "as read first",
		})
	}
	other := rows[0]
	other.Workspace, other.ID = "other", "dlv_other"
	replayed := rows[4]
	replayed.Revision, replayed.Record, replayed.Outcomes = 9, "as read again", []string{"ignored"}
	for range 2 {
		must(t, store.InsertDeliveries(t.Context(), append(slices.Clone(rows), other, replayed)))
	}
	ids := func(filter DeliveryFilter, page Page) (list []string) {
		t.Helper()
		filter.Workspace = "w"
		found, err := store.Deliveries(t.Context(), filter, page)
		must(t, err)
		for _, d := range found {
			list = append(list, d.ID)
		}
		return list
	}
	for name, c := range map[string]struct {
		filter DeliveryFilter
		want   string
	}{
		"by its id":      {DeliveryFilter{Name: "dlv_07"}, "dlv_07"},
		"by its event":   {DeliveryFilter{Name: "evt_7"}, "dlv_07"},
		"by an object":   {DeliveryFilter{Name: "in_7"}, "dlv_07"},
		"by its outcome": {DeliveryFilter{Outcome: "ignored"}, "dlv_04"},
		"by its time":    {DeliveryFilter{Since: begin.Add(9 * time.Hour)}, "dlv_29 dlv_28 dlv_27"},
		"before a time":  {DeliveryFilter{Until: begin.Add(time.Hour), Endpoint: "we_1"}, "dlv_01"},
		"by nothing":     {DeliveryFilter{Name: "in_99"}, ""},
		"by provider":    {DeliveryFilter{Provider: "paddle"}, ""},
		"by type":        {DeliveryFilter{Type: "invoice.voided"}, ""},
	} {
		if got := strings.Join(ids(c.filter, Page{Limit: 100}), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := len(ids(DeliveryFilter{Name: "cus_1", Type: "invoice.paid"}, Page{Limit: 100})); n != 30 {
		t.Errorf("%d deliveries of a customer", n)
	}
	var walked []string
	for page := (Page{Limit: 4, OldestFirst: true}); ; {
		found, err := store.Deliveries(t.Context(), DeliveryFilter{Workspace: "w"}, page)
		must(t, err)
		if len(found) == 0 {
			break
		}
		for _, d := range found {
			walked = append(walked, d.ID)
		}
		page.AfterTime, page.AfterID = found[len(found)-1].ReceivedAt, found[len(found)-1].ID
	}
	if len(walked) != 30 || !slices.IsSorted(walked) {
		t.Errorf("walked %v", walked)
	}
	again, err := store.Deliveries(t.Context(), DeliveryFilter{Workspace: "w", Name: "dlv_04"}, Page{Limit: 1})
	must(t, err)
	if len(again) != 1 || again[0].Record != "as read again" || again[0].Revision != 9 || !again[0].HappenedAt[0].Equal(begin) {
		t.Errorf("%+v", again)
	}
}

// How long deliveries are kept follows the configuration, also of a table that is there.
func TestDeliveriesAreKeptForAsLongAsConfigured(t *testing.T) {
	store := open(t)
	says := func(hours int) bool {
		created, err := selectRows[string](t.Context(), store, store.sql.deliveriesTable)
		must(t, err)
		return strings.Contains(created[0], fmt.Sprintf("toIntervalHour(%d)", hours))
	}
	if !says(400 * 24) {
		t.Error("the default is not set")
	}
	store.config.DeliveriesRetention = 48 * time.Hour
	must(t, store.Migrate(t.Context()))
	if !says(48) || says(400*24) {
		t.Error("the change is not")
	}
	old := Delivery{ID: "dlv_old", Workspace: "w", ReceivedAt: time.Now().UTC().Add(-72 * time.Hour),
		EventIDs: []string{}, Types: []string{}, Versions: []string{}, Outcomes: []string{}, HappenedAt: []time.Time{}, Names: []string{}}
	young := old
	young.ID, young.ReceivedAt = "dlv_young", time.Now().UTC()
	must(t, store.InsertDeliveries(t.Context(), []Delivery{old, young}))
	exec(t, store, "OPTIMIZE TABLE deliveries FINAL")
	if n := count(t, store, "SELECT count()::Int64 FROM deliveries"); n != 1 {
		t.Errorf("%d deliveries are left, want the young one", n)
	}
}
