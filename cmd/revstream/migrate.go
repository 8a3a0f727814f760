package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"revstream/ingest/stream"
)

func migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the topics and the ClickHouse schema up to date", Args: usage(cobra.NoArgs),
		Long: "Bring the topics and the ClickHouse schema up to date. \"revstream run\" does it\nby itself; for clusters, run it once before the roles of a new version.",
		RunE: withSite(bothEngines, func(command *cobra.Command, _ []string, s *site) error {
			ctx := command.Context()
			if err := stream.EnsureTopics(ctx, s.config.Kafka); err != nil {
				return fmt.Errorf("preparing the topics: %w", err)
			}
			store, err := s.unmade(ctx)
			if err != nil {
				return err
			}
			if err := store.Migrate(ctx); err != nil {
				return fmt.Errorf("migrating ClickHouse: %w", err)
			}
			fmt.Fprintln(command.OutOrStdout(), "topics and schema are up to date")
			return nil
		}),
	}
}
