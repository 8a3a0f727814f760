package ingest_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

const ingestPath = "/api/ingest"

// pulsoraBody is the example of the contract; an empty token is left out.
func pulsoraBody(token, eventType, amount, more string) string {
	if token != "" {
		token = `"token":"` + token + `",`
	}
	return `{"type":"revenue",` + token + `"data":{"visitor_fingerprint":"fp_abc","session_id":"sess_xyz","customer_id":"cus_42","amount":` + amount +
		`,"currency":"USD","transaction_id":"ch_1Nv","payment_processor":"stripe","event_type":"` + eventType + `"` + more + `}}`
}

const (
	pulsoraDone      = `{"success":true}`
	pulsoraInvalid   = `{"error":"Invalid API token"}`
	pulsoraForbidden = `{"error":"Revenue events require secret token"}`
)

func TestPulsoraTokens(t *testing.T) {
	s := start(t, settings{})
	secret, public := s.keys.secret, s.keys.public
	for _, test := range []struct {
		header, body string
		status       int
		answer       string
	}{
		{secret, secret, 202, pulsoraDone},
		{secret, "", 202, pulsoraDone},
		{"", secret, 202, pulsoraDone},
		{"", "", 401, pulsoraInvalid},
		{"wrong", "", 401, pulsoraInvalid},
		{"", "wrong", 401, pulsoraInvalid},
		{secret, "wrong", 401, pulsoraInvalid},
		{"wrong", secret, 401, pulsoraInvalid},
		{secret, public, 401, pulsoraInvalid},
		{public, public, 403, pulsoraForbidden},
		{public, "", 403, pulsoraForbidden},
		{"", public, 403, pulsoraForbidden},
		{s.keys.reading, "", 403, pulsoraForbidden},
	} {
		var headers []string
		if test.header != "" {
			headers = []string{"X-API-Token", test.header}
		}
		s.call(http.MethodPost, ingestPath, pulsoraBody(test.body, "purchase", "499", ""), headers...).expect(t, test.status, test.answer)
	}
	s.call(http.MethodPost, ingestPath, `{`).expect(t, 401, pulsoraInvalid)
	if cash := s.cash(); cash[revenue.EntryPurchase] != 49900 {
		t.Errorf("cash %v", cash)
	}
}

func TestPulsoraFaults(t *testing.T) {
	s := start(t, settings{})
	for _, test := range []struct{ body, answer string }{
		{`{`, `{"message":"not valid JSON at byte 1: unexpected EOF"}`},
		{`{"type":"pageview","data":{}}`, `{"message":"type must be \"revenue\""}`},
		{`{"type":"revenue"}`, `{"message":"The data field is required."}`},
		{`{"type":"revenue","data":{}}`, `{"message":"The visitor_fingerprint field is required."}`},
		{pulsoraBody("", "purchase", `"499"`, ""), `{"message":"amount must be a number, not a string"}`},
		{pulsoraBody("", "purchase", `-499`, ""), `{"message":"amount must be a positive number; report money given back as a refund"}`},
		{pulsoraBody("", "gift", `499`, ""), `{"message":"event_type must be one of: purchase, subscription, renewal, upgrade, downgrade, churn, refund"}`},
		{pulsoraBody("", "purchase", `1e400`, ""), `{"message":"amount is too large"}`},
		{pulsoraBody("", "purchase", `NaN`, ""), `{"message":"not valid JSON at byte 113: invalid character 'N' at start of value"}`},
		{pulsoraBody("", "purchase", `1`, `,"metadata":5`), `{"message":"metadata must be an object, not a number"}`},
	} {
		s.call(http.MethodPost, ingestPath, test.body, "X-API-Token", s.keys.secret).expect(t, 400, test.answer)
	}
	if n := len(s.published()); n != 0 {
		t.Errorf("%d statements of faulty requests", n)
	}
}

