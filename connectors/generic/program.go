package generic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"revstream/connectors"
)

// Limits of a program: how long it may be, may run for one delivery, and how much it
// may say.
const (
	programBytesMax = 64 << 10
	programTimeout  = 2 * time.Second
	outputsMax      = 100
)

// pure hides what would make a program say something else the next time.
const pure = `
def now: error("a mapping has no clock");
def localtime: error("a mapping has no time zone");
def strflocaltime(f): error("a mapping has no time zone");
def input: error("a mapping has one input");
def inputs: error("a mapping has one input");
def debug: .; def debug(f): .; def stderr: .;
def input_line_number: 0;
`

func compile(program string) (*gojq.Code, error) {
	if len(program) > programBytesMax {
		return nil, fmt.Errorf("the program is longer than %d bytes", programBytesMax)
	}
	query, err := gojq.Parse(pure + program)
	if err != nil {
		return nil, fmt.Errorf("not a jq program: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables([]string{"$header"}), gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return nil, fmt.Errorf("not a jq program: %w", err)
	}
	return code, nil
}

func checkProgram(program string) error {
	_, err := compile(program)
	return err
}

// run runs a program over a body; $header has the headers by their lower-case names.
// An error of the program is an ErrMalformed: it would fail again. That it takes too
// long is temporary, for it depends on the machine.
func run(ctx context.Context, program string, body connectors.Object, header http.Header) ([]connectors.Object, error) {
	code, err := compile(program)
	if err != nil {
		return nil, malformed("%v", err)
	}
	headers := map[string]any{}
	for name, values := range header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	var outputs []connectors.Object
	for iterator := code.RunWithContext(ctx, asInput(map[string]any(body)), headers); ; {
		value, more := iterator.Next()
		if !more {
			return outputs, nil
		}
		switch value := value.(type) {
		case error:
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if halt := new(gojq.HaltError); errors.As(value, &halt) && halt.Value() == nil {
				return outputs, nil
			}
			return nil, malformed("the mapping fails: %v", value)
		case nil: // says nothing
		case map[string]any:
			if len(outputs) == outputsMax {
				return nil, malformed("the mapping says more than %d things", outputsMax)
			}
			outputs = append(outputs, asObject(value))
		default:
			return nil, malformed("the mapping says something that is no object")
		}
	}
}

func malformed(format string, args ...any) error {
	return &connectors.InvalidError{Field: "mapping", Code: "invalid_mapping", Detail: clipped(fmt.Sprintf(format, args...))}
}

// clipped keeps what an error quotes of a body short.
func clipped(text string) string {
	const most = 300
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// asInput makes whole numbers what jq calculates with, and the others the text that
// was sent: as floats they would not come out as they went in.
func asInput(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, ok := new(big.Int).SetString(value.String(), 10); ok {
			if whole.IsInt64() && int64(int(whole.Int64())) == whole.Int64() {
				return int(whole.Int64())
			}
			return whole
		}
		return value.String()
	case map[string]any:
		members := make(map[string]any, len(value))
		for name, member := range value {
			members[name] = asInput(member)
		}
		return members
	case []any:
		elements := make([]any, len(value))
		for i, element := range value {
			elements[i] = asInput(element)
		}
		return elements
	default:
		return value
	}
}

// asObject is an output as connectors read objects. Floats stay floats, which no
// reader of amounts takes.
func asObject(value map[string]any) connectors.Object {
	object, _ := asRead(value).(map[string]any)
	return object
}

func asRead(value any) any {
	switch value := value.(type) {
	case int:
		return json.Number(fmt.Sprint(value))
	case *big.Int:
		return json.Number(value.String())
	case map[string]any:
		members := make(map[string]any, len(value))
		for name, member := range value {
			members[name] = asRead(member)
		}
		return members
	case []any:
		elements := slices.Clone(value)
		for i, element := range elements {
			elements[i] = asRead(element)
		}
		return elements
	default:
		return value
	}
}
