package analytics

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"revstream/clickhouse"
)

// A source's counts are of the latest reading of each delivery, its gaps are what lies
// beyond its usual pauses, and an endpoint that nothing came by is listed as well.
func TestSources(t *testing.T) {
	f := newFixture(t)
	begin := testNow.Add(-24 * time.Hour)
	var rows []clickhouse.Delivery
	delivery := func(id string, at time.Time, refusal, kind, outcome string) clickhouse.Delivery {
		return clickhouse.Delivery{
			ID: id, Workspace: "ws_1", Endpoint: "we_busy", Provider: "stripe", ReceivedAt: at, Refusal: refusal,
			EventIDs: []string{"evt_" + id}, Types: []string{kind}, Versions: []string{"2025-08-27.basil"}, Outcomes: []string{outcome},
			HappenedAt: []time.Time{at.Add(-3 * time.Second)}, Names: []string{}, Record: "{}",
		}
	}
	at := begin
	for i := range 120 { // one a minute, and once nothing for two hours
		if at = at.Add(time.Minute); i == 60 {
			at = at.Add(2 * time.Hour)
		}
		rows = append(rows, delivery(string(rune('a'+i%26))+string(rune('a'+i/26)), at, "", "invoice.paid", "booked"))
	}
	replayed := rows[7]
	replayed.Outcomes, replayed.Revision = []string{"ignored"}, 1
	refused := delivery("zz", at, "body_altered", "", "refused")
	refused.Types, refused.Versions, refused.HappenedAt, refused.EventIDs = []string{""}, []string{""}, []time.Time{time.Unix(0, 0)}, []string{""}
	other := delivery("other", at, "", "invoice.paid", "booked")
	other.Workspace = "ws_2"
	for range 2 { // a batch may come again
		if err := f.store.InsertDeliveries(t.Context(), append(rows, replayed, refused, other)); err != nil {
			t.Fatal(err)
		}
	}

	answer := get[Sources](f, PathSources, "workspaceSlug=acme")
	if len(answer.Sources) != 2 {
		t.Fatalf("%+v", answer)
	}
	busy, unused := answer.Sources[0], answer.Sources[1]
	if busy.Endpoint != "we_busy" || busy.Deliveries != 120 || busy.Refused != 1 || busy.LastDeliveryAt == nil || *busy.LastDeliveryAt != exactInstant(at) ||
		!busy.Silent || busy.UsualPauseSeconds == nil || *busy.UsualPauseSeconds != 60 {
		t.Errorf("%+v", busy)
	}
	if len(busy.Gaps) != 1 || busy.Gaps[0].From != exactInstant(begin.Add(60*time.Minute)) || busy.Gaps[0].Until != exactInstant(begin.Add(181*time.Minute)) {
		t.Errorf("gaps %+v", busy.Gaps)
	}
	if busy.Lag == nil || *busy.Lag != (SourceLag{3, 3, 3}) {
		t.Errorf("lag %+v", busy.Lag)
	}
	var counts []any
	for _, e := range busy.Events {
		counts = append(counts, e.Type, e.Outcome, e.Count)
	}
	if want := []any{"invoice.paid", "booked", uint64(119), "invoice.paid", "ignored", uint64(1)}; !reflect.DeepEqual(counts, want) {
		t.Errorf("events %v, want %v", counts, want)
	}
	if len(busy.Versions) != 1 || busy.Versions[0].Count != 120 || len(busy.Refusals) != 1 || busy.Refusals[0].Reason != "body_altered" {
		t.Errorf("versions %+v, refusals %+v", busy.Versions, busy.Refusals)
	}
	if unused.Endpoint != "we_unused" || !unused.Revoked || unused.LastDeliveryAt != nil || unused.Silent || unused.Lag != nil || unused.UsualPauseSeconds != nil {
		t.Errorf("%+v", unused)
	}
	checkReconciliation(t, f)
	if again := get[Sources](f, PathSources, "workspaceSlug=acme&days=400"); again.Sources[0].Deliveries != 120 {
		t.Errorf("over 400 days %+v", again.Sources[0])
	}
	for _, wrong := range []string{"", "workspaceSlug=acme&days=0", "workspaceSlug=acme&days=401"} {
		if response := f.ask(PathSources, wrong); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d", wrong, response.StatusCode)
		}
	}
}

// checkReconciliation: the latest comparison that ended is shown, with its differences.
func checkReconciliation(t *testing.T, f *fixture) {
	t.Helper()
	day := testNow.Truncate(24 * time.Hour)
	ended := clickhouse.Reconciliation{
		Workspace: "ws_1", Endpoint: "we_busy", Day: day, At: testNow.Add(-time.Hour), Runner: "node_1", Finished: true,
		Since: day.AddDate(0, 0, -7), Until: day, Totals: 3,
		Differences: []clickhouse.TotalDifference{{Day: day.AddDate(0, 0, -1), Currency: "USD", Flow: "refund", Theirs: -500, Ours: -400}},
	}
	before, failed, begun := ended, ended, ended
	before.Day, before.At, before.Differences = day.AddDate(0, 0, -1), testNow.Add(-25*time.Hour), nil
	begun.At, begun.Finished = testNow, false
	failed.Endpoint, failed.Failure, failed.Differences = "we_unused", "the API is down", nil
	for _, r := range []clickhouse.Reconciliation{ended, before, begun, failed} {
		if err := f.store.RecordReconciliation(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	answer := get[Sources](f, PathSources, "workspaceSlug=acme")
	want := SourceReconciliation{
		At: exactInstant(ended.At), Since: exactInstant(ended.Since), Until: exactInstant(ended.Until), Totals: 3,
		Differences: []SourceDifference{{"2026-06-30", "USD", "refund", -500, -400}},
	}
	if got := answer.Sources[0].Reconciliation; got == nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("reconciliation %+v, want %+v", got, want)
	}
	if got := answer.Sources[1].Reconciliation; got == nil || got.Failure == nil || *got.Failure != "the API is down" || len(got.Differences) != 0 {
		t.Errorf("reconciliation that failed %+v", got)
	}
}
