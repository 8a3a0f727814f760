package archive

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/stream"
	"revstream/ingest/stream/kafkatest"
)

// Deliveries reach ClickHouse as they came in, once, though the tables are not there at
// first and though something that is none lies between them; and are found by whatever
// names them.
func TestArchive(t *testing.T) {
	kafka := stream.DefaultConfig()
	prefix := kafkatest.Use(t, &kafka)
	kafka.FetchWait = 50 * time.Millisecond
	if err := stream.EnsureTopics(t.Context(), kafka); err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(kafka, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	deliveries := []stream.Delivery{saleDelivery(1, "sale_1", 100), saleDelivery(2, "sale_2", 200), saleDelivery(3, "sale_1", 150)}
	refused := stream.Delivery{ID: "dlv_4", Workspace: "ws_1", Endpoint: "we_1", Provider: "toypay", ReceivedAt: testNow, Refusal: "wrong_secret"}
	for _, d := range append(deliveries, refused) {
		if err := producer.PublishDelivery(t.Context(), &d, d.Statements...); err != nil {
			t.Fatal(err)
		}
	}

	store, config := openStore(t), DefaultConfig()
	config.Group, config.BatchWaitMax, config.BackoffMin, config.BackoffMax = prefix+"archive", 50*time.Millisecond, time.Millisecond, 20*time.Millisecond
	var mu sync.Mutex
	var buried []string
	quarantine := func(_ context.Context, letter stream.DeadLetter) error {
		mu.Lock()
		defer mu.Unlock()
		buried = append(buried, string(letter.Value))
		return nil
	}
	registry := prometheus.NewRegistry()
	archive, err := New(config, kafka, store, quarantine, registry, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- archive.Run(ctx) }()
	await(t, "a failure to store", func() bool { return testutil.ToFloat64(archive.metrics.failures) > 0 })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	find := func(filter clickhouse.DeliveryFilter) []stream.Delivery {
		t.Helper()
		filter.Workspace = "ws_1"
		found, err := Find(t.Context(), store.Answers(), filter, 10)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	await(t, "the deliveries", func() bool { return len(find(clickhouse.DeliveryFilter{})) == 4 })
	leave()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		filter clickhouse.DeliveryFilter
		want   []string
	}{
		{clickhouse.DeliveryFilter{}, []string{"dlv_3", "dlv_2", "dlv_1", "dlv_4"}},
		{clickhouse.DeliveryFilter{Name: "sale_1"}, []string{"dlv_3", "dlv_1"}},
		{clickhouse.DeliveryFilter{Name: "buyer_of_sale_2"}, []string{"dlv_2"}},
		{clickhouse.DeliveryFilter{Name: "evt_3"}, []string{"dlv_3"}},
		{clickhouse.DeliveryFilter{Name: "dlv_1"}, []string{"dlv_1"}},
		{clickhouse.DeliveryFilter{Name: "sale"}, nil},
		{clickhouse.DeliveryFilter{Type: "sale.paid", Since: testNow.Add(2 * time.Second)}, []string{"dlv_3", "dlv_2"}},
		{clickhouse.DeliveryFilter{Outcome: "quarantined"}, nil},
	} {
		var ids []string
		for _, d := range find(c.filter) {
			ids = append(ids, d.ID)
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("%+v finds %v, want %v", c.filter, ids, c.want)
		}
	}
	if got := find(clickhouse.DeliveryFilter{Name: "dlv_2"})[0]; !reflect.DeepEqual(got, deliveries[1]) {
		t.Errorf("kept %+v\nwant %+v", got, deliveries[1])
	}
	if others, err := Find(t.Context(), store.Answers(), clickhouse.DeliveryFilter{Workspace: "ws_2"}, 10); err != nil || len(others) != 0 {
		t.Errorf("another workspace finds %v, %v", others, err)
	}
}

func await(t *testing.T, what string, until func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !until(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"group":          func(c *Config) { c.Group = "" },
		"batch_rows_max": func(c *Config) { c.BatchRowsMax = 0 },
		"batch_wait_max": func(c *Config) { c.BatchWaitMax = 2 * time.Minute },
		"backoff_min":    func(c *Config) { c.BackoffMax = c.BackoffMin - 1 },
	} {
		config := DefaultConfig()
		spoil(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := New(config, stream.DefaultConfig(), nil, nil, prometheus.NewRegistry(), zap.NewNop()); err == nil {
			t.Errorf("%s: an archive was made", name)
		}
	}
}
