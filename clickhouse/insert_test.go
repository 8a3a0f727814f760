package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"revstream/ingest/revenue"
)

func newRegistry() prometheus.Registerer { return prometheus.NewRegistry() }

// fullRow has a value of its own in every field.
func fullRow() revenue.LedgerRow {
	row := revenue.LedgerRow{Sign: -1, KnownAt: testNow.Add(time.Minute)}
	fillDistinct(reflect.ValueOf(&row.Entry).Elem(), new(int))
	row.Kind, row.Metadata = revenue.EntryRefund, json.RawMessage(`{"a":"ü|\u0000"}`)
	row.RowID = row.Entry.RowID()
	return row
}

func fillDistinct(v reflect.Value, next *int) {
	for i := range v.NumField() {
		field := v.Field(i)
		*next++
		switch value := field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(testNow.Add(time.Duration(*next) * time.Microsecond)))
		case revenue.Dimensions:
			fillDistinct(field, next)
		case json.RawMessage:
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString(fmt.Sprintf("%s-%d\t'\\", v.Type().Field(i).Name, *next))
			case reflect.Int64:
				field.SetInt(int64(-*next) << 33)
			case reflect.Bool:
				field.SetBool(true)
			default:
				panic(fmt.Sprintf("field %s of type %T is new to the test", v.Type().Field(i).Name, value))
			}
		}
	}
}

func TestEveryColumnOfTheLedgerComesBack(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 3)
	full, empty := fullRow(), revenue.LedgerRow{Sign: 1, KnownAt: testNow}
	empty.Workspace, empty.Group, empty.OccurredAt, empty.ReceivedAt = full.Workspace, full.Group, testNow, testNow
	empty.RowID = empty.Entry.RowID()
	rows := w.rows(3, []revenue.LedgerRow{full, empty})
	must(t, store.InsertRows(t.Context(), rows))

	got, err := store.ReadRows(t.Context(), []revenue.GroupKey{{Workspace: full.Workspace, Group: full.Group}})
	must(t, err)
	if len(got) != 2 {
		t.Fatalf("%d rows came back, want 2", len(got))
	}
	if got[0].Sign != -1 {
		got[0], got[1] = got[1], got[0]
	}
	if !reflect.DeepEqual(got[0], full) {
		t.Errorf("came back as\n%+v\nwant\n%+v", got[0], full)
	}
	if !reflect.DeepEqual(got[1], empty) {
		t.Errorf("came back as\n%+v\nwant\n%+v", got[1], empty)
	}
	if got[0].Entry.RowID() != full.RowID {
		t.Error("the entry read back has another row id")
	}
	type stored struct {
		Topic  string `ch:"topic_id"`
		Slice  uint16 `ch:"slice"`
		Epoch  uint64 `ch:"epoch"`
		Offset int64  `ch:"offset"`
		Family string `ch:"family"`
		Live   bool   `ch:"live"`
	}
	list, _, err := Select[stored](t.Context(), store, "SELECT topic_id, slice, epoch, offset, family, live FROM ledger ORDER BY offset")
	must(t, err)
	want := []stored{{testTopic, 3, w.epochs[3], 0, "cash", false}, {testTopic, 3, w.epochs[3], 1, "state", false}}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("stored %+v, want %+v", list, want)
	}
	same := count(t, store, "SELECT count() FROM (SELECT * FROM ledger EXCEPT SELECT * FROM entries)")
	if same != 0 || count(t, store, "SELECT count() FROM entries") != 2 {
		t.Error("entries are no copy of the ledger")
	}
}

// One insert is one part of each table, whatever its size, and feeds all views.
func TestOneInsertIsOnePartPerTable(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	exec(t, store, "SYSTEM STOP MERGES")
	defer exec(t, store, "SYSTEM START MERGES")
	events := charges(1, 2*blockRows)
	must(t, w.write(t.Context(), 0, events))
	for _, table := range append([]string{"events", "ledger"}, derivedTables...) {
		parts := count(t, store, "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '"+table+"'")
		if parts != 1 {
			t.Errorf("%s has %d parts, want 1", table, parts)
		}
	}
	rows := ledgerOf(events)
	var cash, mrr int64
	for i := range rows {
		if rows[i].Kind.Family() != revenue.FamilyState {
			cash += int64(rows[i].Sign) * rows[i].Amount
		}
		mrr += int64(rows[i].Sign) * rows[i].MRR
	}
	for query, want := range map[string]int64{
		"SELECT count() FROM events":                                  int64(len(events)),
		"SELECT count() FROM ledger":                                  int64(len(rows)),
		"SELECT count() FROM entries":                                 int64(len(rows)),
		"SELECT sum(amount) FROM revenue_hourly":                      cash,
		"SELECT sum(amount) FROM revenue_daily":                       cash,
		"SELECT sum(amount) FROM revenue_monthly":                     cash,
		"SELECT sum(mrr) FROM mrr_daily":                              mrr,
		"SELECT sum(mrr) FROM mrr_monthly":                            mrr,
		"SELECT sum(entries) FROM mrr_daily":                          count(t, store, "SELECT sum(sign) FROM ledger WHERE family = 'state'"),
		"SELECT sum(positive) FROM revenue_daily":                     count(t, store, "SELECT sum(sign) FROM ledger WHERE amount > 0"),
		"SELECT sum(entries) FROM revenue_hourly WHERE kind='refund'": count(t, store, "SELECT sum(sign) FROM ledger WHERE kind='refund'"),
	} {
		if got := count(t, store, query); got != want {
			t.Errorf("%s is %d, want %d", query, got, want)
		}
	}
}

