package analytics

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// question is a path with parameters, and the expected figures by where they are in the
// answer: the day on which their bucket begins, the value of a row of a table (- of what
// has none), or a path from the top, such as breakdown.gold.
type question struct {
	path, parameters string
	places           []string
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
			q.places, q.figures[fields[0]] = append(q.places, fields[0]), pairs(fields[1:])
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
		return charge(fields[2], when, amountOf(fields[3]), about(t, fields[4:]))
	case "refunds":
		return refund("refund_of_"+fields[2], fields[2], when, amountOf(fields[3]))
	default:
		return state(fields[1], when, amountOf(fields[2]), about(t, fields[3:]))
	}
}

// about is what an event says beside its amount.
func about(t *testing.T, fields []string) func(*revenue.Event) {
	return func(e *revenue.Event) {
		for name, value := range pairs(fields) {
			set, known := map[string]func(){
				"customer": func() { e.Customer = value }, "plan": func() { e.Plan = value }, "product": func() { e.Product = value },
				"country": func() { e.Country = value }, "campaign": func() { e.Campaign = value },
				"claim": func() { e.AttributionType = value }, "interval": func() { e.Interval = value },
				"reason": func() { e.Reason = value }, "status": func() { e.Status = revenue.Status(value) },
				"subscription": func() { recurring(e.Billing, value)(e) },
				"cancels":      func() { cancelRequested(value + "T12:00:00Z")(e) }, "ends": func() { ends(value + "T12:00:00Z")(e) },
				"tax": func() { e.Tax, _ = revenue.ParseAmount(value, "USD") }, "fee": func() { e.Fee, _ = revenue.ParseAmount(value, "USD") },
				"tier": func() { e.Metadata = json.RawMessage(`{"tier":"` + value + `"}`) },
			}[name]
			if !known {
				t.Fatalf("an event says %q, which an example does not know", name)
			}
			set()
		}
		// What is paid for a subscription is beside it, with its customer.
		if e.Kind == revenue.KindCharge && e.Subscription != "" {
			e.Group = revenue.GroupName("stripe", "", true, e.Customer)
		}
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
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			f.t.Fatal(err)
		}
		for _, list := range []string{"series", "rows"} {
			if there, _ := answer[list].([]any); len(there) != q.listed(list) && q.listed(list) > 0 {
				f.t.Fatalf("%s?%s: %d %s, want %d: %s", q.path, q.parameters, len(there), list, q.listed(list), body)
			}
		}
		for _, place := range q.places {
			for name, want := range q.figures[place] {
				if got := member(answer, q.prefix(place)+place+"\x00"+name); got != want {
					f.t.Errorf("%s?%s: %s of %s is %s, want %s", q.path, q.parameters, name, place, got, want)
				}
			}
		}
	}
}

// prefix is the list that a place is in, if it is in one.
func (q question) prefix(place string) string {
	switch _, err := time.Parse(time.DateOnly, place); {
	case err == nil:
		return "series\x00"
	case q.path == PathTables && place != "total":
		return "rows\x00"
	default:
		return ""
	}
}

// listed is how many places of the question are in a list of the answer.
func (q question) listed(list string) (n int) {
	for _, place := range q.places {
		if q.prefix(place) == list+"\x00" {
			n++
		}
	}
	return n
}

// member is the text of a member of a value, found by its path. Elements of lists are
// found by their number, or by what tells them apart.
func member(value any, path string) string {
	name, rest, nested := path, "", false
	if i := strings.IndexAny(path, ".\x00"); i >= 0 {
		name, rest, nested = path[:i], path[i+1:], true
	}
	found, there := any(nil), false
	switch value := value.(type) {
	case map[string]any:
		found, there = value[name]
	case []any:
		for i, element := range value {
			object, _ := element.(map[string]any)
			for _, key := range []string{"start", "value", "currency", "reason", "period"} {
				text, has := object[key]
				same := fmt.Sprint(text) == name || name == "-" && text == "" || key == "start" && strings.HasPrefix(fmt.Sprint(text), name)
				if has && same && !there {
					found, there = element, true
				}
			}
			if strconv.Itoa(i) == name && !there {
				found, there = element, true
			}
		}
	}
	switch {
	case !there:
		return "absent"
	case nested:
		return member(found, rest)
	case found == nil:
		return "null"
	default:
		return fmt.Sprint(found)
	}
}