// TestPulsoraAgain: a retry is the same statement at the first time; a change is
// a correction.
func TestPulsoraAgain(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	s := start(t, settings{now: func() time.Time { return now }})
	send := func(body string) {
		t.Helper()
		s.call(http.MethodPost, ingestPath, body, "X-API-Token", s.keys.secret).expect(t, 202, pulsoraDone)
	}
	send(pulsoraBody("", "purchase", "499", ""))
	now = now.Add(time.Minute)
	send(pulsoraBody("", "purchase", "499", ""))
	events := s.published()
	if len(events) != 2 || events[0].Digest() != events[1].Digest() || events[1].OccurredAt.Day() != 1 {
		t.Errorf("a retry differs: %+v", events)
	}
	send(pulsoraBody("", "purchase", "500", ""))
	send(pulsoraBody("", "refund", "-500", ""))
	send(pulsoraBody("", "refund", "-500", ""))
	if cash := s.cash(); cash[revenue.EntryPurchase] != 50000 || cash[revenue.EntryRefund] != -50000 {
		t.Errorf("cash %v", cash)
	}
}

func TestPulsoraRateLimit(t *testing.T) {
	s := start(t, settings{})
	var last response
	for range 5 {
		if last = s.call(http.MethodPost, ingestPath, pulsoraBody(s.keys.limited, "purchase", "1", "")); last.status == 429 {
			break
		}
	}
	last.expect(t, 429, `{"error":"Rate limited"}`)
	if last.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", last.header.Get("Retry-After"))
	}
	if !strings.Contains(last.header.Get("RateLimit"), "r=0") {
		t.Errorf("RateLimit %q", last.header.Get("RateLimit"))
	}
}

// TestACorrectionStandsThoughTheClockWasMovedBack corrects an event after the process
// was killed and the clock moved back by an hour: the later statement stands, not the
// one with the later wall clock.
func TestACorrectionStandsThoughTheClockWasMovedBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "clock")
	var said []revenue.Event
	for _, amount := range []string{"499", "1", "500"} {
		s := start(t, settings{now: func() time.Time { return now }, clockFile: file})
		s.post(ingestPath, pulsoraBody("", "purchase", amount, "")).expect(t, http.StatusAccepted, pulsoraDone)
		if ahead := s.metric("revstream_ingest_clock_ahead_seconds"); len(said) > 0 && ahead < 3600 {
			t.Errorf("the clock is said to be %v s ahead", ahead)
		}
		said = append(said, s.published()...)
		now = now.Add(-time.Hour)
	}
	entries := revenue.Fold(said)
	if len(said) != 3 || len(entries) != 1 || entries[0].Amount != 50000 {
		t.Errorf("%d statements come to %+v", len(said), entries)
	}
}

// TestPulsoraCustomerIsCorrected: what a transaction did to MRR moves to the customer that a
// correction names, and so does a cancellation.
func TestPulsoraCustomerIsCorrected(t *testing.T) {
	s := start(t, settings{})
	for _, customer := range []string{"cus_41", "cus_43", "cus_42"} {
		for _, body := range []string{
			pulsoraBody("", "upgrade", "0", `,"mrr_impact":50`),
			pulsoraBody("", "churn", "0", `,"mrr_impact":-20`),
		} {
			body = strings.Replace(body, "cus_42", customer, 1)
			s.call(http.MethodPost, ingestPath, body, "X-API-Token", s.keys.secret).expect(t, 202, pulsoraDone)
		}
	}
	total, cancellations := int64(0), 0
	for _, entry := range s.entries() {
		if total += entry.MRR; entry.Kind == revenue.EntryCancellation {
			cancellations++
		}
		if entry.Customer != "cus_42" {
			t.Errorf("%s of %s", entry.Kind, entry.Customer)
		}
	}
	if total != 30*1_000_000 || cancellations != 1 {
		t.Errorf("MRR %d in 1/10,000 cents, %d cancellations", total, cancellations)
	}
}
