package clickhouse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

func TestMigrateTwiceAndByManyAtOnce(t *testing.T) {
	store := openEmpty(t)
	engine := store.config.Addresses[0]
	var group sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		group.Go(func() {
			other, err := Open(t.Context(), store.config, store.log, newRegistry())
			if err != nil {
				errs[i] = err
				return
			}
			defer other.Close()
			errs[i] = other.Migrate(t.Context())
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("migrating at %s beside others: %v", engine, err)
		}
	}
	must(t, store.Migrate(t.Context()))
	migrations, err := store.migrations(schema{})
	must(t, err)
	applied := count(t, store, "SELECT uniqExact(version_id) FROM schema_versions WHERE is_applied AND version_id > 0")
	if int(applied) != len(migrations) {
		t.Errorf("%d versions are recorded, want %d", applied, len(migrations))
	}
}

// The columns that Go fills are all those of the tables, in their order.
func TestColumnsMatchTheSchema(t *testing.T) {
	store := open(t)
	for table, columns := range map[string][]string{
		"events": names(statementColumns()), "ledger": names(rowColumns()), "entries": names(rowColumns()),
	} {
		got, _, err := Select[string](t.Context(), store,
			"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} AND default_kind != 'MATERIALIZED' ORDER BY position",
			Named{"table", table})
		must(t, err)
		if !slices.Equal(got, columns) {
			t.Errorf("%s has columns\n%v\nbut Go fills\n%v", table, got, columns)
		}
	}
}

func names[R any](columns []column[R]) []string {
	var list []string
	for _, column := range columns {
		list = append(list, column.name)
	}
	return list
}

func TestReplicatedEnginesAreNamedInFull(t *testing.T) {
	schema := schema{Database: "d", Replicated: true, Durable: true}
	for _, file := range []string{"schema/00001_fence.sql", "schema/00002_events.sql", "schema/00003_ledger.sql", "schema/00004_revenue.sql", "schema/00005_progress_and_rates.sql"} {
		list, err := schema.render(file)
		must(t, err)
		for _, statement := range list {
			keepsNothing := strings.HasSuffix(statement, "ENGINE = Null")
			if strings.Contains(statement, "CREATE TABLE") && !keepsNothing && !strings.Contains(statement, "Replicated") && !strings.Contains(statement, "KeeperMap('/revstream/d/fence')") {
				t.Errorf("%s: a table is not replicated:\n%s", file, statement)
			}
			if strings.Contains(statement, "joinGet") {
				t.Errorf("%s: a replicated table asks the fence of one server:\n%s", file, statement)
			}
		}
	}
}

// What the sink says of a statement is what the schema says of those from before it did.
func TestOlderStatementsAreFound(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	later := testNow.Add(time.Hour)
	events := []revenue.Event{
		{Kind: revenue.KindSubscription, Status: revenue.StatusPastDue}, {Kind: revenue.KindSubscription, Status: revenue.StatusActive},
		{Kind: revenue.KindSubscription, Status: revenue.StatusCanceled}, {Kind: revenue.KindSubscription, CancelRequestedAt: &later},
		{Kind: revenue.KindSubscription, EndsAt: &later}, {Kind: revenue.KindCancellation}, {Kind: revenue.KindCharge, Status: "canceled"},
		{Kind: revenue.KindPeriod, Status: revenue.StatusPastDue, EndsAt: &later},
		{Kind: revenue.KindSubscription, Dimensions: noted(`{"mrr_unknown":"tiers"}`)}, {Kind: revenue.KindCharge, Dimensions: noted(`{"a":{"b":"}"},"provisional":"x"}`)},
		{Kind: revenue.KindAttribution, Dimensions: noted(`{"provisional": "x"}`)}, {Kind: revenue.KindSubscription, Dimensions: noted(`{"estimated":"x"}`)},
		{Kind: revenue.KindCharge, Dimensions: noted(`{"amount_estimated":"x"}`)}, {Kind: revenue.KindRefund, Dimensions: noted(`{"provisional":"x"}`)},
		{Kind: revenue.KindSubscription, MRRBeforeDiscounts: 1}, {Kind: revenue.KindPeriod, MRRBeforeDiscounts: 1},
		{Kind: revenue.KindSubscription, Dimensions: noted(`{"mrr_before_discounts":1}`)},
		{Kind: revenue.KindCharge, Dimensions: noted(`{"plan":"provisional"}`)}, {Kind: revenue.KindCharge, Dimensions: revenue.Dimensions{Plan: "mrr_unknown"}},
	}
	for i := range events {
		events[i].Workspace, events[i].Group, events[i].ObjectID = "ws", "g", fmt.Sprintf("o%d", i)
		events[i].OccurredAt, events[i].ReceivedAt = testNow, testNow
	}
	must(t, store.InsertStatements(t.Context(), w.statements(0, events)))
	for column, want := range map[string]int64{"past_due": 1, "ending": 4, "uncertain": 6, "discounted": 2} {
		older, _, err := Select[string](t.Context(), store,
			"SELECT default_expression FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND name = {column:String}", Named{"column", column})
		must(t, err)
		if said := count(t, store, "SELECT countIf("+column+") FROM events"); said != want {
			t.Errorf("%d statements are %s, want %d", said, column, want)
		}
		if differ := count(t, store, "SELECT countIf("+column+" != toBool("+older[0]+")) FROM events"); differ != 0 {
			t.Errorf("of %d statements the schema says something else of %s: %s", differ, column, older[0])
		}
	}
}

func noted(metadata string) revenue.Dimensions {
	return revenue.Dimensions{Metadata: json.RawMessage(metadata)}
}
