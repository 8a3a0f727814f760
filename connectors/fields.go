package connectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"revstream/ingest/revenue"
)

// Limits of what a member may hold. They are wide enough for every documented
// value of the sources, and bound what one event can cost downstream.
const (
	// TextBytesMax bounds ids, names and codes.
	TextBytesMax = 512
	// MetadataBytesMax and MetadataDepthMax bound the caller's own object.
	MetadataBytesMax = 16 << 10
	MetadataDepthMax = 8
	// detailBytesMax bounds an explanation, which may quote the value.
	detailBytesMax = 200
)

// Value is the JSON text of a member as written. Nil and null both mean that the
// member was not given.
type Value = jsontext.Value

// Given reports whether the member was there and not null.
func Given(value Value) bool { return len(value) > 0 && value.Kind() != 'n' }

// ReadObject reads a JSON object into a struct of Values. Names are compared
// exactly; a name that appears twice, invalid UTF-8 or anything after the object
// is an *InvalidError with code invalid_json, never a guess. Members that the
// struct does not know are left out.
func ReadObject(text []byte, target any) error { return readObject(text, target) }

// ReadObjectStrictly is ReadObject for a schema of our own: an unknown member is
// an *InvalidError with code unknown_field, so that a misspelt name is not lost.
func ReadObjectStrictly(text []byte, target any) error {
	return readObject(text, target, jsonv2.RejectUnknownMembers(true))
}

func readObject(text []byte, target any, options ...jsonv2.Options) error {
	// A literal null would leave the struct empty without an error.
	if err := NotObject(Value(text).Kind()); err != nil {
		return err
	}
	if err := jsonv2.Unmarshal(text, target, options...); err != nil {
		return SyntaxError(err)
	}
	return nil
}

// NotObject is the error of a value of the kind where an object is wanted; nil for an
// object, and for what is not JSON at all, of which reading it will tell.
func NotObject(kind jsontext.Kind) error {
	if kind == '{' || kind == 0 {
		return nil
	}
	return &InvalidError{Code: "invalid_json", Detail: "must be a JSON object, not " + kindName(kind)}
}

// ReadArray splits a JSON array into its elements, as written: parts of text. Of one with
// more than most it returns one more than that, and has not looked at the rest, for a few
// bytes of text are many of memory. The error is an *InvalidError with code invalid_json.
func ReadArray(text Value, most int) ([]Value, error) {
	if kind := text.Kind(); kind != '[' {
		return nil, &InvalidError{Code: "invalid_json", Detail: "must be an array, not " + kindName(kind)}
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.ReadToken(); err != nil {
		return nil, SyntaxError(err)
	}
	var elements []Value
	for decoder.PeekKind() != ']' {
		element, err := decoder.ReadValue()
		if err != nil {
			return nil, SyntaxError(err)
		}
		end := decoder.InputOffset()
		if elements = append(elements, text[end-int64(len(element)):end:end]); len(elements) > most {
			return elements, nil
		}
	}
	_, _ = decoder.ReadToken() // it is there
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &InvalidError{Code: "invalid_json", Detail: fmt.Sprintf("not valid JSON at byte %d: something follows the array", decoder.InputOffset())}
	}
	return elements, nil
}

// Within prefixes the field of an *InvalidError with the path that it lies at.
func Within(path string, err error) error {
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	if invalid.Field != "" {
		path += "." + invalid.Field
	}
	return &InvalidError{Field: path, Code: invalid.Code, Detail: invalid.Detail}
}

// SyntaxError turns an error of the JSON library into one that says where the
// text is at fault.
func SyntaxError(err error) *InvalidError {
	var syntactic *jsontext.SyntacticError
	var semantic *jsonv2.SemanticError
	switch {
	case errors.As(err, &syntactic):
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return &InvalidError{Field: fieldPath(syntactic.JSONPointer), Code: "invalid_json", Detail: "appears twice"}
		}
		return &InvalidError{Code: "invalid_json", Detail: fmt.Sprintf("not valid JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)}
	case errors.As(err, &semantic) && errors.Is(err, jsonv2.ErrUnknownName):
		return &InvalidError{Field: fieldPath(semantic.JSONPointer), Code: "unknown_field", Detail: "is not a known field"}
	case errors.As(err, &semantic):
		return &InvalidError{Field: fieldPath(semantic.JSONPointer), Code: "invalid_json", Detail: "cannot be " + kindName(semantic.JSONKind)}
	default:
		return &InvalidError{Code: "invalid_json", Detail: "not valid JSON: " + err.Error()}
	}
}

// fieldPath writes a JSON pointer as a dotted path.
func fieldPath(pointer jsontext.Pointer) string {
	return strings.Join(slices.Collect(pointer.Tokens()), ".")
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	default:
		return "empty"
	}
}

// Fields reads the members of one object as typed values. It keeps the first
// fault it meets and reads on with zero values, so that a decoder is a list of
// fields and one question at its end.
type Fields struct {
	// Now is when the request was accepted; it bounds dates.
	Now time.Time

	fault *InvalidError
}

