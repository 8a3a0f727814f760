package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client is a user of one workspace.
type client struct {
	t                            testing.TB
	url                          string
	workspace                    string // slug
	secret                       string
	stripeEndpoint, stripeSecret string
}

// call is one request and the status that it has to be answered with. All calls
// that the tests send may be sent again without counting twice.
type call struct {
	method, path string
	header       map[string]string
	body         string
	status       int
}

// send returns the answer's status and body.
func (c client) send(call call) (status int, answer []byte, err error) {
	status, _, answer, err = c.exchange(call)
	return status, answer, err
}

// exchange is send with the header of the answer.
func (c client) exchange(call call) (status int, header http.Header, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	path := call.path
	elsewhere := strings.HasPrefix(path, "http")
	if !elsewhere {
		path = c.url + path
	}
	request, err := http.NewRequestWithContext(ctx, call.method, path, bytes.NewReader([]byte(call.body)))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Close = elsewhere // the engine may be another by the next call
	request.Header.Set("X-Api-Key", c.secret)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range call.header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

func (c client) get(path string) (int, []byte, error) {
	return c.send(call{method: http.MethodGet, path: path})
}

// must sends a call that has to be answered as it says.
func (c client) must(call call) []byte {
	c.t.Helper()
	status, answer, err := c.send(call)
	if err != nil || status != call.status {
		c.t.Fatalf("%s %s: %d, %v, want %d\nsent: %s\ngot: %s", call.method, call.path, status, err, call.status, call.body, answer)
	}
	return answer
}

// signed is a Stripe delivery with a signature of now.
func (c client) signed(payload []byte) call {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(c.stripeSecret))
	mac.Write([]byte(stamp + "."))
	mac.Write(payload)
	return call{
		method: http.MethodPost, path: c.stripeEndpoint, body: string(payload), status: http.StatusOK,
		header: map[string]string{"Stripe-Signature": "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil)), "X-Api-Key": ""},
	}
}

// revenueAnswer is the part of GET /revenue that the tests look at.
type revenueAnswer struct {
	Total   int            `json:"total"`
	Summary revenueSummary `json:"summary"`
	Items   []revenueItem  `json:"items"`
}

// revenueSummary is the summary but for what follows from the rest.
type revenueSummary struct {
	Currency                  string
	GrossRevenueCents         int64
	NetRevenueCents           int64
	RefundCents               int64
	RecurringNetCents         int64
	PurchaseCount             int64
	SubscriptionPurchaseCount int64
	RenewalCount              int64
	RefundCount               int64
	PositiveChargeCount       int64
	MRRCents                  int64
	UniqueActiveSubs          int64
}

type revenueItem struct {
	EventType   string `json:"eventType"`
	AmountCents int64  `json:"amountCents"`
	Provider    string `json:"provider"`
	OccurredAt  string `json:"occurredAt"`
}

// revenue asks for the figures of the workspace.
func (c client) revenue(query string) (revenueAnswer, error) {
	var answer revenueAnswer
	status, body, err := c.get("/revenue?workspaceSlug=" + c.workspace + "&since=2023-01-01&until=2027-12-31&pageSize=100&sortBy=occurredAt&sortOrder=asc" + query)
	if err != nil || status != http.StatusOK {
		return answer, fmt.Errorf("GET /revenue: %d %s %w", status, body, err)
	}
	err = json.Unmarshal(body, &answer)
	for i := range answer.Items {
		if answer.Items[i].Provider == "pulsora" {
			answer.Items[i].OccurredAt = "" // its contract has no time: it is that of acceptance
		}
	}
	// Between items of one moment the order is not the caller's business.
	slices.SortFunc(answer.Items, func(a, b revenueItem) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return answer, err
}
