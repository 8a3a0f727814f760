package analytics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"revstream/clickhouse"
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
			f.say(example.events...)
			f.complete(testNow)
			example.ask(f)
			// The same comes of it said twice, in any order, in several batches, after something
			// else was said that was wrong, and beside what was never true and taken back.
			random := rand.New(rand.NewPCG(uint64(len(text)), 1))
			f = newFixture(t)
			told := mistaken(random, example.events)
			f.writeInBatches(random, told)
			f.say(told...)
			f.complete(testNow)
			example.ask(f)
		})
	}
}

// mistaken is the same history, told twice by somebody who gets everything wrong at first:
// each fact has another amount, and beside it is one that never was. All of it is put right at
// the moment of its first telling, so that it is right as of any moment, too.
func mistaken(random *rand.Rand, events []revenue.Event) []revenue.Event {
	told := slices.Concat(events, events)
	for _, e := range events {
		wrong := e
		wrong.Version = e.Version - 1
		wrong.Amount, wrong.MRR = e.Amount+4321, e.MRR+4321*revenue.MRRScale
		if e.MRRBeforeDiscounts > 0 {
			wrong.MRRBeforeDiscounts = e.MRRBeforeDiscounts + 5432*revenue.MRRScale
		}
		never := e
		never.ObjectID += "_never"
		gone := never
		gone.Version, gone.Deleted = never.Version+1, true
		back := e // deleted, and that undone
		back.Version = e.Version + 2
		lost := e
		lost.Version, lost.Deleted = e.Version+1, true
		told = append(told, wrong, never, gone, lost, back)
	}
	random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
	return told
}

// writeInBatches stores statements as the sink would that gets them bit by bit: what is
// missing of what they come to so far, and what is there and should not be taken back.
func (f *fixture) writeInBatches(random *rand.Rand, events []revenue.Event) {
	f.t.Helper()
	said := map[revenue.GroupKey][]revenue.Event{}
	for begin := 0; begin < len(events); {
		end := min(len(events), begin+1+random.IntN(len(events)/3+1))
		var keys []revenue.GroupKey
		for _, e := range events[begin:end] {
			said[e.GroupKey()] = append(said[e.GroupKey()], e)
			if !slices.Contains(keys, e.GroupKey()) {
				keys = append(keys, e.GroupKey())
			}
		}
		begin = end
		held, err := f.store.ReadRows(f.t.Context(), keys)
		if err != nil {
			f.t.Fatal(err)
		}
		var rows []clickhouse.Row
		for _, key := range keys {
			own := slices.DeleteFunc(slices.Clone(held), func(r revenue.LedgerRow) bool { return r.Workspace != key.Workspace || r.Group != key.Group })
			missing, foreign := revenue.Difference(revenue.Ledger(said[key]), revenue.HeldOf(own))
			slice := int32(clickhouse.GroupHash(key) % slicesCount)
			for _, row := range append(missing, revenue.Retract(own, foreign)...) {
				f.offset++
				rows = append(rows, clickhouse.Row{LedgerRow: &row, Position: clickhouse.Position{
					TopicID: "topic", Slice: slice, Epoch: f.epochs[slice].Epoch, Offset: f.offset}})
			}
		}
		if err := f.store.InsertRows(f.t.Context(), rows); err != nil {
			f.t.Fatal(err)
		}
	}
}

type example struct {
	events    []revenue.Event
	rates     []exampleRate
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

// exampleRate is what one unit of a currency is worth in dollars from a day on.
type exampleRate struct{ day, currency, value string }

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
		case len(fields) == 4 && fields[1] == "rate":
			e.rates = append(e.rates, exampleRate{fields[0], fields[2], fields[3]})
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
	currency := pairs(fields)["currency"]
	if currency == "" {
		currency = "USD"
	}
	amountOf := func(text string) int64 {
		amount, err := revenue.ParseAmount(text, currency)
		if err != nil {
			t.Fatalf("%v: %v", fields, err)
		}
		return amount
	}
	when := fields[0] + "T12:00:00Z"
	if strings.Contains(fields[0], "T") {
		when = fields[0] + ":00Z"
	}
	flow := func(kind revenue.Kind, prefix string) revenue.Event {
		return refund(prefix+fields[2], fields[2], when, amountOf(fields[3]), func(e *revenue.Event) { e.Kind = kind }, about(t, fields[4:]))
	}
	switch fields[1] {
	case "pays":
		return charge(fields[2], when, amountOf(fields[3]), about(t, fields[4:]))
	case "refunds":
		return flow(revenue.KindRefund, "refund_of_")
	case "disputes":
		return flow(revenue.KindDispute, "dispute_of_")
	case "wins":
		return flow(revenue.KindDisputeReversal, "reversal_of_")
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
				"currency": func() { e.Currency = value },
				"claim":    func() { e.AttributionType = value }, "interval": func() { e.Interval = value },
				"reason": func() { e.Reason = value }, "status": func() { e.Status = revenue.Status(value) },
				"subscription": func() { recurring(e.Billing, value)(e) },
				"cancels":      func() { cancelRequested(value + "T12:00:00Z")(e) }, "ends": func() { ends(value + "T12:00:00Z")(e) },
				"list":     func() { e.MRRBeforeDiscounts = listPrice(t, value, e.Currency) },
				"discount": func() { e.Discount, _ = revenue.ParseAmount(value, "USD") },
				"tax":      func() { e.Tax, _ = revenue.ParseAmount(value, "USD") }, "fee": func() { e.Fee, _ = revenue.ParseAmount(value, "USD") },
				"tier": func() { e.Metadata = json.RawMessage(`{"tier":"` + value + `"}`) },
			}[name]
			if !known {
				t.Fatalf("an event says %q, which an example does not know", name)
			}
			set()
		}
		// What is paid for a subscription is beside it, with its customer.
		if e.Kind != revenue.KindSubscription && e.Subscription != "" {
			e.Group = revenue.GroupName("stripe", "", true, e.Customer)
		}
	}
}

