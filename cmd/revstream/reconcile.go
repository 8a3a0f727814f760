package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/ingest/backfill"
)

func reconcileCommand() *cobra.Command {
	var selection pastSelection
	var asJSON bool
	command := &cobra.Command{
		Use: "reconcile", Short: "Compare the money that a provider moved with the ledger, by day and currency", Args: usage(cobra.NoArgs),
		Long: "Compare the money that a provider says it moved with the ledger, by day, currency and\n" +
			"flow, and list every difference (exit code 3 if there is any). A payment whose two sides\n" +
			"fall on different days around midnight shows as two differences that cancel.",
		PreRunE: func(*cobra.Command, []string) error { return selection.settle() },
		RunE: withSite(bothEngines, func(command *cobra.Command, _ []string, s *site) error {
			ctx := command.Context()
			directory, err := s.directory(ctx)
			if err != nil {
				return err
			}
			connector, past, _, err := selection.past(directory)
			if err != nil {
				return err
			}
			if connector.History.Totals == nil {
				return exitWith(exitUsage, fmt.Errorf("%s does not say what it moved", connector.Title))
			}
			theirs, err := connector.History.Totals(ctx, past, selection.window)
			if err != nil {
				return fmt.Errorf("asking %s: %w", connector.Title, err)
			}
			store, err := s.store(ctx)
			if err != nil {
				return err
			}
			account := past.Delivery.Account
			if past.Connected != "" {
				account = past.Connected
			}
			rows, err := store.Answers().ProviderTotals(ctx, clickhouse.ProviderAccount{
				Workspace: past.Delivery.Workspace, Provider: connector.Provider, Account: account, Livemode: past.Delivery.Livemode,
			}, selection.window.From, selection.window.Until)
			if err != nil {
				return err
			}
			ours := make([]connectors.DayTotal, len(rows))
			for i, r := range rows {
				ours[i] = connectors.DayTotal{Day: r.Day.UTC(), Currency: r.Currency, Flow: r.Flow, Amount: r.Amount}
			}
			differences := backfill.Compare(theirs, ours)
			list := listing{header: "DAY\tCURRENCY\tFLOW\tPROVIDER\tLEDGER\tMISSING", values: append([]backfill.Difference{}, differences...)}
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
				_, err = fmt.Fprintf(out, "%d totals of %s agree\n", len(theirs), connector.Title)
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
