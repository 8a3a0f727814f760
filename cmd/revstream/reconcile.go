package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/reconcile"
)

func reconcileCommand() *cobra.Command {
	var selection pastSelection
	var asJSON bool
	command := &cobra.Command{
		Use: "reconcile [PROVIDER]", Short: "Compare the money that a provider moved with the ledger, by day and currency", Args: usage(cobra.MaximumNArgs(1)),
		Long: "Compare the money that a provider says it moved with the ledger, by day, currency and\n" +
			"flow, and list every difference (exit code 3 if there is any). Stripe says it by its books\n" +
			"(balance transactions), Paddle and Chargebee by their transactions. A payment whose two\n" +
			"sides fall on different days around midnight shows as two differences that cancel. The\n" +
			"service does the same every night (reconciliation.hour); `sources` tells how that ended.",
		PreRunE: func(_ *cobra.Command, args []string) error { return selection.settle(args) },
		RunE: withBooks(func(command *cobra.Command, directory *control.Directory, store *clickhouse.Cluster, _ *site) error {
			connector, past, _, err := selection.past(directory)
			if err != nil {
				return err
			}
			if connector.History.Totals == nil {
				return exitWith(exitUsage, fmt.Errorf("%s does not say what it moved", connector.Title))
			}
			found, err := reconcile.Run(command.Context(), connector, past, selection.window, store.Answers())
			if err != nil {
				return err
			}
			differences := found.Differences
			list := listing{header: "DAY\tCURRENCY\tFLOW\tPROVIDER\tLEDGER\tMISSING", values: append([]clickhouse.TotalDifference{}, differences...)}
			for _, d := range differences {
				list.rows = append(list.rows, []any{d.Day.Format(time.DateOnly), d.Currency, d.Flow, d.Theirs, d.Ours, d.Theirs - d.Ours})
			}
			out := command.OutOrStdout()
			switch {
			case asJSON:
				err = json.NewEncoder(out).Encode(list.values)
			case len(differences) > 0:
				err = list.print(out, false)
			default:
				_, err = fmt.Fprintf(out, "%d totals of %s agree\n", found.Totals, connector.Title)
			}
			if err == nil && len(differences) > 0 {
				return exitWith(exitDifferences, fmt.Errorf("%d differences", len(differences)))
			}
			return err
		}),
	}
	selection.addFlags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}
