package ingest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"revstream/ingest/revenue"
)

const order = `{"kind":"charge","object_id":"ord_1","amount_decimal":"24.99","currency":"EUR","occurred_at":"2026-01-15T09:30:00Z"}`

func TestNativeForms(t *testing.T) {
	s := start(t, settings{})
	accepted := `{"index":0,"id":"native||live|ord_1|charge","status":"accepted"}`
	s.post("/v1/events", order).expect(t, 202, `{"accepted":1,"rejected":0,"results":[`+accepted+`]}`)
	second := `{"kind":"refund","object_id":"re_1","original":"ord_1","amount":99,"currency":"EUR"}`
	both := `{"accepted":2,"rejected":0,"results":[` + accepted + `,{"index":1,"id":"native||live|re_1|refund","status":"accepted"}]}`
	s.post("/v1/events", "["+order+","+second+"]").expect(t, 202, both)
	s.post("/v1/events", order+"\n"+second+"\n").expect(t, 202, both)
	s.post("/v1/events", order+"\n\n"+second, "Content-Type", "application/x-ndjson; charset=utf-8").expect(t, 202, both)
	s.post("/v1/events", order+"\n{oops\n"+second, "Content-Type", "application/x-ndjson").
		expect(t, 202, `{"accepted":2,"rejected":1,"results":[`+accepted+`,{"index":1,"status":"rejected","code":"invalid_json","detail":"not valid JSON at byte 1: invalid character 'o' at start of value"},{"index":2,"id":"native||live|re_1|refund","status":"accepted"}]}`)
	if cash := s.cash(); cash[revenue.EntryPurchase] != 2499 || cash[revenue.EntryRefund] != -99 {
		t.Errorf("cash %v", cash)
	}
}

func TestNativeFaults(t *testing.T) {
	s := start(t, settings{})
	s.post("/v1/events", `[{"kind":"charge"},{"kind":"charge","amount":1,"metadata":{"a":1},"custmer":"x"}]`).expect(t, 400,
		`{"type":"about:blank","title":"Bad Request","status":400,"detail":"No event was accepted.","code":"no_event_accepted","results":[`+
			`{"index":0,"status":"rejected","code":"missing_amount","detail":"The amount field is required.","pointer":"/amount"},`+
			`{"index":1,"status":"rejected","code":"unknown_field","detail":"is not a known field","pointer":"/custmer"}]}`)
	for body, code := range map[string]string{
		``: "missing_events", `[]`: "missing_events", `[{]`: "invalid_json", `{"kind":NaN}`: "invalid_json",
		"[" + strings.Repeat(order+",", 1000) + order + "]": "too_many_events",
	} {
		answer := s.post("/v1/events", body)
		status := 400
		if code == "too_many_events" {
			status = 413
		}
		if answer.status != status || answer.field(t, "code") != code || answer.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.40s: %d %s", body, answer.status, answer.body)
		}
	}
	s.post("/v1/events", `{"kind":"charge","amount":1,"workspace":"other"}`).expect(t, 400,
		`{"type":"about:blank","title":"Bad Request","status":400,"detail":"No event was accepted.","code":"no_event_accepted","results":[`+
			`{"index":0,"status":"rejected","code":"invalid_workspace","detail":"is not the workspace of the API key","pointer":"/workspace"}]}`)
	if n := len(s.published()); n != 0 {
		t.Errorf("%d statements of faulty requests", n)
	}
}

// TestNativeOrder: of two statements about one fact in a request the second
// stands, a tombstone takes it back, and an event without an id is new each time
// but for its Idempotency-Key.
func TestNativeOrder(t *testing.T) {
	s := start(t, settings{})
	s.post("/v1/events", `[{"kind":"charge","object_id":"o","amount":1},{"kind":"charge","object_id":"o","amount":2}]`)
	if cash := s.cash(); cash[revenue.EntryPurchase] != 2 {
		t.Errorf("the second stands: %v", cash)
	}
	s.post("/v1/events", `{"kind":"charge","object_id":"o","deleted":true}`)
	if cash := s.cash(); len(cash) != 0 {
		t.Errorf("taken back: %v", cash)
	}
	for range 2 {
		s.post("/v1/events", `{"kind":"charge","amount":5}`)
		s.post("/v1/events", `{"kind":"charge","amount":100}`, "Idempotency-Key", "k")
	}
	if cash := s.cash(); cash[revenue.EntryPurchase] != 2*5+100 {
		t.Errorf("without ids: %v", cash)
	}
}

func TestCompression(t *testing.T) {
	s := start(t, settings{ingest: func(c *cfg) { c.BodyBytesMax, c.DecodedBytesMax = 64<<10, 64<<10 }})
	zipped := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return out.String()
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zstandard := func(text string) string { return string(encoder.EncodeAll([]byte(text), nil)) }
	bomb := `{"kind":"charge","amount":5,"metadata":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	for _, test := range []struct {
		encoding, body string
		status         int
		code           string
	}{
		{"gzip", zipped(order), 202, ""},
		{"GZIP", zipped(order), 202, ""},
		{"zstd", zstandard(order), 202, ""},
		{"identity", order, 202, ""},
		{"gzip", order, 400, "invalid_encoding"},
		{"zstd", order, 400, "invalid_encoding"},
		{"gzip", zipped(order)[:20], 400, "invalid_encoding"},
		{"br", order, 415, "unsupported_encoding"},
		{"gzip, gzip", order, 415, "unsupported_encoding"},
		{"gzip", zipped(bomb), 413, "body_too_large"},
		{"zstd", zstandard(bomb), 413, "body_too_large"},
	} {
		answer := s.post("/v1/events", test.body, "Content-Encoding", test.encoding)
		code := ""
		if answer.status >= 400 {
			code = answer.field(t, "code")
		}
		if answer.status != test.status || code != test.code {
			t.Errorf("%s: %d %s", test.encoding, answer.status, answer.body)
		}
	}
	if n := len(s.published()); n != 4 {
		t.Errorf("%d statements", n)
	}
}

// TestNativeBufferReuse sends requests of one length over one connection: what is
// kept of the first must not turn into the second, whose bytes come to lie in the
// same buffer.
func TestNativeBufferReuse(t *testing.T) {
	s := start(t, settings{})
	base := s.listen()
	for _, id := range []string{"aaaa", "bbbb", "cccc"} {
		body := `{"kind":"charge","object_id":"` + id + `","amount":1,"metadata":{"id":"` + id + `"}}`
		if answer := s.send(base, http.MethodPost, "/v1/events", body); answer.status != 202 {
			t.Fatalf("%d %s", answer.status, answer.body)
		}
	}
	for i, event := range s.published() {
		var metadata struct{ ID string }
		if err := json.Unmarshal(event.Metadata, &metadata); err != nil || metadata.ID != event.ObjectID || event.ObjectID[0] != byte('a'+i) {
			t.Errorf("event %d: %s with %s", i, event.ObjectID, event.Metadata)
		}
	}
}
