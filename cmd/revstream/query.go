package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"revstream/analytics"
)

func queryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "query", Short: "Run the answers alone: the query API on ClickHouse", Args: usage(cobra.NoArgs),
		Long: "Run the answers alone: the query API on ClickHouse. It needs clickhouse.addresses\nor clickhouse.shards, and kafka.brokers for the API keys.",
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if err := needsClusters(config); err != nil {
				return err
			}
			folder := roleFolder(config, "query")
			return inProcess(command, config, folder, func(ctx context.Context, p *process) error {
				if err := p.openStore(ctx, "query"); err != nil {
					return err
				}
				if err := p.openDirectory(ctx, folder, "query"); err != nil {
					return err
				}
				return p.startQuery()
			})
		}),
	}
}

// startQuery mounts the query API.
func (p *process) startQuery() error {
	server, err := analytics.New(p.config.Query, analytics.Dependencies{
		Store: p.store.Answers(), Directory: p.directory, Registerer: p.registry, Log: p.log.Named("query"),
	})
	if err != nil {
		return fmt.Errorf("preparing the query API: %w", err)
	}
	server.Routes(p.app)
	p.documents = append(p.documents, analytics.OpenAPI())
	return nil
}
