package thrivestack

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

var now = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

// example is the request of the contract's page.
const example = `{"transaction_id":"txn_123","customer_id":"cust_123","group_id":"group_456","customer_name":"John Doe",
"invoice_id":"inv_123","type":"payment","status":"paid","transaction_date":"2024-01-15T14:30:00Z","amount":99.99,
"currency":"USD","payment_method":"credit_card","transaction_fee":2.99,"tax_amount":5.00,"discount_amount":10.00,
"term_frequency":1,"term_unit":"month","period_start_date":"2024-01-01T00:00:00Z","period_end_date":"2024-01-31T23:59:59Z",
"line_item_type":"subscription"}`

// with is the example with members replaced; a nil value leaves one out.
func with(t *testing.T, changes map[string]any) []byte {
	t.Helper()
	body := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(example))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		body[name] = value
		if value == nil {
			delete(body, name)
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ledger is a caller: it keeps the state of one transaction and everything that
// was published.
type ledger struct {
	state  *State
	events []revenue.Event
	clock  time.Time
}

func (l *ledger) accept() Acceptance {
	if l.clock.IsZero() {
		l.clock = now
	}
	l.clock = l.clock.Add(time.Second)
	return Acceptance{Workspace: "w1", Integration: "key_1", ReceivedAt: l.clock}
}

func (l *ledger) create(text []byte) error {
	body, _, err := ReadBody(text)
	if err != nil {
		return err
	}
	return l.keep(Create(l.state, body, l.accept()))
}

func (l *ledger) update(text []byte) error {
	body, _, err := ReadBody(text)
	if err != nil {
		return err
	}
	return l.keep(Update(*l.state, body, l.accept()))
}

func (l *ledger) delete() error {
	state, events := Delete(*l.state, l.accept())
	return l.keep(state, events, nil)
}

// keep passes the state through its JSON, as a table would.
func (l *ledger) keep(state State, events []revenue.Event, err error) error {
	if err != nil {
		return err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	l.state = &State{}
	l.events = append(l.events, events...)
	return json.Unmarshal(text, l.state)
}

// totals folds every group: cash by entry kind, in minor units, and MRR steps in
// order, in whole cents.
func (l *ledger) totals() (cash map[revenue.EntryKind]int64, mrr []int64) {
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range l.events {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	cash = map[revenue.EntryKind]int64{}
	var steps []revenue.Entry
	for _, events := range groups {
		for _, entry := range revenue.Fold(events) {
			if entry.Kind.Family() == revenue.FamilyCash {
				cash[entry.Kind] += entry.Amount
			}
			if entry.MRR != 0 {
				steps = append(steps, entry)
			}
		}
	}
	slices.SortFunc(steps, func(a, b revenue.Entry) int { return a.OccurredAt.Compare(b.OccurredAt) })
	for _, step := range steps {
		mrr = append(mrr, revenue.RoundMRR(step.MRR))
	}
	return cash, mrr
}

func sum(cash map[revenue.EntryKind]int64) (total int64) {
	for _, amount := range cash {
		total += amount
	}
	return total
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes map[string]any
		code    string
	}{
		{"as it is", nil, ""},
		{"no transaction_id", map[string]any{"transaction_id": nil}, "missing_transaction_id"},
		{"empty transaction_id", map[string]any{"transaction_id": ""}, "missing_transaction_id"},
		{"number transaction_id", map[string]any{"transaction_id": 5}, "invalid_transaction_id"},
		{"no customer_id", map[string]any{"customer_id": nil}, "missing_customer_id"},
		{"no group_id", map[string]any{"group_id": nil}, "missing_group_id"},
		{"no customer_name", map[string]any{"customer_name": nil}, ""},
		{"number customer_name", map[string]any{"customer_name": 1}, "invalid_customer_name"},
		{"no invoice_id", map[string]any{"invoice_id": nil}, ""},
		{"no type", map[string]any{"type": nil}, "missing_type"},
		{"unknown type", map[string]any{"type": "credit"}, "invalid_type"},
		{"no status", map[string]any{"status": nil}, "missing_status"},
		{"unknown status", map[string]any{"status": "pending"}, "invalid_status"},
		{"no transaction_date", map[string]any{"transaction_date": nil}, "missing_transaction_date"},
		{"no such day", map[string]any{"transaction_date": "2024-02-30"}, "invalid_transaction_date"},
		{"year 9999", map[string]any{"transaction_date": "9999-01-01"}, "invalid_transaction_date"},
		{"number date", map[string]any{"transaction_date": 1705329000}, "invalid_transaction_date"},
		{"no amount", map[string]any{"amount": nil}, "missing_amount"},
		{"text amount", map[string]any{"amount": "99.99"}, "invalid_amount"},
		{"negative amount", map[string]any{"amount": -1}, "invalid_amount"},
		{"too fine amount", map[string]any{"amount": json.Number("99.999")}, "invalid_amount"},
		{"huge amount", map[string]any{"amount": json.Number("1e400")}, "invalid_amount"},
		{"zero amount", map[string]any{"amount": 0, "tax_amount": 0}, ""},
		{"no currency", map[string]any{"currency": nil}, ""},
		{"unknown currency", map[string]any{"currency": "BTC"}, "invalid_currency"},
		{"unknown payment_method", map[string]any{"payment_method": "cash"}, "invalid_payment_method"},
		{"negative fee", map[string]any{"transaction_fee": -1}, "invalid_transaction_fee"},
		{"text tax", map[string]any{"tax_amount": "5"}, "invalid_tax_amount"},
		{"tax above amount", map[string]any{"tax_amount": 100}, "invalid_tax_amount"},
		{"negative discount", map[string]any{"discount_amount": -1}, "invalid_discount_amount"},
		{"zero term", map[string]any{"term_frequency": 0}, "invalid_term_frequency"},
		{"half a term", map[string]any{"term_frequency": 1.5}, "invalid_term_frequency"},
		{"unknown unit", map[string]any{"term_unit": "quarter"}, "invalid_term_unit"},
		{"term of 100 years", map[string]any{"term_frequency": 100, "term_unit": "year", "period_end_date": nil}, "invalid_term_frequency"},
		{"wrong period start", map[string]any{"period_start_date": "soon"}, "invalid_period_start_date"},
		{"wrong period end", map[string]any{"period_end_date": "2024-01-32"}, "invalid_period_end_date"},
		{"period ends first", map[string]any{"period_end_date": "2023-12-30"}, "invalid_period_end_date"},
		{"no line_item_type", map[string]any{"line_item_type": nil}, "missing_line_item_type"},
		{"unknown line_item_type", map[string]any{"line_item_type": "usage"}, "invalid_line_item_type"},
	} {
		var l ledger
		err := l.create(with(t, test.changes))
		code := ""
		var invalid *connectors.InvalidError
		if errors.As(err, &invalid) {
			code = invalid.Code
		}
		if code != test.code || err != nil && invalid == nil {
			t.Errorf("%s: code %q, want %q (%v)", test.name, code, test.code, err)
		}
	}
}

func TestTruthTable(t *testing.T) {
	for _, test := range []struct {
		kind, status, line string
		cash               map[revenue.EntryKind]int64
		mrr                []int64
	}{
		{"payment", "paid", "one_time", map[revenue.EntryKind]int64{"purchase": 9999}, nil},
		{"payment", "refund", "one_time", map[revenue.EntryKind]int64{"purchase": 9999, "refund": -9999}, nil},
		{"payment", "charged_back", "one_time", map[revenue.EntryKind]int64{"purchase": 9999, "dispute": -9999}, nil},
		{"payment", "failed", "one_time", nil, nil},
		{"payment", "cancelled", "one_time", nil, nil},
		{"refund", "paid", "one_time", map[revenue.EntryKind]int64{"refund": -9999}, nil},
		{"refund", "refund", "one_time", map[revenue.EntryKind]int64{"refund": -9999}, nil},
		{"refund", "charged_back", "one_time", map[revenue.EntryKind]int64{"dispute": -9999}, nil},
		{"refund", "failed", "one_time", nil, nil},
		{"refund", "cancelled", "one_time", nil, nil},
		{"payment", "paid", "subscription", map[revenue.EntryKind]int64{"subscription_purchase": 9999}, []int64{9499, -9499}},
		{"payment", "refund", "subscription", map[revenue.EntryKind]int64{"subscription_purchase": 9999, "refund": -9999}, []int64{9499, -9499}},
		{"payment", "charged_back", "subscription", map[revenue.EntryKind]int64{"subscription_purchase": 9999, "dispute": -9999}, []int64{9499, -9499}},
		{"payment", "failed", "subscription", nil, nil},
		{"payment", "cancelled", "subscription", nil, nil},
		{"refund", "paid", "subscription", map[revenue.EntryKind]int64{"refund": -9999}, nil},
		{"refund", "charged_back", "subscription", map[revenue.EntryKind]int64{"dispute": -9999}, nil},
	} {
		var l ledger
		if err := l.create(with(t, map[string]any{"type": test.kind, "status": test.status, "line_item_type": test.line})); err != nil {
			t.Fatal(err)
		}
		cash, mrr := l.totals()
		if !equalCash(cash, test.cash) || !slices.Equal(mrr, test.mrr) {
			t.Errorf("%s %s %s: %v %v, want %v %v", test.line, test.kind, test.status, cash, mrr, test.cash, test.mrr)
		}
	}
}

func equalCash(a, b map[revenue.EntryKind]int64) bool {
	if len(a) != len(b) {
		return false
	}
	for kind, amount := range a {
		if b[kind] != amount {
			return false
		}
	}
	return true
}

func TestTerms(t *testing.T) {
	for _, test := range []struct {
		name       string
		changes    map[string]any
		mrr, list  int64 // MRR units, and before discounts
		start, end string
	}{
		{"the example", nil, 94990000, 104990000, "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"},
		{"a year", map[string]any{"term_unit": "year", "amount": 120, "tax_amount": 0, "period_end_date": "2024-12-31"}, 10000000, 10833333, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{"a quarter", map[string]any{"term_frequency": 3, "amount": 100, "tax_amount": 0, "period_end_date": nil}, 33333333, 36666667, "2024-01-01T00:00:00Z", "2024-04-01T00:00:00Z"},
		{"a week", map[string]any{"term_unit": "week", "amount": 12, "tax_amount": 0, "discount_amount": nil, "period_end_date": nil}, 52000000, 0, "2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"},
		{"a day", map[string]any{"term_unit": "day", "amount": 12, "tax_amount": 0, "discount_amount": 0, "period_end_date": nil}, 365000000, 0, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"},
		{"defaults", map[string]any{"period_start_date": nil, "period_end_date": nil, "term_unit": nil, "term_frequency": nil}, 94990000, 104990000, "2024-01-15T14:30:00Z", "2024-02-15T14:30:00Z"},
		{"all of it off", map[string]any{"amount": 0, "tax_amount": 0, "transaction_fee": 0}, 0, 10000000, "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"},
	} {
		var l ledger
		if err := l.create(with(t, test.changes)); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		at := slices.IndexFunc(l.events, func(e revenue.Event) bool { return e.Kind == revenue.KindPeriod })
		if at < 0 {
			t.Fatalf("%s: no term", test.name)
		}
		term := l.events[at]
		if list := test.list; term.MRRBeforeDiscounts != list {
			t.Errorf("%s: %d before discounts, want %d", test.name, term.MRRBeforeDiscounts, list)
		}
		if start, end := term.PeriodStart.Format(time.RFC3339), term.PeriodEnd.Format(time.RFC3339); term.MRR != test.mrr || start != test.start || end != test.end {
			t.Errorf("%s: %d from %s to %s, want %d from %s to %s", test.name, term.MRR, start, end, test.mrr, test.start, test.end)
		}
	}
}

func TestLife(t *testing.T) {
	var l ledger
	step := func(name string, err error, total int64, mrr ...int64) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cash, steps := l.totals()
		if sum(cash) != total || !slices.Equal(steps, mrr) {
			t.Errorf("%s: cash %v, MRR %v; want %d, %v", name, cash, steps, total, mrr)
		}
	}
	step("create", l.create([]byte(example)), 9999, 9499, -9499)
	version := l.state.Version
	step("create again", l.create([]byte(example)), 9999, 9499, -9499)
	if l.state.Version != version {
		t.Error("the same body has another version")
	}
	if n := len(revenue.Distinct(l.events)); n != 2 {
		t.Errorf("the same body made %d statements of 2", n)
	}
	step("an empty update", l.update([]byte(`{"transaction_id":"txn_123","amount":null,"currency":""}`)), 9999, 9499, -9499)
	step("another amount", l.update([]byte(`{"transaction_id":"txn_123","amount":149.99,"tax_amount":7.50,"date":"2024-01-20T10:30:00Z"}`)), 14999, 14249, -14249)
	if l.state.Version <= version || l.state.OccurredAt.Day() != 20 {
		t.Errorf("state %+v", l.state)
	}
	step("failed", l.update([]byte(`{"transaction_id":"txn_123","status":"failed"}`)), 0)
	step("paid after all", l.update([]byte(`{"transaction_id":"txn_123","status":"paid"}`)), 14999, 14249, -14249)
	step("refunded", l.update([]byte(`{"transaction_id":"txn_123","status":"refund"}`)), 0, 14249, -14249)
	step("the refund taken back", l.update([]byte(`{"transaction_id":"txn_123","status":"paid"}`)), 14999, 14249, -14249)
	step("moved to its invoice", l.update([]byte(`{"transaction_id":"txn_123","line_item_type":"one_time"}`)), 14999)
	step("moved back", l.update([]byte(`{"transaction_id":"txn_123","line_item_type":"subscription"}`)), 14999, 14249, -14249)
	step("another customer", l.create(with(t, map[string]any{"customer_id": "cust_9"})), 9999, 9499, -9499)
	step("in yen", l.update([]byte(`{"transaction_id":"txn_123","currency":"JPY","amount":500,"tax_amount":0,"transaction_fee":0,"discount_amount":0}`)), 500, 500, -500)
	step("deleted", l.delete(), 0)
	step("created anew", l.create([]byte(example)), 9999, 9499, -9499)
	step("deleted again", l.delete(), 0)
}

func TestUpdateFaults(t *testing.T) {
	var l ledger
	if err := l.create([]byte(example)); err != nil {
		t.Fatal(err)
	}
	before := len(l.events)
	for text, want := range map[string]string{
		`{"status":"paid"}`:                                 "missing_transaction_id",
		`{"transaction_id":"txn_123","status":"x"}`:         "invalid_status",
		`{"transaction_id":"txn_123","date":"x"}`:           "invalid_date",
		`{"transaction_id":"txn_123","transaction_date":0}`: "invalid_transaction_date",
		`{"transaction_id":"txn_123","currency":"JPY"}`:     "invalid_amount", // 99.99 JPY
		`{"transaction_id":"txn_123","amount":1}`:           "invalid_tax_amount",
		`{"transaction_id":"txn_123","term_unit":"hour"}`:   "invalid_term_unit",
		`{"transaction_id":"txn_123"`:                       "invalid_json",
	} {
		var invalid *connectors.InvalidError
		if err := l.update([]byte(text)); !errors.As(err, &invalid) || invalid.Code != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if len(l.events) != before {
		t.Error("a refused update was published")
	}
}

func kit() connectortest.APIKit {
	return connectortest.APIKit{API: New(), Encode: stream.EncodeEvent, Decode: stream.DecodeEvent}
}

func TestAPI(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

// FuzzDeletion: no pair of requests is a panic, what is accepted can be
// stored, and after a deletion nothing is left in any group.
func FuzzDeletion(f *testing.F) {
	f.Add([]byte(example), []byte(`{"transaction_id":"txn_123","status":"refund","line_item_type":"one_time"}`))
	f.Add([]byte(example), []byte(`{"transaction_id":"txn_123","date":"2024-01-20","amount":1e2,"tax_amount":0}`))
	f.Add([]byte(`{"transaction_id":"\u0000"}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var l ledger
		if l.create(first) != nil {
			return
		}
		_ = l.update(second)
		_ = l.create(second)
		for i := range l.events {
			if _, err := stream.EncodeEvent(nil, &l.events[i]); err != nil {
				t.Fatalf("accepted and cannot be encoded: %v", err)
			}
		}
		// A different transaction id in the second body is another transaction; its
		// state replaced the first here, which a caller would not do.
		if _, id, err := ReadBody(second); err == nil && id != l.events[0].ObjectID {
			return
		}
		if err := l.delete(); err != nil {
			t.Fatal(err)
		}
		if cash, mrr := l.totals(); len(cash) > 0 || len(mrr) > 0 {
			t.Fatalf("after the deletion %v %v are left", cash, mrr)
		}
	})
}
