package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/ingest/revenue"
	"revstream/ingest/stream"
	broker "revstream/ingest/stream/embedded"
)

// lostSales are as many charges of ten cents as were accepted and then lost.
func lostSales(n int) []revenue.Event {
	events := make([]revenue.Event, n)
	at := time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC)
	for i := range events {
		id := fmt.Sprintf("lost_%d", i)
		events[i] = revenue.Event{Workspace: demoWorkspace, Provider: "native", Livemode: true, Kind: revenue.KindCharge,
			ObjectID: id, Group: revenue.GroupName("native", "", true, id), Version: 1, Amount: 10, Currency: "USD", OccurredAt: at, ReceivedAt: at}
	}
	return events
}

// onBroker runs the service's embedded broker by itself, and hands on how to reach it.
func (s *service) onBroker(do func(stream.Config)) {
	s.t.Helper()
	settings := broker.DefaultConfig()
	settings.Dir = filepath.Join(s.folder, "kafka")
	b, err := broker.Start(settings, zap.NewNop(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	config := stream.DefaultConfig()
	config.Brokers = []string{b.Addr()}
	do(config)
	if err := b.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// TestAGapIsAccepted follows the runbook where records are gone from Kafka that were
// never stored: the sink stops, check says what is lost, nothing but exactly that can
// be accepted, the sink goes on behind it, and what its sources send again is counted.
func TestAGapIsAccepted(t *testing.T) {
	t.Parallel()
	s := startServiceOn(t, t.TempDir(), nil)
	p := startPayer(s.client)
	p.until(s, 200)
	p.finish(s)
	s.stop()
	lost := lostSales(300)
	kept := 0
	s.onBroker(func(config stream.Config) { kept = s.lose(config, lost, 1) })

	again := launchService(t, nil, s.folder, nil)
	again.await("the sink to stop", 30*time.Second, func() error {
		if !strings.Contains(again.output.String(), "records that were never stored are gone from Kafka") {
			return fmt.Errorf("it does not say so")
		}
		return nil
	})
	var outcome checkOutcome
	said, _, _ := strings.Cut(again.revstream(exitDifferences, "check", "--json"), "\n") // behind it, that it found differences
	again.decode(said, &outcome)
	accepted := 0
	for _, slice := range outcome.Slices {
		if slice.Lost {
			accepted += again.acceptGap(slice)
		}
	}
	if accepted != len(lost)-kept {
		t.Errorf("%d records were accepted as lost, %d were", accepted, len(lost)-kept)
	}
	again.decode(again.revstream(exitOK, "check", "--json"), &outcome)
	if len(outcome.Gaps) == 0 || outcome.Gaps[0].Note != "lost in a test" || outcome.Gaps[0].By == "" {
		t.Errorf("check shows the gaps %+v", outcome.Gaps)
	}
	again.stop()

	s = startServiceOn(t, s.folder, nil)
	p = resumePayer("more", p, s)
	p.until(s, 200)
	for _, sale := range lost { // their source sends them again
		s.client.must(call{method: "POST", path: "/v1/events", status: 202, body: fmt.Sprintf(
			`{"kind":"charge","object_id":%q,"amount":10,"currency":"USD","occurred_at":"2025-07-01T00:00:00Z","version":1}`, sale.ObjectID)})
	}
	p.accepted.Add(int64(len(lost)))
	p.cents.Add(10 * int64(len(lost)))
	p.finish(s)
	if output := s.revstream(exitOK, "gaps", "list"); strings.Count(output, "lost in a test") != len(outcome.Gaps) {
		t.Errorf("gaps list: %s", output)
	}
	s.stop()
}

// lose has records accepted, and then deletes all that the broker has but the newest of
// each partition. It returns how many those are.
func (s *service) lose(config stream.Config, lost []revenue.Event, newest int64) (kept int) {
	s.t.Helper()
	producer, err := stream.NewProducer(config, nil, zap.NewNop())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := producer.Publish(s.t.Context(), lost...); err != nil {
		s.t.Fatal(err)
	}
	if err := producer.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(config.Brokers...))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(s.t.Context(), config.EventsTopic)
	if err != nil {
		s.t.Fatal(err)
	}
	until := ends.Offsets()
	for partition, end := range until[config.EventsTopic] {
		end.At -= newest
		until[config.EventsTopic][partition] = end
		kept += int(newest)
	}
	if deleted, err := admin.DeleteRecords(s.t.Context(), until); err != nil || deleted.Error() != nil {
		s.t.Fatal(err, deleted.Error())
	}
	return kept
}

// acceptGap accepts what check says is lost of a slice, after it was refused to accept
// anything else, and returns how many records that is.
func (s *service) acceptGap(slice sliceOutcome) int {
	s.t.Helper()
	accept := func(code int, from, to int64) string {
		return s.revstream(code, "gaps", "accept", "--partition", strconv.Itoa(int(slice.Slice)), "--note", "lost in a test",
			"--from", strconv.FormatInt(from, 10), "--to", strconv.FormatInt(to, 10))
	}
	accept(exitUsage, slice.Stored, slice.Start+1)
	accept(exitUsage, slice.Stored, slice.Start-1)
	accept(exitUsage, slice.Stored-1, slice.Start)
	accept(exitUsage, slice.Stored+1, slice.Start)
	accept(exitOK, slice.Stored, slice.Start)
	accept(exitOK, slice.Stored, slice.Start) // again, as after an answer that was not seen
	return int(slice.Start - slice.Stored)
}

// resumePayer goes on paying on another service, and counts on.
func resumePayer(name string, before *payer, s *service) *payer {
	p := startPayerNamed(name, s.client)
	p.accepted.Add(before.accepted.Load())
	p.cents.Add(before.cents.Load())
	return p
}

// TestALogIsCutShort has the broker forget all of its log, and with it the offsets that
// it gave out: what is accepted afterwards has offsets that others had, and is counted,
// and what the ledger held of the log that was lost stays.
func TestALogIsCutShort(t *testing.T) {
	t.Parallel()
	s := startServiceOn(t, t.TempDir(), nil)
	p := startPayer(s.client)
	p.until(s, 200)
	p.finish(s)
	s.stop()
	s.onBroker(func(config stream.Config) { s.lose(config, nil, 0) })

	again := startServiceOn(t, s.folder, nil)
	again.await("the sink to say that the log was cut", 30*time.Second, func() error {
		if !strings.Contains(again.output.String(), "Kafka has lost records that it had acknowledged") {
			return fmt.Errorf("it does not say so")
		}
		return nil
	})
	p = resumePayer("more", p, again)
	p.until(again, 100)
	p.end()
	count, cents := p.accepted.Load(), p.cents.Load()
	again.awaitSummary(again.client, revenueSummary{
		Currency: "USD", GrossRevenueCents: cents, NetRevenueCents: cents, PurchaseCount: count, PositiveChargeCount: count,
	})
	again.revstream(exitOK, "check", "--wait", "20s")
	again.stop()
}
