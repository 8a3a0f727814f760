package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"revstream/ingest/revenue"
)

const transaction = `{"transaction_id":"txn_123","customer_id":"cust_123","group_id":"group_456","customer_name":"John Doe",
"invoice_id":"inv_123","type":"payment","status":"paid","transaction_date":"2024-01-15T14:30:00Z","amount":99.99,
"currency":"USD","payment_method":"credit_card","transaction_fee":2.99,"tax_amount":5.00,"discount_amount":10.00,
"term_frequency":1,"term_unit":"month","period_start_date":"2024-01-01T00:00:00Z","period_end_date":"2024-01-31T23:59:59Z",
"line_item_type":"subscription"}`

const transactions = "/revenue/transactions"

func (s *service) put(body string) response {
	return s.call(http.MethodPut, transactions, body, "x-api-key", s.keys.secret)
}

func (s *service) remove(body string) response {
	return s.call(http.MethodDelete, transactions, body, "x-api-key", s.keys.secret)
}

const transactionDone = `{"success":true,"transaction_id":"txn_123"}`

func TestThriveStackLife(t *testing.T) {
	s := start(t, settings{})
	total := func(step string, want int64) {
		t.Helper()
		var got int64
		for _, amount := range s.cash() {
			got += amount
		}
		if got != want {
			t.Errorf("%s: cash %d, want %d", step, got, want)
		}
	}
	s.post(transactions, transaction).expect(t, 200, transactionDone)
	total("create", 9999)
	s.post(transactions, transaction).expect(t, 200, transactionDone)
	total("create again", 9999)
	s.put(`{"transaction_id":"txn_123","amount":149.99,"tax_amount":7.50,"date":"2024-01-20T10:30:00Z"}`).expect(t, 200, transactionDone)
	total("update", 14999)
	s.put(`{"transaction_id":"txn_123","status":"refund"}`).expect(t, 200, transactionDone)
	total("refund", 0)
	s.put(`{"transaction_id":"txn_123","status":"paid","line_item_type":"one_time"}`).expect(t, 200, transactionDone)
	total("one time", 14999)
	s.remove(`{"transaction_id":"txn_123"}`).expect(t, 200, transactionDone)
	total("delete", 0)
	unknown := `{"success":false,"error":"not_found","message":"transaction_id does not exist."}`
	s.remove(`{"transaction_id":"txn_123"}`).expect(t, 404, unknown)
	s.put(`{"transaction_id":"txn_123","status":"paid"}`).expect(t, 404, unknown)
	s.put(`{"transaction_id":"never","status":"paid"}`).expect(t, 404, unknown)
	s.post(transactions, transaction).expect(t, 200, transactionDone)
	total("create anew", 9999)
	for _, entry := range s.entries() {
		if entry.Kind == revenue.EntryNew && entry.MRR != 94_990_000 {
			t.Errorf("MRR %d", entry.MRR)
		}
	}
}

func TestThriveStackFaults(t *testing.T) {
	s := start(t, settings{})
	for _, test := range []struct{ body, answer string }{
		{`{`, `{"success":false,"error":"invalid_json","message":"not valid JSON at byte 1: unexpected EOF"}`},
		{`{}`, `{"success":false,"error":"missing_transaction_id","message":"The transaction_id field is required."}`},
		{`{"transaction_id":"x"}`, `{"success":false,"error":"missing_customer_id","message":"The customer_id field is required."}`},
		{strings.Replace(transaction, `"payment"`, `"gift"`, 1), `{"success":false,"error":"invalid_type","message":"type must be one of: payment, refund"}`},
		{strings.Replace(transaction, `99.99`, `"99.99"`, 1), `{"success":false,"error":"invalid_amount","message":"amount must be a number, not a string"}`},
		{strings.Replace(transaction, `"USD"`, `"ZZZ"`, 1), `{"success":false,"error":"invalid_currency","message":"currency must be an ISO 4217 currency, not \"ZZZ\""}`},
		{strings.Replace(transaction, `2024-01-15`, `2024-02-30`, 1), `{"success":false,"error":"invalid_transaction_date","message":"transaction_date must be an ISO 8601 date or time, not \"2024-02-30T14:30:00Z\""}`},
	} {
		s.post(transactions, test.body).expect(t, 400, test.answer)
	}
	s.put(`{`).expect(t, 400, `{"success":false,"error":"invalid_json","message":"not valid JSON at byte 1: unexpected EOF"}`)
	s.remove(`{"transaction_id":7}`).expect(t, 400, `{"success":false,"error":"invalid_transaction_id","message":"transaction_id must be a string, not a number"}`)
	if n := len(s.published()); n != 0 {
		t.Errorf("%d statements of faulty requests", n)
	}
}

func TestThriveStackKeys(t *testing.T) {
	s := start(t, settings{})
	missing := `{"success":false,"error":"unauthorized","message":"The API key is missing, unknown or revoked."}`
	s.call(http.MethodPost, transactions, transaction).expect(t, 401, missing)
	s.call(http.MethodPut, transactions, transaction, "x-api-key", "wrong").expect(t, 401, missing)
	without := `{"success":false,"error":"forbidden","message":"The API key may not write revenue."}`
	s.call(http.MethodDelete, transactions, transaction, "x-api-key", s.keys.reading).expect(t, 401, without)
	s.call(http.MethodPost, transactions, transaction, "x-api-key", s.keys.public).expect(t, 401, without)
}

// TestThriveStackInterrupted: wherever a change is cut off, sending it again
// completes it, and no fact is left that nothing can take back.
func TestThriveStackInterrupted(t *testing.T) {
	s := start(t, settings{fake: true})
	interrupted := func(topic string, call func() response) {
		t.Helper()
		mend := s.refuse(topic)
		if answer := call(); answer.status != 503 || answer.header.Get("Retry-After") == "" {
			t.Fatalf("interrupted at %s: %d %s", topic, answer.status, answer.body)
		}
		mend()
	}
	for _, topic := range []string{s.stream.TransactionsTopic, s.stream.EventsTopic} {
		create := func() response { return s.post(transactions, transaction) }
		interrupted(topic, create)
		create().expect(t, 200, transactionDone)
		move := func() response { return s.put(`{"transaction_id":"txn_123","line_item_type":"one_time"}`) }
		interrupted(topic, move)
		move().expect(t, 200, transactionDone)
		if cash := s.cash(); cash[revenue.EntryPurchase] != 9999 || len(cash) != 1 {
			t.Errorf("moved: %v", cash)
		}
		// Moved once more, cut off, and never sent again.
		interrupted(topic, func() response { return s.put(`{"transaction_id":"txn_123","line_item_type":"subscription"}`) })
		remove := func() response { return s.remove(`{"transaction_id":"txn_123"}`) }
		interrupted(topic, remove)
		remove().expect(t, 200, transactionDone)
		if entries := s.entries(); len(entries) != 0 {
			t.Errorf("deleted, and left: %+v", entries)
		}
	}
}

func TestThriveStackAtOnce(t *testing.T) {
	s := start(t, settings{})
	s.post(transactions, transaction).expect(t, 200, transactionDone)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			body := fmt.Sprintf(`{"transaction_id":"txn_123","amount":%d,"tax_amount":0}`, 100+i)
			if answer := s.put(body); answer.status != 200 {
				t.Errorf("put: %d %s", answer.status, answer.body)
			}
		})
	}
	group.Wait()
	versions := map[int64]bool{}
	for _, event := range s.published() {
		if event.Kind == revenue.KindCharge {
			versions[event.Version] = true
		}
	}
	if len(versions) != 21 {
		t.Errorf("%d versions of 21 changes", len(versions))
	}
}
