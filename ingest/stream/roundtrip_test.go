package stream

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	experiment "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"pgregory.net/rapid"

	"revstream/ingest/revenue"
)

// Every time is listed, so that each is brought to UTC and held to the bounds: a
// field added to revenue.Event and forgotten here would not be.
func TestInstantsAreAllTimes(t *testing.T) {
	var want, got []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[revenue.Event]()) {
		if field.Type == reflect.TypeFor[time.Time]() || field.Type == reflect.TypeFor[*time.Time]() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			want = append(want, name)
		}
	}
	for _, i := range instants(&revenue.Event{}) {
		got = append(got, i.name)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("instants %v\n    want %v", got, want)
	}
}

// The encoding is written and read by a list: a field added to revenue.Event and
// forgotten there would be lost.
func TestMembersAreAllFields(t *testing.T) {
	fields := func(of reflect.Type) (names, always []string) {
		for _, field := range reflect.VisibleFields(of) {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				continue // its fields are listed
			}
			names = append(names, name)
			if options == "" {
				always = append(always, name)
			}
		}
		return names, always
	}
	for _, c := range []struct {
		list []member
		of   reflect.Type
		own  []string // of the encoding
	}{
		{members, reflect.TypeFor[revenue.Event](), []string{"v"}},
		{deliveryMembers, reflect.TypeFor[revenue.Delivery](), nil},
	} {
		var names, always []string
		for _, m := range c.list {
			names = append(names, m.name)
			if m.always {
				always = append(always, m.name)
			}
		}
		wantNames, wantAlways := fields(c.of)
		if want := slices.Concat(c.own, wantNames); !slices.Equal(names, want) {
			t.Errorf("members %v\n   want %v", names, want)
		}
		if want := slices.Concat(c.own, wantAlways); !slices.Equal(always, want) {
			t.Errorf("written even if empty: %v\n                want %v", always, want)
		}
	}
}

// reflected is a statement as reflection over the struct writes it, with what the
// published encoding asks beyond the library's defaults.
func reflected(e *revenue.Event) ([]byte, error) {
	return experiment.Marshal(record{revenue.EncodingVersion, e}, reflection)
}

var reflection = experiment.JoinOptions(
	jsonv1.OmitEmptyWithLegacySemantics(true), jsontext.AllowInvalidUTF8(true),
	experiment.WithMarshalers(experiment.MarshalToFunc(func(to *jsontext.Encoder, at *time.Time) error {
		return to.WriteValue(at.UTC().AppendFormat(to.AvailableBuffer(), `"2006-01-02T15:04:05.000000Z"`))
	})))

