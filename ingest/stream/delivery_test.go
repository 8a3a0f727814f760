package stream

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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
		d.Answers = map[string]json.RawMessage{"/v1/prices/p?expand[]=tiers": json.RawMessage(`{"unit":1.50,"big":9007199254740993}`)}
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
	for _, text := range []string{"", "{}", "\x28\xb5\x2f\xfd\x00", `{"v":2,"id":"d","workspace":"w","received_at":"2026-01-01T00:00:00Z"}`, `{"v":1}`,
		`{"v":1,"id":"d","workspace":"w","received_at":"2026-01-01T00:00:00Z","statements":[{}]}`} {
		if d, err := DecodeDelivery([]byte(text)); !errors.Is(err, ErrPoison) {
			t.Errorf("%s was read as %+v, %v", text, d, err)
		}
	}
}

// A batch of 4 MiB, which is the most that is accepted, is kept whole in half of
// what a record may be, with what it says.
func TestLargeDeliveriesAreKeptWhole(t *testing.T) {
	const bodyBytesMax = 4 << 20 // ingest.body_bytes_max
	cfg, random := DefaultConfig(), rand.New(rand.NewPCG(1, 2))
	d := testDelivery("dlv_1", "")
	said := d.Statements[0]
	var body strings.Builder
	body.WriteString(`{"events":[`)
	for d.Statements = nil; body.Len() < bodyBytesMax-1000; {
		said.ObjectID, said.Amount = fmt.Sprintf("PM%024X", random.Uint64()), random.Int64N(100_000)
		d.Statements = append(d.Statements, said)
		fmt.Fprintf(&body, `{"id":"EV%024X","created_at":"2026-01-02T03:04:%02d.%03dZ","resource_type":"payments","action":"confirmed","links":{"payment":%q,"mandate":"MD%012X"},
			"details":{"origin":"gocardless","cause":"payment_confirmed","description":"Enough time has passed since the payment was submitted."},"metadata":{"order":"%d"},"amount":%d,"more":%q},`,
			random.Uint64(), random.IntN(60), random.IntN(1000), said.ObjectID, random.Uint32(), random.Uint32(), said.Amount, strings.Repeat("as in every other event; ", 25))
	}
	body.WriteString(`{}]}`)
	d.Body = []byte(body.String())
	record, err := cfg.keptRecord(d)
	if err != nil || len(record.Value) > 512<<10 {
		t.Fatalf("%d events of %d bytes are a record of %d, %v", len(d.Statements), len(d.Body), len(record.Value), err)
	}
	got, err := DecodeDelivery(record.Value)
	if err != nil || !reflect.DeepEqual(got, *d) {
		t.Errorf("came back as %d bytes, truncated %v, %d statements, %v", len(got.Body), got.Truncated, len(got.Statements), err)
	}
	t.Logf("%d events: a body of %d bytes is a record of %d", len(d.Statements), len(d.Body), len(record.Value))
}

// What the API said goes first where a record would be too large: it can be asked again.
func TestAnswersAreGivenUpBeforeTheDelivery(t *testing.T) {
	cfg := DefaultConfig()
	random := make([]byte, 2*cfg.RecordBytesMax)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(random)
	d := testDelivery("dlv_1", `{"whole":true}`)
	d.Answers = map[string]json.RawMessage{"/large": json.RawMessage(`{"x":"` + hex.EncodeToString(random) + `"}`)}
	record, err := cfg.keptRecord(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDelivery(record.Value)
	if err != nil || got.Truncated || string(got.Body) != `{"whole":true}` || len(got.Statements) != 1 || got.Answers != nil {
		t.Errorf("%d bytes: truncated %v, %d bytes of body, %d answers, %v", len(record.Value), got.Truncated, len(got.Body), len(got.Answers), err)
	}
}

// A delivery that does not fit a record however it is kept keeps its beginning, and says so:
// its statements are not refused because of it.
func TestLargeDeliveriesAreTruncated(t *testing.T) {
	cfg := DefaultConfig()
	random := make([]byte, 4*cfg.RecordBytesMax) // does not compress
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	for _, body := range []string{string(random), hex.EncodeToString(random)} {
		record, err := cfg.keptRecord(testDelivery("dlv_1", body))
		if err != nil || len(record.Key)+len(record.Value) > cfg.recordBytesMax(cfg.DeliveriesTopic) {
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
	dense := make([]byte, cfg.recordBytesMax(cfg.DeliveriesTopic)*7/10) // base64 adds a third, of which compression takes little away
	_, _ = rand.NewChaCha8([32]byte{2}).Read(dense)
	large := testDelivery("dlv_large", string(dense))
	if record, err := cfg.keptRecord(large); err != nil || len(record.Value) < cfg.RecordBytesMax {
		t.Fatalf("a record of %d bytes, %v", len(record.Value), err)
	}
	if err := producer.PublishDelivery(within(t), large); err != nil {
		t.Fatal(err)
	}

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
			if len(stored) == 3 {
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
	if !reflect.DeepEqual(stored, []string{"dlv_1", "dlv_2", "dlv_large", "dlv_3"}) || !reflect.DeepEqual(buried, []string{"no delivery"}) {
		t.Errorf("stored %v, buried %v", stored, buried)
	}
}
