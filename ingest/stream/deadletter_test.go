package stream

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func letters(t *testing.T, cfg Config) (list []DeadLetter) {
	t.Helper()
	err := DeadLetters(within(t), cfg, func(d DeadLetter) error {
		list = append(list, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDeadLetters(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	if got := letters(t, cfg); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	at := time.Date(2026, 2, 8, 10, 0, 0, 5000, time.UTC)
	sent := []DeadLetter{
		{Topic: cfg.EventsTopic, Partition: 1, Offset: 7, Reason: ReasonSyntax, Error: "byte 3", Key: []byte("acme|g"), Value: []byte("{{{"), At: at},
		{Topic: cfg.EventsTopic, Partition: 1, Offset: 8, Reason: ReasonVersion, Error: "v 2", Key: nil, Value: nil, At: at, Attempts: 3},
		{Topic: cfg.EventsTopic, Partition: 1, Offset: 7, Reason: ReasonSyntax, Error: "of another topic of the name", Value: []byte("]"), At: at},
	}
	for _, d := range sent {
		if err := p.Quarantine(within(t), d); err != nil {
			t.Fatal(err)
		}
	}
	if got := letters(t, cfg); !reflect.DeepEqual(got, sent) {
		t.Fatalf("got  %+v\nwant %+v", got, sent)
	}
	// The sink crashed before its commit and quarantines again.
	if err := p.Quarantine(within(t), sent[1]); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, cfg); len(got) != 3 {
		t.Fatalf("%d letters after a repeated quarantine", len(got))
	}
	if err := p.Discard(within(t), sent[1]); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, cfg); !reflect.DeepEqual(got, []DeadLetter{sent[0], sent[2]}) {
		t.Fatalf("after a discard: %+v", got)
	}
	stop := errors.New("enough")
	if err := DeadLetters(within(t), cfg, func(DeadLetter) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error: %v", err)
	}
}

func TestRetry(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	// A statement of a newer minor encoding, which now can be read: retried as it
	// was, with what this version does not know.
	value := []byte(strings.Replace(golden, `"tax"`, `"novel":1,"tax"`, 1))
	first := DeadLetter{Topic: cfg.EventsTopic, Offset: 5, Reason: "other", Key: []byte("acme|stripe|acct_1|live|in_1PqRsT"), Value: value}
	if err := p.Quarantine(within(t), first); err != nil {
		t.Fatal(err)
	}
	if err := p.Retry(within(t), letters(t, cfg)[0]); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, cfg); len(got) != 0 {
		t.Fatalf("the letter stays: %+v", got)
	}
	record := consume(t, cfg, cfg.EventsTopic, 1)[0]
	if !bytes.Equal(record.Value, value) || !bytes.Equal(record.Key, first.Key) || string(headers(record)["workspace"]) != "acme" {
		t.Fatalf("%+v", record)
	}
	// Unreadable still: it comes back with one more attempt.
	again := NewDeadLetter(record, ReasonSyntax, errors.New("why"), time.Now())
	if again.Attempts != 1 || again.Topic != cfg.EventsTopic || again.Error != "why" {
		t.Fatalf("%+v", again)
	}
	if err := p.Retry(within(t), DeadLetter{Topic: "elsewhere"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("another topic: %v", err)
	}
}

// A poison record larger than a letter can be must not block its partition.
func TestQuarantineOfOversized(t *testing.T) {
	cfg := kafka(t)
	p := producer(t, cfg)
	record := &kgo.Record{Topic: cfg.EventsTopic, Value: bytes.Repeat([]byte("x"), cfg.batchBytesMax()-100)}
	d := NewDeadLetter(record, ReasonSyntax, errors.New(strings.Repeat("long ", 10_000)), time.Now())
	if err := p.Quarantine(within(t), d); err != nil {
		t.Fatal(err)
	}
	got := letters(t, cfg)
	if len(got) != 1 || !got[0].Truncated || len(got[0].Value) == 0 {
		t.Fatalf("%d letters", len(got))
	}
	if err := p.Retry(within(t), got[0]); !errors.Is(err, ErrInvalid) {
		t.Errorf("retry of a truncated record: %v", err)
	}
	if err := p.Discard(within(t), got[0]); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, cfg); len(got) != 0 {
		t.Errorf("discarded, and still %d", len(got))
	}
}
