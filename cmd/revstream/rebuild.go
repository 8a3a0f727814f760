package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"revstream/clickhouse"
)

func rebuildCommand() *cobra.Command {
	tables := clickhouse.DerivedTables()
	return &cobra.Command{
		Use: "rebuild [table]...", Short: "Make derived tables what the ledger says, while everything runs",
		Long: "Make derived tables what the ledger says, while everything runs. Without a table,\nall of them: " +
			strings.Join(tables, ", ") + ".",
		ValidArgs: tables, Args: usage(cobra.OnlyValidArgs),
		RunE: withSite(bothEngines, func(command *cobra.Command, args []string, s *site) error {
			store, err := s.store(command.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = tables
			}
			for _, table := range args {
				bar := newBar("rebuilding " + table)
				repair, err := store.Rebuild(command.Context(), table, bar.show)
				bar.end()
				if err != nil {
					return fmt.Errorf("rebuilding %s: %w", table, err)
				}
				fmt.Fprintf(command.OutOrStdout(), "%s: %d cells mended\n", table, repair.Cells[table])
			}
			return nil
		}),
	}
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
	done := float64(p.SlicesDone)
	if p.RowsTotal > 0 {
		done += min(1, float64(p.RowsDone)/float64(p.RowsTotal))
	}
	_ = b.bar.Set(int(barScale * done / float64(max(1, p.SlicesTotal)))) // a closed terminal is no reason to stop
}

func (b bar) end() { _ = b.bar.Finish() }
