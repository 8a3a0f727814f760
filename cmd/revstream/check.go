package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"revstream/clickhouse"
	"revstream/ingest/stream"
)

const checkHelp = `Fold all statements anew and compare the ledger with what they come to, every derived
table with the ledger, and the sink's position with Kafka, without changing anything,
while everything runs.

Exits with 3 if a table differs, if Kafka has dropped records that
were never stored, or if, with --wait, the sink does not catch up in time. That the
sink is behind is otherwise no difference: answers say how fresh they are.`

func checkCommand() *cobra.Command {
	var wait time.Duration
	var asJSON, derivedOnly bool
	command := &cobra.Command{
		Use: "check", Short: "Compare statements, ledger and derived tables, and the sink with Kafka", Long: checkHelp,
		Args: usage(cobra.NoArgs),
		RunE: withStore(bothEngines, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, s *site) error {
			ctx := command.Context()
			positions, reached, err := s.caughtUp(ctx, wait)
			if err != nil {
				return err
			}
			report, err := compareTables(ctx, store, derivedOnly)
			if err != nil {
				return err
			}
			outcome, err := s.checkOutcome(ctx, store, report, positions)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(command.OutOrStdout()).Encode(outcome)
			} else {
				err = outcome.print(command.OutOrStdout())
			}
			if err == nil && wait > 0 && !reached {
				err = exitWith(exitDifferences, fmt.Errorf("the sink has not stored everything within %v", wait))
			}
			if err == nil && !outcome.OK {
				err = exitWith(exitDifferences, errors.New("there are differences"))
			}
			return err
		}),
	}
	command.Flags().DurationVar(&wait, "wait", 0, "first wait this long for the sink to store what is accepted now")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().BoolVar(&derivedOnly, "derived-only", false, "do not fold all statements anew, which takes long where there are many")
	return command
}

// compareTables compares the derived tables with the ledger, and the ledger with the
// statements.
func compareTables(ctx context.Context, store *clickhouse.Cluster, derivedOnly bool) (clickhouse.Report, error) {
	report, err := store.Check(ctx)
	if err != nil || derivedOnly {
		return report, wrapped("comparing tables", err)
	}
	bar := newBar("folding all statements anew")
	defer bar.end()
	ledger, err := store.CheckLedger(ctx, func(p clickhouse.AuditProgress) { bar.set(p.SlicesDone, p.SlicesTotal, 0) })
	report.Rows += ledger.Rows
	report.Differences = append(ledger.Differences, report.Differences...)
	for table, groups := range ledger.Cells {
		report.Cells[table] = groups
	}
	return report, wrapped("comparing the ledger with its statements", err)
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// checkedTables are those that check compares.
func checkedTables() []string {
	return append([]string{clickhouse.TableLedger}, clickhouse.DerivedTables()...)
}

// caughtUpPause is between two looks at how far the sink is.
const caughtUpPause = 200 * time.Millisecond

// caughtUp waits until the sink has committed what Kafka has now, at most as long
// as given, and returns where it is then.
func (s *site) caughtUp(ctx context.Context, wait time.Duration) (at map[int32]stream.Position, reached bool, err error) {
	deadline := time.Now().Add(wait)
	var goal map[int32]stream.Position
	for {
		positions, err := stream.Positions(ctx, s.config.Kafka, s.config.Sink.Groups(s.config.ClickHouse.ShardCount())...)
		if err != nil {
			return nil, false, err
		}
		if goal == nil {
			goal = positions
		}
		reached = true
		for slice, position := range goal {
			reached = reached && (positions[slice].Committed >= position.End || position.Lag() == 0)
		}
		if reached || !time.Now().Before(deadline) {
			return positions, reached, nil
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(caughtUpPause):
		}
	}
}

// checkOutcome is what check prints.
type checkOutcome struct {
	OK          bool                    `json:"ok"`
	Rows        uint64                  `json:"rows_compared"`
	Tables      map[string]int64        `json:"differing_cells"`
	Differences []clickhouse.Difference `json:"differences"`
	Slices      []sliceOutcome          `json:"slices"`
	// Gaps are lost for good, and somebody has accepted that.
	Gaps []clickhouse.LostRange `json:"accepted_gaps"`
}

// sliceOutcome is where a slice is; all are offsets.
type sliceOutcome struct {
	Slice     int32 `json:"slice"`
	Start     int64 `json:"kafka_start"`
	Stored    int64 `json:"stored"`
	Committed int64 `json:"committed"`
	End       int64 `json:"kafka_end"`
	Lag       int64 `json:"lag"`
	// Lost says that Kafka no longer has records that were never stored.
	Lost bool `json:"lost"`
}

func (s *site) checkOutcome(ctx context.Context, store *clickhouse.Cluster, report clickhouse.Report, positions map[int32]stream.Position) (checkOutcome, error) {
	outcome := checkOutcome{OK: report.OK(), Rows: report.Rows, Tables: map[string]int64{}, Differences: report.Differences}
	for _, table := range checkedTables() {
		outcome.Tables[table] = report.Cells[table]
	}
	var err error
	if outcome.Gaps, err = store.Gaps(ctx); err != nil {
		return outcome, err
	}
	topicID, err := stream.TopicID(ctx, s.config.Kafka, s.config.Kafka.EventsTopic)
	if err != nil {
		return outcome, err
	}
	numbers := slices.Sorted(maps.Keys(positions))
	stored, err := store.NextOffsets(ctx, topicID, numbers)
	if err != nil {
		return outcome, fmt.Errorf("reading what is stored: %w", err)
	}
	for _, slice := range numbers {
		p := positions[slice]
		lost := p.Start > max(p.Committed, stored[slice], 0)
		outcome.OK = outcome.OK && !lost
		outcome.Slices = append(outcome.Slices, sliceOutcome{
			Slice: slice, Start: p.Start, Stored: stored[slice], Committed: p.Committed, End: p.End, Lag: p.Lag(), Lost: lost,
		})
	}
	return outcome, nil
}

func (o checkOutcome) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TABLE\tDIFFERING CELLS")
	for _, name := range checkedTables() {
		fmt.Fprintf(table, "%s\t%d\n", name, o.Tables[name])
	}
	if len(o.Differences) > 0 {
		fmt.Fprintln(table, "\nTABLE\tSLICE\tWORKSPACE\tBUCKET\tCELL\tMISSING")
		for _, d := range o.Differences {
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%v\n", d.Table, d.Slice, d.Workspace, d.Bucket.Format(time.RFC3339), d.Cell, d.Missing)
		}
	}
	fmt.Fprintln(table, "\nSLICE\tKAFKA START\tSTORED\tCOMMITTED\tKAFKA END\tBEHIND\t")
	for _, s := range o.Slices {
		note := ""
		if s.Lost {
			note = "records before KAFKA START were never stored"
		}
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t%s\n", s.Slice, s.Start, s.Stored, s.Committed, s.End, s.Lag, note)
	}
	fmt.Fprintf(table, "\n%d rows compared\n", o.Rows)
	if err := table.Flush(); err != nil || len(o.Gaps) == 0 {
		return err
	}
	fmt.Fprintln(out, "\nlost and accepted:")
	return listGaps(o.Gaps).print(out, false)
}
