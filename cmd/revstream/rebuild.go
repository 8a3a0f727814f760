package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"revstream/clickhouse"
)

func rebuildCommand() *cobra.Command {
	tables := clickhouse.DerivedTables()
	choice := append([]string{clickhouse.TableLedger}, tables...)
	return &cobra.Command{
		Use: "rebuild [table]...", Short: "Make derived tables what the ledger says, or the ledger what statements say",
		Long: "Make derived tables what the ledger says, while everything runs. Without a table,\nall of them: " +
			strings.Join(tables, ", ") + ".\n\nThe ledger itself is made what the statements come to, and then the derived tables\nwhat it says, by `rebuild ledger`.",
		ValidArgs: choice, Args: usage(cobra.OnlyValidArgs),
		RunE: withStore(bothEngines, func(command *cobra.Command, args []string, store *clickhouse.Cluster, _ *site) error {
			if len(args) == 0 {
				args = tables
			}
			for _, table := range args {
				bar := newBar("rebuilding " + table)
				repair, err := rebuildTable(command.Context(), store, table, bar.show)
				bar.end()
				if err != nil {
					return fmt.Errorf("rebuilding %s: %w", table, err)
				}
				for _, mended := range slices.Sorted(maps.Keys(repair.Cells)) {
					fmt.Fprintf(command.OutOrStdout(), "%s: %d cells mended\n", mended, repair.Cells[mended])
				}
			}
			return nil
		}),
	}
}

func rebuildTable(ctx context.Context, store *clickhouse.Cluster, table string, show func(clickhouse.RebuildProgress)) (clickhouse.Repair, error) {
	if table == clickhouse.TableLedger {
		return store.RebuildLedger(ctx, show)
	}
	return store.Rebuild(ctx, table, show)
}

// bar shows the progress of a rebuild to people: nothing if standard error is no
// terminal.
type bar struct{ bar *progressbar.ProgressBar }

// barScale is the steps of the bar, in thousandths of the whole.
const barScale = 1000

func newBar(title string) bar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return bar{progressbar.DefaultSilent(barScale)}
	}
	return bar{progressbar.NewOptions(barScale, progressbar.OptionSetDescription(title),
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(40), progressbar.OptionClearOnFinish())}
}

// show takes each slice for an equal part of the work.
func (b bar) show(p clickhouse.RebuildProgress) {
	part := 0.0
	if p.RowsTotal > 0 {
		part = min(1, float64(p.RowsDone)/float64(p.RowsTotal))
	}
	b.set(p.SlicesDone, p.SlicesTotal, part)
}

// set shows so many slices, and the part of another, as done.
func (b bar) set(done, total int, part float64) {
	_ = b.bar.Set(int(barScale * (float64(done) + part) / float64(max(1, total)))) // a closed terminal is no reason to stop
}

func (b bar) end() { _ = b.bar.Finish() }
