package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"revstream/connectors/registry"
	"revstream/ingest"
	"revstream/ingest/stream"
)

func ingestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ingest", Short: "Run acceptance alone: from HTTP into Kafka", Args: usage(cobra.NoArgs),
		Long: "Run acceptance alone: from HTTP into Kafka. It needs kafka.brokers and no database.",
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if err := needsKafka(config); err != nil {
				return &configError{err}
			}
			folder := roleFolder(config, "ingest")
			return inProcess(command, config, folder, func(ctx context.Context, p *process) error {
				if err := stream.EnsureTopics(ctx, p.config.Kafka); err != nil {
					return fmt.Errorf("preparing the topics: %w", err)
				}
				if err := p.openDirectory(ctx, folder, "ingest"); err != nil {
					return err
				}
				if err := p.openTables(ctx, folder); err != nil {
					return err
				}
				return p.startIngest(folder)
			})
		}),
	}
}

// ingestTables are the local copies of what acceptance looks up.
type ingestTables struct {
	messages, transactions, idempotency, placements *stream.Table
}

// openTables materialises them below the folder.
func (p *process) openTables(ctx context.Context, folder string) error {
	kafka := p.config.Kafka
	for _, wanted := range []struct {
		topic string
		table **stream.Table
	}{
		{kafka.MessagesTopic, &p.tables.messages},
		{kafka.TransactionsTopic, &p.tables.transactions},
		{kafka.IdempotencyTopic, &p.tables.idempotency},
		{kafka.PlacementsTopic, &p.tables.placements},
	} {
		var err error
		if *wanted.table, err = p.openTable(ctx, wanted.topic, folder); err != nil {
			return err
		}
	}
	return nil
}

// clockFile lies in the folder of a process that accepts.
const clockFile = "clock"

// startIngest mounts the doors through which revenue comes in. The folder keeps how
// far the clock has come.
func (p *process) startIngest(folder string) error {
	log := p.log.Named("ingest")
	producer, err := stream.NewProducer(p.config.Kafka, p.registry, log)
	if err != nil {
		return fmt.Errorf("opening the producer: %w", err)
	}
	p.stops.add("producer", producer.Close)
	server, err := ingest.New(p.config.Ingest, ingest.Dependencies{
		Producer: producer, Directory: p.directory, Registerer: p.registry, Log: log,
		Messages: p.tables.messages, Transactions: p.tables.transactions, Idempotency: p.tables.idempotency,
		Placements: p.tables.placements,
		Connectors: registry.New(p.config.Stripe, p.registry), APIs: registry.APIs(), ClockFile: filepath.Join(folder, clockFile),
	})
	if err != nil {
		return fmt.Errorf("preparing acceptance: %w", err)
	}
	server.Routes(p.app)
	p.documents = append(p.documents, ingest.OpenAPI())

	p.background("sweep of idempotency keys", server.Run)
	return nil
}
