package stripe

import (
	"errors"
	"testing"

	"revstream/connectors"
)

// TestFaultsNameTheMember: a fault says where in the event it lies, and speaks of
// JSON, not of Go.
func TestFaultsNameTheMember(t *testing.T) {
	const charge = `"livemode":true,"created":1700000000,"type":"charge.succeeded"`
	for _, test := range []struct{ body, field, code, detail string }{
		{`[1]`, "", "invalid_json", "must be a JSON object, not array"},
		{`"text"`, "", "invalid_json", "must be a JSON object, not string"},
		{`null`, "", "invalid_json", "not a single JSON object"},
		{`{} {}`, "", "invalid_json", "not a single JSON object"},
		{`{`, "", "invalid_json", "not valid JSON: the body ends too early"},
		{``, "", "invalid_json", "not valid JSON: the body ends too early"},
		{`{"id":x}`, "", "invalid_json", "not valid JSON at byte 7: invalid character 'x' looking for beginning of value"},
		{`{"id":5,` + charge + `,"data":{"object":{"id":"ch_1"}}}`, "id", "invalid_id", "must be a string"},
		{`{"id":"","` + charge[1:] + `,"data":{"object":{"id":"ch_1"}}}`, "id", "invalid_id", "is required"},
		{`{"id":"evt_1","livemode":true,"created":1700000000,"type":5,"data":{"object":{"id":"ch_1"}}}`, "type", "invalid_type", "must be a string"},
		{`{"id":"evt_1","livemode":true,"created":"x","type":"charge.succeeded"}`, "created", "invalid_created", "must be a whole number"},
		{`{"id":"evt_1",` + charge + `,"data":{"object":{}}}`, "data.object.id", "invalid_id", "is required"},
		{`{"id":"evt_1",` + charge + `,"data":{"object":{"id":5}}}`, "data.object.id", "invalid_id", "must be a string that is not empty"},
		{`{"id":"evt_1",` + charge + `,"data":{"object":{"id":"ch_1","object":"charge","status":"succeeded","paid":true,"captured":true,"currency":"usd","amount":1.5}}}`,
			"data.object.amount", "invalid_amount", "must be a whole number"},
		{`{"id":"evt_1",` + charge + `,"data":{"object":{"id":"ch_1","object":"charge","status":"succeeded","paid":true,"captured":true,"currency":"zzz","amount":1}}}`,
			"data.object.currency", "invalid_currency", `"zzz" is not an ISO 4217 currency`},
	} {
		_, err := newDecode(t, nil)(t.Context(), delivery([]byte(test.body)))
		var invalid *connectors.InvalidError
		if !errors.As(err, &invalid) || !errors.Is(err, connectors.ErrMalformed) {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if want := (connectors.InvalidError{Field: test.field, Code: test.code, Detail: test.detail}); *invalid != want {
			t.Errorf("%s:\n got %+v\nwant %+v", test.body, *invalid, want)
		}
	}
}
