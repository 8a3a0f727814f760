package stream

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"revstream/ingest/revenue"
)

// encoding is what the published encoding asks of the library beyond its defaults.
var encoding = json.JoinOptions(
	// omitempty as the tags of revenue.Event mean it: zero numbers are left out.
	jsonv1.OmitEmptyWithLegacySemantics(true),
	// A source's broken text must not keep its money out.
	jsontext.AllowInvalidUTF8(true),
	json.WithMarshalers(json.MarshalToFunc(writeInstant)),
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
	out := bytes.NewBuffer(dst)
	if err := json.MarshalWrite(out, record{revenue.EncodingVersion, e}, encoding); err != nil {
		return dst, fmt.Errorf("encode statement: %w: %w", ErrInvalid, err)
	}
	return out.Bytes(), nil
}

const instantLayout = `"2006-01-02T15:04:05.000000Z"`

// writeInstant writes a time with six decimals, always: the library would leave
// out trailing zeros, and texts of one length sort as their times do.
func writeInstant(to *jsontext.Encoder, instant *time.Time) error {
	return to.WriteValue(instant.UTC().AppendFormat(to.AvailableBuffer(), instantLayout))
}
