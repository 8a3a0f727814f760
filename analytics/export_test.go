package analytics

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// complete says that everything accepted before a moment is stored.
func (f *fixture) complete(until time.Time) {
	f.t.Helper()
	var progress []clickhouse.Progress
	for slice, taken := range f.epochs {
		f.offset++
		progress = append(progress, clickhouse.Progress{Slice: slice, Epoch: taken.Epoch, Offset: f.offset, CompleteThrough: until})
	}
	if err := f.store.SaveProgress(f.t.Context(), progress); err != nil {
		f.t.Fatal(err)
	}
}

// exported is an export, in as many parts as it takes.
func (f *fixture) exported(parameters string) [][]byte {
	f.t.Helper()
	part, next := f.exportedPart(parameters, "")
	if next == "" {
		return [][]byte{part}
	}
	return append([][]byte{part}, f.exportedRest(parameters, next)...)
}

// exportedRest are the parts after a place.
func (f *fixture) exportedRest(parameters, after string) (parts [][]byte) {
	f.t.Helper()
	for after != "" {
		var part []byte
		part, after = f.exportedPart(parameters, after)
		parts = append(parts, part)
	}
	return parts
}

func (f *fixture) exportedPart(parameters, after string) (part []byte, next string) {
	f.t.Helper()
	if after != "" {
		parameters += "&after=" + url.QueryEscape(after)
	}
	response := f.ask(PathExport, "workspaceSlug=acme&"+parameters)
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %v %s", parameters, response.StatusCode, err, body)
	}
	return body, response.Header.Get(HeaderNextCursor)
}

// ledgerOf is what the ledger of some statements has in live mode by a moment, as lines.
func ledgerOf(events []revenue.Event, asOf time.Time) []string {
	groups := map[revenue.GroupKey][]revenue.Event{}
	for _, event := range events {
		groups[event.GroupKey()] = append(groups[event.GroupKey()], event)
	}
	var lines []string
	for _, group := range groups {
		for _, row := range revenue.Ledger(group) {
			if row.Live() && !row.KnownAt.After(asOf) {
				lines = append(lines, fmt.Sprintln(row.RowID, row.Sign, exactInstant(row.KnownAt), row.Kind, exactInstant(row.OccurredAt),
					row.Amount, row.MRR, row.Currency, row.Customer, row.Fact))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func linesOf(t *testing.T, ndjson []byte) []string {
	t.Helper()
	var lines []string
	for line := range bytes.Lines(ndjson) {
		row := map[string]any{}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&row); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, fmt.Sprintln(row["row"], row["sign"], row["known_at"], row["kind"], row["occurred_at"],
			row["amount"], row["mrr"], row["currency"], row["customer"], row["fact"]))
	}
	return lines
}

// An export is the whole ledger as of a moment, whatever is stored while it is read, and
// the same whether at once or in parts.
func TestExportIsOneState(t *testing.T) {
	const seed = 5
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 120))
	f := newFixture(t, func(c *Config) { c.ExportPageRows = 17 })
	f.write(events...)
	asOf := at("2026-03-10")
	f.complete(asOf.Add(time.Microsecond))
	whole := f.exported("format=ndjson")[0]
	got := linesOf(t, whole)
	if want := ledgerOf(events, asOf); len(want) < 100 || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Fatalf("seed %d: %d rows, want %d\n%q\n%q", seed, len(got), len(want), got[0], want[0])
	}

	// The first part pins the state; then more is stored, of before and after.
	response := f.ask(PathExport, "workspaceSlug=acme&format=ndjson&limit=29")
	first, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if left := response.Header.Get(HeaderRowsLeft); left != strconv.Itoa(len(got)) || response.Header.Get(HeaderAsOf) != asOf.Format(time.RFC3339Nano) {
		t.Errorf("%s rows left as of %s", left, response.Header.Get(HeaderAsOf))
	}
	f.write(charge("late", "2026-01-05T00:00:00Z", 4711, func(e *revenue.Event) { e.ReceivedAt = asOf.Add(time.Hour) }))
	f.complete(asOf.Add(2 * time.Hour))
	rest := f.exportedRest("format=ndjson&limit=29", response.Header.Get(HeaderNextCursor))
	if together := slices.Concat(first, bytes.Join(rest, nil)); !bytes.Equal(together, whole) || len(rest) < 4 {
		t.Errorf("%d parts have %d bytes, at once there were %d", len(rest)+1, len(together), len(whole))
	}
	// What changed since is what to append.
	changed := f.exported("format=ndjson&changedSince=" + escape(asOf))[0]
	if lines := linesOf(t, changed); len(lines) == 0 || !strings.Contains(string(changed), "4711") {
		t.Errorf("what changed: %s", changed)
	}
	if now := f.exported("format=ndjson")[0]; len(linesOf(t, now)) != len(got)+len(linesOf(t, changed)) {
		t.Errorf("%d rows now, %d before, %d changed", len(linesOf(t, now)), len(got), len(linesOf(t, changed)))
	}
}

