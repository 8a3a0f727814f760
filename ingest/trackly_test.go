package ingest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"revstream/ingest/revenue"
)

const sale = `{"message_id":"a1b2c3d4","revenue":24.99,"offer_id":"offer_123","attribution_type":"sale","timestamp":"2026-02-08T12:00:00Z"}`

var revenueID = regexp.MustCompile(`^[0-9a-f]{24}$`)

func TestTracklyRevenue(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	for _, path := range []string{"/api/v2/revenue", "/v2/revenue"} {
		answer := s.post(path, sale)
		id := answer.field(t, "revenue_id")
		if !revenueID.MatchString(id) {
			t.Errorf("revenue_id %q", id)
		}
		answer.expect(t, 200, `{"success":true,"revenue_id":"`+id+`","message_id":"a1b2c3d4","revenue":24.99}`)
	}
	events := s.published()
	if len(events) != 2 {
		t.Fatalf("%d statements", len(events))
	}
	e := events[0]
	if e.Provider != "trackly" || e.Kind != revenue.KindCharge || e.Amount != 2499 || e.Currency != "USD" || e.Offer != "off_1" ||
		e.Contact != "con_1" || e.Message != "a1b2c3d4" || e.AttributionType != "sale" || e.Workspace != s.keys.workspace ||
		e.OccurredAt.Format("2006-01-02T15:04:05Z07:00") != "2026-02-08T12:00:00Z" || e.Imported {
		t.Errorf("statement %+v", e)
	}
	if n := s.metric("revstream_ingest_statements_total", "door", "trackly.revenue"); n != 2 {
		t.Errorf("%v statements counted", n)
	}
}

// An offer named by its external id, as most are, is found without a question to
// Kafka; a name that nobody knows here is asked for once a request.
func TestTracklyOfferWithoutWaiting(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	questions := func(offer string) float64 {
		before := s.metric("revstream_table_barriers_total", "topic", s.stream.MessagesTopic)
		record := `{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"sale","offer_id":"` + offer + `"}`
		if r := s.post("/api/v2/revenue/bulk", `{"records":[`+record+`,`+record+`]}`); r.field(t, "success_count") != "2" {
			t.Errorf("offer %s: %d %s", offer, r.status, r.body)
		}
		return s.metric("revstream_table_barriers_total", "topic", s.stream.MessagesTopic) - before
	}
	for offer, want := range map[string]float64{"off_1": 0, "offer_123": 0, "unheard-of": 1} {
		if got := questions(offer); got != want {
			t.Errorf("offer %s: %v questions to Kafka, want %v", offer, got, want)
		}
	}
}

