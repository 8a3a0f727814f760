package analytics

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/schollz/progressbar/v3"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

// Flags of the benchmark:
//
//	go test ./analytics -run '^$' -bench Answer -entries 10000000 -engine-dir /var/tmp/bench
//	go test ./analytics -run '^$' -bench Answer -entries 100000000 -workspaces 200 -years 3 -engine-dir /var/tmp/large
//
// The questions are about the largest workspace. Ten million entries take some 3 GB and a
// few minutes to make.
var (
	benchEntries    = flag.Int("entries", 200_000, "entries of all the benchmark's workspaces")
	benchWorkspaces = flag.Int("workspaces", 1, "workspaces, of which the largest has the cube root of their share")
	benchYears      = flag.Int("years", 2, "years that the entries are spread over")
	benchDir        = flag.String("engine-dir", "", "folder that keeps the benchmark's data for the next run; none keeps nothing")
)

const benchDatabase = "bench"

// benchApp is the query API on a workspace of -entries entries.
func benchApp(b *testing.B) (*fiber.App, *clickhouse.Store) {
	b.Helper()
	engine := enginetest.Start(b)
	if *benchDir != "" {
		if err := os.MkdirAll(*benchDir, 0o755); err != nil {
			b.Fatal(err)
		}
		var err error
		if engine, err = embedded.Start(b.Context(), enginetest.Config(*benchDir), zap.NewNop()); err != nil {
			b.Fatal(err)
		}
	}
	store := openStore(b, engine, benchDatabase)
	if *benchDir != "" {
		b.Cleanup(func() {
			_ = store.Close()
			// The benchmark's own context is cancelled by now, and the engine is to
			// stop in order.
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := engine.Stop(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	generate(b, engine, store)
	settle(b, engine)
	_, app := newApp(b, store, func(config *Config) { config.HorizonAgeMax = DefaultConfig().HorizonAgeMax })
	return app, store
}

// settle waits until the engine has merged what was loaded in one go: no such load
// is part of the question.
func settle(b *testing.B, engine *embedded.Engine) {
	b.Helper()
	for calm := 0; calm < 10; time.Sleep(200 * time.Millisecond) {
		if enginetest.Exec(b, engine, "SELECT count() FROM system.merges") == "0" {
			calm++
		} else {
			calm = 0
		}
	}
}

// generate fills the ledger inside the engine, a chunk at a time; its views fill
// the rest.
func generate(b *testing.B, engine *embedded.Engine, store *clickhouse.Store) {
	b.Helper()
	const chunk = 250_000
	rows, err := strconv.Atoi(enginetest.Exec(b, engine, "SELECT count() FROM "+benchDatabase+".entries"))
	if err != nil {
		b.Fatal(err)
	}
	held := rows / 102 * 100 // each hundredth entry is three rows
	if held == *benchEntries {
		return
	}
	if held > *benchEntries || held%chunk != 0 || rows%102 != 0 {
		b.Fatalf("the folder has %d rows, which are not %d entries or some chunks of them", rows, *benchEntries)
	}
	taken, err := store.TakeOver(b.Context(), "topic", []int32{0, 1, 2, 3})
	if err != nil {
		b.Fatal(err)
	}
	var epochs []string
	for slice := range int32(4) {
		epochs = append(epochs, fmt.Sprint(taken[slice].Epoch))
	}
	template, err := os.ReadFile("testdata/generate.sql")
	if err != nil {
		b.Fatal(err)
	}
	progress := progressbar.NewOptions(*benchEntries, progressbar.OptionSetDescription("making entries"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(time.Second), progressbar.OptionClearOnFinish())
	for from := held; from < *benchEntries; from += chunk { // a run that was cut off goes on
		until := min(from+chunk, *benchEntries)
		enginetest.Exec(b, engine, fmt.Sprintf(string(template), benchDatabase, from, until,
			strings.Join(epochs, ", "), *benchEntries, *benchWorkspaces, *benchYears))
		_ = progress.Set(until)
	}
	enginetest.Exec(b, engine, "INSERT INTO "+benchDatabase+`.fx_rates SELECT toDate('2022-06-01') + number, 'EUR', 'USD',
		toDecimal128(1.05, 18) + toDecimal128(number % 100, 18) / 1000, 'made up', now64(6) FROM numbers(1600)`)
	_ = progress.Finish()
}

// BenchmarkAnswer times whole requests, through Fiber, in one goroutine. Metrics: the
// median, the 95th and the 99th percentile in milliseconds, and rows read per answer.
func BenchmarkAnswer(b *testing.B) {
	app, _ := benchApp(b)
	for _, question := range []struct{ name, target string }{
		{"revenue all time", "/revenue?workspaceSlug=acme"},
		{"revenue two years and the ones before", "/revenue?workspaceSlug=acme&since=2024-07-01&until=2026-06-30&prevSince=2022-07-01&prevUntil=2024-06-30"},
		{"revenue 30 days and the ones before", "/revenue?workspaceSlug=acme&since=2026-05-02&until=2026-05-31&prevSince=2026-04-02&prevUntil=2026-05-01"},
		{"revenue ragged year", "/revenue?workspaceSlug=acme&since=2025-03-04T05:06:07Z&until=2026-03-04T17:16:15.5Z"},
		{"revenue with series", "/revenue?workspaceSlug=acme&since=2025-07-01&until=2026-06-30&includeSeries=true"},
		{"revenue page 200000", "/revenue?workspaceSlug=acme&page=200000&since=2024-07-01&until=2026-06-30"},
		{"revenue refunds of one provider", "/revenue?workspaceSlug=acme&eventTypes=refund&provider=stripe&page=500"},
		{"revenue last instant's page of 1000", "/revenue?workspaceSlug=acme&pageSize=1000"},
		{"metrics mrr by month", "/v1/metrics/mrr?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30"},
		{"metrics revenue by day in Kolkata", "/v1/metrics/revenue?workspaceSlug=acme&interval=day&since=2025-07-01&until=2026-06-30&timeZone=Asia/Kolkata"},
		{"revenue first page of a plan", "/revenue?workspaceSlug=acme&plan=price_7&since=2026-06-01&until=2026-06-30"},
		{"revenue page 1000 of a provider", "/revenue?workspaceSlug=acme&provider=stripe&page=1000&since=2024-07-01&until=2026-06-30"},
		{"metrics churn by month", "/v1/metrics/churn?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30"},
		{"metrics refunds by month", "/v1/metrics/refunds?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30"},
		{"metrics cohorts by month", "/v1/metrics/cohorts?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30"},
		{"metrics retention by month", "/v1/metrics/retention?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30"},
		{"customers by mrr", "/v1/tables?workspaceSlug=acme&by=customer&since=2026-06-01&until=2026-06-30"},
		{"metrics refunds by month in New York", "/v1/metrics/refunds?workspaceSlug=acme&interval=month&since=2024-07-01&until=2026-06-30&timeZone=America/New_York"},
	} {
		b.Run(question.name, func(b *testing.B) { benchmarkQuestion(b, app, question.target) })
	}
}

func benchmarkQuestion(b *testing.B, app *fiber.App, target string) {
	var took []time.Duration
	rowsRead := ""
	for b.Loop() {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("X-Api-Key", readKey)
		began := time.Now()
		response, err := app.Test(request, -1)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(response.Body)
			b.Fatalf("%d %s", response.StatusCode, body)
		}
		rowsRead = response.Header.Get(HeaderRowsRead)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
	rows, err := strconv.ParseFloat(rowsRead, 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(rows, "rows/answer")
}
