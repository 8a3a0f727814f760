package analytics

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"revstream/ingest/revenue"
)

// The worked examples of testdata/examples: histories and the answers that follow, with
// figures worked out by hand, in files that are to be read and extended.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/examples/*.txt")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			example := readExample(t, string(text))
			f := newFixture(t)
			f.write(example.events...)
			example.ask(f)
			// The same said twice, and in the opposite order, comes to the same.
			again := slices.Concat(example.events, example.events)
			slices.Reverse(again)
			f = newFixture(t)
			f.write(again...)
			example.ask(f)
		})
	}
}

type example struct {
	events    []revenue.Event
	questions []question
}

// question is a path with parameters, and the expected figures by the day on which
// their bucket begins.
type question struct {
	path, parameters string
	days             []string
	figures          map[string]map[string]string
}

func readExample(t *testing.T, text string) (e example) {
	t.Helper()
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "?" && len(fields) == 3:
			e.questions = append(e.questions, question{path: fields[1], parameters: fields[2], figures: map[string]map[string]string{}})
		case len(e.questions) > 0:
			q := &e.questions[len(e.questions)-1]
			q.days, q.figures[fields[0]] = append(q.days, fields[0]), pairs(fields[1:])
		case len(fields) >= 3:
			e.events = append(e.events, exampleEvent(t, fields))
		default:
			t.Fatalf("line %d: %q is no line of an example", number+1, line)
		}
	}
	return e
}

func pairs(fields []string) map[string]string {
	values := map[string]string{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		values[name] = value
	}
	return values
}

func exampleEvent(t *testing.T, fields []string) revenue.Event {
	t.Helper()
	amountOf := func(text string) int64 {
		amount, err := revenue.ParseAmount(text, "USD")
		if err != nil {
			t.Fatalf("%v: %v", fields, err)
		}
		return amount
	}
	when := fields[0] + "T12:00:00Z"
	switch fields[1] {
	case "pays":
		about := pairs(fields[4:])
		return charge(fields[2], when, amountOf(fields[3]), func(e *revenue.Event) {
			e.Customer, e.Plan, e.Country = about["customer"], about["plan"], about["country"]
		})
	case "refunds":
		return refund("refund_of_"+fields[2], fields[2], when, amountOf(fields[3]))
	default:
		return state(fields[1], when, amountOf(fields[2]))
	}
}

// ask puts the questions and compares the figures that the example has.
func (e example) ask(f *fixture) {
	f.t.Helper()
	for _, q := range e.questions {
		response := f.ask(q.path, "workspaceSlug=acme&"+q.parameters)
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			f.t.Fatalf("%s?%s: %d %s %v", q.path, q.parameters, response.StatusCode, body, err)
		}
		var answer struct{ Series []map[string]any }
		if err := json.Unmarshal(body, &answer); err != nil {
			f.t.Fatal(err)
		}
		if len(answer.Series) != len(q.days) {
			f.t.Fatalf("%s?%s: %d buckets, want %d", q.path, q.parameters, len(answer.Series), len(q.days))
		}
		for i, day := range q.days {
			if start := fmt.Sprint(answer.Series[i]["start"]); !strings.HasPrefix(start, day) {
				f.t.Errorf("%s?%s: bucket %d begins at %s, want %s", q.path, q.parameters, i, start, day)
			}
			for name, want := range q.figures[day] {
				if got := member(answer.Series[i], name); got != want {
					f.t.Errorf("%s?%s: %s of %s is %s, want %s", q.path, q.parameters, name, day, got, want)
				}
			}
		}
	}
}

// member is the text of a member of an object, found by its path.
func member(object map[string]any, path string) string {
	name, rest, nested := strings.Cut(path, ".")
	value, there := object[name]
	switch {
	case !there:
		return "absent"
	case nested:
		inner, _ := value.(map[string]any)
		return member(inner, rest)
	case value == nil:
		return "null"
	default:
		return fmt.Sprint(value)
	}
}
