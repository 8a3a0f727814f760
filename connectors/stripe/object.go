package stripe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"revstream/connectors"
)

// object is a JSON object as Stripe sent it. Numbers keep their literal text.
//
// Stripe renders an object in the API version of the endpoint, and versions moved
// fields about. So the methods take the places where a value may be, oldest
// first, as paths of names joined by dots, and return the first that is given.
type object map[string]any

var errNotObject = errors.New("not a single JSON object")

// parseObject reads one JSON object and nothing after it.
func parseObject(text []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var o object
	if err := decoder.Decode(&o); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); o == nil || !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return o, nil
}

// syntaxDetail says why parseObject failed, without the names of Go's types that
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

// value is what is at the first place that is given, nil if none is.
func (o object) value(places ...string) any {
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

// child is a nested object; nil, which can be read like an empty one, if there is
// none.
func (o object) child(places ...string) object {
	for _, place := range places {
		if members, ok := o.value(place).(map[string]any); ok {
			return members
		}
	}
	return nil
}

// text is a string for a dimension, without control characters and no longer
// than connectors.TextBytesMax. What is not a string is "": no dimension is worth
// losing the money over.
func (o object) text(places ...string) string {
	for _, place := range places {
		if text, ok := o.value(place).(string); ok && text != "" {
			return clip(text)
		}
	}
	return ""
}

// id is the id of a related object, which Stripe gives bare or, when expanded, as
// the object itself.
func (o object) id(places ...string) string {
	for _, place := range places {
		if id := idOf(o.value(place)); id != "" {
			return id
		}
	}
	return ""
}

func idOf(value any) string {
	switch value := value.(type) {
	case string:
		return clip(value)
	case map[string]any:
		return object(value).text("id")
	default:
		return ""
	}
}

// flag is whether a boolean is true.
func (o object) flag(places ...string) bool {
	is, _ := o.value(places...).(bool)
	return is
}

// has is whether the member is there, be it null.
func (o object) has(name string) bool {
	_, ok := o[name]
	return ok
}

// literal is the text of a number, or of a string that holds one.
func (o object) literal(places ...string) string {
	switch value := o.value(places...).(type) {
	case json.Number:
		return value.String()
	case string:
		return value
	default:
		return ""
	}
}

// count is a whole number for a dimension; 0 if there is none.
func (o object) count(places ...string) int64 {
	number, _ := o.value(places...).(json.Number)
	n, _ := number.Int64()
	return n
}

// elements are those of an array, or of the data of a Stripe list.
func (o object) elements(places ...string) []any {
	for _, place := range places {
		switch value := o.value(place).(type) {
		case []any:
			return value
		case map[string]any:
			if data, ok := value["data"].([]any); ok {
				return data
			}
		}
	}
	return nil
}

// list are the elements that are objects.
func (o object) list(places ...string) []object {
	var objects []object
	for _, element := range o.elements(places...) {
		if members, ok := element.(map[string]any); ok {
			objects = append(objects, members)
		}
	}
	return objects
}

// before is the object as it was before the event: previous_attributes name what
// changed and how it was, nested objects by the changed members only, arrays
// whole.
func (o object) before(previous object) object {
	was := maps.Clone(o)
	for name, old := range previous {
		nested, isObject := old.(map[string]any)
		now, wasObject := was[name].(map[string]any)
		if isObject && wasObject {
			was[name] = map[string]any(object(now).before(nested))
		} else {
			was[name] = old
		}
	}
	return was
}

// clip makes a text fit for a column.
func clip(text string) string {
	if len(text) <= connectors.TextBytesMax && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > connectors.TextBytesMax {
		text = strings.ToValidUTF8(text[:connectors.TextBytesMax], "")
	}
	return text
}
