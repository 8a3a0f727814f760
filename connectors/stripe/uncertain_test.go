package stripe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// heardEach are what events come to that are received one second after the other.
func heardEach(t *testing.T, texts ...string) (events []revenue.Event) {
	t.Helper()
	for i, text := range texts {
		for _, e := range decodeOne(t, text).Events {
			e.ReceivedAt = testReceivedAt.Add(time.Duration(i) * time.Second)
			events = append(events, e)
		}
	}
	return events
}

// uncertain is what is uncertain of the events that were received before the nth second.
func uncertain(events []revenue.Event, n int, until time.Time) string {
	known := slices.DeleteFunc(slices.Clone(events), func(e revenue.Event) bool {
		return !e.ReceivedAt.Before(testReceivedAt.Add(time.Duration(n) * time.Second))
	})
	var lines []string
	for _, u := range revenue.Uncertainties(known, until) {
		lines = append(lines, fmt.Sprintf("%s (%s) %s %s %d %s", u.Note, u.Detail, u.ObjectID[:4], u.Customer, u.Amount, u.Currency))
	}
	slices.Sort(lines)
	return strings.TrimSpace(strings.Join(lines, "; "))
}

// Without an API key nobody knows what tiers come to, until there is a price that is said.
func TestUnknownTiersAreUncertain(t *testing.T) {
	const tiers = `{"data":[{"id":"si_1","quantity":3,"price":{"id":"price_t","billing_scheme":"tiered","currency":"usd","recurring":{"interval":"month","interval_count":1}}}]}`
	const flat = `{"data":[{"id":"si_1","quantity":3,"price":{"id":"price_f","billing_scheme":"per_unit","unit_amount":1000,"currency":"usd","recurring":{"interval":"month","interval_count":1}}}]}`
	subscription := func(kind string, created int64, items, rest string) string {
		return fmt.Sprintf(`{"type":"customer.subscription.%s","created":%d,"object":{"id":"sub_1","object":"subscription","customer":"cus_1","status":"active","currency":"usd","created":1767225600,"items":%s}%s}`, kind, created, items, rest)
	}
	events := heardEach(t, subscription("created", 1767225600, tiers, ""), subscription("updated", 1767312000, flat, `,"previous":{"items":`+tiers+`}`))
	before, after := time.Unix(1767225700, 0), time.Unix(1767312001, 0)
	const want = "mrr_unknown (tiers) sub_ cus_1 0"
	for _, c := range []struct {
		n     int
		until time.Time
		want  string
	}{{1, after, want}, {2, after, ""}, {2, before, want}, {1, time.Unix(1767225600, 0), ""}} {
		if got := uncertain(events, c.n, c.until); got != c.want {
			t.Errorf("after %d events, at %s: %q, want %q", c.n, c.until.UTC(), got, c.want)
		}
	}
	for _, e := range events {
		if marked := strings.Contains(string(e.Metadata), "mrr_unknown"); marked && !e.MayBeUncertain() {
			t.Errorf("%s is not found: %s", e.ObjectID, e.Metadata)
		}
	}
}

// A payment that an invoice may count is uncertain until it is said which did, in part or in
// all; whatever metadata of their own its owners give it.
func TestProvisionalPaymentsAreUncertain(t *testing.T) {
	until := time.Unix(1767225700, 0)
	for _, own := range []string{`{}`, `{"order":"5"}`, `{"provisional":"ours"}`} {
		payment := `{"type":"payment_intent.succeeded","api_version":"2025-11-17.clover","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd","customer":"cus_1","metadata":` + own + `}}`
		link := func(paid int) string {
			return fmt.Sprintf(`{"type":"invoice_payment.paid","api_version":"2025-11-17.clover","created":1767225601,"object":{"id":"inpay_1","object":"invoice_payment","amount_paid":%d,"currency":"usd","invoice":"in_1","status":"paid","payment":{"type":"payment_intent","payment_intent":"pi_1"},"created":1767225601}}`, paid)
		}
		for paid, want := range map[int]string{2000: "", 500: "provisional (" + revenue.DetailProvisional + ") pi_1 cus_1 1500 USD"} {
			events := heardEach(t, payment, link(paid))
			if got := uncertain(events, 1, until); got != "provisional ("+revenue.DetailProvisional+") pi_1 cus_1 2000 USD" {
				t.Errorf("%s: %q", own, got)
			}
			if got := uncertain(events, 2, until); got != want {
				t.Errorf("%s, of which %d are linked: %q, want %q", own, paid, got, want)
			}
		}
	}
	sure := heardEach(t, `{"type":"payment_intent.succeeded","api_version":"2025-11-17.clover","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd","metadata":{"provisional":"ours"}}}`)
	if got := uncertain(sure, 1, until); got != "" || !json.Valid(sure[0].Metadata) {
		t.Errorf("a payment of nobody is uncertain because its owner says so: %q", got)
	}
}
