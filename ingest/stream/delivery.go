package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"revstream/ingest/revenue"
)

// Delivery is a webhook delivery as it came in and what became of it, kept beside its
// statements so that it can be found, shown and read again.
type Delivery struct {
	// ID is ours, made at acceptance; a delivery that the provider repeats has another.
	ID string `json:"id"`
	// Workspace, Endpoint, Provider, Account and Livemode are those of the endpoint.
	Workspace string `json:"workspace"`
	Endpoint  string `json:"endpoint"`
	Provider  string `json:"provider"`
	Account   string `json:"account,omitempty"`
	Livemode  bool   `json:"livemode"`
	// ReceivedAt is when it was accepted, UTC.
	ReceivedAt time.Time `json:"received_at"`
	// Revision is 0, or that of the replay which read the delivery last.
	Revision int64 `json:"revision,omitempty"`
	// Header are the headers without those that hold a secret.
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"-"`
	// Truncated: the delivery is larger than a record can be, compressed too, and only its
	// beginning is here. It cannot be read again.
	Truncated bool `json:"truncated,omitempty"`
	// Refusal is why it does not verify; then there is neither body nor header.
	Refusal string `json:"refusal,omitempty"`
	// Answers are what the provider's API was asked when the delivery was read, by path and
	// query, and what it said: see connectors.Answers.
	Answers map[string]json.RawMessage `json:"answers,omitempty"`
	// Items are the delivery's events in the order of the body, Statements what was
	// published for them.
	Items      []DeliveredItem `json:"items,omitempty"`
	Statements []revenue.Event `json:"-"`
}

// DeliveredItem is one event of a delivery.
type DeliveredItem struct {
	ID         string `json:"id,omitempty"`
	Type       string `json:"type,omitempty"`
	APIVersion string `json:"api_version,omitempty"`
	// At is when it happened, as the provider says; zero if it does not.
	At      time.Time `json:"at,omitzero"`
	Outcome string    `json:"outcome"`
	Error   string    `json:"error,omitempty"`
}

// deliveryVersion is the version of the encoding of deliveries.
const deliveryVersion = 1

// compressedAbove is the size from which on a delivery is a frame of Zstandard. What is that
// large is a batch of events that look alike, and takes a tenth; so it is kept whole where
// a record could not hold it otherwise.
const compressedAbove = 64 << 10

// expandedBytesMax bounds what compressed text may come to: more than any that was
// accepted, whatever JSON makes of its bytes.
const expandedBytesMax = 256 << 20

// frameMagic is how a frame begins (RFC 8878), which no JSON does.
var frameMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// deliveryRecord is the encoding of a delivery: JSON, the body as text if it is UTF-8.
type deliveryRecord struct {
	V int `json:"v"`
	*Delivery
	Body       string            `json:"body,omitempty"`
	BodyBase64 []byte            `json:"body_base64,omitempty"`
	Statements []json.RawMessage `json:"statements,omitempty"`
}

// EncodeDelivery is the delivery as the topic and the archive have it. The error is an
// ErrInvalid.
func EncodeDelivery(d *Delivery) ([]byte, error) {
	text, err := encodeWhole(d)
	if err != nil || len(text) <= compressedAbove {
		return text, err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress delivery %s: %w", d.ID, err)
	}
	return w.EncodeAll(text, nil), nil
}

func encodeWhole(d *Delivery) ([]byte, error) {
	record := deliveryRecord{V: deliveryVersion, Delivery: d}
	if utf8.Valid(d.Body) {
		record.Body = string(d.Body)
	} else {
		record.BodyBase64 = d.Body
	}
	for i := range d.Statements {
		text, err := EncodeEvent(nil, &d.Statements[i])
		if err != nil {
			return nil, err
		}
		record.Statements = append(record.Statements, text)
	}
	text, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode delivery %s: %w: %w", d.ID, ErrInvalid, err)
	}
	return text, nil
}

// DecodeDelivery reads what EncodeDelivery wrote. The error is an ErrPoison.
func DecodeDelivery(text []byte) (Delivery, error) {
	if bytes.HasPrefix(text, frameMagic) {
		var err error
		if text, err = expanded(text); err != nil {
			return Delivery{}, &poisonError{ReasonSyntax, err}
		}
	}
	return decodeWhole(text)
}

func expanded(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(expandedBytesMax))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(packed, nil)
}

func decodeWhole(text []byte) (Delivery, error) {
	var d Delivery
	record := deliveryRecord{Delivery: &d}
	if err := json.Unmarshal(text, &record); err != nil {
		return Delivery{}, &poisonError{ReasonSyntax, err}
	}
	if record.V != deliveryVersion {
		return Delivery{}, &poisonError{ReasonVersion, fmt.Errorf("v %d: %w", record.V, errVersion)}
	}
	if d.ID == "" || d.Workspace == "" || d.ReceivedAt.IsZero() {
		return Delivery{}, &poisonError{ReasonInvalid, errors.New("id, workspace and received_at are required")}
	}
	if d.Body = record.BodyBase64; d.Body == nil {
		d.Body = []byte(record.Body)
	}
	for _, text := range record.Statements {
		event, err := DecodeEvent(text)
		if err != nil {
			return Delivery{}, err
		}
		d.Statements = append(d.Statements, event)
	}
	d.ReceivedAt = d.ReceivedAt.UTC().Truncate(time.Microsecond)
	return d, nil
}

// keptRecord encodes a delivery for its topic. One that is too large goes without the
// answers of the provider's API, which can be asked again; one that still is keeps the
// beginning of its body, and no statements.
func (c Config) keptRecord(d *Delivery) (*kgo.Record, error) {
	key := []byte(d.Workspace + "|" + d.Endpoint)
	limit := c.recordBytesMax(c.DeliveriesTopic) - len(key)
	cut := *d
	text, err := EncodeDelivery(d)
	if err == nil && len(text) > limit && len(d.Answers) > 0 {
		cut.Answers = nil
		text, err = EncodeDelivery(&cut)
	}
	if err == nil && len(text) > limit {
		// In JSON a byte may take six, and what did not compress before may not now.
		cut.Truncated, cut.Body, cut.Statements = true, d.Body[:min(len(d.Body), c.RecordBytesMax/8)], nil
		text, err = EncodeDelivery(&cut)
	}
	return &kgo.Record{Topic: c.DeliveriesTopic, Key: key, Value: text}, err
}

// PublishDelivery is Publish of statements and of the delivery that they came by, at
// once: nil says that all of it is acknowledged. The delivery is one record in a topic
// of its own, which the statements' readers never see.
func (p *Producer) PublishDelivery(ctx context.Context, d *Delivery, events ...revenue.Event) error {
	start := time.Now()
	err := p.publishDelivery(ctx, d, events)
	p.metrics.published.WithLabelValues(outcome(err)).Add(float64(len(events)))
	if err != nil {
		return fmt.Errorf("publish delivery %s with %d statements: %w", d.ID, len(events), err)
	}
	p.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

func (p *Producer) publishDelivery(ctx context.Context, d *Delivery, events []revenue.Event) error {
	records, err := p.cfg.eventRecords(events)
	if err != nil {
		return err
	}
	kept, err := p.cfg.keptRecord(d)
	if err != nil {
		return err
	}
	return p.produce(ctx, append(records, kept))
}
