package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"revstream/connectors"
	"revstream/ingest"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// testProvider stands for a provider: each word of a delivery is an item, and what
// it says decides what becomes of it. "signing" is its secret, and "bad" at the
// beginning of a delivery that it does not verify.
func testProvider(name string) connectors.Connector {
	return connectors.Connector{
		Provider: name, Title: "Test",
		Settings: []connectors.Setting{{Name: "depth", Default: "1", Check: connectors.OneOf("1", "2")}},
		Verify: func(d connectors.Delivery) (connectors.Verification, error) {
			if bytes.HasPrefix(d.Body, []byte("bad")) || bytes.HasPrefix(d.Body, []byte{0x1f}) && d.Header.Get("X-Sealed") == "" {
				return connectors.Verification{}, connectors.Refuse(connectors.ReasonMismatch, "it is bad")
			}
			refused := map[int]error{}
			for i, word := range strings.Fields(string(d.Body)) {
				if word == "forged" {
					refused[i] = connectors.Refuse(connectors.ReasonMismatch, "it is forged")
				}
			}
			return connectors.Verification{Refused: refused}, nil
		},
		Decode: decodeTest,
	}
}

func decodeTest(_ context.Context, d connectors.Delivery) ([]connectors.Item, error) {
	var items []connectors.Item
	for _, word := range strings.Fields(string(d.Body)) {
		event := revenue.Event{
			Workspace: d.Workspace, Provider: "test", Account: d.Account, Livemode: true, ObjectID: word, Kind: revenue.KindCharge, Group: "g",
			Version: 1, OccurredAt: d.ReceivedAt, ReceivedAt: d.ReceivedAt, Amount: 7, Currency: "USD",
		}
		item := connectors.Item{ID: word, Type: "whatever"}
		switch word {
		case "good", "good2", "forged":
			item.Events = []revenue.Event{event}
		case "invalid": // breaks a rule of the encoding
			event.Currency = "no currency"
			item.Events = []revenue.Event{event}
		case "partial":
			item.Events, item.Lacks = []revenue.Event{event}, &connectors.RefusedError{Path: "/prices", Status: http.StatusForbidden}
		case "locked":
			return nil, &connectors.RefusedError{Path: "/payments", Status: http.StatusUnauthorized}
		case "ignored":
		case "malformed":
			item.Err = &connectors.InvalidError{Field: "amount", Code: "invalid_amount", Detail: "is no amount"}
		case "nothing":
			return nil, &connectors.InvalidError{Code: "invalid_json", Detail: "is nothing"}
		case "panic":
			panic("the decoder fell over")
		case "given":
			if !slices.Equal(d.Secrets, []string{"signing"}) || d.Header.Get("X-Signature") != "s" || d.Integration == "" || !d.Livemode || d.Settings["depth"] != "2" {
				item.Err = connectors.ErrMalformed
			}
		default:
			return nil, errors.New("the provider's API does not answer")
		}
		items = append(items, item)
	}
	return items, nil
}

const received = `{"received":true}`

