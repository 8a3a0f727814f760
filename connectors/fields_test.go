package connectors

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-02-08T12:00:00Z":             "2026-02-08T12:00:00Z",
		"2026-02-08T12:00:00":              "2026-02-08T12:00:00Z", // naive is UTC
		"2026-02-08 12:00:00":              "2026-02-08T12:00:00Z",
		"2026-02-08T12:00:00.123456789Z":   "2026-02-08T12:00:00.123456Z",
		"2026-02-08T12:00:00.5":            "2026-02-08T12:00:00.5Z",
		"2026-02-08T12:00:00+05:30":        "2026-02-08T06:30:00Z",
		"2026-02-08T12:00:00-0800":         "2026-02-08T20:00:00Z",
		"2026-02-08T12:00Z":                "2026-02-08T12:00:00Z",
		"2026-02-08T12:00":                 "2026-02-08T12:00:00Z",
		"2026-02-08":                       "2026-02-08T00:00:00Z",
		"2024-02-29":                       "2024-02-29T00:00:00Z",
		"2026-02-29":                       "",
		"2026-02-30":                       "",
		"2026-02-30T00:00:00Z":             "",
		"2026-13-01":                       "",
		"2026-02-08T25:00:00Z":             "",
		"2026-02-08T12:60:00Z":             "",
		"2026-2-8":                         "",
		"08/02/2026":                       "",
		"1770552000":                       "",
		"now":                              "",
		"2026-02-08T12:00:00Zjunk":         "",
		"2026-02-08T12:00:00 Europe/Paris": "",
		strings.Repeat("2", 100):           "",
	} {
		at, ok := ParseTime(text)
		got := ""
		if ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("ParseTime(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestInclusiveEnd(t *testing.T) {
	for text, want := range map[string]string{
		"2024-01-31T23:59:59Z":      "2024-02-01T00:00:00Z",
		"2024-01-31T23:59:59.999Z":  "2024-02-01T00:00:00Z",
		"2024-01-31T23:59:59+02:00": "2024-01-31T22:00:00Z",
		"2024-01-31":                "2024-02-01T00:00:00Z",
		"2024-02-01T00:00:00Z":      "2024-02-01T00:00:00Z",
		"2024-01-31T12:00:00Z":      "2024-01-31T12:00:00Z",
	} {
		at, ok := ParseTime(text)
		if !ok {
			t.Fatalf("ParseTime(%q) is no time", text)
		}
		if got := InclusiveEnd(text, at).Format(time.RFC3339Nano); got != want {
			t.Errorf("InclusiveEnd(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestAddTerm(t *testing.T) {
	for _, test := range []struct {
		start, interval string
		count           int
		want            string
	}{
		{"2024-01-31", "month", 1, "2024-02-29"},
		{"2023-01-31", "month", 1, "2023-02-28"},
		{"2024-01-15", "month", 12, "2025-01-15"},
		{"2024-02-29", "year", 1, "2025-02-28"},
		{"2024-12-31", "month", 2, "2025-02-28"},
		{"2024-01-01", "week", 2, "2024-01-15"},
		{"2024-02-28", "day", 2, "2024-03-01"},
	} {
		start, _ := ParseTime(test.start)
		if got := AddTerm(start, test.interval, test.count).Format(time.DateOnly); got != test.want {
			t.Errorf("AddTerm(%s, %s, %d) = %s, want %s", test.start, test.interval, test.count, got, test.want)
		}
	}
}

func TestFieldsKeepTheFirstFault(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		read func(*Fields)
		code string // of the fault; empty for none
	}{
		{"absent text", func(f *Fields) { f.Text("a", nil) }, ""},
		{"null text", func(f *Fields) { f.Text("a", Value("null")) }, ""},
		{"number for text", func(f *Fields) { f.Text("a", Value("5")) }, "invalid_a"},
		{"long text", func(f *Fields) { f.Text("a", Value(`"`+strings.Repeat("x", TextBytesMax+1)+`"`)) }, "invalid_a"},
		{"control character", func(f *Fields) { f.Text("a", Value(`"x\u0000"`)) }, "invalid_a"},
		{"absent required", func(f *Fields) { f.RequiredText("a", nil) }, "missing_a"},
		{"blank required", func(f *Fields) { f.RequiredText("a", Value(`"  "`)) }, "missing_a"},
		{"choice", func(f *Fields) { f.Choice("a", Value(`"x"`), "x", "y") }, ""},
		{"no such choice", func(f *Fields) { f.Choice("a", Value(`"z"`), "x", "y") }, "invalid_a"},
		{"flag", func(f *Fields) { f.Flag("a", Value("true")) }, ""},
		{"text for flag", func(f *Fields) { f.Flag("a", Value(`"true"`)) }, "invalid_a"},
		{"integer", func(f *Fields) { f.Integer("a", Value("3"), 1, 9) }, ""},
		{"whole fraction", func(f *Fields) { f.Integer("a", Value("3.0"), 1, 9) }, ""},
		{"fraction", func(f *Fields) { f.Integer("a", Value("3.5"), 1, 9) }, "invalid_a"},
		{"integer too large", func(f *Fields) { f.Integer("a", Value("10"), 1, 9) }, "invalid_a"},
		{"amount", func(f *Fields) { f.Amount("a", Value("24.99"), "USD") }, ""},
		{"amount with zeros", func(f *Fields) { f.Amount("a", Value("24.9900"), "USD") }, ""},
		{"amount too fine", func(f *Fields) { f.Amount("a", Value("24.999"), "USD") }, "invalid_a"},
		{"amount of yen", func(f *Fields) { f.Amount("a", Value("24.9"), "JPY") }, "invalid_a"},
		{"amount too large", func(f *Fields) { f.Amount("a", Value("1e400"), "USD") }, "invalid_a"},
		{"amount as text", func(f *Fields) { f.Amount("a", Value(`"24.99"`), "USD") }, "invalid_a"},
		{"mrr finer than cents", func(f *Fields) { f.MRR("a", Value("41.666666666"), "USD") }, ""},
		{"mrr too large", func(f *Fields) { f.MRR("a", Value("1e25"), "USD") }, "invalid_a"},
		{"mrr too large and fine", func(f *Fields) { f.MRR("a", Value("99999999999999999999.99999"), "USD") }, "invalid_a"},
		{"currency in lower case", func(f *Fields) { f.Currency("a", Value(`"eur"`), "USD") }, ""},
		{"no currency", func(f *Fields) { f.Currency("a", Value(`"XXX"`), "USD") }, "invalid_a"},
		{"year 1", func(f *Fields) { f.OccurredAt("a", Value(`"0001-01-01T00:00:00Z"`)) }, "invalid_a"},
		{"year 9999", func(f *Fields) { f.OccurredAt("a", Value(`"9999-12-31T00:00:00Z"`)) }, "invalid_a"},
		{"in two days", func(f *Fields) { f.OccurredAt("a", Value(`"2026-03-03T00:00:01Z"`)) }, "invalid_a"},
		{"in a day", func(f *Fields) { f.OccurredAt("a", Value(`"2026-03-02T00:00:00Z"`)) }, ""},
		{"term in 19 years", func(f *Fields) { f.PeriodBound("a", Value(`"2045-01-01"`)) }, ""},
		{"term in 21 years", func(f *Fields) { f.PeriodBound("a", Value(`"2047-01-01"`)) }, "invalid_a"},
		{"metadata", func(f *Fields) { f.Metadata("a", Value(`{"b":[1]}`)) }, ""},
		{"metadata no object", func(f *Fields) { f.Metadata("a", Value(`[1]`)) }, "invalid_a"},
		{"metadata too deep", func(f *Fields) {
			f.Metadata("a", Value(`{"b":`+strings.Repeat("[", MetadataDepthMax)+strings.Repeat("]", MetadataDepthMax)+`}`))
		}, "invalid_a"},
		{"metadata too large", func(f *Fields) { f.Metadata("a", Value(`{"b":"`+strings.Repeat("x", MetadataBytesMax)+`"}`)) }, "invalid_a"},
		{"the first stays", func(f *Fields) { f.Missing("a"); f.Invalid("b", "no") }, "missing_a"},
	} {
		fields := Fields{Now: now}
		test.read(&fields)
		code := ""
		if err := fields.Err(); err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %T is not an InvalidError", test.name, err)
			}
			code = invalid.Code
		}
		if code != test.code {
			t.Errorf("%s: code %q, want %q", test.name, code, test.code)
		}
	}
}

// What is too small to be computed is not said to be too large.
func TestAmountDetails(t *testing.T) {
	for text, want := range map[string]string{
		"1e400": "is too large", "1e25": "is too large", strings.Repeat("9", 100): "is too large",
		"1e-400": "is not a valid amount", "-1E-400": "is not a valid amount", "0." + strings.Repeat("0", 100) + "1": "is not a valid amount",
	} {
		for name, read := range map[string]func(*Fields){
			"amount": func(f *Fields) { f.Amount("a", Value(text), "USD") },
			"mrr":    func(f *Fields) { f.MRR("a", Value(text), "USD") },
		} {
			var fields Fields
			read(&fields)
			if err := fields.Err(); err == nil || err.Error() != "a: "+want {
				t.Errorf("%s of %s: %v, want that it %s", name, text, err, want)
			}
		}
	}
}

func TestFieldValues(t *testing.T) {
	fields := Fields{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	for _, test := range []struct{ got, want any }{
		{fields.Amount("a", Value("24.99"), "USD"), int64(2499)},
		{fields.Amount("a", Value("-0.0"), "USD"), int64(0)},
		{fields.Amount("a", Value("1e2"), "USD"), int64(10000)},
		{fields.Amount("a", Value("1.234"), "KWD"), int64(1234)},
		{fields.MRR("a", Value("41.66666666"), "USD"), int64(41666667)},
		{fields.MRR("a", Value("-99.99"), "USD"), int64(-99990000)},
		{fields.Currency("a", Value(`"eur"`), "USD"), "EUR"},
		{fields.Currency("a", nil, "USD"), "USD"},
		{string(fields.Metadata("a", Value("{ \"b\" : 1.10 }"))), `{"b":1.10}`},
		{string(fields.Metadata("a", Value("{}"))), ""},
	} {
		if test.got != test.want {
			t.Errorf("got %v, want %v", test.got, test.want)
		}
	}
}

func TestReadObject(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:                "",
		`{"a":1,"b":2}`:          "", // strictly: unknown_field
		`{"a":1,"a":2}`:          "invalid_json",
		`{"a":1} x`:              "invalid_json",
		`{"a":NaN}`:              "invalid_json",
		`{"a":01}`:               "invalid_json",
		`{"a":1,}`:               "invalid_json",
		`{"a":"` + "\xff" + `"}`: "invalid_json",
		`[]`:                     "invalid_json",
		`null`:                   "invalid_json",
		`"x"`:                    "invalid_json",
		``:                       "invalid_json",
		`{`:                      "invalid_json",
	} {
		var body struct {
			A Value `json:"a"`
		}
		code := func(err error) string {
			var invalid *InvalidError
			errors.As(err, &invalid)
			if invalid == nil {
				return ""
			}
			return invalid.Code
		}
		if got := code(ReadObject([]byte(text), &body)); got != want {
			t.Errorf("ReadObject(%q): code %q, want %q", text, got, want)
		}
		if text == `{"a":1,"b":2}` {
			want = "unknown_field"
		}
		if got := code(ReadObjectStrictly([]byte(text), &body)); got != want {
			t.Errorf("ReadObjectStrictly(%q): code %q, want %q", text, got, want)
		}
	}
}

func TestReadArray(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "", ` [1 , "a,b",[2,3],{"a":[4]} ] `: `1 "a,b" [2,3] {"a":[4]}`,
		`[1,2,3,4,5]`: `1 2 3 4 5`, `[1,2,3,4,5,6`: `1 2 3 4 5`, // four are the most: what follows the fifth is not looked at
		`{}`: "invalid_json", `null`: "invalid_json", ``: "invalid_json", `[1,`: "invalid_json", `[1}`: "invalid_json", `[1]2`: "invalid_json",
		`[1,]`: "invalid_json", `[{"a":1,"a":2}]`: "invalid_json", `[`: "invalid_json", `[1 2]`: "invalid_json",
	} {
		elements, err := ReadArray(Value(text), 4)
		var got []string
		for _, element := range elements {
			got = append(got, string(element))
		}
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			got = []string{invalid.Code}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	long := Value("[" + strings.Repeat("1,", 1_000_000) + "1]")
	if elements, err := ReadArray(long, 1000); err != nil || len(elements) != 1001 {
		t.Errorf("of more than 1,000 elements %d are split off, %v", len(elements), err)
	}
}
