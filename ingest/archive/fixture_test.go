package archive

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// openStore is a database of the test's own, whose tables are not made yet.
func openStore(t *testing.T) *clickhouse.Cluster {
	t.Helper()
	engine, config := enginetest.Start(t), clickhouse.DefaultConfig()
	config.Addresses, config.User, config.Database = []string{engine.Addr()}, embedded.AdminUser, enginetest.DatabaseName(t)
	config.Password, _ = engine.Password(embedded.AdminUser)
	store, err := clickhouse.OpenCluster(t.Context(), config, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// saleDelivery is a delivery of the provider of the tests: of a sale of so many cents.
func saleDelivery(number int, sale string, cents int64) stream.Delivery {
	d := stream.Delivery{
		ID: fmt.Sprintf("dlv_%d", number), Workspace: "ws_1", Endpoint: "we_1", Provider: "toypay", Livemode: true,
		ReceivedAt: testNow.Add(time.Duration(number) * time.Second), Header: http.Header{"X-Trace": {"kept"}},
		Body: fmt.Appendf(nil, `{"sale":%q}`, sale),
	}
	d.Items = []stream.DeliveredItem{{ID: fmt.Sprintf("evt_%d", number), Type: "sale.paid", Outcome: "booked"}}
	d.Statements = []revenue.Event{charge(&d, sale, cents)}
	return d
}

func charge(d *stream.Delivery, sale string, cents int64) revenue.Event {
	return revenue.Event{
		Workspace: d.Workspace, Provider: d.Provider, Livemode: d.Livemode, ObjectID: sale, Kind: revenue.KindCharge, Group: "toypay||live|" + sale,
		Version: 1, OccurredAt: testNow, ReceivedAt: d.ReceivedAt, Amount: cents, Currency: "USD",
		Dimensions: revenue.Dimensions{Customer: "buyer_of_" + sale}, Delivery: revenue.Delivery{Integration: d.Endpoint},
	}
}

// books stands for Kafka, the sink and the archive: what is published is stored.
type books struct {
	t      *testing.T
	store  *clickhouse.Cluster
	epoch  uint64
	offset int64
	// published are the statements since it was emptied.
	published []revenue.Event
}

func newBooks(t *testing.T) *books {
	t.Helper()
	store := openStore(t)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := store.Shards()[0].TakeOver(t.Context(), "topic", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	return &books{t: t, store: store, epoch: taken[0].Epoch}
}

func (b *books) publish(ctx context.Context, d *stream.Delivery, events ...revenue.Event) error {
	row, err := rowOf(d)
	if err != nil {
		return err
	}
	if err := b.store.InsertDeliveries(ctx, []clickhouse.Delivery{row}); err != nil {
		return err
	}
	var statements []clickhouse.Statement
	for i := range events {
		encoded, err := stream.EncodeEvent(nil, &events[i])
		if err != nil {
			return err
		}
		b.offset++
		statements = append(statements, clickhouse.Statement{
			Event: &events[i], Encoded: encoded, Position: clickhouse.Position{TopicID: "topic", Epoch: b.epoch, Offset: b.offset},
		})
	}
	b.published = append(b.published, events...)
	return b.store.Shards()[0].InsertStatements(ctx, statements)
}

// hear takes deliveries in.
func (b *books) hear(deliveries ...stream.Delivery) {
	b.t.Helper()
	for i := range deliveries {
		if err := b.publish(b.t.Context(), &deliveries[i], deliveries[i].Statements...); err != nil {
			b.t.Fatal(err)
		}
	}
	b.published = nil
}