func TestWebhooks(t *testing.T) {
	s := start(t, settings{connectors: []connectors.Connector{testProvider("test"), testProvider("other")}})
	path := "/webhooks/test/" + s.keys.endpoint
	missing := `{"type":"about:blank","title":"Not Found","status":404,"detail":"There is no such webhook endpoint.","code":"not_found"}`
	for _, test := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{path, "good", 200, received},
		{path, "ignored", 200, received},
		{path, "given", 200, received},
		{"/webhooks/test/" + s.keys.testEndpoint, "good", 200, received}, // live, and so not for it
		{path, "bad", 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The signature does not verify with any secret of the endpoint.","code":"bad_signature"}`},
		{path, "malformed", 200, received},
		{path, "temporary", 503, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The request cannot be served right now. Send it again.","code":"unavailable"}`},
		{path, "partial", 200, received},
		{path, "locked", 503, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The request cannot be served right now. Send it again.","code":"unavailable"}`},
		{path, "panic", 500, `{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"The request could not be served.","code":"internal_error"}`},
		{"/webhooks/test/unknown", "good", 404, missing},
		{"/webhooks/unknown/" + s.keys.endpoint, "good", 404, missing},
		{"/webhooks/other/" + s.keys.endpoint, "good", 404, missing},
	} {
		s.call(http.MethodPost, test.path, test.body, "X-Signature", "s").expect(t, test.status, test.answer)
	}
	for outcome, want := range map[string]float64{"booked": 1, "incomplete": 1, "ignored": 2, "other_mode": 1, "quarantined": 1} {
		if got := s.metric("revstream_ingest_webhook_events_total", "provider", "test", "outcome", outcome); got != want {
			t.Errorf("%v %s, want %v", got, outcome, want)
		}
	}
	for name, want := range map[string]float64{
		"revstream_ingest_webhook_refusals_total": 1, "revstream_ingest_panics_total": 1, "revstream_ingest_requests_in_flight": 0,
	} {
		if got := s.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := s.metric("revstream_source_refusals_total", "endpoint", s.keys.endpoint, "reason", "api_refused"); got != 1 {
		t.Errorf("%v deliveries that the API refuses to tell of", got)
	}
	if events := s.published(); len(events) != 2 || events[0].Amount != 7 {
		t.Errorf("statements %+v", events)
	}
}

// letters are the errors of the dead letters by their content.
func (s *service) letters() map[string][]string {
	s.t.Helper()
	letters := map[string][]string{}
	err := stream.DeadLetters(s.t.Context(), s.stream, func(d stream.DeadLetter) error {
		if d.Topic != "webhooks/test/"+s.keys.endpoint || d.Reason != stream.ReasonWebhook || string(d.Key) != s.keys.workspace {
			s.t.Errorf("letter %+v", d)
		}
		letters[string(d.Value)] = append(letters[string(d.Value)], d.Error)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return letters
}

// TestWebhookBatches: one bad item does not keep the others back, whatever is bad
// about it, and is a dead letter once, however often it comes.
func TestWebhookBatches(t *testing.T) {
	s := start(t, settings{connectors: []connectors.Connector{testProvider("test")}})
	const batch = "good malformed invalid forged ignored good2"
	for range 2 {
		s.call(http.MethodPost, "/webhooks/test/"+s.keys.endpoint, batch).expect(t, 200, received)
	}
	s.call(http.MethodPost, "/webhooks/test/"+s.keys.endpoint, "nothing").expect(t, 200, received)
	if cash := s.cash(); cash[revenue.EntryPurchase] != 14 {
		t.Errorf("cash %v", cash)
	}
	letters := s.letters()
	if len(letters) != 2 || len(letters[batch]) != 3 || len(letters["nothing"]) != 1 {
		t.Errorf("letters %q", letters)
	}
	if got := s.metric("revstream_ingest_webhook_events_total", "outcome", "refused"); got != 2 {
		t.Errorf("%v items refused", got)
	}
}

// TestWebhookCompressed: signed may be what was compressed, or what came.
func TestWebhookCompressed(t *testing.T) {
	s := start(t, settings{connectors: []connectors.Connector{testProvider("test")}, ingest: func(c *cfg) { c.DecodedBytesMax = c.BodyBytesMax }})
	path := "/webhooks/test/" + s.keys.endpoint
	compressed := func(text string) string {
		var buffer bytes.Buffer
		writer := gzip.NewWriter(&buffer)
		if _, err := writer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		return buffer.String()
	}
	s.call(http.MethodPost, path, compressed("good"), "Content-Encoding", "gzip").expect(t, 200, received)
	s.call(http.MethodPost, path, compressed("bad good2"), "Content-Encoding", "gzip", "X-Sealed", "yes").expect(t, 503,
		`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The request cannot be served right now. Send it again.","code":"unavailable"}`)
	for body, status := range map[string]int{
		compressed("bad"): 400, "good": 400, compressed(strings.Repeat(" ", ingest.DefaultConfig().BodyBytesMax+1)): 413,
	} {
		if answer := s.call(http.MethodPost, path, body, "Content-Encoding", "gzip"); answer.status != status {
			t.Errorf("%d %s, want %d", answer.status, answer.body, status)
		}
	}
	if answer := s.call(http.MethodPost, path, "good", "Content-Encoding", "br"); answer.status != 415 {
		t.Errorf("an unknown encoding: %d", answer.status)
	}
	if events := s.published(); len(events) != 1 || events[0].ObjectID != "good" {
		t.Errorf("statements %+v", events)
	}
}

// TestWebhookAnswers: each provider gets the answers that it understands.
func TestWebhookAnswers(t *testing.T) {
	provider := testProvider("test")
	provider.Accepted = connectors.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: "[accepted]"}
	provider.RefusedStatus = 498
	provider.Challenge = func(d connectors.Delivery, query url.Values) (connectors.Answer, error) {
		return connectors.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: d.Secrets[0] + query.Get("question")}, nil
	}
	s := start(t, settings{connectors: []connectors.Connector{provider}})
	path := "/webhooks/test/" + s.keys.endpoint
	answer := s.call(http.MethodPost, path, "good")
	if answer.expect(t, 200, "[accepted]"); answer.header.Get("Content-Type") != "text/plain" {
		t.Errorf("header %v", answer.header)
	}
	if answer := s.call(http.MethodPost, path, "bad"); answer.status != 498 {
		t.Errorf("refused with %d", answer.status)
	}
	s.call(http.MethodGet, path+"?question=%3F", "").expect(t, 200, "signing?")
	s.call(http.MethodGet, "/webhooks/test/we_unknown?question=%3F", "").expect(t, 404,
		`{"type":"about:blank","title":"Not Found","status":404,"detail":"There is no such webhook endpoint.","code":"not_found"}`)
	if plain := start(t, settings{connectors: []connectors.Connector{testProvider("test")}}); plain.call(http.MethodGet, "/webhooks/test/"+plain.keys.endpoint, "").status != 405 {
		t.Error("a provider without a question got an answer")
	}
}

// TestWebhookSettings: settings that are not valid any more are ours to mend, so
// the provider is asked to send again.
func TestWebhookSettings(t *testing.T) {
	provider := testProvider("test")
	provider.Settings[0].Check = connectors.OneOf("1")
	s := start(t, settings{connectors: []connectors.Connector{provider}})
	if answer := s.call(http.MethodPost, "/webhooks/test/"+s.keys.endpoint, "good"); answer.status != 503 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}
