package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"math/rand/v2"
)

// stripeAccount is a Stripe of the tests: its API has what the deliveries tell of, in
// pages of two, and refuses or fails every third request.
type stripeAccount struct {
	bodies   []string
	lists    map[string][]map[string]any
	requests atomic.Int64
	down     atomic.Bool
	mayNot   atomic.Bool // the key may not read anything
}

// stripeIDs are how ids of Stripe begin.
var stripeIDs = regexp.MustCompile(`"(in|pi|cus|sub|re|ch|evt|inpay|il|si)_`)

func stripeAccountOf(t *testing.T, bodies []string) *stripeAccount {
	t.Helper()
	a := &stripeAccount{bodies: bodies, lists: map[string][]map[string]any{}}
	paths := map[string]string{
		"invoice": "/v1/invoices", "invoice_payment": "/v1/invoice_payments", "payment_intent": "/v1/payment_intents",
		"refund": "/v1/refunds", "subscription": "/v1/subscriptions",
	}
	known := map[string]bool{}
	for _, event := range slices.Backward(decoded(t, bodies)) { // the last rendering of each object
		a.lists["/v1/events"] = append(a.lists["/v1/events"], event)
		o := maps.Clone(event["data"].(map[string]any)["object"].(map[string]any))
		if path := paths[fmt.Sprint(o["object"])]; path != "" && !known[fmt.Sprint(o["id"])] {
			known[fmt.Sprint(o["id"])] = true
			if o["livemode"] = true; o["created"] == nil {
				o["created"] = event["created"]
			}
			a.lists[path] = append(a.lists[path], o)
			a.settle(o)
		}
	}
	return a
}

// settle adds the balance transaction of an object that moved money.
func (a *stripeAccount) settle(o map[string]any) {
	transaction := map[string]any{"id": fmt.Sprintf("txn_of_%v", o["id"]), "currency": o["currency"], "created": o["created"]}
	switch o["object"] {
	case "invoice":
		transaction["reporting_category"], transaction["amount"] = "charge", o["amount_paid"]
		transaction["created"] = o["status_transitions"].(map[string]any)["paid_at"]
	case "refund":
		transaction["reporting_category"], transaction["amount"] = "refund", json.Number("-"+fmt.Sprint(o["amount"]))
	default:
		return
	}
	a.lists["/v1/balance_transactions"] = append(a.lists["/v1/balance_transactions"], transaction)
}

func (a *stripeAccount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch n := a.requests.Add(1); {
	case r.Header.Get("Authorization") != "Bearer rk_test":
		http.Error(w, "no key", http.StatusUnauthorized)
		return
	case a.mayNot.Load():
		http.Error(w, `{"error":{"message":"Having 'rak_invoice_read' would allow this request."}}`, http.StatusForbidden)
		return
	case a.down.Load():
		http.Error(w, "no such host", http.StatusBadRequest) // not repeated by the client
		return
	case n%3 == 0:
		w.Header().Set("Retry-After", "0")
		http.Error(w, "slower", http.StatusTooManyRequests)
		return
	case n%7 == 0:
		panic(http.ErrAbortHandler)
	}
	query := r.URL.Query()
	number := func(value any) int64 {
		n, _ := strconv.ParseInt(fmt.Sprint(value), 10, 64)
		return n
	}
	found := []map[string]any{}
	for _, o := range a.lists[r.URL.Path] {
		created := number(o["created"])
		wanted := query.Get("created[gte]") == "" || created >= number(query.Get("created[gte]")) && created < number(query.Get("created[lt]"))
		wanted = wanted && (len(query["types[]"]) == 0 || slices.Contains(query["types[]"], fmt.Sprint(o["type"])))
		if payment := query.Get("payment[payment_intent]"); payment != "" {
			wanted = wanted && strings.Contains(fmt.Sprint(o["payment"]), payment)
		}
		if wanted {
			found = append(found, o)
		}
	}
	if after := query.Get("starting_after"); after != "" {
		found = found[1+slices.IndexFunc(found, func(o map[string]any) bool { return o["id"] == after }):]
	}
	page := found[:min(2, len(found))]
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": page, "has_more": len(found) > len(page)})
}

