package connectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Object is a JSON object as a provider sent it. Numbers keep their literal text.
//
// Providers move fields about between versions. So the methods take the places
// where a value may be, as paths of names joined by dots, and return the first
// that is given. What is not of the wanted kind counts as not given: no dimension
// is worth losing the money over. Money and times are read strictly, by Reader.
type Object map[string]any

var errNotObject = errors.New("not a single JSON object")

// ParseObject reads one JSON object and nothing after it. The error is an
// *InvalidError with code invalid_json.
func ParseObject(text []byte) (Object, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var o Object
	err := decoder.Decode(&o)
	if err == nil {
		if _, after := decoder.Token(); o == nil || !errors.Is(after, io.EOF) {
			err = errNotObject
		}
	}
	if err != nil {
		return nil, &InvalidError{Code: "invalid_json", Detail: syntaxDetail(err)}
	}
	return o, nil
}

// syntaxDetail says why ParseObject failed, without the names of Go's types that
// the errors of encoding/json have.
func syntaxDetail(err error) string {
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return fmt.Sprintf("not valid JSON at byte %d: %s", syntax.Offset, syntax.Error())
	}
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return "must be a JSON object, not " + wrong.Value
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "not valid JSON: the body ends too early"
	}
	return errNotObject.Error()
}

// Value is what is at the first place that is given, nil if none is.
func (o Object) Value(places ...string) any {
	for _, place := range places {
		var at any = map[string]any(o)
		for name := range strings.SplitSeq(place, ".") {
			members, _ := at.(map[string]any)
			at = members[name]
		}
		if at != nil {
			return at
		}
	}
	return nil
}

// Child is a nested object; nil, which can be read like an empty one, if there is
// none.
func (o Object) Child(places ...string) Object {
	for _, place := range places {
		if members, ok := o.Value(place).(map[string]any); ok {
			return members
		}
	}
	return nil
}

// Text is a string for a dimension, without control characters and no longer than
// TextBytesMax.
func (o Object) Text(places ...string) string {
	for _, place := range places {
		if text, ok := o.Value(place).(string); ok && text != "" {
			return clip(text)
		}
	}
	return ""
}

// ID is the id of an object, or of a related one that is given bare or as the
// object itself; a number's digits if ids are numbers.
func (o Object) ID(places ...string) string {
	for _, place := range places {
		switch value := o.Value(place).(type) {
		case string:
			if value != "" {
				return clip(value)
			}
		case json.Number:
			return clip(value.String())
		case map[string]any:
			if id := Object(value).ID("id"); id != "" {
				return id
			}
		}
	}
	return ""
}

// Flag is whether a boolean is true.
func (o Object) Flag(places ...string) bool {
	is, _ := o.Value(places...).(bool)
	return is
}

// Has is whether the member is there, be it null.
func (o Object) Has(name string) bool {
	_, ok := o[name]
	return ok
}

// Literal is the text of a number, or of a string that holds one.
func (o Object) Literal(places ...string) string {
	switch value := o.Value(places...).(type) {
	case json.Number:
		return value.String()
	case string:
		return value
	default:
		return ""
	}
}

// Count is a whole number for a dimension; 0 if there is none.
func (o Object) Count(places ...string) int64 {
	number, _ := o.Value(places...).(json.Number)
	n, _ := number.Int64()
	return n
}

// List are the elements of an array that are objects.
func (o Object) List(places ...string) []Object {
	var objects []Object
	for _, place := range places {
		elements, isArray := o.Value(place).([]any)
		for _, element := range elements {
			if members, ok := element.(map[string]any); ok {
				objects = append(objects, members)
			}
		}
		if isArray {
			break
		}
	}
	return objects
}

// clip makes a text fit for a column.
func clip(text string) string {
	if len(text) <= TextBytesMax && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > TextBytesMax {
		text = strings.ToValidUTF8(text[:TextBytesMax], "")
	}
	return text
}