// listPrice is what a subscription is worth before discounts.
func listPrice(t *testing.T, text, currency string) int64 {
	t.Helper()
	amount, err := revenue.ParseAmount(text, currency)
	if err != nil {
		t.Fatal(err)
	}
	return amount * revenue.MRRScale
}

// ask puts the questions and compares the figures that the example has.
func (e example) ask(f *fixture) {
	f.t.Helper()
	for _, r := range e.rates {
		f.exec("INSERT INTO %s.fx_rates SELECT '%s', '%s', 'USD', toDecimal128('%s', 18), 'test', toDateTime64('2026-01-01 00:00:00', 6, 'UTC')",
			f.database, r.day, r.currency, r.value)
	}
	for _, q := range e.questions {
		response := f.ask(q.path, "workspaceSlug=acme&"+q.parameters)
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			f.t.Fatalf("%s?%s: %d %s %v", q.path, q.parameters, response.StatusCode, body, err)
		}
		var answer map[string]any
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber() // figures as they are written
		if err := decoder.Decode(&answer); err != nil {
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

// Whoever adds a metric, a figure or a profile adds an example of it.
func TestEveryMetricAndProfileHasAnExample(t *testing.T) {
	files, err := filepath.Glob("testdata/examples/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	paths, parameters, figures := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range readExample(t, string(text)).questions {
			paths[q.path] = true
			for _, parameter := range strings.Split(q.parameters, "&") {
				parameters[parameter] = true
			}
			for _, named := range q.figures {
				for name := range named {
					figures[name[strings.LastIndex(name, ".")+1:]] = true
				}
			}
		}
	}
	for _, path := range []string{
		PathRevenue, PathMetricsMRR, PathMetricsRefunds, PathMetricsRevenue, PathExplain, PathRetention, PathCohorts, PathTrials,
		PathChurn, PathCommitted, PathTables,
	} {
		if !paths[path] {
			t.Errorf("%s has no example", path)
		}
	}
	for _, profile := range profileNames {
		if !parameters["profile="+profile] {
			t.Errorf("the profile %s has no example", profile)
		}
	}
	for _, policy := range []string{"pastDueDays=0", "pastDueDays=7", "pastDueDays=30", "pastDueDays=90", "pastDueDays=never", "churnTiming=end", "churnTiming=request", "discounts=deducted", "discounts=ignored"} {
		if !parameters[policy] {
			t.Errorf("%s has no example", policy)
		}
	}
	for _, interval := range intervals {
		if !parameters["interval="+string(interval)] {
			t.Errorf("the interval %s has no example", interval)
		}
	}
	for _, answer := range []reflect.Type{
		reflect.TypeFor[Summary](), reflect.TypeFor[MRRBucket](), reflect.TypeFor[RetentionFigures](), reflect.TypeFor[RevenueFigures](),
		reflect.TypeFor[RefundFigures](), reflect.TypeFor[TrialBucket](), reflect.TypeFor[CommittedBucket](), reflect.TypeFor[LossFigures](),
		reflect.TypeFor[CohortPeriod](), reflect.TypeFor[RevenueCohortPeriod](), reflect.TypeFor[CohortRevenue](), reflect.TypeFor[TableRow](),
	} {
		for _, field := range reflect.VisibleFields(answer) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			kind := field.Type
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if kind.Kind() == reflect.Int64 && !figures[name] {
				t.Errorf("%s of %s has no example", name, answer.Name())
			}
		}
	}
}
