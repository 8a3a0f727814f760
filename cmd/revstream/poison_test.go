package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// foreignRecord is a record that somebody writes to the topic past ingest.
type foreignRecord struct {
	reason string
	value  []byte
	record *kgo.Record // as it lies in Kafka
}

// statement is one charge of a cent, as it is encoded.
func foreignStatement(t *testing.T, workspace string, change func(*revenue.Event)) []byte {
	t.Helper()
	at := time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC)
	e := revenue.Event{Workspace: workspace, Provider: "foreign", Livemode: true, Kind: revenue.KindCharge, ObjectID: "o", Group: "o",
		Version: 1, Amount: 1, Currency: "USD", OccurredAt: at, ReceivedAt: at}
	if change != nil {
		change(&e)
	}
	value, err := stream.EncodeEvent(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// write puts the record among the others of its topic.
func (f *foreignRecord) write(t *testing.T, s *service) {
	t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(place.Kafka...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f.record = &kgo.Record{Topic: stream.DefaultConfig().EventsTopic, Key: []byte(f.reason), Value: f.value}
	if err := client.ProduceSync(t.Context(), f.record).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// letters are the dead letters as an operator lists them.
func (s *service) letters() (list []listedLetter) {
	s.t.Helper()
	output := s.revstream(exitOK, "dead-letters", "list", "--json")
	for line := range strings.Lines(output) {
		var letter listedLetter
		s.decode(line, &letter)
		list = append(list, letter)
	}
	return list
}

// TestPoisonOfEveryKind writes records to the topic that can never be stored, among
// real traffic: each becomes a dead letter that says where it lay and why, and is
// counted, the partitions move on, and nothing else is counted. What is mended, a
// workspace that is missing, a limit that is too low, makes a retry succeed, once.
func TestPoisonOfEveryKind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := startServiceOn(t, folder, nil, "REVSTREAM_SINK_RECORD_BYTES_MAX=600000")
	whole := foreignStatement(t, demoWorkspace, nil)
	large, err := json.Marshal(map[string]string{"note": strings.Repeat("poison ", 100_000)})
	if err != nil {
		t.Fatal(err)
	}
	poison := []*foreignRecord{
		{reason: stream.ReasonSyntax, value: whole[:len(whole)/2]},
		{reason: stream.ReasonSyntax, value: nil},
		{reason: stream.ReasonVersion, value: append([]byte(`{"v":99,`), whole[len(`{"v":1,`):]...)},
		{reason: stream.ReasonInvalid, value: fmt.Appendf(nil, `{"v":1,"workspace":%q}`, demoWorkspace)},
		{reason: stream.ReasonSize, value: foreignStatement(t, demoWorkspace, func(e *revenue.Event) { e.ObjectID, e.Group, e.Metadata = "large", "large", large })},
		{reason: stream.ReasonWorkspace, value: foreignStatement(t, "late", nil)},
	}
	p := startPayer(s.client)
	for _, f := range poison {
		p.until(s, 30)
		f.write(t, s)
	}
	p.until(s, 100)
	p.finish(s)

	list := s.letters()
	if len(list) != len(poison) {
		t.Fatalf("%d dead letters, want %d: %+v", len(list), len(poison), list)
	}
	for _, f := range poison {
		if !slices.ContainsFunc(list, func(l listedLetter) bool {
			return l.Reason == f.reason && l.Topic == f.record.Topic && l.Partition == f.record.Partition && l.Offset == f.record.Offset && l.Error != ""
		}) {
			t.Errorf("no letter says %s at %d/%d: %+v", f.reason, f.record.Partition, f.record.Offset, list)
		}
	}
	for reason, count := range map[string]int{"syntax": 2, "version": 1, "invalid": 1, "size": 1, "workspace": 1} {
		line := fmt.Sprintf("revstream_sink_quarantined_total{reason=%q} %d\n", reason, count)
		if status, body, err := s.client.get("/metrics"); err != nil || status != http.StatusOK || !strings.Contains(string(body), line) {
			t.Errorf("the metrics do not say %s %v", line, err)
		}
	}
	s.retryMended(p)
	s.stop()
}

// retryMended retries what can be stored after something was mended, and the rest.
func (s *service) retryMended(p *payer) {
	s.t.Helper()
	late := s.newWorkspace("late")
	if output := s.revstream(exitOK, "dead-letters", "retry", "--reason", stream.ReasonWorkspace); !strings.Contains(output, "retried 1 ") {
		s.t.Errorf("retrying: %s", output)
	}
	cent := revenueSummary{Currency: "USD", GrossRevenueCents: 1, NetRevenueCents: 1, PurchaseCount: 1, PositiveChargeCount: 1}
	s.awaitSummary(late, cent)
	s.stop()
	*s = *startServiceOn(s.t, s.folder, nil) // with the limit as it is
	s.revstream(exitOK, "dead-letters", "retry")
	s.await("four letters that come back", 30*time.Second, func() error {
		list := s.letters()
		for _, letter := range list {
			if letter.Attempts != 1 || letter.Reason == stream.ReasonSize {
				return fmt.Errorf("there is %+v", letter)
			}
		}
		if len(list) != 4 {
			return fmt.Errorf("there are %d", len(list))
		}
		return nil
	})
	p.accepted.Add(1) // the large one
	p.cents.Add(1)
	p.client.Store(&s.client)
	p.finish(s)
	late.url = s.url
	s.awaitSummary(late, cent)
}
