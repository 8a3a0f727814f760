package simulation

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run did and found.
type Report struct {
	Seed  uint64    `json:"seed"`
	Run   string    `json:"run"`
	Until time.Time `json:"until"`

	Stories    int   `json:"stories"`
	Events     int64 `json:"events"` // repetitions not counted
	Deliveries int64 `json:"deliveries"`
	// Repeated deliveries were made again on purpose, Retried attempts because there
	// was no answer, or none that was final.
	Repeated int64          `json:"repeated"`
	Retried  int64          `json:"retried"`
	PerDoor  map[Door]int64 `json:"per_door"`
	// Took is how long sending took, Settled how long after it everything was in
	// the answers.
	Took    time.Duration `json:"took"`
	Settled time.Duration `json:"settled"`

	// Failures are deliveries that were not acknowledged as they should have been.
	Failures []Failure `json:"failures,omitempty"`
	// Compared is how many figures were, Differences are those that differ, and
	// Inconsistent says which answers contradict themselves.
	Compared     int          `json:"compared"`
	Differences  []Difference `json:"differences,omitempty"`
	Inconsistent []string     `json:"inconsistent,omitempty"`
	// Lines are the figures of the history, all providers together.
	Lines []Line `json:"figures,omitempty"`

	sentAt  time.Time
	lastAck time.Time
}

// Line is a figure of the history: the truth and what the service says.
type Line struct {
	Figure string `json:"figure"`
	Truth  int64  `json:"truth"`
	Answer int64  `json:"answer"`
}

// Exact reports whether everything was told and every figure compared agrees.
func (r *Report) Exact() bool {
	return len(r.Failures) == 0 && len(r.Differences) == 0 && len(r.Inconsistent) == 0
}

// Bounds of how much of a long list is printed.
const (
	failuresShown    = 10
	differencesShown = 40
)

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	if r.Stories == 0 {
		return // nothing was done
	}
	fmt.Fprintf(out, "run %s, seed %d: %d events of %d stories in %v (%.0f/s), %d deliveries, %d of them repetitions; %d attempts were repeated\n",
		r.Run, r.Seed, r.Events, r.Stories, r.Took.Round(time.Millisecond), float64(r.Events)/max(r.Took.Seconds(), 0.001),
		r.Deliveries, r.Repeated, r.Retried)
	for _, door := range Doors {
		if events := r.PerDoor[door]; events > 0 {
			fmt.Fprintf(out, "  %-12s %d events\n", door, events)
		}
	}
	r.printFailures(out)
	if r.Compared > 0 {
		fmt.Fprintf(out, "everything was in the answers %v after the last delivery\n", r.Settled.Round(time.Millisecond))
		r.printLines(out)
		r.printDifferences(out)
	}
}

func (r *Report) printFailures(out io.Writer) {
	for i, f := range r.Failures {
		if i == failuresShown {
			fmt.Fprintf(out, "  … and %d more\n", len(r.Failures)-i)
			break
		}
		what := "refused"
		if f.Ambiguous {
			what = "without an answer"
		}
		fmt.Fprintf(out, "FAILED %s %s, %s: %s\n  body: %s\n", f.Door, f.Label, what, f.Error, f.Body)
	}
}

func (r *Report) printLines(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "figure of the history\ttruth\tanswer\tdifference\t")
	for _, line := range r.Lines {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n", line.Figure, shown(line.Figure, line.Truth), shown(line.Figure, line.Answer),
			shown(line.Figure, line.Answer-line.Truth))
	}
	_ = table.Flush() // a closed terminal is no reason to fail
}

func (r *Report) printDifferences(out io.Writer) {
	for _, text := range r.Inconsistent {
		fmt.Fprintf(out, "CONTRADICTION %s\n", text)
	}
	for i, d := range r.Differences {
		if i == differencesShown {
			fmt.Fprintf(out, "  … and %d more\n", len(r.Differences)-i)
			break
		}
		fmt.Fprintf(out, "DIFFERENCE %s %s: %s is %s, and should be %s (%s too much)\n", d.Endpoint, d.Range, d.Figure,
			shown(d.Figure, d.Answer), shown(d.Figure, d.Truth), shown(d.Figure, d.Answer-d.Truth))
	}
	fmt.Fprintf(out, "%d figures compared, %d differ\n", r.Compared, len(r.Differences))
}

// String names the range for people.
func (r Range) String() string {
	text := r.Since.Format(time.RFC3339Nano) + " to " + r.Until.Format(time.RFC3339Nano)
	if r.Door != "" {
		text += " of " + string(r.Door)
	}
	return text
}

// shown writes a figure: amounts with decimals, MRR with all of them, counts as
// they are. The decimals are those of a currency with cents.
func shown(name string, value int64) string {
	switch {
	case strings.HasSuffix(name, " in cents"):
		return decimal(value)
	case strings.HasSuffix(name, "MRR"):
		return mrrDecimal(value)
	}
	for _, amount := range []figure{figureGross, figureRefunds, figureNet, figureRecurringNet, figureTax, figureFees,
		figureDiscounts, figureDisputes, figureDisputeReversals} {
		if figureNames[amount] == name {
			return decimal(value)
		}
	}
	return fmt.Sprint(value)
}