// arbitrary draws any statement that the rules allow, in normal form.
func arbitrary() *rapid.Generator[revenue.Event] {
	text := rapid.StringMatching(`[a-z0-9_é"\\/ \x00\n<&😀]{0,12}`)
	name := rapid.StringMatching(`[a-z0-9_é"]{1,12}`)
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(timeMin.UnixMicro(), timeMax.UnixMicro()-1).Draw(t, "micros")).UTC()
	})
	optional := rapid.Custom(func(t *rapid.T) *time.Time {
		if !rapid.Bool().Draw(t, "known") {
			return nil
		}
		at := instant.Draw(t, "at")
		return &at
	})
	return rapid.Custom(func(t *rapid.T) revenue.Event {
		var e revenue.Event
		required := []string{"Workspace", "Provider", "ObjectID", "Group"}
		for _, field := range reflect.VisibleFields(reflect.TypeFor[revenue.Event]()) {
			into := reflect.ValueOf(&e).Elem().FieldByIndex(field.Index)
			switch value := into.Addr().Interface().(type) {
			case *string:
				if slices.Contains(required, field.Name) {
					*value = name.Draw(t, field.Name)
				} else {
					*value = text.Draw(t, field.Name)
				}
			case *int64:
				*value = rapid.Int64Range(0, revenue.AmountMax).Draw(t, field.Name)
			case *bool:
				*value = rapid.Bool().Draw(t, field.Name)
			case *time.Time:
				*value = instant.Draw(t, field.Name)
			case **time.Time:
				*value = optional.Draw(t, field.Name)
			case *revenue.Billing:
				*value = revenue.Billing(text.Draw(t, field.Name))
			case *revenue.Status:
				*value = revenue.Status(text.Draw(t, field.Name))
			case *revenue.Delivery:
				*value = revenue.Delivery{ID: text.Draw(t, "ID"), Type: text.Draw(t, "Type"),
					APIVersion: text.Draw(t, "APIVersion"), Integration: text.Draw(t, "Integration")}
			case *revenue.Kind, *json.RawMessage, *revenue.Dimensions: // below, or by its fields
			default:
				t.Fatalf("%s: add the type %v", field.Name, field.Type)
			}
		}
		e.Kind = rapid.SampledFrom(revenue.Kinds).Draw(t, "kind")
		e.Currency = rapid.SampledFrom([]string{"USD", "JPY", "KWD"}).Draw(t, "currency")
		e.Version = rapid.Int64().Draw(t, "version")
		if e.MRRBeforeDiscounts <= e.MRR || e.Kind != revenue.KindSubscription && e.Kind != revenue.KindPeriod {
			e.MRRBeforeDiscounts = 0
		}
		if rapid.Bool().Draw(t, "metadata") {
			e.Metadata, _ = experiment.Marshal(rapid.MapOf(text, text).Draw(t, "metadata"))
		}
		return e
	})
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := arbitrary().Draw(t, "event")
		encoded, err := EncodeEvent(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := DecodeEvent(encoded)
		if err != nil {
			t.Fatalf("%v\n%s", err, encoded)
		}
		if !reflect.DeepEqual(decoded, e) {
			t.Fatalf("got  %+v\nwant %+v\n%s", decoded, e, encoded)
		}
		if decoded.Digest() != e.Digest() {
			t.Fatal("digest changed on the way")
		}
		if want, err := reflected(&e); err != nil || string(encoded) != string(want) {
			t.Fatalf("%v\n got %s\nwant %s", err, encoded, want)
		}
		if !newPlainReader().read(encoded) {
			t.Fatalf("not plain, and so slow to read: %s", encoded)
		}
		// encoding/json, as others would use it, reads the same.
		var other revenue.Event
		if err := json.Unmarshal(encoded, &other); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(other, e) {
			t.Fatalf("encoding/json reads %+v\nwant %+v", other, e)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(strings.Replace(golden, `pro`, `p\\`, 1)))
	for _, odd := range []string{"2026-01-01T0:00:00Z", "2026-01-01T0:00:00.0000000Z", "2026-01-01T00:00:00,000000Z", "2026-01-01T00:00:00.000000+01:00"} {
		f.Add([]byte(`{"v":1,"period_end":"` + odd + `"}`))
	}
	f.Add([]byte(`{"v":1,"delivery":}}`))
	f.Add([]byte(`{"v":1,"x":[{"y":"\u00e9"},-1.5e-7,null,true]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		// What is taken as plain is what it is to the library.
		if plain := newPlainReader(); plain.read(value) {
			var e revenue.Event
			if err := readAny(value, &e); err != nil {
				t.Fatalf("plain, but %v\n%s", err, value)
			}
			if !reflect.DeepEqual(plain.event, e) {
				t.Fatalf("plain %+v\nelse  %+v", plain.event, e)
			}
		}
		e, err := DecodeEvent(value)
		if err != nil {
			if !errors.Is(err, ErrPoison) || PoisonReason(err) == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if !json.Valid(value) {
			t.Fatalf("took what is not JSON: %s", value)
		}
		encoded, err := EncodeEvent(nil, &e)
		if err != nil {
			t.Fatalf("read what it would not write: %v", err)
		}
		again, err := DecodeEvent(encoded)
		if err != nil {
			t.Fatal(err)
		}
		again.Metadata, e.Metadata = nil, nil // compacted by the first encoding
		if !reflect.DeepEqual(again, e) {
			t.Fatalf("got  %+v\nwant %+v", again, e)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"a":[1.50e3,"\ud800","\/",{"b":null}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := payment()
		e.Metadata = raw
		encoded, err := EncodeEvent(nil, &e)
		if err != nil {
			return
		}
		if _, err := DecodeEvent(encoded); err != nil {
			t.Fatalf("wrote what it would not read: %v\n%s", err, encoded)
		}
	})
}
