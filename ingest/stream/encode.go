package stream

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"revstream/ingest/revenue"
)

// EncodeEvent appends the published encoding of the statement to dst: one JSON
// object on one line, `"v":1` first, then the members of revenue.Event by their
// json names in its order, empty ones left out; times as RFC 3339 in UTC with six
// decimals. Finer parts of a second are cut off, metadata is compacted, and text
// that is not UTF-8 has U+FFFD in its place, so DecodeEvent of the result is the
// statement as every reader will see it.
//
// The error is an ErrInvalid; dst is returned as it was.
func EncodeEvent(dst []byte, e *revenue.Event) ([]byte, error) {
	if err := check(e); err != nil {
		return dst, fmt.Errorf("encode statement: %w: %w", ErrInvalid, err)
	}
	out, err := appendObject(dst, members, e)
	if err != nil {
		return dst, fmt.Errorf("encode statement: %w: %w", ErrInvalid, err)
	}
	return out, nil
}

// appendObject writes the members that are not empty as an object.
func appendObject(dst []byte, list []member, e *revenue.Event) ([]byte, error) {
	separator := byte('{')
	for i := range list {
		m := &list[i]
		place := m.of(e)
		if !m.always && isEmpty(place, e) {
			continue
		}
		dst = append(dst, separator, '"')
		dst = append(append(dst, m.name...), `":`...)
		separator = ','
		var err error
		if dst, err = appendValue(dst, place, e); err != nil {
			return dst, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return append(dst, '}'), nil
}

func isEmpty(place any, e *revenue.Event) bool {
	switch at := place.(type) {
	case *string:
		return *at == ""
	case *int64:
		return *at == 0
	case *bool:
		return !*at
	case **time.Time:
		return *at == nil
	case *json.RawMessage:
		return len(*at) == 0
	case *[]member:
		return e.Delivery == revenue.Delivery{}
	}
	return false
}

func appendValue(dst []byte, place any, e *revenue.Event) ([]byte, error) {
	switch at := place.(type) {
	case version:
		dst = strconv.AppendInt(dst, int64(at), 10)
	case *string:
		// A source's broken text must not keep its money out: the error says that
		// there was some, which by then has been replaced.
		dst, _ = jsontext.AppendQuote(dst, *at)
	case *int64:
		dst = strconv.AppendInt(dst, *at, 10)
	case *bool:
		dst = strconv.AppendBool(dst, *at)
	case *time.Time:
		dst = appendInstant(dst, *at)
	case **time.Time:
		dst = appendInstant(dst, **at)
	case *json.RawMessage:
		return jsontext.AppendFormat(dst, jsontext.Value(*at), jsontext.AllowInvalidUTF8(true))
	case *[]member:
		return appendObject(dst, *at, e)
	}
	return dst, nil
}

// appendInstant writes a time with six decimals, always: texts of one length sort
// as their times do.
func appendInstant(dst []byte, at time.Time) []byte {
	dst = append(dst, '"')
	dst = at.UTC().AppendFormat(dst, time.RFC3339) // other layouts are slower
	dst = append(dst[:len(dst)-len("Z")], '.')
	micros := at.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(micros/unit%10))
	}
	return append(dst, `Z"`...)
}