func TestTracklyRevenueFaults(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	for _, test := range []struct{ body, answer string }{
		{`{"revenue":1,"attribution_type":"sale"}`, `{"success":false,"code":"missing_message_id","error":"The message_id field is required."}`},
		{`{"message_id":"a1b2c3d4","attribution_type":"sale"}`, `{"success":false,"code":"missing_revenue","error":"The revenue field is required."}`},
		{`{"message_id":"a1b2c3d4","revenue":1}`, `{"success":false,"code":"missing_attribution_type","error":"The attribution_type field is required."}`},
		{`{"message_id":"a1b2c3d4","revenue":-1,"attribution_type":"sale"}`, `{"success":false,"code":"invalid_revenue","error":"revenue must be a number greater than or equal to 0"}`},
		{`{"message_id":"a1b2c3d4","revenue":24.999,"attribution_type":"sale"}`, `{"success":false,"code":"invalid_revenue","error":"revenue must have no more decimals than USD has (2): 24.999 cannot be stored exactly"}`},
		{`{"message_id":"a1b2c3d4","revenue":1e400,"attribution_type":"sale"}`, `{"success":false,"code":"invalid_revenue","error":"revenue is too large"}`},
		{`{"message_id":"a1b2c3d4","revenue":1e-400,"attribution_type":"sale"}`, `{"success":false,"code":"invalid_revenue","error":"revenue is not a valid amount"}`},
		{`{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"view"}`, `{"success":false,"code":"invalid_attribution_type","error":"attribution_type must be one of: sale, click, send"}`},
		{`{"message_id":"unknown0","revenue":1,"attribution_type":"sale"}`, `{"success":false,"code":"message_not_found","error":"No message exists with the given ID."}`},
		{`{"message_id":"nocontac","revenue":1,"attribution_type":"sale"}`, `{"success":false,"code":"contact_not_found","error":"The contact associated with the message could not be found."}`},
		{`{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"sale","timestamp":"2026-02-30"}`, `{"success":false,"code":"invalid_timestamp","error":"timestamp must be an ISO 8601 date or time, not \"2026-02-30\""}`},
	} {
		s.post("/api/v2/revenue", test.body).expect(t, 400, test.answer)
	}
	for _, body := range []string{"", "{", "null", "[]", `{"message_id":NaN}`, `{"a":1,"a":2}`, "\xff"} {
		if answer := s.post("/api/v2/revenue", body); answer.status != 400 || answer.field(t, "code") != "invalid_json" {
			t.Errorf("%q: %d %s", body, answer.status, answer.body)
		}
	}
	if events := s.published(); len(events) != 0 {
		t.Errorf("%d statements of faulty requests", len(events))
	}
}

func TestTracklyBulk(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	for _, path := range []string{"/api/v2/revenue/bulk", "/v2/revenue/bulk"} {
		s.post(path, `{"records":[
			{"message_id":"a1b2c3d4","revenue":24.99,"offer_id":"offer_123","attribution_type":"sale"},
			{"message_id":"e5f6g7h8","revenue":12.50,"offer_id":"offer_456","attribution_type":"click"}],"imported":false}`).
			expect(t, 201, `{"success_count":2,"error_count":0,"total_revenue":37.49,"errors":[]}`)
	}
	s.post("/v2/revenue/bulk", `{"imported":true,"records":[
		{"revenue":1,"attribution_type":"sale"},
		{"message_id":"a1b2c3d4","attribution_type":"sale"},
		{"message_id":"a1b2c3d4","revenue":0.10,"attribution_type":"send"},
		{"message_id":"a1b2c3d4","revenue":1},
		{"message_id":"a1b2c3d4","revenue":"1","attribution_type":"sale"},
		{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"x"},
		{"message_id":"unknown0","revenue":1,"attribution_type":"sale"},
		{"message_id":"unknown1","revenue":1,"attribution_type":"sale"},
		{"message_id":"nocontac","revenue":1,"attribution_type":"sale"},
		{"message_id":"e5f6g7h8","revenue":0.20,"attribution_type":"sale"},
		7]}`).expect(t, 201, `{"success_count":2,"error_count":9,"total_revenue":0.30,"errors":[`+strings.Join([]string{
		`{"index":0,"code":"missing_message_id","error":"The message_id field is required."}`,
		`{"index":1,"code":"missing_revenue","error":"The revenue field is required."}`,
		`{"index":3,"code":"missing_attribution_type","error":"The attribution_type field is required."}`,
		`{"index":4,"code":"invalid_revenue","error":"revenue must be a number, not a string"}`,
		`{"index":5,"code":"invalid_attribution_type","error":"attribution_type must be one of: sale, click, send"}`,
		`{"index":6,"code":"message_not_found","error":"No message exists with the given ID."}`,
		`{"index":7,"code":"message_not_found","error":"No message exists with the given ID."}`,
		`{"index":8,"code":"contact_not_found","error":"The contact associated with the message could not be found."}`,
		`{"index":10,"code":"invalid_json","error":"must be a JSON object, not a number"}`,
	}, ",")+`]}`)
	s.post("/v2/revenue/bulk", `{"records":[{}]}`).
		expect(t, 201, `{"success_count":0,"error_count":1,"total_revenue":0.00,"errors":[{"index":0,"code":"missing_message_id","error":"The message_id field is required."}]}`)

	cash, imported := s.cash(), 0
	for _, event := range s.published() {
		if event.Imported {
			imported++
		}
	}
	if cash[revenue.EntryPurchase] != 2*3749+30 || imported != 2 {
		t.Errorf("cash %v, %d imported", cash, imported)
	}
}