// Err is the first fault, an *InvalidError, or nil.
func (f *Fields) Err() error {
	if f.fault == nil {
		return nil // not a typed nil
	}
	return f.fault
}

// Missing records that a required field was not given.
func (f *Fields) Missing(name string) {
	f.fail(name, "missing_"+name, "The "+name+" field is required.")
}

// Invalid records what is wrong with a field.
func (f *Fields) Invalid(name, format string, args ...any) {
	f.fail(name, "invalid_"+name, fmt.Sprintf(format, args...))
}

func (f *Fields) fail(name, code, detail string) {
	if f.fault == nil {
		if len(detail) > detailBytesMax {
			detail = strings.ToValidUTF8(detail[:detailBytesMax], "") + "..."
		}
		f.fault = &InvalidError{Field: name, Code: code, Detail: detail}
	}
}

// Text reads a string; "" if it was not given.
func (f *Fields) Text(name string, value Value) string {
	if !Given(value) {
		return ""
	}
	if value.Kind() != '"' {
		f.Invalid(name, "must be a string, not %s", kindName(value.Kind()))
		return ""
	}
	if plain, ok := plainText(value); ok {
		return plain
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		f.Invalid(name, "is not a valid string")
		return ""
	}
	text := string(unquoted)
	if len(text) > TextBytesMax {
		f.Invalid(name, "is longer than %d bytes", TextBytesMax)
		return ""
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		f.Invalid(name, "contains control characters")
		return ""
	}
	return text
}

// plainText is the text of a quoted string of printable ASCII without escapes, as
// nearly all are, which needs no further check.
func plainText(quoted Value) (text string, ok bool) {
	if len(quoted) < len(`""`) || len(quoted)-len(`""`) > TextBytesMax {
		return "", false
	}
	inner := quoted[1 : len(quoted)-1]
	for _, c := range inner {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "", false
		}
	}
	return string(inner), quoted[len(quoted)-1] == '"'
}

// RequiredText is Text of a field that must be there and not blank.
func (f *Fields) RequiredText(name string, value Value) string {
	text := f.Text(name, value)
	if strings.TrimSpace(text) == "" {
		f.Missing(name)
	}
	return text
}

// Choice reads a string that must be one of the options; "" if it was not given.
func (f *Fields) Choice(name string, value Value, options ...string) string {
	text := f.Text(name, value)
	if text != "" && !slices.Contains(options, text) {
		f.Invalid(name, "must be one of: %s", strings.Join(options, ", "))
		return ""
	}
	return text
}

// Flag reads a boolean; false if it was not given.
func (f *Fields) Flag(name string, value Value) bool {
	if !Given(value) {
		return false
	}
	kind := value.Kind()
	if kind != 't' && kind != 'f' {
		f.Invalid(name, "must be true or false, not %s", kindName(kind))
	}
	return kind == 't'
}

// Integer reads a whole number within [least, most]; 0 if it was not given. A
// fraction of zero (1.0, 1e2) is whole.
func (f *Fields) Integer(name string, value Value, least, most int64) int64 {
	if !Given(value) {
		return 0
	}
	text, ok := f.number(name, value)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		// JPY has no decimals, which makes an amount of it a bounded whole number.
		if n, err = revenue.ParseAmount(text, "JPY"); err != nil {
			f.Invalid(name, "must be a whole number from %d to %d", least, most)
			return 0
		}
	}
	if n < least || n > most {
		f.Invalid(name, "must be a whole number from %d to %d", least, most)
		return 0
	}
	return n
}

// number is the literal text of a JSON number.
func (f *Fields) number(name string, value Value) (string, bool) {
	if value.Kind() != '0' {
		f.Invalid(name, "must be a number, not %s", kindName(value.Kind()))
		return "", false
	}
	return string(value), true
}

// Currency reads an ISO 4217 code in either case; fallback if it was not given.
func (f *Fields) Currency(name string, value Value, fallback string) string {
	text := f.Text(name, value)
	if text == "" {
		return fallback
	}
	code := strings.ToUpper(text)
	if _, known := revenue.Exponent(code); !known {
		f.Invalid(name, "must be an ISO 4217 currency, not %q", text)
		return fallback
	}
	return code
}

// Metadata reads the caller's own object, compacted; nil if it was not given or
// is empty.
func (f *Fields) Metadata(name string, value Value) json.RawMessage {
	if !Given(value) {
		return nil
	}
	if value.Kind() != '{' {
		f.Invalid(name, "must be an object, not %s", kindName(value.Kind()))
		return nil
	}
	compact := value.Clone()
	if err := compact.Compact(); err != nil {
		f.Invalid(name, "is not valid JSON")
		return nil
	}
	if len(compact) > MetadataBytesMax {
		f.Invalid(name, "is larger than %d bytes", MetadataBytesMax)
		return nil
	}
	if depth(compact) > MetadataDepthMax {
		f.Invalid(name, "is nested deeper than %d levels", MetadataDepthMax)
		return nil
	}
	if len(compact) == len("{}") {
		return nil
	}
	return json.RawMessage(compact)
}

// depth is how deep objects and arrays of a valid JSON text are nested.
func depth(text Value) int {
	deepest, open, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}
