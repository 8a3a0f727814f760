package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"revstream/ingest/revenue"
)

// record is the published form of a statement: its version, then its members by
// their json names.
type record struct {
	V version `json:"v"`
	*revenue.Event
}

// version is the version of the encoding. It comes first in a record, so that one
// of another version is told by it, whatever its other members have become.
type version int64

// UnmarshalJSONFrom reads the version; another than ours is an errVersion.
func (v *version) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if err := json.UnmarshalDecode(from, (*int64)(v)); err != nil {
		return err
	}
	if *v != revenue.EncodingVersion {
		return fmt.Errorf("v %d: %w", *v, errVersion)
	}
	return nil
}

var errVersion = errors.New("encoding version is not read here")

// DecodeEvent reads what EncodeEvent wrote. It tolerates what can be taken in one
// way only: members that it does not know, which a newer minor encoding adds;
// members in another order; null, for a member left out; times in other zones,
// which become UTC, and finer ones, which are cut off. Anything else that is not
// as published is an ErrPoison: another version, malformed JSON, repeated members,
// names in another case, text that is not UTF-8, a missing or empty required
// member, numbers that are not int64, values out of range.
//
// The texts of the statement share one piece of memory, which lives as long as any
// of them. Nothing of value is kept.
func DecodeEvent(value []byte) (revenue.Event, error) {
	r := readers.Get().(*plainReader)
	defer r.release()
	if !r.read(value) {
		if err := readAny(value, &r.event); err != nil {
			return revenue.Event{}, err
		}
	}
	normalise(&r.event)
	if err := check(&r.event); err != nil {
		return revenue.Event{}, &poisonError{ReasonInvalid, err}
	}
	return r.event, nil
}

// readAny reads a statement however it is written. go-json-experiment holds to
// what is said above by itself, where encoding/json takes repeated names and names
// in any case.
func readAny(value []byte, into *revenue.Event) error {
	*into = revenue.Event{}
	r := record{Event: into}
	if err := json.Unmarshal(value, &r); err != nil {
		reason := ReasonSyntax
		if errors.Is(err, errVersion) {
			reason = ReasonVersion
		}
		return &poisonError{reason, err}
	}
	if r.V == 0 {
		return &poisonError{ReasonVersion, fmt.Errorf("v is missing: %w", errVersion)}
	}
	if string(into.Metadata) == "null" {
		into.Metadata = nil
	}
	return nil
}

// normalise makes equal what means the same, so that statements compare.
func normalise(e *revenue.Event) {
	for _, i := range instants(e) {
		if i.at != nil {
			*i.at = i.at.UTC().Truncate(time.Microsecond)
		}
	}
}
