package stream

import (
	"encoding/json"
	"strconv"
	"testing"

	"revstream/ingest/revenue"
)

// payments are statements that differ as those of a stream do, so that no cache of
// a decoder makes it look faster than it is.
func payments() (events []revenue.Event) {
	for i := range 1024 {
		e := payment()
		for _, id := range []*string{&e.ObjectID, &e.Group, &e.Customer, &e.Subscription, &e.Delivery.ID} {
			*id = (*id)[:len(*id)-1] + strconv.Itoa(i)
		}
		events = append(events, e)
	}
	return events
}

// BenchmarkDecode compares DecodeEvent with readAny, which reads what is not plain,
// and with encoding/json; neither of them checks values.
func BenchmarkDecode(b *testing.B) {
	var values [][]byte
	for _, e := range payments() {
		value, err := EncodeEvent(nil, &e)
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, value)
	}
	run := func(name string, decode func([]byte) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(values[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := decode(values[i%len(values)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("DecodeEvent", func(v []byte) error { _, err := DecodeEvent(v); return err })
	run("readAny", func(v []byte) error { var e revenue.Event; return readAny(v, &e) })
	run("encoding-json", func(v []byte) error { var e revenue.Event; return json.Unmarshal(v, &e) })
}

// BenchmarkEncode compares EncodeEvent with the library's reflection over the
// struct.
func BenchmarkEncode(b *testing.B) {
	events := payments()
	run := func(name string, encode func(dst []byte, e *revenue.Event) ([]byte, error)) {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var err error
				if out, err = encode(out[:0], &events[i%len(events)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("EncodeEvent", EncodeEvent)
	run("reflection", func(_ []byte, e *revenue.Event) ([]byte, error) { return reflected(e) })
}
