package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"revstream/analytics/rates"
	"revstream/clickhouse"
)

func ratesCommand() *cobra.Command {
	return commandGroup("rates", "Load and list exchange rates", ratesLoadCommand(), ratesListCommand())
}

func ratesLoadCommand() *cobra.Command {
	var source string
	command := &cobra.Command{
		Use: "load <file>...", Short: "Load exchange rates; - is standard input",
		Long: "Load exchange rates, from the European Central Bank's eurofxref.csv or\neurofxref-hist.csv, or from a table with the first line day,base,quote,rate (one\n" +
			"unit of base was worth rate units of quote). Nothing of a file is taken unless\nall of it is good. What was loaded before stays on record, and what is loaded\n" +
			"later goes before it.\n\nThe bank publishes at\nhttps://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates",
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: withStore(bothEngines, func(command *cobra.Command, args []string, store *clickhouse.Cluster, _ *site) error {
			for _, name := range args {
				loaded, err := readRates(command, name, source)
				if err != nil {
					return fmt.Errorf("reading %s: %w", name, err)
				}
				if err := store.InsertRates(command.Context(), loaded); err != nil {
					return fmt.Errorf("loading %s: %w", name, err)
				}
				fmt.Fprintf(command.OutOrStdout(), "%s: %d rates loaded\n", name, len(loaded))
			}
			return nil
		}),
	}
	command.Flags().StringVar(&source, "source", "", "who says so, as noted with each rate (default ecb, or file for a table)")
	return command
}

func readRates(command *cobra.Command, name, source string) ([]clickhouse.Rate, error) {
	from := command.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it was only read
		from = file
	}
	return rates.Read(from, source)
}

func ratesListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the pairs of currencies, and the newest rate of each", Args: usage(cobra.NoArgs),
		RunE: withStore(bothEngines, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, _ *site) error {
			pairs, err := store.Answers().LatestRates(command.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "BASE\tQUOTE\tRATE\tOF\tSINCE\tDAYS\tSOURCE")
			for _, pair := range pairs {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", pair.Base, pair.Quote, pair.Rate,
					pair.Last.Format(time.DateOnly), pair.First.Format(time.DateOnly), pair.Days, pair.Source)
			}
			return table.Flush()
		}),
	}
}
