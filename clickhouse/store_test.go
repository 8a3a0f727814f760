package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const testTopic = "topic-a"

// openEmpty opens a store on a database of the test's own, without tables.
func openEmpty(t testing.TB) *Store {
	t.Helper()
	engine := enginetest.Start(t)
	return openAt(t, engine, enginetest.DatabaseName(t))
}

func openAt(t testing.TB, engine *embedded.Engine, database string) *Store {
	t.Helper()
	config := DefaultConfig()
	config.Addresses, config.Database, config.Durable = []string{engine.Addr()}, database, false
	config.User = embedded.AdminUser
	config.Password, _ = engine.Password(embedded.AdminUser)
	store, err := Open(t.Context(), config, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// open is a migrated store.
func open(t testing.TB) *Store {
	t.Helper()
	store := openEmpty(t)
	must(t, store.Migrate(t.Context()))
	return store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writer writes to slices of a store that it has taken over.
type writer struct {
	store  *Store
	epochs map[int32]uint64
	next   map[int32]int64
}

func takeOver(t testing.TB, store *Store, slices ...int32) *writer {
	t.Helper()
	taken, err := store.TakeOver(t.Context(), testTopic, slices)
	must(t, err)
	w := &writer{store, map[int32]uint64{}, map[int32]int64{}}
	for slice, takeover := range taken {
		w.epochs[slice], w.next[slice] = takeover.Epoch, takeover.NextOffset
	}
	return w
}

func (w *writer) position(slice int32) Position {
	w.next[slice]++
	return Position{Slice: slice, Epoch: w.epochs[slice], Offset: w.next[slice] - 1, TopicID: testTopic}
}

func (w *writer) statements(slice int32, events []revenue.Event) []Statement {
	list := make([]Statement, len(events))
	for i := range events {
		encoded, err := json.Marshal(&events[i])
		if err != nil {
			panic(err)
		}
		list[i] = Statement{Position: w.position(slice), Event: &events[i], Encoded: encoded}
	}
	return list
}

func (w *writer) rows(slice int32, rows []revenue.LedgerRow) []Row {
	list := make([]Row, len(rows))
	for i := range rows {
		list[i] = Row{Position: w.position(slice), LedgerRow: &rows[i]}
	}
	return list
}

// write inserts events and what they come to.
func (w *writer) write(ctx context.Context, slice int32, events []revenue.Event) error {
	if err := w.store.InsertStatements(ctx, w.statements(slice, events)); err != nil {
		return err
	}
	return w.store.InsertRows(ctx, w.rows(slice, ledgerOf(events)))
}

// ledgerOf is the ledger of each group of the events.
func ledgerOf(events []revenue.Event) []revenue.LedgerRow {
	var order []revenue.GroupKey
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		key := event.GroupKey()
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], event)
	}
	var rows []revenue.LedgerRow
	for _, key := range order {
		rows = append(rows, revenue.Ledger(groups[key])...)
	}
	return rows
}

var testNow = time.Date(2026, 3, 15, 12, 30, 0, 123456000, time.UTC)

// charges makes n payments, one group each, spread over workspaces and days; some
// have a refund, and some are paid by subscriptions with a state of their own.
func charges(seed uint64, n int) []revenue.Event {
	random := rand.New(rand.NewPCG(seed, 1))
	var events []revenue.Event
	for i := range n {
		id := fmt.Sprintf("pi_%d_%d", seed, i)
		at := testNow.Add(-time.Duration(random.IntN(30*24)) * time.Hour)
		charge := revenue.Event{
			Workspace: fmt.Sprintf("ws_%d", i%3), Provider: "stripe", Account: "acct_1", Livemode: i%10 != 0,
			ObjectID: id, Kind: revenue.KindCharge, Version: 1, OccurredAt: at, ReceivedAt: at.Add(time.Second),
			Amount: int64(random.IntN(10_000) + 1), Tax: 7, Fee: 3, Currency: [...]string{"USD", "EUR", "JPY"}[i%3],
			Dimensions: revenue.Dimensions{Customer: fmt.Sprintf("cus_%d", i%50), Payment: id},
		}
		charge.Group = revenue.GroupName(charge.Provider, charge.Account, charge.Livemode, id)
		events = append(events, charge)
		if i%5 == 0 {
			refund := charge
			refund.Kind, refund.ObjectID, refund.Original = revenue.KindRefund, "re_"+id, id
			refund.Amount, refund.Tax, refund.Fee = charge.Amount/2, 0, 0
			refund.OccurredAt = at.Add(36 * time.Hour)
			refund.ReceivedAt = refund.OccurredAt.Add(time.Second)
			events = append(events, refund)
		}
		if i%4 == 0 {
			state := charge
			state.Kind, state.ObjectID, state.MRR = revenue.KindSubscription, "sub_"+id, charge.Amount*10_000
			state.Amount, state.Tax, state.Fee = 0, 0, 0
			state.Status, state.Subscription, state.Customer = revenue.StatusActive, "sub_"+id, "cus_"+id
			state.Group = revenue.GroupName(state.Provider, state.Account, state.Livemode, state.Customer)
			events = append(events, state)
		}
	}
	return events
}

// count runs a query of one number.
func count(t testing.TB, store *Store, sql string) int64 {
	t.Helper()
	rows, _, err := Select[int64](t.Context(), store, "SELECT toInt64(("+sql+"))")
	must(t, err)
	return rows[0]
}

// exec runs a statement as an operator might by hand.
func exec(t testing.TB, store *Store, sql string) {
	t.Helper()
	if err := store.conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func counterValue(t testing.TB, counter prometheus.Counter) float64 {
	t.Helper()
	var metric dto.Metric
	must(t, counter.Write(&metric))
	return metric.GetCounter().GetValue()
}