// TestBackfill: one workspace hears everything, in order; another loses what comes within
// a day and all that was before it, hears the rest twice and shuffled, and backfills from
// an API that refuses and fails, cut off in between. Both come to the same figures, and
// the provider's own books agree.
func TestBackfill(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := startServiceOn(t, folder, realKafka(folder), "REVSTREAM_RECONCILIATION_HOUR=0", "REVSTREAM_RECONCILIATION_CHECK_EVERY=200ms")
	account := stripeAccountOf(t, toldBy(t, "stripe", stripeIDs, "renewal_basil", "refund_of_renewal"))
	api := httptest.NewServer(account)
	t.Cleanup(api.Close)
	for _, body := range account.bodies {
		s.client.must(s.client.signed([]byte(body)))
	}
	s.revstream(exitOK, "workspaces", "create", "outage", "--currency", "USD")
	var key struct{ Secret string }
	s.decode(s.revstream(exitOK, "keys", "create", "--workspace", "outage", "--scopes", "revenue:write,read", "--json"), &key)
	var endpoint struct{ ID, URL, Secret string }
	s.decode(s.revstream(exitOK, "endpoints", "create", "--workspace", "outage", "--provider", "stripe", "--json",
		"--setting", "api_url="+api.URL, "--setting", "api_key=rk_test"), &endpoint)
	other := client{t: t, url: s.url, workspace: "outage", secret: key.Secret, stripeEndpoint: endpoint.URL, stripeSecret: endpoint.Secret}
	heard := append(slices.Clone(account.bodies[len(account.bodies)/2:]), account.bodies[len(account.bodies)/2:]...)
	heard = slices.DeleteFunc(heard, func(body string) bool { return strings.Contains(body, `"refund.created"`) })
	rand.Shuffle(len(heard), func(i, j int) { heard[i], heard[j] = heard[j], heard[i] })
	for _, body := range heard {
		if status, answer, err := other.send(other.signed([]byte(body))); err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s %v", status, answer, err) // 503: the API that the event is looked up in was not there
		}
	}
	arguments := []string{"stripe", "--workspace", "outage", "--since", time.Now().AddDate(0, -4, 0).UTC().Format(time.DateOnly), "--per-second", "1000"}
	backfill := func(code int, more ...string) string {
		t.Helper()
		return s.revstream(code, append(append([]string{"backfill"}, arguments...), more...)...)
	}
	if output := backfill(exitOK, "--dry-run"); !strings.Contains(output, "would make of") || strings.Contains(output, " 0 statements") {
		t.Errorf("a dry run: %s", output)
	}
	account.down.Store(true)
	if output := backfill(exitFailure); !strings.Contains(output, "goes on from here") {
		t.Errorf("without an API: %s", output)
	}
	account.down.Store(false)
	for range 2 { // the second time changes nothing
		backfill(exitOK)
		if left, _ := filepath.Glob(filepath.Join(s.folder, "backfill-*")); len(left) > 0 {
			t.Errorf("checkpoints are left: %v", left)
		}
		s.await("the same figures in both workspaces", 30*time.Second, func() error { return sameFigures(s.client, other) })
	}
	if output := s.revstream(exitOK, append([]string{"reconcile"}, arguments...)...); !strings.Contains(output, "agree") {
		t.Errorf("reconcile: %s", output)
	}
	account.lists["/v1/balance_transactions"] = account.lists["/v1/balance_transactions"][1:]
	output := s.revstream(exitDifferences, append([]string{"reconcile"}, arguments...)...)
	if !strings.Contains(output, "1 differences") || !regexp.MustCompile(`USD +(charge|refund) +0 +-?\d+ `).MatchString(output) {
		t.Errorf("reconcile with a difference: %s", output)
	}
	s.revstream(exitUsage, "backfill", "--endpoint", endpoint.ID)
	s.revstream(exitUsage, "backfill", "--since", "24h")
	s.revstream(exitUsage, "backfill", "stripe", "--endpoint", endpoint.ID, "--since", "24h")
	s.revstream(exitUsage, "backfill", "paddle", "--since", "24h")
	if output := s.revstream(exitUsage, "backfill", "stripe", "--since", "24h"); !strings.Contains(output, endpoint.ID+" of outage") {
		t.Errorf("of two endpoints: %s", output)
	}
	s.revstream(exitUsage, "backfill", "--endpoint", endpoint.ID, "--since", "2026-01-01", "--until", "2025-01-01")
	account.mayNot.Store(true)
	payment := slices.IndexFunc(account.bodies, func(body string) bool { return strings.Contains(body, `"payment_intent.succeeded"`) })
	other.must(other.signed([]byte(account.bodies[payment])))
	s.await("what the key may not read", 20*time.Second, func() error {
		if output := s.revstream(exitOK, "sources", "--workspace", "outage"); !strings.Contains(output, "REFUSED what 1 events leave out") {
			return errors.New(output)
		}
		if output := s.revstream(exitOK, "deliveries", "list", "--workspace", "outage", "--outcome", "incomplete", "--json"); !strings.Contains(output, "rak_invoice_read") {
			return errors.New(output)
		}
		return nil
	})
	if output := backfill(exitFailure); !strings.Contains(output, "with 403 Forbidden: Having") {
		t.Errorf("a backfill with too few rights: %s", output)
	}
	checkLostDays(t, s)
	t.Run("verify by hand", func(t *testing.T) { checkVerify(t, s, endpoint.ID, other, account.bodies[0]) })
}

