package analytics

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// knownAt are the statements that were received by a moment.
func knownAt(events []revenue.Event, asOf time.Time) []revenue.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e revenue.Event) bool { return e.ReceivedAt.After(asOf) })
}

// received makes arrival a matter of chance: most statements come at once, some days
// late, corrections after what they correct.
func received(random *rand.Rand, events []revenue.Event) []revenue.Event {
	for i := range events {
		e := &events[i]
		e.ReceivedAt = e.OccurredAt.Add(5 * time.Second)
		if random.IntN(4) == 0 {
			e.ReceivedAt = e.ReceivedAt.Add(time.Duration(random.Int64N(int64(20 * dayLength)))).Truncate(time.Microsecond)
		}
		if e.Version > 1 {
			e.ReceivedAt = e.ReceivedAt.Add(time.Duration(1+random.IntN(30)) * dayLength)
		}
	}
	return events
}

// An answer as of a moment is the answer over what was received by then, worked out
// by the fold alone, whatever came later.
func TestRandomAsOf(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 250))
	f := newFixture(t)
	f.write(events...)
	f.euroRates()
	changed := 0
	for n := range 30 {
		period, provider := randomPeriod(random), []string{"", "stripe"}[random.IntN(2)]
		asOf := at("2026-01-05").Add(time.Duration(random.Int64N(int64(120 * dayLength)))).Truncate(time.Microsecond)
		entries := believed(knownAt(events, asOf))
		parameters := fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&pageSize=1000&sortOrder=asc&eventTypes=%s&asOf=%s",
			escape(period.Since), escape(period.Until), allKinds, escape(asOf))
		if provider != "" {
			parameters += "&provider=" + provider
		}
		answer := get[RevenueAnswer](f, PathRevenue, parameters)
		want := naiveSummary(entries, period, provider)
		if !reflect.DeepEqual(answer.Summary, want) {
			t.Fatalf("seed %d %d %s\n%+v\nwant\n%+v", seed, n, parameters, answer.Summary, want)
		}
		items := naiveItems(entries, period, provider, listedKinds[:])
		if answer.Total != int64(len(items)) || !slices.Equal(itemsOf(answer.Items), items) {
			t.Fatalf("seed %d %d %s: %d items of %d, want %d", seed, n, parameters, len(answer.Items), answer.Total, len(items))
		}
		if !reflect.DeepEqual(want, naiveSummary(believed(events), period, provider)) {
			changed++
		}
		series := get[MRRSeries](f, PathMetricsMRR, fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&interval=week&asOf=%s",
			escape(period.Since), escape(period.Until), escape(asOf)))
		if got, want := series.Series[len(series.Series)-1].MRRCents, naiveSummary(entries, period, "").MRRCents; got != want {
			t.Fatalf("seed %d %d: MRR %d as of %v, want %d", seed, n, got, asOf, want)
		}
	}
	if changed < 10 {
		t.Errorf("only %d of the answers were others than today's: the test shows little", changed)
	}
}

// asOf is what was known at a moment, to read: a late payment, a correction, a
// deletion and a corrected exchange rate.
func TestAsOfByHand(t *testing.T) {
	f := newFixture(t)
	f.write(
		// 10.00 paid and known on the 1st, corrected to 12.00 on the 5th, deleted on the 9th.
		charge("a", "2026-03-01T10:00:00Z", 1000),
		charge("a", "2026-03-01T10:00:00Z", 1200, version(2, "2026-03-05T00:00:00Z")),
		charge("a", "2026-03-01T10:00:00Z", 0, version(3, "2026-03-09T00:00:00Z"), deleted),
		// 5.00 paid on the 2nd, known on the 7th only.
		charge("b", "2026-03-02T10:00:00Z", 500, version(1, "2026-03-07T00:00:00Z")),
		// 1.00 EUR paid and known on the 3rd.
		charge("c", "2026-03-03T10:00:00Z", 100, in("EUR")),
		// 20.00 a month from the 2nd on; that it ends on the 20th is known on the 8th.
		state("d", "2026-03-02T00:00:00Z", 2000),
		state("d", "2026-03-08T00:00:00Z", 2000, cancelRequested("2026-03-08T00:00:00Z"), ends("2026-03-20T00:00:00Z")),
	)
	// A euro was 1.10 dollars until it was corrected to 1.30 on the 6th.
	f.rateKnown("2026-03-01", "1.1", "2026-03-01T00:00:00Z")
	f.rateKnown("2026-03-01", "1.3", "2026-03-06T00:00:00Z")
	for _, test := range []struct {
		asOf       string
		gross, mrr int64
	}{
		{"2026-03-01T10:00:04Z", 0, 0},              // received five seconds after it was paid
		{"2026-03-01T10:00:05Z", 1000, 0},           // that instant included
		{"2026-03-02", 1000, 2000},                  // the whole day
		{"2026-03-03", 1000 + 110, 2000},            //
		{"2026-03-04T23:59:59.999999Z", 1110, 2000}, //
		{"2026-03-05T00:00:00Z", 1200 + 110, 2000},  // corrected
		{"2026-03-06T00:00:00Z", 1200 + 130, 2000},  // the rate, too
		{"2026-03-07", 1200 + 130 + 500, 2000},      // the late one
		{"2026-03-08T00:00:04Z", 1200 + 630, 2000},  // the end of d is not known yet
		{"2026-03-08T00:00:05Z", 1200 + 630, 0},     // now it is
		{"2026-03-09", 630, 0},                      // a never was
		{"2026-06-30T00:00:00Z", 630, 0},            //
	} {
		answer := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&until=2026-03-31&asOf="+test.asOf)
		if answer.Summary.GrossRevenueCents != test.gross || answer.Summary.MRRCents != test.mrr {
			t.Errorf("as of %s: gross %d and MRR %d, want %d and %d", test.asOf, answer.Summary.GrossRevenueCents,
				answer.Summary.MRRCents, test.gross, test.mrr)
		}
	}
	for _, asOf := range []string{"2026-07-01T12:00:00.000001Z", "2026-07-01", "yesterday"} {
		if response := f.ask(PathRevenue, "workspaceSlug=acme&asOf="+asOf); response.StatusCode != http.StatusBadRequest {
			t.Errorf("as of %s: %d", asOf, response.StatusCode)
		}
	}
}