// A record may say that it is history, and so may the request for all of them.
func TestTracklyImported(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	record := func(imported string) string {
		return `{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"sale","imported":` + imported + `}`
	}
	for request, want := range map[string]int{"": 1, `"imported":false,`: 1, `"imported":true,`: 3} {
		before := len(s.published())
		s.post("/v2/revenue/bulk", `{`+request+`"records":[`+record("true")+`,`+record("false")+`,`+record("null")+`,`+record(`"yes"`)+`]}`).
			expect(t, 201, `{"success_count":3,"error_count":1,"total_revenue":3.00,"errors":[{"index":3,"code":"invalid_imported","error":"imported must be true or false, not a string"}]}`)
		marked := 0
		for _, event := range s.published()[before:] {
			if event.Imported {
				marked++
			}
		}
		if marked != want {
			t.Errorf("request %q: %d marked, want %d", request, marked, want)
		}
	}
	s.post("/v2/revenue/bulk", `{"imported":"yes","records":[`+record("true")+`]}`).
		expect(t, 400, `{"success":false,"code":"invalid_imported","error":"imported must be true or false, not a string"}`)
}

func TestTracklyBulkLimits(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	record := `{"message_id":"e5f6g7h8","revenue":0.01,"attribution_type":"sale"}`
	records := func(n int) string {
		return `{"records":[` + strings.TrimSuffix(strings.Repeat(record+",", n), ",") + `]}`
	}
	s.post("/v2/revenue/bulk", records(1000)).expect(t, 201, `{"success_count":1000,"error_count":0,"total_revenue":10.00,"errors":[]}`)
	s.post("/v2/revenue/bulk", records(1001)).expect(t, 413, `{"success":false,"code":"too_many_records","error":"Exceeded the maximum of 1000 records per request."}`)
	missing := `{"success":false,"code":"missing_records","error":"The records field is required and must be a non-empty array."}`
	for _, body := range []string{`{}`, `{"records":[]}`, `{"records":{}}`, `{"records":null}`} {
		s.post("/v2/revenue/bulk", body).expect(t, 400, missing)
	}
	ids := map[string]bool{}
	for _, event := range s.published() {
		ids[event.ObjectID] = true
	}
	if len(ids) != 1000 {
		t.Errorf("%d distinct records of 1000", len(ids))
	}
}

func TestTracklyCurrencyOfTheWorkspace(t *testing.T) {
	s := start(t, settings{currency: "JPY"})
	s.messages()
	if answer := s.post("/v2/revenue", strings.Replace(sale, "24.99", "2499", 1)); answer.field(t, "revenue") != "2499" {
		t.Errorf("answer %s", answer.body)
	}
	if answer := s.post("/v2/revenue", sale); answer.status != 400 || answer.field(t, "code") != "invalid_revenue" {
		t.Errorf("24.99 JPY: %d %s", answer.status, answer.body)
	}
}