// All forms have the same rows, in parts too.
func TestExportForms(t *testing.T) {
	const seed = 6
	random := rand.New(rand.NewPCG(seed, seed))
	f := newFixture(t, func(c *Config) { c.ExportPageRows = 50 })
	events := received(random, randomEvents(random, 60))
	f.write(append(events, charge("=cmd()", "2026-01-10T00:00:00Z", 500, func(e *revenue.Event) {
		e.Plan, e.Metadata = "=cmd()", json.RawMessage(`{"note":"a \"quoted\"\nline"}`)
	}))...)
	f.say(events...)
	f.complete(testNow)
	for _, table := range []string{exportEntries, exportEvents} {
		asked := "table=" + table + "&limit=70"
		want := bytes.Join(f.exported(asked+"&format=ndjson"), nil)
		if bytes.Count(want, []byte("\n")) < 100 {
			t.Fatalf("only %d rows of %s", bytes.Count(want, []byte("\n")), table)
		}
		var fromParquet, fromArrow bytes.Buffer
		for _, part := range f.exported(asked + "&format=parquet") {
			fromParquet.Write(ndjsonOf(t, parquetBatches(t, part)))
		}
		for _, part := range f.exported(asked + "&format=arrow") {
			fromArrow.Write(ndjsonOf(t, arrowBatches(t, part)))
		}
		if !bytes.Equal(fromParquet.Bytes(), want) {
			t.Errorf("%s: Parquet differs from NDJSON: %d and %d bytes", table, fromParquet.Len(), len(want))
		}
		if !bytes.Equal(fromArrow.Bytes(), want) {
			t.Errorf("%s: Arrow differs from NDJSON: %d and %d bytes", table, fromArrow.Len(), len(want))
		}
		lines, err := csv.NewReader(bytes.NewReader(bytes.Join(f.exported(asked+"&format=csv"), nil))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range slices.Collect(bytes.Lines(want)) {
			row := map[string]any{}
			decoder := json.NewDecoder(bytes.NewReader(line))
			decoder.UseNumber()
			if err := decoder.Decode(&row); err != nil {
				t.Fatal(err)
			}
			for n, column := range lines[0] {
				if got := lines[i+1][n]; got != guarded(fmt.Sprint(row[column])) {
					t.Fatalf("%s line %d %s: %q, NDJSON has %v", table, i, column, got, row[column])
				}
			}
		}
	}
}

func parquetBatches(t *testing.T, content []byte) []arrow.RecordBatch {
	t.Helper()
	reader, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: 1 << 20}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := rows.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var batches []arrow.RecordBatch
	for tables := array.NewTableReader(table, 0); tables.Next(); {
		batch := tables.RecordBatch()
		batch.Retain()
		batches = append(batches, batch)
	}
	return batches
}

func arrowBatches(t *testing.T, content []byte) []arrow.RecordBatch {
	t.Helper()
	reader, err := ipc.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var batches []arrow.RecordBatch
	for reader.Next() {
		batch := reader.RecordBatch()
		batch.Retain()
		batches = append(batches, batch)
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return batches
}

func ndjsonOf(t *testing.T, batches []arrow.RecordBatch) []byte {
	t.Helper()
	var text bytes.Buffer
	for _, batch := range batches {
		if err := (ndjsonTable{&text}).Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}

func TestExportsAreRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.ExportsInFlightMax = 2 })
	f.write(twoMonths()...)
	f.say(twoMonths()...)
	f.complete(at("2026-06-01"))
	cursors := map[string]string{}
	for _, table := range []string{exportEntries, exportEvents} {
		response := f.ask(PathExport, "workspaceSlug=acme&limit=2&table="+table)
		cursors[table] = response.Header.Get(HeaderNextCursor)
	}
	if cursors[exportEntries] == "" || cursors[exportEvents] == "" {
		t.Fatalf("no cursors: %v", cursors)
	}
	for parameters, names := range map[string]string{
		"table=revenue":  "table",
		"format=xml":     "format",
		"limit=0":        "limit",
		"limit=10000001": "limit",
		"after=moon":     "after",
		"after=e30":      "after",
		"table=events&after=" + cursors[exportEntries]:         "after",
		"after=" + cursors[exportEvents]:                       "after",
		"after=" + cursors[exportEntries] + "&asOf=2026-02-01": "after",
		"table=events&plan=gold":                               "table",
		"since=2026-02-01&until=2026-01-01":                    "since",
		"colour=red":                                           "colour",
	} {
		response := f.ask(PathExport, "workspaceSlug=acme&"+parameters)
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", parameters, response.StatusCode)
			continue
		}
		if problem := problemOf(t, response); !strings.Contains(problem.Detail, names) {
			t.Errorf("%s: %q", parameters, problem.Detail)
		}
	}
	// What may still be another state is not exported.
	response := f.ask(PathExport, "workspaceSlug=acme&asOf=2026-06-01T00:00:00Z")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("as of a moment that is not final: %d", response.StatusCode)
	}
	problemOf(t, response)
	// All refusals gave their places back, and so do exports and looks at their heads.
	for range 5 {
		if parts := f.exported("format=csv"); len(parts[0]) == 0 {
			t.Error("an empty export")
		}
		request := httptest.NewRequest(http.MethodHead, PathExport+"?workspaceSlug=acme", nil)
		request.Header.Set("X-Api-Key", readKey)
		if response := f.send(request); response.StatusCode != http.StatusOK || response.Header.Get(HeaderRowsLeft) == "" {
			t.Errorf("HEAD: %d %v", response.StatusCode, response.Header)
		}
	}
	f.server.exporting <- struct{}{}
	f.server.exporting <- struct{}{}
	if response := f.ask(PathExport, "workspaceSlug=acme"); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third export beside two: %d", response.StatusCode)
	}
}