// rateKnown stores a rate of the euro in dollars that is known from a moment on.
func (f *fixture) rateKnown(day, rate, from string) {
	f.t.Helper()
	f.exec("INSERT INTO %s.fx_rates SELECT '%s', 'EUR', 'USD', toDecimal128('%s', 18), 'test', toDateTime64('%s', 6, 'UTC')",
		f.database, day, rate, at(from).Format("2006-01-02 15:04:05"))
}

// Same question, same moment, same answer: byte by byte, while late events and
// corrections come, after merges, and after every derived table was rebuilt.
func TestAsOfIsForEver(t *testing.T) {
	const seed = 12
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, randomEvents(random, 120))
	asOf := at("2026-02-20T12:34:56.789Z")
	f := newFixture(t)
	f.write(knownAt(events, asOf)...)
	f.euroRates()
	questions := []struct{ path, parameters string }{
		{PathRevenue, "workspaceSlug=acme&includeSeries=true&pageSize=50&since=2026-01-03T04:05:06Z&prevSince=2026-01-01&prevUntil=2026-01-20&asOf=" + escape(asOf)},
		{PathRevenue, "workspaceSlug=acme&page=2&sortBy=amountCents&asOf=" + escape(asOf)},
		{PathMetricsMRR, "workspaceSlug=acme&interval=week&since=2026-01-01&asOf=" + escape(asOf)},
		{PathMetricsRevenue, "workspaceSlug=acme&timeZone=Asia/Kolkata&since=2026-01-01&asOf=" + escape(asOf)},
		{PathMetricsRefunds, "workspaceSlug=acme&interval=quarter&asOf=" + escape(asOf)},
		{PathMetricsRefunds, "workspaceSlug=acme&interval=month&refundBasis=original&asOf=" + escape(asOf)},
		{PathRetention, "workspaceSlug=acme&interval=month&profile=revenuecat&asOf=" + escape(asOf)},
		{PathCohorts, "workspaceSlug=acme&interval=month&asOf=" + escape(asOf)},
		{PathCohorts, "workspaceSlug=acme&interval=month&measure=revenue&asOf=" + escape(asOf)},
		{PathCommitted, "workspaceSlug=acme&interval=month&asOf=" + escape(asOf)},
		{PathChurn, "workspaceSlug=acme&interval=month&asOf=" + escape(asOf)},
		{PathTables, "workspaceSlug=acme&by=provider&asOf=" + escape(asOf)},
	}
	ask := func() (answers []string) {
		for _, question := range questions {
			response := f.ask(question.path, question.parameters)
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %s %v", question.parameters, response.StatusCode, body, err)
			}
			answers = append(answers, string(body))
		}
		return answers
	}
	before, today := ask(), get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary
	// A rate of that time that is known later is in no answer as of then, and is in today's.
	f.rateKnown("2026-01-15", "7", "2026-05-01T00:00:00Z")
	if reflect.DeepEqual(today, get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary) {
		t.Error("the rate changes nothing today: the test shows nothing")
	}
	for i, answer := range ask() {
		if answer != before[i] {
			t.Errorf("with a later rate %s says\n%s\nand said\n%s", questions[i].parameters, answer, before[i])
		}
	}
	// What came later, as the sink would add it: the rows that the ledger lacks.
	f.writeMissing(events)
	f.rateKnown("2026-01-20", "5", "2026-05-01T00:00:00Z")
	if reflect.DeepEqual(today, get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme").Summary) {
		t.Error("nothing came later: the test shows nothing")
	}
	check := func(when string) {
		for i, answer := range ask() {
			if answer != before[i] {
				t.Errorf("%s %s says\n%s\nand said\n%s", when, questions[i].parameters, answer, before[i])
			}
		}
	}
	check("after late events and corrections")
	f.exec("OPTIMIZE TABLE %s.entries FINAL", f.database)
	f.exec("OPTIMIZE TABLE %s.fx_rates FINAL", f.database)
	check("after merges")
	f.exec("TRUNCATE TABLE %s.entries", f.database)
	if _, err := f.store.Rebuild(t.Context(), "entries", nil); err != nil {
		t.Fatal(err)
	}
	check("after a rebuild")
}
