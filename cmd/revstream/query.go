package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"revstream/analytics"
	"revstream/analytics/alerts"
	"revstream/ingest/stream"
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
		Store: p.store.Answers(), Directory: p.directory, Slices: int(p.config.Kafka.Partitions), Registerer: p.registry, Log: p.log.Named("query"),
	})
	if err != nil {
		return fmt.Errorf("preparing the query API: %w", err)
	}
	server.Routes(p.app)
	p.documents = append(p.documents, analytics.OpenAPI())
	return p.startAlerts(server)
}

// startAlerts begins to tell subscribers, if of all processes that answer it is this one
// that leads.
func (p *process) startAlerts(figures *analytics.Server) error {
	log := p.log.Named("alerts")
	notifier, err := alerts.New(p.config.Alerts, alerts.Dependencies{
		Store: p.store, Directory: p.directory, Figures: figures, Slices: int(p.config.Kafka.Partitions), Registerer: p.registry, Log: log,
	})
	if err != nil {
		return fmt.Errorf("preparing alerts: %w", err)
	}
	leader := stream.Leader{Group: p.config.Alerts.Group, Topic: p.config.Kafka.ControlTopic}
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leader.Run(ctx, p.config.Kafka, log, p.registry, notifier.Run) }()
	p.stops.add("alerts", func(ctx context.Context) error {
		leave()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return nil
}
