package trackly_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/connectors/trackly"
	"revstream/ingest/stream"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// code is that of an InvalidError, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var invalid *connectors.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%v is a %T", err, err)
	}
	return invalid.Code
}

func TestReadRecordFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{"message_id":"a1b2c3d4","revenue":24.99,"attribution_type":"sale"}`:                                        "",
		`{"message_id":"a1b2c3d4","revenue":0,"attribution_type":"send"}`:                                            "",
		`{"message_id":"a1b2c3d4","revenue":1e2,"attribution_type":"click","offer_id":"o","timestamp":"2026-02-08"}`: "",
		`{"message_id":"a1b2c3d4","revenue":1,"attribution_type":"sale","unknown":[{}]}`:                             "",
		`{"revenue":1,"attribution_type":"sale"}`:                                                                    "missing_message_id",
		`{"message_id":null,"revenue":1,"attribution_type":"sale"}`:                                                  "missing_message_id",
		`{"message_id":"","revenue":1,"attribution_type":"sale"}`:                                                    "missing_message_id",
		`{"message_id":"   ","revenue":1,"attribution_type":"sale"}`:                                                 "missing_message_id",
		`{"message_id":7,"revenue":1,"attribution_type":"sale"}`:                                                     "invalid_message_id",
		`{"message_id":"a","attribution_type":"sale"}`:                                                               "missing_revenue",
		`{"message_id":"a","revenue":null,"attribution_type":"sale"}`:                                                "missing_revenue",
		`{"message_id":"a","revenue":1}`:                                                                             "missing_attribution_type",
		`{"message_id":"a","revenue":1,"attribution_type":""}`:                                                       "missing_attribution_type",
		`{"message_id":"a","revenue":-0.01,"attribution_type":"sale"}`:                                               "invalid_revenue",
		`{"message_id":"a","revenue":"24.99","attribution_type":"sale"}`:                                             "invalid_revenue",
		`{"message_id":"a","revenue":24.999,"attribution_type":"sale"}`:                                              "invalid_revenue",
		`{"message_id":"a","revenue":1e400,"attribution_type":"sale"}`:                                               "invalid_revenue",
		`{"message_id":"a","revenue":99999999999999999999,"attribution_type":"sale"}`:                                "invalid_revenue",
		`{"message_id":"a","revenue":NaN,"attribution_type":"sale"}`:                                                 "invalid_json",
		`{"message_id":"a","revenue":true,"attribution_type":"sale"}`:                                                "invalid_revenue",
		`{"message_id":"a","revenue":1,"attribution_type":"view"}`:                                                   "invalid_attribution_type",
		`{"message_id":"a","revenue":1,"attribution_type":"Sale"}`:                                                   "invalid_attribution_type",
		`{"message_id":"a","revenue":1,"attribution_type":3}`:                                                        "invalid_attribution_type",
		`{"message_id":"a","revenue":1,"attribution_type":"sale","offer_id":5}`:                                      "invalid_offer_id",
		`{"message_id":"a","revenue":1,"attribution_type":"sale","timestamp":"2026-02-30"}`:                          "invalid_timestamp",
		`{"message_id":"a","revenue":1,"attribution_type":"sale","timestamp":"0001-01-01T00:00:00Z"}`:                "invalid_timestamp",
		`{"message_id":"a","revenue":1,"attribution_type":"sale","timestamp":"9999-01-01T00:00:00Z"}`:                "invalid_timestamp",
		`{"message_id":"a","revenue":1,"attribution_type":"sale","timestamp":1770552000}`:                            "invalid_timestamp",
		`{"message_id":"a","message_id":"b","revenue":1,"attribution_type":"sale"}`:                                  "invalid_json",
		`[]`:   "invalid_json",
		`null`: "invalid_json",
	} {
		_, err := trackly.ReadRecord([]byte(text), "USD", now)
		if got := code(t, err); got != want {
			t.Errorf("%s: code %q, want %q (%v)", text, got, want, err)
		}
	}
}

func TestReadBulk(t *testing.T) {
	many := func(n int) string { return `{"records":[` + strings.TrimSuffix(strings.Repeat(`{},`, n), ",") + `]}` }
	for text, want := range map[string]string{
		`{"records":[{}],"imported":true}`:  "",
		`{"records":[7,null,[{}],"x",{}]}`:  "",
		many(1000):                          "",
		many(1001):                          "too_many_records",
		`{}`:                                "missing_records",
		`{"records":[]}`:                    "missing_records",
		`{"records":null}`:                  "missing_records",
		`{"records":{}}`:                    "missing_records",
		`{"records":"x"}`:                   "missing_records",
		`{"records":[{}],"imported":"yes"}`: "invalid_imported",
		`{"records":[{"a":1,"a":2}]}`:       "invalid_json",
		`{"records":[{]}`:                   "invalid_json",
	} {
		bulk, err := trackly.ReadBulk([]byte(text), 1000)
		if got := code(t, err); got != want {
			t.Errorf("%.60s: code %q, want %q", text, got, want)
		}
		for i := range bulk.Records { // those here are at fault in themselves
			if _, err := bulk.Records[i].Record("USD", now); code(t, err) == "" {
				t.Errorf("%.60s: record %d is taken", text, i)
			}
		}
		if err == nil && len(bulk.Records) == 0 {
			t.Errorf("%.60s: no records and no error", text)
		}
	}
}

// register reads a registration and answers lookups from it.
func register(t *testing.T, text string) trackly.Lookup {
	t.Helper()
	entries, _, err := trackly.ReadRegistration([]byte(text), 1000)
	if err != nil {
		t.Fatalf("registration: %v", err)
	}
	kept := map[string][]byte{}
	for _, entry := range entries {
		kept[string(entry.Entity)+entry.ID] = entry.Value
	}
	return func(_ context.Context, entity trackly.Entity, id string) ([]byte, bool, error) {
		value, found := kept[string(entity)+id]
		return value, found, nil
	}
}

// A request of more records than are taken costs little, however many they are.
func TestTooManyRecordsAreNotKept(t *testing.T) {
	text := []byte(`{"records":[` + strings.Repeat(`0,`, 2_000_000) + `0]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := trackly.ReadBulk(text, 1000)
	runtime.ReadMemStats(&after)
	if got := code(t, err); got != "too_many_records" {
		t.Errorf("code %q", got)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 16<<20 {
		t.Errorf("%d MiB for what is refused", spent>>20)
	}
}

func TestResolve(t *testing.T) {
	lookup := register(t, `{
		"contacts": [{"id":"con_1"}],
		"offers": [{"id":"off_1","external_id":"summer"},{"id":"off_2"},{"id":"summer2","external_id":"off_2"}],
		"short_links": [{"id":"t.ly/x","offer_id":"summer"}],
		"messages": [
			{"id":"plain001"},
			{"message_id":"contact1","contact_id":"con_1","campaign":"spring"},
			{"id":"contact0","contact_id":"con_9"},
			{"id":"linked01","short_link":"t.ly/x"},
			{"id":"linked00","short_link":"t.ly/gone"},
			{"id":"offered1","offer_id":"off_1"}
		]}`)
	messages, err := trackly.NewMessageReader(2) // of six
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		message, offer string
		want           trackly.Resolution
		code           string
	}{
		{"plain001", "", trackly.Resolution{}, ""},
		{"plain001", "off_1", trackly.Resolution{OfferID: "off_1"}, ""},
		{"plain001", "summer", trackly.Resolution{OfferID: "off_1"}, ""},
		{"plain001", "off_2", trackly.Resolution{OfferID: "off_2"}, ""}, // ours before an equal external id
		{"plain001", "unregistered", trackly.Resolution{OfferID: "unregistered"}, ""},
		{"contact1", "", trackly.Resolution{ContactID: "con_1", Campaign: "spring"}, ""},
		{"contact0", "", trackly.Resolution{}, "contact_not_found"},
		{"linked01", "", trackly.Resolution{OfferID: "off_1"}, ""},
		{"linked01", "off_2", trackly.Resolution{OfferID: "off_2"}, ""},
		{"linked00", "", trackly.Resolution{}, ""},
		{"offered1", "", trackly.Resolution{OfferID: "off_1"}, ""},
		{"unknown0", "", trackly.Resolution{}, "message_not_found"},
	} {
		got, err := trackly.NewResolver(lookup, messages).Resolve(context.Background(), trackly.Record{MessageID: test.message, OfferID: test.offer})
		if code(t, err) != test.code || got != test.want {
			t.Errorf("%s, offer %q: %+v, %v; want %+v, %q", test.message, test.offer, got, err, test.want, test.code)
		}
	}
	anew := register(t, `{"contacts":[{"id":"con_2"}],"messages":[{"id":"unknown0","contact_id":"con_2"}]}`)
	for range 2 { // what is remembered of a message is what is registered now
		got, err := trackly.NewResolver(anew, messages).Resolve(context.Background(), trackly.Record{MessageID: "unknown0"})
		if err != nil || got.ContactID != "con_2" {
			t.Errorf("registered anew: %+v, %v", got, err)
		}
		anew = register(t, `{"contacts":[{"id":"con_2"}],"messages":[{"id":"unknown0","contact_id":"con_2","campaign":"autumn"}]}`)
	}
}

func TestReadRegistrationFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":"a1b2c3d4"}`:                     "",
		`[{"id":"a1b2c3d4"},{"id":"a1b2c3d5"}]`: "",
		`{"contacts":[{"id":"c"}]}`:             "",
		`[]`:                                    "missing_messages",
		`{}`:                                    "missing_id",
		`{"messages":[]}`:                       "missing_messages",
		`{"id":"short"}`:                        "invalid_id",
		`{"id":"a1b2c3d4","contact":"c"}`:       "unknown_field",
		`{"messages":[{"id":"a1b2c3d4"}],"x":[]}`:                               "unknown_field",
		`{"messages":{"id":"a1b2c3d4"}}`:                                        "invalid_json",
		`{"offers":[{"external_id":"x"}]}`:                                      "missing_id",
		`{"short_links":[{"id":"x"}]}`:                                          "missing_offer_id",
		`{"contacts":[{"id":5}]}`:                                               "invalid_id",
		`[` + strings.Repeat(`{"id":"a1b2c3d4"},`, 1000) + `{"id":"a1b2c3d4"}]`: "too_many_records",
	} {
		_, _, err := trackly.ReadRegistration([]byte(text), 1000)
		if got := code(t, err); got != want {
			t.Errorf("%.60s: code %q, want %q (%v)", text, got, want, err)
		}
	}
}

