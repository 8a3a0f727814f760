package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"revstream/ingest/revenue"
)

// plainReader reads a statement that is written as EncodeEvent writes it, which is
// nearly all there are: members in the order of the list, no space between them.
// It finds out by itself where names and values begin and end, and nothing more;
// what a value holds is for the libraries to say. Whatever else it sees it leaves
// to readAny, which takes twice as long (BenchmarkDecode) to find the same
// (FuzzDecode).
type plainReader struct {
	event     revenue.Event
	versioned bool
	// buffer holds the texts one after another, texts the place of each.
	buffer []byte
	texts  []plainText
	tokens *jsontext.Decoder
}

// plainText is a text that is set once all are known.
type plainText struct {
	into     *string
	from, to int
}

// readers are kept for their buffers; nothing else outlives a call.
var readers = sync.Pool{New: func() any { return newPlainReader() }}

func newPlainReader() *plainReader {
	return &plainReader{tokens: jsontext.NewDecoder(new(bytes.Buffer))}
}

// bufferBytesMax bounds what is kept of an unusually large statement.
const bufferBytesMax = 64 << 10

func (r *plainReader) release() {
	if cap(r.buffer) > bufferBytesMax {
		return
	}
	clear(r.texts)
	r.tokens.Reset(new(bytes.Buffer)) // lets go of the value
	*r = plainReader{buffer: r.buffer[:0], texts: r.texts[:0], tokens: r.tokens}
	readers.Put(r)
}

// read reads the whole of value into the event. If it reports false, the event may
// hold anything.
func (r *plainReader) read(value []byte) bool {
	rest, ok := r.object(members, value)
	if !ok || len(rest) > 0 || !r.versioned {
		return false
	}
	all := string(r.buffer)
	for _, t := range r.texts {
		*t.into = all[t.from:t.to]
	}
	return true
}

// object reads the object that from begins with.
func (r *plainReader) object(list []member, from []byte) (rest []byte, ok bool) {
	separator := byte('{')
	for i := range list {
		after, found := cutName(from, separator, list[i].name)
		if !found {
			continue
		}
		if from, ok = r.value(list[i].of(&r.event), after); !ok {
			return nil, false
		}
		separator = ','
	}
	if separator == '{' { // nothing is written empty
		return nil, false
	}
	return bytes.CutPrefix(from, []byte("}"))
}

// cutName returns what follows the separator, the quoted name and a colon.
func cutName(from []byte, separator byte, name string) (after []byte, found bool) {
	n := len(name) + len(`,"":`)
	if len(from) <= n || from[0] != separator || from[1] != '"' || string(from[2:n-2]) != name || from[n-2] != '"' || from[n-1] != ':' {
		return from, false
	}
	return from[n:], true
}

// value reads the value that from begins with into its place.
func (r *plainReader) value(place any, from []byte) (rest []byte, ok bool) {
	end := 0
	switch list := place.(type) {
	case *[]member:
		return r.object(*list, from)
	case *json.RawMessage:
		end = r.objectEnd(from)
	default:
		end = plainEnd(from)
	}
	if end <= 0 {
		return nil, false
	}
	return from[end:], r.set(place, from[:end]) == nil
}

// objectEnd returns where the object of any members ends that from begins with, or
// -1.
func (r *plainReader) objectEnd(from []byte) int {
	if from[0] != '{' {
		return -1
	}
	r.tokens.Reset(bytes.NewBuffer(from))
	value, err := r.tokens.ReadValue()
	if err != nil {
		return -1
	}
	return len(value)
}

// plainEnd returns where the text, number or literal ends that from begins with,
// or -1.
func plainEnd(from []byte) int {
	if from[0] != '"' {
		return slices.IndexFunc(from, func(c byte) bool { return c == ',' || c == '}' })
	}
	for end := 1; ; end++ {
		quote := bytes.IndexByte(from[end:], '"')
		if quote < 0 {
			return -1
		}
		end += quote
		backslashes := 0
		for from[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 { // else the last of them escapes the quote
			return end + 1
		}
	}
}

// errNotPlain sends the whole statement to readAny, whose error is the one told.
var errNotPlain = errors.New("not as EncodeEvent writes it")

// set gives its place the value of the text.
func (r *plainReader) set(place any, text []byte) (err error) {
	switch into := place.(type) {
	case version:
		r.versioned = true
		if string(text) != strconv.FormatInt(int64(into), 10) {
			err = errNotPlain
		}
	case *string:
		from := len(r.buffer)
		r.buffer, err = jsontext.AppendUnquote(r.buffer, text)
		r.texts = append(r.texts, plainText{into, from, len(r.buffer)})
	case *int64:
		*into, err = plainNumber(text)
	case *bool:
		*into, err = plainFlag(text)
	case *time.Time:
		err = plainInstant(into, text)
	case **time.Time:
		*into = new(time.Time)
		err = plainInstant(*into, text)
	case *json.RawMessage:
		*into = bytes.Clone(text)
	}
	return err
}

// plainNumber reads an integer, which strconv takes in forms that JSON has not.
func plainNumber(text []byte) (int64, error) {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || digits[0] == '+' || digits[0] == '0' && len(text) > 1 {
		return 0, errNotPlain
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func plainFlag(text []byte) (bool, error) {
	switch string(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errNotPlain
}

// plainInstant reads a time as appendInstant writes it. In other forms package time takes
// some that RFC 3339 has not: an hour of one digit, a comma before the fraction.
func plainInstant(into *time.Time, text []byte) error {
	const form = `"2006-01-02T15:04:05.000000Z"`
	for _, at := range [...]int{0, 14, 20, len(form) - 2} {
		if len(text) != len(form) || text[at] != form[at] {
			return errNotPlain
		}
	}
	return into.UnmarshalText(text[1 : len(text)-1])
}
