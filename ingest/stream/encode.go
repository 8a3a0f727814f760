package stream

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

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
	out := append(dst, `{"v":`...)
	out = strconv.AppendInt(out, revenue.EncodingVersion, 10)
	out, err := appendMembers(out, e, members)
	if err != nil {
		return dst, fmt.Errorf("encode statement: %w: %w", ErrInvalid, err)
	}
	return append(out, '}'), nil
}

// appendMembers writes the members that are not empty, each after a comma.
func appendMembers(out []byte, e *revenue.Event, list []member) ([]byte, error) {
	for i := range list {
		m := &list[i]
		mark := len(out)
		out = append(out, `,"`...)
		out = append(out, m.name...)
		out = append(out, `":`...)
		start := len(out)
		var err error
		if out, err = m.append(out, e); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if len(out) == start {
			out = out[:mark]
		}
	}
	return out, nil
}

// append writes the member's value, or nothing if it is empty.
func (m *member) append(out []byte, e *revenue.Event) ([]byte, error) {
	switch {
	case m.text != nil:
		if text := *m.text(e); text != "" {
			return appendText(out, text), nil
		}
	case m.number != nil:
		if number := *m.number(e); number != 0 || m.always {
			return strconv.AppendInt(out, number, 10), nil
		}
	case m.flag != nil:
		if flag := *m.flag(e); flag || m.always {
			return strconv.AppendBool(out, flag), nil
		}
	case m.instant != nil:
		return appendInstant(out, *m.instant(e)), nil
	case m.moment != nil:
		if moment := *m.moment(e); moment != nil {
			return appendInstant(out, *moment), nil
		}
	case m.raw != nil:
		if raw := *m.raw(e); len(raw) > 0 {
			return appendObject(out, raw)
		}
	default:
		return appendNested(out, e, m.object)
	}
	return out, nil
}

// appendNested writes an object, or nothing if all its members are empty.
func appendNested(out []byte, e *revenue.Event, list []member) ([]byte, error) {
	start := len(out)
	out, err := appendMembers(out, e, list)
	if err != nil || len(out) == start {
		return out, err
	}
	out[start] = '{' // in place of the comma
	return append(out, '}'), nil
}

// appendText writes a JSON string. Plain ASCII, nearly all there is, is copied.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := jsontext.AppendQuote(out, text) // the error only says that it replaced
			return quoted
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}

// appendObject writes caller's JSON compactly: numbers as written, text in its
// shortest form, so that nothing in it can keep a reader from reading it.
func appendObject(out []byte, raw []byte) ([]byte, error) {
	formatted, err := jsontext.AppendFormat(out, raw,
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
		jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
	if err != nil {
		return nil, err
	}
	if value := formatted[len(out):]; value[0] != '{' || depthAbove(value, nestingMax) {
		return nil, fmt.Errorf("must be an object of at most %d levels", nestingMax)
	}
	return formatted, nil
}

// depthAbove reports whether valid JSON nests deeper than the limit.
func depthAbove(value []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// appendInstant writes `"2006-01-02T15:04:05.000000Z"`.
func appendInstant(out []byte, instant time.Time) []byte {
	instant = instant.UTC()
	year, month, day := instant.Date()
	hour, minute, second := instant.Clock()
	out = append(out, '"')
	out = appendDigits(out, year, 4)
	out = appendDigits(append(out, '-'), int(month), 2)
	out = appendDigits(append(out, '-'), day, 2)
	out = appendDigits(append(out, 'T'), hour, 2)
	out = appendDigits(append(out, ':'), minute, 2)
	out = appendDigits(append(out, ':'), second, 2)
	out = appendDigits(append(out, '.'), instant.Nanosecond()/1000, 6)
	return append(out, 'Z', '"')
}

func appendDigits(out []byte, number, width int) []byte {
	start := len(out)
	out = append(out, "000000"[:width]...)
	for i := start + width - 1; i >= start; i-- {
		out[i] = byte('0' + number%10)
		number /= 10
	}
	return out
}