// A filter and a range leave out what they say, and an empty export is one that can be read.
func TestExportOfSome(t *testing.T) {
	f := newFixture(t)
	if parts := f.exported("format=csv"); len(slices.Collect(bytes.Lines(parts[0]))) != 1 {
		t.Errorf("an empty store: %s", parts[0])
	}
	f.write(charge("a", "2026-01-10T00:00:00Z", 500, func(e *revenue.Event) { e.Plan = "gold" }), charge("b", "2026-02-10T00:00:00Z", 700, in("EUR")))
	f.complete(testNow)
	for parameters, amounts := range map[string][]string{
		"": {"500", "700"}, "since=2026-02-01": {"700"}, "until=2026-01-31": {"500"}, "plan=gold": {"500"}, "currency=EUR": {"700"},
		"provider=paddle": nil, "asOf=2026-01-01": nil,
	} {
		lines, err := csv.NewReader(bytes.NewReader(f.exported("format=csv&" + parameters)[0])).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		column := slices.Index(lines[0], "amount")
		var got []string
		for _, line := range lines[1:] {
			if line[column] != "0" {
				got = append(got, line[column])
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, amounts) {
			t.Errorf("%q: %v, want %v", parameters, got, amounts)
		}
	}
	if batches := parquetBatches(t, f.exported("format=parquet&provider=paddle")[0]); len(ndjsonOf(t, batches)) != 0 {
		t.Error("an empty Parquet file has rows")
	}
}

// Answers come as Parquet and Arrow too, with types that do not depend on the figures.
func TestAnswersAsTables(t *testing.T) {
	f := newFixture(t)
	f.write(charge("a", "2026-01-10T00:00:00Z", 500), charge("b", "2026-02-10T00:00:00Z", 800), refund("c", "b", "2026-02-11T00:00:00Z", 200))
	const months = "?workspaceSlug=acme&since=2026-01-01&until=2026-03-31&interval=month"
	types := map[string]map[string]string{}
	for _, question := range []string{PathMetricsRefunds + months, PathMetricsRefunds + "?workspaceSlug=acme&since=2020-01-01&until=2020-02-28&interval=month"} {
		for mediaType, read := range map[string]func(*testing.T, []byte) []arrow.RecordBatch{parquetType: parquetBatches, arrowType: arrowBatches} {
			response := f.with(question, "Accept", mediaType)
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != mediaType {
				t.Fatalf("%s: %d %v %s", mediaType, response.StatusCode, err, response.Header.Get("Content-Type"))
			}
			batches := read(t, body)
			for _, field := range batches[0].Schema().Fields() {
				if strings.HasPrefix(field.Name, "native.") {
					continue // of currencies that there are
				}
				if types[field.Name] == nil {
					types[field.Name] = map[string]string{}
				}
				types[field.Name][field.Type.String()] = question
			}
			if !strings.Contains(question, "2026") {
				continue
			}
			columns, rows := f.table(question)
			for i, column := range columns {
				for n := range rows {
					if got := cellText(batches[0].Column(i), n); batches[0].ColumnName(i) != column || got != rows[n][column] {
						t.Errorf("%s row %d: %s %q, CSV has %s %q", mediaType, n, batches[0].ColumnName(i), got, column, rows[n][column])
					}
				}
			}
		}
	}
	for _, column := range slices.Sorted(maps.Keys(types)) {
		if len(types[column]) != 1 {
			t.Errorf("%s has types %v", column, types[column])
		}
	}
	if got := slices.Collect(maps.Keys(types["converted.refundRate"])); !slices.Equal(got, []string{"float64"}) {
		t.Errorf("a rate is %v", got)
	}
	if got := slices.Collect(maps.Keys(types["converted.refundCents"])); !slices.Equal(got, []string{"int64"}) {
		t.Errorf("an amount is %v", got)
	}
}
