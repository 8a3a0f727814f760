package native_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/connectors/native"
	"revstream/ingest/stream"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func acceptance() native.Acceptance {
	return native.Acceptance{
		Workspace: "ws_1", WorkspaceAliases: []string{"acme"}, Integration: "key_1", Currency: "EUR",
		ObjectID: "made-up", ObjectIDVersion: 9, Version: 5, ReceivedAt: now,
	}
}

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

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"charge","amount":5}`:                     "",
		`{"kind":"charge","amount":0}`:                     "",
		`{"kind":"charge","amount_decimal":"24.99"}`:       "",
		`{"kind":"charge","amount_decimal":24.99}`:         "",
		`{"kind":"charge","amount":5,"workspace":"ws_1"}`:  "",
		`{"kind":"charge","amount":5,"workspace":"acme"}`:  "",
		`{"kind":"charge","amount":5,"workspace":"other"}`: "invalid_workspace",
		`{"amount":5}`:                                                                                               "missing_kind",
		`{"kind":"gift","amount":5}`:                                                                                 "invalid_kind",
		`{"kind":"charge"}`:                                                                                          "missing_amount",
		`{"kind":"charge","amount":-5}`:                                                                              "invalid_amount",
		`{"kind":"charge","amount":5.5}`:                                                                             "invalid_amount",
		`{"kind":"charge","amount":"5"}`:                                                                             "invalid_amount",
		`{"kind":"charge","amount":99999999999999999999}`:                                                            "invalid_amount",
		`{"kind":"charge","amount_decimal":"24.999"}`:                                                                "invalid_amount_decimal",
		`{"kind":"charge","amount_decimal":"NaN"}`:                                                                   "invalid_amount_decimal",
		`{"kind":"charge","amount_decimal":"-1"}`:                                                                    "invalid_amount_decimal",
		`{"kind":"charge","amount_decimal":true}`:                                                                    "invalid_amount_decimal",
		`{"kind":"charge","amount_decimal":1e400}`:                                                                   "invalid_amount_decimal",
		`{"kind":"charge","amount":5,"amount_decimal":"0.05"}`:                                                       "invalid_amount_decimal",
		`{"kind":"charge","amount":5,"tax":6}`:                                                                       "invalid_tax",
		`{"kind":"charge","amount":5,"fee_decimal":"x"}`:                                                             "invalid_fee_decimal",
		`{"kind":"charge","amount":5,"discount":-1}`:                                                                 "invalid_discount",
		`{"kind":"charge","amount":5,"currency":"XYZ"}`:                                                              "invalid_currency",
		`{"kind":"charge","amount":5,"billing":"monthly"}`:                                                           "invalid_billing",
		`{"kind":"charge","amount":5,"status":"active"}`:                                                             "invalid_status",
		`{"kind":"charge","amount":5,"status":"settled"}`:                                                            "",
		`{"kind":"charge","amount":5,"livemode":"no"}`:                                                               "invalid_livemode",
		`{"kind":"charge","amount":5,"occurred_at":"2026-02-30"}`:                                                    "invalid_occurred_at",
		`{"kind":"charge","amount":5,"occurred_at":"0001-01-01"}`:                                                    "invalid_occurred_at",
		`{"kind":"charge","amount":5,"version":1.5}`:                                                                 "invalid_version",
		`{"kind":"charge","amount":5,"version":-9223372036854775808}`:                                                "",
		`{"kind":"charge","amount":5,"country":"Germany"}`:                                                           "invalid_country",
		`{"kind":"charge","amount":5,"quantity":-1}`:                                                                 "invalid_quantity",
		`{"kind":"charge","amount":5,"interval":"fortnight"}`:                                                        "invalid_interval",
		`{"kind":"charge","amount":5,"interval_count":0}`:                                                            "invalid_interval_count",
		`{"kind":"charge","amount":5,"metadata":[]}`:                                                                 "invalid_metadata",
		`{"kind":"charge","amount":5,"customers":"x"}`:                                                               "unknown_field",
		`{"kind":"charge","amount":5,"received_at":"2026-01-01"}`:                                                    "unknown_field",
		`{"kind":"charge","deleted":true}`:                                                                           "missing_object_id",
		`{"kind":"charge","amount":5,"object_id":" "}`:                                                               "invalid_object_id",
		`{"kind":"charge","deleted":true,"object_id":"x"}`:                                                           "",
		`{"kind":"refund","amount":5,"original":"x"}`:                                                                "",
		`{"kind":"refund_total","amount":5}`:                                                                         "missing_original",
		`{"kind":"link","amount":5}`:                                                                                 "missing_original",
		`{"kind":"attribution","campaign":"x"}`:                                                                      "missing_original",
		`{"kind":"subscription","mrr":100}`:                                                                          "missing_customer",
		`{"kind":"subscription","customer":"c"}`:                                                                     "missing_mrr",
		`{"kind":"subscription","customer":"c","status":"canceled"}`:                                                 "",
		`{"kind":"subscription","customer":"c","status":"trialing"}`:                                                 "",
		`{"kind":"subscription","customer":"c","status":"paid"}`:                                                     "invalid_status",
		`{"kind":"subscription","customer":"c","mrr":100}`:                                                           "",
		`{"kind":"subscription","customer":"c","mrr":-100}`:                                                          "invalid_mrr",
		`{"kind":"subscription","customer":"c","mrr_decimal":"-1"}`:                                                  "invalid_mrr_decimal",
		`{"kind":"subscription","customer":"c","mrr_decimal":"1","mrr":1}`:                                           "invalid_mrr_decimal",
		`{"kind":"subscription","customer":"c","mrr":100,"mrr_before_discounts":120}`:                                "",
		`{"kind":"subscription","customer":"c","mrr":0,"mrr_before_discounts_decimal":"1.5"}`:                        "",
		`{"kind":"subscription","customer":"c","mrr":100,"mrr_before_discounts":99}`:                                 "invalid_mrr_before_discounts",
		`{"kind":"subscription","customer":"c","mrr":1,"mrr_before_discounts":2,"mrr_before_discounts_decimal":"2"}`: "invalid_mrr_before_discounts_decimal",
		`{"kind":"mrr_delta","customer":"c","mrr":1,"mrr_before_discounts":2}`:                                       "invalid_mrr_before_discounts",
		`{"kind":"subscription","customer":"c","amount":1,"interval":"year"}`:                                        "",
		`{"kind":"mrr_delta","customer":"c","mrr":-100}`:                                                             "",
		`{"kind":"mrr_delta","customer":"c"}`:                                                                        "missing_mrr",
		`{"kind":"mrr_delta","customer":"c","closes_mrr":true}`:                                                      "",
		`{"kind":"period","customer":"c","mrr":1}`:                                                                   "missing_period_end",
		`{"kind":"period","customer":"c","mrr":1,"interval":"month"}`:                                                "",
		`{"kind":"period","customer":"c","period_end":"2026-04-01"}`:                                                 "missing_mrr",
		`{"kind":"period","customer":"c","mrr":1,"period_start":"2026-04-01","period_end":"2026-04-01"}`:             "invalid_period_end",
		`{"kind":"period","customer":"c","mrr":1,"period_end":"2126-04-01"}`:                                         "invalid_period_end",
		`{"kind":"trial_start"}`:                                                                                     "missing_customer",
		`{"kind":"trial_start","customer":"c"}`:                                                                      "",
		`{"kind":"cancellation","group":"g"}`:                                                                        "",
		`{"kind":"cancellation","customer":"c","reason":"x"}`:                                                        "invalid_reason",
		`{"kind":"charge","amount":5,"amount":6}`:                                                                    "invalid_json",
		`[]`:                             "invalid_json",
		`{"kind":"charge","amount":NaN}`: "invalid_json",
	} {
		event, err := native.Read([]byte(text), acceptance())
		if got := code(t, err); got != want {
			t.Errorf("%s: code %q, want %q (%v)", text, got, want, err)
		}
		if err == nil {
			if _, err := stream.EncodeEvent(nil, &event); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestGroups(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"charge","amount":5}`:                                                                        "native||live|made-up",
		`{"kind":"charge","amount":5,"object_id":"o"}`:                                                        "native||live|o",
		`{"kind":"charge","amount":5,"object_id":"o","payment":"p"}`:                                          "native||live|p",
		`{"kind":"charge","amount":5,"object_id":"o","livemode":false,"provider":"shop","account":"a"}`:       "shop|a|test|o",
		`{"kind":"charge","amount":5,"object_id":"o","customer":"c"}`:                                         "native||live|o",
		`{"kind":"charge","amount":5,"object_id":"o","customer":"c","subscription":"s"}`:                      "native||live|c",
		`{"kind":"charge","amount":5,"object_id":"o","customer":"c","subscription":"s","billing":"one_time"}`: "native||live|o",
		`{"kind":"refund","amount":5,"original":"o"}`:                                                         "native||live|o",
		`{"kind":"refund","amount":5,"original":"o","payment":"p"}`:                                           "native||live|p",
		`{"kind":"refund","amount":5,"original":"o","customer":"c","subscription":"s"}`:                       "native||live|c",
		`{"kind":"attribution","original":"o","campaign":"x"}`:                                                "native||live|o",
		`{"kind":"subscription","customer":"c","mrr":1}`:                                                      "native||live|c",
		`{"kind":"subscription","customer":"c","mrr":1,"group":"mine"}`:                                       "mine",
		`{"kind":"charge","amount":5,"object_id":"o","deleted":true}`:                                         "native||live|o",
	} {
		event, err := native.Read([]byte(text), acceptance())
		if err != nil || event.Group != want {
			t.Errorf("%s: group %q, want %q (%v)", text, event.Group, want, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	event, err := native.Read([]byte(`{"kind":"charge","amount_decimal":"24.99"}`), acceptance())
	if err != nil {
		t.Fatal(err)
	}
	if event.Provider != "native" || !event.Livemode || event.Version != 9 || event.ObjectID != "made-up" || event.Currency != "EUR" ||
		event.Amount != 2499 || !event.OccurredAt.Equal(now) || !event.ReceivedAt.Equal(now) || event.Workspace != "ws_1" {
		t.Errorf("event %+v", event)
	}
	event, err = native.Read([]byte(`{"kind":"charge","amount":1,"object_id":"o"}`), acceptance())
	if err != nil || event.Version != 5 {
		t.Errorf("version %d, %v", event.Version, err)
	}
	event, err = native.Read([]byte(`{"kind":"period","customer":"c","amount_decimal":"120","tax_decimal":"12","interval":"year","occurred_at":"2024-02-29"}`), acceptance())
	if err != nil || event.MRR != 9_000_000 || event.PeriodEnd.Format(time.DateOnly) != "2025-02-28" {
		t.Errorf("term %+v, %v", event, err)
	}
}

func TestSplit(t *testing.T) {
	event := `{"kind":"charge","amount":5}`
	for _, test := range []struct {
		text  string
		lines bool
		want  int
		code  string
	}{
		{event, false, 1, ""},
		{"{\n \"kind\": \"charge\"\n}\n", false, 1, ""},
		{"[" + event + "," + event + "]", false, 2, ""},
		{event + "\n" + event + "\n", false, 2, ""},
		{event + "\n\n  \n" + event, true, 2, ""},
		{event + "\n{bad\n" + event, true, 3, ""},
		{event + "\n{bad", false, 2, ""},
		{event, true, 1, ""},
		{"[" + event + "]", true, 1, ""}, // one line, which is no object: its own fault
		{"", false, 0, "missing_events"},
		{" \n", true, 0, "missing_events"},
		{"[]", false, 0, "missing_events"},
		{"[" + event + ",]", false, 0, "invalid_json"},
		{"{\n \"kind\": charge\n}\n", false, 0, "invalid_json"},
		{`{"a":1,"a":2}`, false, 0, "invalid_json"},
		{strings.Repeat(event+"\n", 11), true, 0, "too_many_events"},
		{"[" + strings.Repeat(event+",", 10) + event + "]", false, 0, "too_many_events"},
		{"[" + strings.Repeat(event+",", 9) + event + "]", false, 10, ""},
	} {
		events, err := native.Split([]byte(test.text), test.lines, 10)
		if len(events) != test.want || code(t, err) != test.code {
			t.Errorf("%.40q, lines %t: %d events, %v; want %d, %q", test.text, test.lines, len(events), err, test.want, test.code)
		}
	}
}

func kit() connectortest.APIKit {
	return connectortest.APIKit{API: native.New(), OwnIdentity: true, Encode: stream.EncodeEvent, Decode: stream.DecodeEvent}
}

func TestAPI(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }
