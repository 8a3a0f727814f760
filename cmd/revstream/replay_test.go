package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"revstream/ingest/stream/kafkatest"
)

// wrongMapping takes cents for units, in the version as well, so that what is right has
// the lower version; rightMapping corrects it.
const (
	wrongMapping = `if .type == "sale" then {kind: "charge", id: .id, version: (.cents * 100), at: .at, billing: "one_time", amount: (.cents * 100), currency: "usd", customer: .buyer} else empty end`
	rightMapping = `if .type == "sale" then {kind: "charge", id: .id, version: .cents, at: .at, billing: "one_time", amount: .cents, currency: "usd", customer: .buyer} else empty end`
)

// TestReplay: deliveries are taken in under a wrong mapping and wrong settings, which
// are then corrected. A replay makes the figures exact and moves nothing else; another
// changes nothing.
func TestReplay(t *testing.T) {
	t.Parallel()
	s := startService(t, t.TempDir())
	folder := t.TempDir()
	mapping := filepath.Join(folder, "mapping.jq")
	write(t, mapping, wrongMapping)
	var endpoint struct{ ID, URL, Secret string }
	s.decode(s.revstream(exitOK, "endpoints", "create", "--workspace", demoWorkspace, "--provider", "generic", "--json",
		"--setting", "scheme=header", "--setting", "mapping=@"+mapping), &endpoint)
	for i := range 5 {
		s.client.must(call{
			method: http.MethodPost, path: endpoint.URL, status: http.StatusOK,
			header: map[string]string{"X-Signature": endpoint.Secret, "X-Api-Key": "", "X-Trace": "kept"},
			body:   fmt.Sprintf(`{"type":"sale","id":"sale_%d","cents":%d,"at":"2026-02-01T00:00:00Z","buyer":"buyer_%d","lines":[%s]}`, i, 100+i, i, lines(i)),
		})
	}
	var stripe struct{ ID, URL, Secret string }
	s.decode(s.revstream(exitOK, "endpoints", "create", "--workspace", demoWorkspace, "--provider", "stripe", "--json",
		"--setting", "paused_drafts_count=false"), &stripe)
	sender := s.client
	sender.stripeEndpoint, sender.stripeSecret = stripe.URL, stripe.Secret
	story := loadScenario(t, "collection_paused")
	for i := range story.Deliveries {
		story.Deliveries[i].Body = json.RawMessage(strings.ReplaceAll(string(story.Deliveries[i].Body), `"void"`, `"keep_as_draft"`))
	}
	for _, delivery := range story.deliveries(t, sender) {
		s.client.must(delivery)
	}
	for _, delivery := range loadScenario(t, "refund_of_renewal").deliveries(t, sender) {
		s.client.must(delivery) // is read right from the beginning
	}
	s.awaitStored(5 + len(story.Deliveries))
	before := s.believed()
	if gross := s.gross(); gross != 51_000+2000 {
		t.Fatalf("gross before the correction: %d", gross)
	}
	if mrr := s.mrrAt("2026-01-08"); mrr != 0 {
		t.Fatalf("MRR before the correction: %d", mrr)
	}

	write(t, mapping, rightMapping)
	s.revstream(exitOK, "endpoints", "set", endpoint.ID, "mapping=@"+mapping)
	s.revstream(exitOK, "endpoints", "set", stripe.ID, "paused_drafts_count=true")
	if output := s.replay("--dry-run"); !strings.Contains(output, "7 changed") || s.believed() != before {
		t.Errorf("a dry run: %s", output)
	}
	if output := s.replay(); !strings.Contains(output, "7 changed, 0 left as they are") {
		t.Errorf("the replay: %s", output)
	}
	s.await("the corrected figures", 30*time.Second, func() error {
		if gross, mrr := s.gross(), s.mrrAt("2026-01-08"); gross != 510+2000 || mrr != 2000 {
			return fmt.Errorf("gross %d, want 2510; MRR %d, want 2000", gross, mrr)
		}
		return nil
	})
	s.checkUnmoved(t)
	after := s.believed()
	if output := s.replay(); !strings.Contains(output, " 0 changed") {
		t.Errorf("the second replay: %s", output)
	}
	s.revstream(exitOK, "check", "--wait", "20s")
	if again := s.believed(); again != after {
		t.Errorf("a second replay left %s, before it %s", again, after)
	}
	s.revstream(exitFailure, "deliveries", "replay", "--workspace", "no-such-workspace")
	s.checkDeliveries(t, endpoint.ID, endpoint.Secret)
}

// lines make the last sale larger than a record of Kafka may be.
func lines(sale int) string {
	if sale < 4 {
		return "null"
	}
	var list []string
	for n := range 40_000 {
		list = append(list, fmt.Sprintf(`{"line":%d,"quantity":%d}`, n, n*n%97))
	}
	return strings.Join(list, ",")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *service) replay(args ...string) string {
	s.t.Helper()
	return s.revstream(exitOK, append([]string{"deliveries", "replay", "--workspace", demoWorkspace}, args...)...)
}

// awaitStored waits until the archive has so many deliveries, and the ledger all that
// was accepted.
func (s *service) awaitStored(least int) {
	s.t.Helper()
	s.await("the deliveries in the archive", 30*time.Second, func() error {
		var list []struct{ ID string }
		s.decode(s.revstream(exitOK, "deliveries", "list", "--workspace", demoWorkspace, "--json"), &list)
		if len(list) < least {
			return fmt.Errorf("%d deliveries", len(list))
		}
		return nil
	})
	s.revstream(exitOK, "check", "--wait", "20s")
}

func (s *service) gross() int64 {
	s.t.Helper()
	answer, err := s.client.revenue("")
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.Summary.GrossRevenueCents
}

// mrrAt is the MRR at the end of a day.
func (s *service) mrrAt(day string) int64 {
	s.t.Helper()
	status, body, err := s.client.get("/revenue?workspaceSlug=demo&since=2025-01-01&until=" + day)
	var answer revenueAnswer
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("%d %s %v", status, body, err)
	}
	return answer.Summary.MRRCents
}

// believed sums up the ledger, with how many rows it took to get there.
func (s *service) believed() string {
	s.t.Helper()
	status, answer := s.sql("SELECT count(), sum(sign), sum(sign * amount), sum(sign * mrr) FROM ledger")
	if status != http.StatusOK {
		s.t.Fatal(answer)
	}
	return answer
}

// checkUnmoved wants no row of the ledger to be younger than the first of its group
// but in the groups that were corrected.
func (s *service) checkUnmoved(t *testing.T) {
	if kafkatest.Real() != nil {
		return
	}
	_, moved := s.sql("SELECT count() FROM ledger WHERE sign < 0 AND (object_id = 're_1' OR object_id LIKE 'in_%')")
	if moved != "0" {
		t.Errorf("%s rows of what was right were taken back", moved)
	}
	_, sales := s.sql("SELECT countIf(sign < 0), countIf(sign > 0) FROM ledger WHERE object_id LIKE 'sale_%'")
	if sales != "5\t10" {
		t.Errorf("rows of the corrected sales: %q, want 5 taken back and 10 in all", sales)
	}
}

// checkDeliveries finds deliveries by all that names them, and no secret in them.
func (s *service) checkDeliveries(t *testing.T, endpoint, secret string) {
	for _, id := range []string{"sale_3", "buyer_3"} {
		output := s.revstream(exitOK, "deliveries", "show", id, "--workspace", demoWorkspace)
		var d struct {
			Endpoint, Body string
			Header         http.Header
			Revision       int64
			Items          []struct{ Outcome string }
			Statements     []struct{ Amount int64 }
		}
		s.decode(output, &d)
		if d.Endpoint != endpoint || !strings.Contains(d.Body, `"sale_3"`) || d.Revision == 0 ||
			len(d.Statements) != 1 || d.Statements[0].Amount != 103 || len(d.Items) != 1 || d.Items[0].Outcome != "booked" {
			t.Errorf("delivery of %s: %s", id, output)
		}
		if strings.Contains(output, secret) || d.Header.Get("X-Trace") != "kept" {
			t.Errorf("headers of a delivery: %v", d.Header)
		}
	}
	s.client.must(call{method: http.MethodPost, path: s.client.url + "/webhooks/generic/" + endpoint, status: http.StatusBadRequest,
		header: map[string]string{"X-Signature": "wrong", "X-Api-Key": ""}, body: `{"secret":"of the forger"}`})
	s.await("the refusal", 20*time.Second, func() error {
		output := s.revstream(exitOK, "deliveries", "list", "--workspace", demoWorkspace, "--outcome", "refused", "--json")
		if !strings.Contains(output, `"refusal":"mismatch"`) || strings.Contains(output, "forger") {
			return fmt.Errorf("refused are %s", output)
		}
		return nil
	})
	s.revstream(exitUsage, "deliveries", "list")
	s.revstream(exitUsage, "deliveries", "list", "--workspace", demoWorkspace, "--since", "yesterday")
	s.revstream(exitFailure, "deliveries", "show", "no-such-id", "--workspace", demoWorkspace)
}
