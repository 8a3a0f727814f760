package stream

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

func testDelivery(id, body string) *Delivery {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	return &Delivery{
		ID: id, Workspace: "w", Endpoint: "we_1", Provider: "stripe", Livemode: true, ReceivedAt: at,
		Header: http.Header{"X-Trace": {"1", "2"}}, Body: []byte(body),
		Items: []DeliveredItem{{ID: "evt_1", Type: "invoice.paid", APIVersion: "2025", At: at.Add(-time.Second), Outcome: "booked"}},
		Statements: []revenue.Event{{
			Workspace: "w", Provider: "stripe", Livemode: true, ObjectID: "in_1", Kind: revenue.KindCharge, Group: "g", Version: 1,
			OccurredAt: at, ReceivedAt: at, Amount: 100, Currency: "USD",
		}},
	}
}

// What is kept of a delivery is what came in, whatever its bytes are.
func TestDeliveriesAreKeptAsTheyCame(t *testing.T) {
	for _, body := range []string{"", `{"a":1}`, "line\nline", "\xff\xfe\x00", strings.Repeat("ä", 1000)} {
		d := testDelivery("dlv_1", body)
		text, err := EncodeDelivery(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeDelivery(text)
		if err != nil || string(got.Body) != body {
			t.Fatalf("%q came back as %q, %v", body, got.Body, err)
		}
		got.Body = d.Body
		if !reflect.DeepEqual(got, *d) {
			t.Errorf("got %+v\nwant %+v", got, *d)
		}
	}
	for _, text := range []string{"", "{}", `{"v":2,"id":"d","workspace":"w","received_at":"2026-01-01T00:00:00Z"}`, `{"v":1}`,
		`{"v":1,"id":"d","workspace":"w","received_at":"2026-01-01T00:00:00Z","statements":[{}]}`} {
		if d, err := DecodeDelivery([]byte(text)); !errors.Is(err, ErrPoison) {
			t.Errorf("%s was read as %+v, %v", text, d, err)
		}
	}
}

// A delivery that is larger than a record keeps its beginning, and says so: its
// statements are not refused because of it.
func TestLargeDeliveriesAreTruncated(t *testing.T) {
	cfg := DefaultConfig()
	for _, body := range []string{strings.Repeat("x", 2*cfg.RecordBytesMax), strings.Repeat("\x01", cfg.RecordBytesMax)} {
		record, err := cfg.keptRecord(testDelivery("dlv_1", body))
		if err != nil || len(record.Value) > cfg.RecordBytesMax {
			t.Fatalf("a record of %d bytes, %v", len(record.Value), err)
		}
		d, err := DecodeDelivery(record.Value)
		if err != nil || !d.Truncated || len(d.Body) == 0 || !strings.HasPrefix(body, string(d.Body)) {
			t.Errorf("truncated %v, %d bytes, %v", d.Truncated, len(d.Body), err)
		}
	}
}

// Each delivery is stored at least once, also when storing fails and when something
// that is none lies between them; what is committed does not come again.
func TestDeliveriesAreRead(t *testing.T) {
	cfg := kafka(t)
	cfg.FetchWait = 50 * time.Millisecond
	producer, err := NewProducer(cfg, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	publish := func(id string) {
		t.Helper()
		d := testDelivery(id, "{}")
		if err := producer.PublishDelivery(within(t), d, d.Statements...); err != nil {
			t.Fatal(err)
		}
	}
	publish("dlv_1")
	if err := producer.produce(within(t), []*kgo.Record{{Topic: cfg.DeliveriesTopic, Value: []byte("no delivery")}}); err != nil {
		t.Fatal(err)
	}
	publish("dlv_2")

	ctx, cancel := context.WithCancel(within(t))
	var stored, buried []string
	failures := 2
	reader := DeliveryReader{
		Group: cfg.DeliveriesTopic + "-readers", RowsMax: 100, WaitMax: 50 * time.Millisecond,
		BackoffMin: time.Millisecond, BackoffMax: time.Millisecond,
		Store: func(_ context.Context, batch []Delivery) error {
			if failures--; failures >= 0 {
				return errors.New("the store is down")
			}
			for _, d := range batch {
				if stored = append(stored, d.ID); d.ID == "dlv_3" {
					cancel()
				}
			}
			if len(stored) == 2 {
				publish("dlv_3")
			}
			return nil
		},
		Quarantine: func(_ context.Context, letter DeadLetter) error {
			if len(buried) == 0 || buried[len(buried)-1] != string(letter.Value) {
				buried = append(buried, string(letter.Value))
			}
			return nil
		},
	}
	if err := reader.Read(ctx, cfg, zap.NewNop(), nil); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(stored, []string{"dlv_1", "dlv_2", "dlv_3"}) || !reflect.DeepEqual(buried, []string{"no delivery"}) {
		t.Errorf("stored %v, buried %v", stored, buried)
	}
}