// An insert that is given up after some of its blocks were sent leaves nothing.
func TestAnAbandonedInsertLeavesNothing(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	rows := w.rows(0, ledgerOf(charges(1, 3*blockRows)))
	batch := startInsert(t, store, rows, 2*blockRows)
	must(t, batch.Abort())
	deadline := time.Now().Add(10 * time.Second)
	for count(t, store, "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase()") != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the server still waits for the abandoned insert")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := count(t, store, "SELECT count() FROM ledger"); got != 0 {
		t.Errorf("%d rows of an abandoned insert are there", got)
	}
}

func TestTimesBeyondWhatCanBeStoredAreBrought(t *testing.T) {
	store := open(t)
	w := takeOver(t, store, 0)
	row := fullRow()
	row.Sign, row.Kind, row.Amount = 1, revenue.EntryExpiration, 0
	row.OccurredAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	row.EndsAt = time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, store.InsertRows(t.Context(), w.rows(0, []revenue.LedgerRow{row})))
	got, err := store.ReadRows(t.Context(), []revenue.GroupKey{{Workspace: row.Workspace, Group: row.Group}})
	must(t, err)
	if !got[0].OccurredAt.Equal(timeMax) || !got[0].EndsAt.Equal(timeMin) {
		t.Errorf("stored %v and %v, want the ends of the range", got[0].OccurredAt, got[0].EndsAt)
	}
	if hour := count(t, store, "SELECT toUnixTimestamp(hour) FROM revenue_hourly"); hour != 4294944000 {
		t.Errorf("the rollup counts it at %d, want in its last hour", hour)
	}
	if report, err := store.Check(t.Context()); err != nil || !report.OK() {
		t.Errorf("Check: %+v, %v", report, err)
	}
}

func TestErrorsSayWhatFollows(t *testing.T) {
	store := open(t)
	_, _, err := Select[int64](t.Context(), store, "SELECT nothing FROM nowhere")
	if err == nil || Retryable(err) || errors.Is(err, ErrTooExpensive) {
		t.Errorf("a wrong query is %v, want an error that stays", err)
	}
	store.config.QueryRowsReadMax = 10
	_, _, err = Select[uint64](t.Context(), store, "SELECT number FROM numbers(1000)")
	if !errors.Is(err, ErrTooExpensive) {
		t.Errorf("too many rows are %v, want ErrTooExpensive", err)
	}
	config := store.config
	config.Addresses = []string{"127.0.0.1:1"}
	down, err := Open(context.Background(), config, store.log, newRegistry())
	must(t, err)
	defer down.Close()
	if err := down.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a server that is down is %v, want ErrUnavailable", err)
	}
}

// Leaving a long result early neither reads it to the end nor spoils the store.
func TestEachEndsWhenItsFunctionDoes(t *testing.T) {
	store := open(t)
	enough := errors.New("enough")
	seen := 0
	stats, err := Each(t.Context(), store, "SELECT number FROM numbers(1500000000) WHERE number % {step:UInt64} = 0", func(*uint64) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	}, Named{"step", uint64(2)})
	if !errors.Is(err, enough) || seen != 3 {
		t.Errorf("after %d rows: %v", seen, err)
	}
	if stats.Elapsed > 10*time.Second {
		t.Errorf("it took %v to stop", stats.Elapsed)
	}
	if count(t, store, "SELECT 1") != 1 {
		t.Error("the store is spoilt")
	}
}

func TestParametersArriveAsTheyAre(t *testing.T) {
	store := open(t)
	type row struct {
		Text  string    `ch:"text"`
		At    time.Time `ch:"at"`
		List  []string  `ch:"list"`
		Flag  bool      `ch:"flag"`
		Count int64     `ch:"count"`
	}
	want := row{"a'b\\c\t{d:e}", testNow, []string{"x'y", "\\", ""}, true, -1 << 62}
	got, stats, err := Select[row](t.Context(), store,
		"SELECT {text:String} AS text, {at:DateTime64(6, 'UTC')} AS at, {list:Array(String)} AS list, {flag:Bool} AS flag, {count:Int64} AS count FROM numbers(7)",
		Named{"text", want.Text}, Named{"at", want.At}, Named{"list", want.List}, Named{"flag", want.Flag}, Named{"count", want.Count})
	must(t, err)
	if len(got) != 7 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("came back as %+v, want %+v", got, want)
	}
	if stats.RowsRead != 7 {
		t.Errorf("%d rows read, want 7", stats.RowsRead)
	}
}
