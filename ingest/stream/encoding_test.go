package stream

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

func moment(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return at
}

// payment is a statement as a webhook yields it, of the usual size.
func payment() revenue.Event {
	end := moment("2026-03-08T10:00:00Z")
	return revenue.Event{
		Workspace: "acme", Provider: "stripe", Account: "acct_1", Livemode: true,
		ObjectID: "in_1PqRsT", Kind: revenue.KindCharge, Group: "stripe|acct_1|live|in_1PqRsT", Version: 2499,
		OccurredAt: moment("2026-02-08T10:00:00.25Z"), ReceivedAt: moment("2026-02-08T10:00:01.123456Z"),
		Amount: 2499, Tax: 199, Currency: "USD", Recurring: true, Billing: revenue.BillingRenewal,
		PeriodEnd: &end,
		Dimensions: revenue.Dimensions{
			Customer: "cus_42", CustomerName: "Ünïcode \"Inc\"", Subscription: "sub_7", Plan: "pro",
			Metadata: json.RawMessage(`{"seats":10,"ratio":1.10,"tags":["a"]}`),
		},
		Delivery: revenue.Delivery{ID: "evt_9", Type: "invoice.paid", Integration: "we_1"},
	}
}

const golden = `{"v":1,"workspace":"acme","provider":"stripe","account":"acct_1","livemode":true,"object_id":"in_1PqRsT",` +
	`"kind":"charge","group":"stripe|acct_1|live|in_1PqRsT","version":2499,"occurred_at":"2026-02-08T10:00:00.250000Z",` +
	`"received_at":"2026-02-08T10:00:01.123456Z","amount":2499,"tax":199,"currency":"USD","recurring":true,` +
	`"billing":"renewal","period_end":"2026-03-08T10:00:00.000000Z","customer":"cus_42","customer_name":"Ünïcode \"Inc\"",` +
	`"subscription":"sub_7","plan":"pro","metadata":{"seats":10,"ratio":1.10,"tags":["a"]},` +
	`"delivery":{"id":"evt_9","type":"invoice.paid","integration":"we_1"}}`

// What a subscription is worth before discounts is there only if it is after some.
func TestListPricesAreEncoded(t *testing.T) {
	e := payment()
	e.Kind, e.MRR, e.MRRBeforeDiscounts = revenue.KindSubscription, 1500_0000, 2000_0000
	encoded, err := EncodeEvent(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(encoded), `"mrr":15000000,"mrr_before_discounts":20000000,"period_end"`) {
		t.Errorf("encoded as %s", encoded)
	}
	if decoded, err := DecodeEvent(encoded); err != nil || decoded.MRRBeforeDiscounts != e.MRRBeforeDiscounts {
		t.Errorf("%d, %v", decoded.MRRBeforeDiscounts, err)
	}
}