func TestTracklyIdempotencyKey(t *testing.T) {
	s := start(t, settings{})
	s.messages()
	first := s.post("/v2/revenue", sale, "Idempotency-Key", "order-1")
	again := s.post("/api/v2/revenue", sale, "Idempotency-Key", `"order-1"`)
	again.expect(t, 200, first.body)
	if again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Error("which answer is a replay is not said")
	}
	reused := s.post("/v2/revenue", strings.Replace(sale, "24.99", "25", 1), "Idempotency-Key", "order-1")
	if reused.status != 422 || reused.field(t, "code") != "idempotency_key_reused" {
		t.Errorf("reused: %d %s", reused.status, reused.body)
	}
	if n := len(s.published()); n != 1 {
		t.Errorf("%d statements", n)
	}
	bulk := fmt.Sprintf(`{"records":[%s,%s,{}]}`, sale, sale)
	first = s.post("/v2/revenue/bulk", bulk, "Idempotency-Key", "order-1") // another operation
	s.post("/v2/revenue/bulk", bulk, "Idempotency-Key", "order-1").expect(t, 201, first.body)
	if cash := s.cash(); cash[revenue.EntryPurchase] != 3*2499 {
		t.Errorf("cash %v", cash)
	}
	// A request that was refused did nothing, and may be mended under its key.
	if answer := s.post("/v2/revenue", `{}`, "Idempotency-Key", "order-2"); answer.status != 400 {
		t.Errorf("refused: %d", answer.status)
	}
	if answer := s.post("/v2/revenue", sale, "Idempotency-Key", "order-2"); answer.status != 200 {
		t.Errorf("mended: %d %s", answer.status, answer.body)
	}
	if answer := s.post("/v2/revenue", sale, "Idempotency-Key", strings.Repeat("x", 256)); answer.status != 400 || answer.field(t, "code") != "invalid_idempotency_key" {
		t.Errorf("too long: %d %s", answer.status, answer.body)
	}
}

// TestTracklyAnswerNotKept: the money was published and then keeping the answer
// failed, so the caller is asked to come back; that counts nothing either.
func TestTracklyAnswerNotKept(t *testing.T) {
	s := start(t, settings{fake: true})
	s.messages()
	mend := s.refuse(s.stream.IdempotencyTopic)
	if answer := s.post("/v2/revenue", sale, "Idempotency-Key", "order-1"); answer.status != 503 || answer.header.Get("Retry-After") == "" {
		t.Fatalf("not kept: %d %s", answer.status, answer.body)
	}
	mend()
	if answer := s.post("/v2/revenue", sale, "Idempotency-Key", "order-1"); answer.status != 200 {
		t.Fatalf("again: %d %s", answer.status, answer.body)
	}
	if n, cash := len(s.published()), s.cash(); n != 2 || cash[revenue.EntryPurchase] != 2499 {
		t.Errorf("%d statements, cash %v", n, cash)
	}
}

func TestRegistration(t *testing.T) {
	s := start(t, settings{})
	s.post("/v2/messages", `{"id":"m0000001"}`).expect(t, 201, `{"success":true,"registered":{"messages":1,"contacts":0,"offers":0,"short_links":0}}`)
	s.post("/v2/messages", `[{"message_id":"m0000002"},{"id":"m0000003"}]`).expect(t, 201, `{"success":true,"registered":{"messages":2,"contacts":0,"offers":0,"short_links":0}}`)
	s.post("/v2/messages", `{"id":"short"}`).expect(t, 400, `{"success":false,"code":"invalid_id","error":"messages.0.id must have 8 characters"}`)
	s.post("/v2/messages", `{"messages":[{"id":"m0000004"},{"id":"m0000005","typo":1}]}`).
		expect(t, 400, `{"success":false,"code":"unknown_field","error":"messages.1.typo is not a known field"}`)
	for id, want := range map[string]int{"m0000001": 200, "m0000002": 200, "m0000003": 200, "m0000004": 400} {
		if answer := s.post("/v2/revenue", strings.Replace(sale, "a1b2c3d4", id, 1)); answer.status != want {
			t.Errorf("%s: %d %s", id, answer.status, answer.body)
		}
	}
	// To register again replaces.
	s.post("/v2/messages", `{"messages":[{"id":"m0000001","offer_id":"b"}],"offers":[{"id":"a","external_id":"b"}]}`)
	s.post("/v2/revenue", `{"message_id":"m0000001","revenue":1,"attribution_type":"sale"}`)
	events := s.published()
	if last := events[len(events)-1]; last.Offer != "a" {
		t.Errorf("offer %q", last.Offer)
	}
}
