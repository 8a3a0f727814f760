package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"revstream/cmd/simulation"
)

// tally adds up what the rounds did and found.
type tally struct {
	options options
	aim     string // how kills are aimed
	rounds  int
	took    time.Duration
	longest time.Duration

	faults map[inflicted]int
	report simulation.Report
	sums   int // of the ledger
	wrong  int // of them
	failed []int
	// alone is how often a process ended that nobody had killed, and was started
	// again: one that came up while what it needs was away.
	alone int
}

func newTally(o options) *tally {
	return &tally{options: o, faults: map[inflicted]int{}}
}

// add takes a round in and says how it went.
func (t *tally) add(number int, o outcome, report simulation.Report, alone int) {
	t.rounds, t.report, t.alone = number, report, alone
	t.longest = max(t.longest, o.took)
	t.sums += o.sums
	t.wrong += o.differences
	verdict := "exact"
	if o.err != nil {
		t.failed = append(t.failed, number)
		verdict = "FAILED"
	}
	var done []string
	for _, f := range o.done {
		t.faults[f]++
		done = append(done, f.victim+" "+string(f.kind))
	}
	fmt.Printf("round %3d  %5.1fs  %6d events  %s  %s\n", number, o.took.Seconds(), report.Events, verdict, strings.Join(done, ", "))
}

// publish prints the report, and writes it to a file as well if there is a name.
func (t *tally) publish(path string) error {
	var text strings.Builder
	t.print(&text)
	fmt.Print(text.String())
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (t *tally) print(out io.Writer) {
	fmt.Fprintf(out, "\nchaos: %d of %d rounds, seed %d, in %v (%.1f s a round, %.1f s at most)\n",
		t.rounds, t.options.rounds, t.options.seed, t.took.Round(time.Second), t.took.Seconds()/float64(max(1, t.rounds)), t.longest.Seconds())
	fmt.Fprintf(out, "kills are aimed %s\n\n", t.aim)

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "victim\tfault\ttimes")
	sorted := slices.SortedFunc(maps.Keys(t.faults), func(a, b inflicted) int {
		return strings.Compare(a.victim+string(a.kind), b.victim+string(b.kind))
	})
	total := 0
	for _, f := range sorted {
		fmt.Fprintf(table, "%s\t%s\t%d\n", f.victim, f.kind, t.faults[f])
		total += t.faults[f]
	}
	fmt.Fprintf(table, "all\t\t%d\n", total)
	_ = table.Flush() // a closed terminal is no reason to fail
	fmt.Fprintln(out)
	differences := len(t.report.Differences) + len(t.report.Inconsistent) + t.wrong
	for _, line := range []struct {
		name  string
		value int64
	}{
		{"events sent and acknowledged", t.report.Events},
		{"deliveries", t.report.Deliveries},
		{"of them duplicates", t.report.Repeated},
		{"attempts without a final answer, sent again", t.report.Retried},
		{"deliveries not acknowledged", int64(len(t.report.Failures))},
		{"processes that ended by themselves, and were started again", int64(t.alone)},
		{"figures of answers compared", int64(t.report.Compared)},
		{"sums of the ledger compared", int64(t.sums)},
		{"rounds in which check found the derived tables equal", int64(t.rounds - len(t.failed))},
		{"rounds that failed", int64(len(t.failed))},
		{"differences", int64(differences)},
	} {
		fmt.Fprintf(table, "%s\t%d\n", line.name, line.value)
	}
	_ = table.Flush()
}