// The bytes are published: other programs read them, and stored statements stay
// for ever. A change of this text is a new encoding version.
func TestEncodingIsPublished(t *testing.T) {
	e := payment()
	encoded, err := EncodeEvent([]byte("kept "), &e)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(encoded); got != "kept "+golden {
		t.Fatalf("encoding changed:\n got %s\nwant kept %s", got, golden)
	}
	decoded, err := DecodeEvent([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, e) {
		t.Fatalf("got  %+v\nwant %+v", decoded, e)
	}
}

func TestDecodeTolerates(t *testing.T) {
	for name, value := range map[string]string{
		"unknown members": strings.Replace(golden, `"tax"`, `"novel":{"a":[1,-0.5e+3,"\u00e9",null,{}],"b":{}},"tax"`, 1),
		"white space":     strings.NewReplacer(`,"`, " ,\n\t\"", `":`, `" : `).Replace(golden) + "\n",
		"unknown nested":  strings.Replace(golden, `"delivery":{`, `"delivery":{"attempt":3,`, 1),
		"null":            strings.Replace(golden, `"tax"`, `"fee":null,"period_start":null,"tax"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			decoded, err := DecodeEvent([]byte(value))
			if err != nil {
				t.Fatal(err)
			}
			if decoded.Tax != 199 || decoded.Delivery.ID != "evt_9" {
				t.Fatalf("%+v", decoded)
			}
		})
	}
	for name, c := range map[string]struct{ old, with string }{
		"time in another zone":  {`2026-02-08T10:00:00.250000Z`, `2026-02-08T11:00:00.25+01:00`},
		"finer time":            {`00.250000Z`, `00.250000999Z`},
		"time without zeros":    {`00.250000Z`, `00.25Z`},
		"metadata not compact":  {`"seats":10`, `"seats" : 10`},
		"escapes not necessary": {`"acme"`, `"\u0061cme"`},
		"escapes in a name":     {`"tax"`, `"t\u0061x"`},
		"escapes in a time":     {`00.250000Z`, `00.25\u0030000Z`},
	} {
		t.Run(name, func(t *testing.T) {
			decoded, err := DecodeEvent([]byte(strings.Replace(golden, c.old, c.with, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := EncodeEvent(nil, &decoded); err != nil || string(again) != golden {
				t.Fatalf("%v\n got %s\nwant %s", err, again, golden)
			}
		})
	}
	for name, metadata := range map[string]string{"null metadata": "null", "no metadata": ""} {
		t.Run(name, func(t *testing.T) {
			e := payment()
			e.Metadata = nil
			encoded, err := EncodeEvent(nil, &e)
			if err != nil {
				t.Fatal(err)
			}
			if metadata != "" {
				encoded = slices.Concat([]byte(`{"v":1,"metadata":`+metadata+`,`), encoded[len(`{"v":1,`):])
			}
			if got, err := DecodeEvent(encoded); err != nil || !reflect.DeepEqual(got, e) {
				t.Fatalf("%v\n got %+v\nwant %+v", err, got, e)
			}
		})
	}
	disordered := `{"received_at":"2026-02-08T10:00:00.000000Z","occurred_at":"2026-02-08T10:00:00.000000Z","group":"g",` +
		`"kind":"charge","object_id":"o","provider":"p","workspace":"w","v":1}`
	if _, err := DecodeEvent([]byte(disordered)); err != nil {
		t.Fatalf("members in another order: %v", err)
	}
}

func TestDecodePoison(t *testing.T) {
	replace := func(old, with string) string {
		if !strings.Contains(golden, old) {
			panic(old)
		}
		return strings.Replace(golden, old, with, 1)
	}
	deep := strings.Repeat("[", 100_000)
	for name, c := range map[string]struct{ value, reason string }{
		"empty":                {"", ReasonSyntax},
		"tombstone":            {"null", ReasonVersion},
		"array":                {"[]", ReasonSyntax},
		"no members":           {"{}", ReasonVersion},
		"newer version":        {replace(`"v":1`, `"v":2`), ReasonVersion},
		"version as text":      {replace(`"v":1`, `"v":"1"`), ReasonSyntax},
		"version twice":        {replace(`"v":1`, `"v":1,"v":1`), ReasonSyntax},
		"no version":           {replace(`"v":1,`, ``), ReasonVersion},
		"version null":         {replace(`"v":1`, `"v":null`), ReasonVersion},
		"newer, other types":   {`{"v":2,"amount":{"minor":1}}`, ReasonVersion},
		"truncated":            {golden[:len(golden)-1], ReasonSyntax},
		"trailing":             {golden + "{}", ReasonSyntax},
		"not UTF-8":            {replace("Ünï", "\xff"), ReasonSyntax},
		"control character":    {replace("pro", "p\x01o"), ReasonSyntax},
		"bad escape":           {replace("pro", `p\xo`), ReasonSyntax},
		"lone surrogate":       {replace("pro", `\ud800`), ReasonSyntax},
		"repeated member":      {replace(`"tax":199`, `"tax":199,"tax":199`), ReasonSyntax},
		"required null":        {replace(`"provider":"stripe"`, `"provider":null`), ReasonInvalid},
		"repeated in metadata": {replace(`"seats":10`, `"seats":10,"seats":10`), ReasonSyntax},
		"repeated, escaped":    {replace(`"tax":199`, `"tax":199,"t\u0061x":199`), ReasonSyntax},
		"repeated as null":     {replace(`"tax":199`, `"tax":null,"tax":199`), ReasonSyntax},
		"repeated in delivery": {replace(`"id":"evt_9"`, `"id":"evt_9","id":"evt_9"`), ReasonSyntax},
		"unknown twice":        {replace(`"tax"`, `"x":1,"x":1,"tax"`), ReasonSyntax},
		"delivery as text":     {replace(`"delivery":{"id":"evt_9","type":"invoice.paid","integration":"we_1"}`, `"delivery":"evt_9"`), ReasonSyntax},
		"text as number":       {replace(`"plan":"pro"`, `"plan":1`), ReasonSyntax},
		"no comma":             {replace(`,"tax"`, ` "tax"`), ReasonSyntax},
		"comma at the end":     {replace(`"we_1"}`, `"we_1",}`), ReasonSyntax},
		"repeated, unknown":    {replace(`"tax"`, `"x":{"a":1,"a":1},"tax"`), ReasonSyntax},
		"fraction":             {replace(`"tax":199`, `"tax":199.0`), ReasonSyntax},
		"exponent":             {replace(`"tax":199`, `"tax":1e2`), ReasonSyntax},
		"leading zero":         {replace(`"tax":199`, `"tax":0199`), ReasonSyntax},
		"beyond int64":         {replace(`"tax":199`, `"tax":9223372036854775808`), ReasonSyntax},
		"far beyond int64":     {replace(`"tax":199`, `"tax":99999999999999999999999`), ReasonSyntax},
		"amount as text":       {replace(`"amount":2499`, `"amount":"2499"`), ReasonSyntax},
		"flag as number":       {replace(`"recurring":true`, `"recurring":1`), ReasonSyntax},
		"other case":           {replace(`"workspace"`, `"Workspace"`), ReasonInvalid},
		"missing workspace":    {replace(`"workspace":"acme",`, ``), ReasonInvalid},
		"empty provider":       {replace(`"provider":"stripe"`, `"provider":""`), ReasonInvalid},
		"missing object":       {replace(`"object_id":"in_1PqRsT",`, ``), ReasonInvalid},
		"missing kind":         {replace(`"kind":"charge",`, ``), ReasonInvalid},
		"unknown kind":         {replace(`"kind":"charge"`, `"kind":"gift"`), ReasonInvalid},
		"missing group":        {replace(`"group":"stripe|acct_1|live|in_1PqRsT",`, ``), ReasonInvalid},
		"missing occurred":     {replace(`"occurred_at":"2026-02-08T10:00:00.250000Z",`, ``), ReasonInvalid},
		"missing received":     {replace(`"received_at":"2026-02-08T10:00:01.123456Z",`, ``), ReasonInvalid},
		"time without zone":    {replace(`00.250000Z`, `00.250000`), ReasonSyntax},
		"time as number":       {replace(`"2026-02-08T10:00:00.250000Z"`, `1770544800`), ReasonSyntax},
		"30 February":          {replace(`2026-02-08T10:00:00`, `2026-02-30T10:00:00`), ReasonSyntax},
		"before the bounds":    {replace(`2026-02-08T10:00:00`, `1970-12-31T10:00:00`), ReasonInvalid},
		"beyond the bounds":    {replace(`2026-03-08T10`, `2106-01-01T10`), ReasonInvalid},
		"amount out of range":  {replace(`"amount":2499`, `"amount":10000000000001`), ReasonInvalid},
		"negative amount":      {replace(`"amount":2499`, `"amount":-1`), ReasonInvalid},
		"mrr out of range":     {replace(`"recurring"`, `"mrr":100000000000000001,"recurring"`), ReasonInvalid},
		"unknown currency":     {replace(`"USD"`, `"usd"`), ReasonInvalid},
		"money, no currency":   {replace(`"currency":"USD",`, ``), ReasonInvalid},
		"workspace with |":     {replace(`"acme"`, `"ac|me"`), ReasonInvalid},
		"metadata as text":     {replace(`{"seats":10,"ratio":1.10,"tags":["a"]}`, `"x"`), ReasonInvalid},
		"metadata deep":        {replace(`{"seats":10,"ratio":1.10,"tags":["a"]}`, nested(65)), ReasonInvalid},
		"metadata malformed":   {replace(`1.10`, `1.`), ReasonSyntax},
		"deep unknown member":  {replace(`"tax"`, `"x":`+deep), ReasonSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := DecodeEvent([]byte(c.value))
			if !errors.Is(err, ErrPoison) {
				t.Fatalf("got %v, want an ErrPoison", err)
			}
			if got := PoisonReason(err); got != c.reason {
				t.Errorf("reason %q, want %q (%v)", got, c.reason, err)
			}
			if !reflect.DeepEqual(e, revenue.Event{}) {
				t.Errorf("an event beside the error: %+v", e)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*revenue.Event){
		"no workspace":         func(e *revenue.Event) { e.Workspace = "" },
		"no time":              func(e *revenue.Event) { e.OccurredAt = time.Time{} },
		"identity":             func(e *revenue.Event) { e.ObjectID = "\xff" },
		"negative":             func(e *revenue.Event) { e.Fee = -1 },
		"negative mrr":         func(e *revenue.Event) { e.MRR = -1 },
		"discount of a charge": func(e *revenue.Event) { e.MRRBeforeDiscounts = 1 },
		"no discount":          func(e *revenue.Event) { e.Kind, e.MRR, e.MRRBeforeDiscounts = revenue.KindSubscription, 1, 1 },
		"list price, no currency": func(e *revenue.Event) {
			e.Kind, e.Amount, e.Tax, e.MRRBeforeDiscounts, e.Currency = revenue.KindSubscription, 0, 0, 1, ""
		},
		"list price out of range": func(e *revenue.Event) { e.Kind, e.MRRBeforeDiscounts = revenue.KindPeriod, mrrMax+1 },
		"metadata":                func(e *revenue.Event) { e.Metadata = json.RawMessage(`{"a":`) },
		"metadata twice":          func(e *revenue.Event) { e.Metadata = json.RawMessage(`{"a":1,"a":1}`) },
		"metadata trails":         func(e *revenue.Event) { e.Metadata = json.RawMessage(`{},"v":2`) },
		"metadata list":           func(e *revenue.Event) { e.Metadata = json.RawMessage(`[]`) },
		"metadata deep":           func(e *revenue.Event) { e.Metadata = json.RawMessage(nested(65)) },
		"metadata deep, {":        func(e *revenue.Event) { e.Metadata = json.RawMessage(`{"}":` + nested(64) + `}`) },
	} {
		t.Run(name, func(t *testing.T) {
			e := payment()
			spoil(&e)
			if out, err := EncodeEvent([]byte("x"), &e); !errors.Is(err, ErrInvalid) || string(out) != "x" {
				t.Fatalf("got %q, %v", out, err)
			}
		})
	}
}

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

func TestEncodeNormalises(t *testing.T) {
	e := payment()
	e.OccurredAt = moment("2026-02-08T12:00:00.2500009+02:00")
	e.CustomerName = "caf\xe9"
	e.Metadata = json.RawMessage("{ \"a\\/b\" : 1.50,\n\"s\":\"\\ud800 \xff\", \"t\":" + nested(63) + "}")
	encoded, err := EncodeEvent(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := DecodeEvent(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if want := moment("2026-02-08T10:00:00.25Z"); !decoded.OccurredAt.Equal(want) || decoded.CustomerName != "caf\uFFFD" {
		t.Errorf("%v, %q", decoded.OccurredAt, decoded.CustomerName)
	}
	if want := `{"a/b":1.50,"s":"` + "\uFFFD \uFFFD" + `","t":` + nested(63) + `}`; string(decoded.Metadata) != want {
		t.Errorf("metadata %s\nwant     %s", decoded.Metadata, want)
	}
	if strings.ContainsAny(string(encoded), "\n\r") {
		t.Error("a record is more than one line")
	}
}