func sameFigures(whole, outage client) error {
	want, err := whole.revenue("")
	if err != nil {
		return err
	}
	got, err := outage.revenue("")
	if err != nil {
		return err
	}
	if got.Summary != want.Summary || got.Total != want.Total || want.Summary.RefundCount == 0 || want.Summary.MRRCents == 0 {
		return fmt.Errorf("\n got %+v, %d items\nwant %+v, %d items", got.Summary, got.Total, want.Summary, want.Total)
	}
	return nil
}

// checkVerify checks captured deliveries by hand, and what sources says of the endpoint.
func checkVerify(t *testing.T, s *service, endpoint string, sender client, body string) {
	file := filepath.Join(t.TempDir(), "body.json")
	verify := func(code int, content, header string, more ...string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.revstream(code, append([]string{"webhooks", "verify", "--endpoint", endpoint, "--header", "Stripe-Signature: " + header, file}, more...)...)
	}
	right := sender.signed([]byte(body)).header["Stripe-Signature"]
	sender.stripeSecret = s.client.stripeSecret
	var own struct{ Secret string }
	s.decode(s.revstream(exitOK, "endpoints", "create", "--workspace", "outage", "--provider", "stripe", "--json"), &own)
	sender.stripeSecret = own.Secret
	others := sender.signed([]byte(body)).header["Stripe-Signature"]
	for _, c := range []struct {
		code                  int
		content, header, says string
		more                  []string
	}{
		{exitOK, body, right, "verifies by secret 1 of 1", nil},
		{exitFailure, body + "\n", right, "body altered", nil},
		{exitFailure, strings.Replace(body, "livemode", "deadmode", 1), right, "mismatch", nil},
		{exitFailure, body, others, "wrong secret", nil},
		{exitFailure, body, right, "the signature is right otherwise", []string{"--at", "2h"}},
		{exitFailure, body, "", "missing", nil},
	} {
		if output := verify(c.code, c.content, c.header, c.more...); !strings.Contains(output, c.says) {
			t.Errorf("want %q: %s", c.says, output)
		}
	}
	altered := sender
	altered.stripeSecret = own.Secret
	refused := altered.signed([]byte(body))
	refused.status = http.StatusBadRequest
	altered.must(refused)
	s.await("the refusal among the sources", 20*time.Second, func() error {
		output := s.revstream(exitOK, "sources", "--workspace", "outage")
		for _, says := range []string{endpoint, "wrong secret: 1", "2025-08-27.basil", "invoice.paid: ", "nothing came yet", "reconciled  "} {
			if !strings.Contains(output, says) {
				return fmt.Errorf("no %q in\n%s", says, output)
			}
		}
		return nil
	})
	s.revstream(exitUsage, "sources")
	s.revstream(exitFailure, "sources", "--workspace", "unheard-of")
}