func acceptance() trackly.Acceptance {
	return trackly.Acceptance{Workspace: "w1", Integration: "key_1", RevenueID: "67a1b2c3d4e5f6a7b8c9d0e1", Version: 7, ReceivedAt: now, Imported: true}
}

func TestEvent(t *testing.T) {
	record, err := trackly.ReadRecord([]byte(`{"message_id":"a1b2c3d4","revenue":24.99,"offer_id":"x","attribution_type":"sale","timestamp":"2026-02-08T12:00:00"}`), "USD", now)
	if err != nil {
		t.Fatal(err)
	}
	event := record.Event(acceptance(), trackly.Resolution{ContactID: "con_1", OfferID: "off_1", Campaign: "spring"})
	got, err := stream.EncodeEvent(nil, &event)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"workspace":"w1","provider":"trackly","livemode":true,"object_id":"67a1b2c3d4e5f6a7b8c9d0e1","kind":"charge",` +
		`"group":"trackly||live|67a1b2c3d4e5f6a7b8c9d0e1","version":7,` +
		`"occurred_at":"2026-02-08T12:00:00.000000Z","received_at":"2026-03-01T12:00:00.000000Z",` +
		`"amount":2499,"currency":"USD","billing":"one_time",` +
		`"message":"a1b2c3d4","offer":"off_1","contact":"con_1","campaign":"spring","attribution_type":"sale",` +
		`"external_id":"67a1b2c3d4e5f6a7b8c9d0e1","imported":true,` +
		`"delivery":{"id":"67a1b2c3d4e5f6a7b8c9d0e1","type":"revenue","integration":"key_1"}}`
	if string(got) != want {
		t.Errorf("event\n got %s\nwant %s", got, want)
	}
}

func TestNumber(t *testing.T) {
	if got := string(trackly.Number(2499+1250, "USD")); got != "37.49" {
		t.Errorf("24.99 + 12.50 = %s", got)
	}
	if got := string(trackly.Number(500, "JPY")); got != "500" {
		t.Errorf("500 JPY = %s", got)
	}
}

func kit() connectortest.APIKit {
	return connectortest.APIKit{API: trackly.New(), Encode: stream.EncodeEvent, Decode: stream.DecodeEvent}
}

func TestAPI(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }
