package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/connectors/registry"
	"revstream/ingest/archive"
	"revstream/ingest/reconcile"
	"revstream/ingest/sink"
	"revstream/ingest/stream"
)

func sinkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sink", Short: "Run the sink alone: from Kafka into the ledger", Args: usage(cobra.NoArgs),
		Long: "Run the sink alone: from Kafka into the ledger. It needs kafka.brokers and\nclickhouse.addresses or clickhouse.shards, and shares the partitions with the other\nsinks of its group.",
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if err := needsClusters(config); err != nil {
				return err
			}
			folder := roleFolder(config, "sink")
			return inProcess(command, config, folder, func(ctx context.Context, p *process) error {
				if err := stream.EnsureTopics(ctx, p.config.Kafka); err != nil {
					return fmt.Errorf("preparing the topics: %w", err)
				}
				if err := p.openStore(ctx, "sink"); err != nil {
					return err
				}
				if err := p.openDirectory(ctx, folder, "sink"); err != nil {
					return err
				}
				return p.startSink(p.failed)
			})
		}),
	}
}

// startSink begins to bring statements into the ledger, with a sink for each shard.
// failed gets the reason if one ends by itself, which only needs people: everything
// else it retries.
func (p *process) startSink(failed chan<- error) error {
	letters, err := stream.NewProducer(p.config.Kafka, nil, p.log.Named("sink"))
	if err != nil {
		return fmt.Errorf("opening the producer of dead letters: %w", err)
	}
	p.stops.add("producer of dead letters", letters.Close)
	for shard := range p.store.Shards() {
		if err := p.startSinkOf(shard, letters.Quarantine, failed); err != nil {
			return err
		}
	}
	if err := p.startArchive(letters.Quarantine, failed); err != nil {
		return err
	}
	return p.startReconciliation()
}

// startReconciliation begins to compare what providers moved with the ledger once a day.
func (p *process) startReconciliation() error {
	nightly, err := reconcile.NewNightly(p.config.Reconciliation, p.directory, registry.New(p.config.Stripe, nil), p.store, p.registry, p.log.Named("reconcile"))
	if err != nil {
		return fmt.Errorf("preparing reconciliation: %w", err)
	}
	p.background("reconciliation", nightly.Run)
	return nil
}

// startArchive begins to bring webhook deliveries into ClickHouse as they came in.
func (p *process) startArchive(quarantine sink.Quarantine, failed chan<- error) error {
	keeper, err := archive.New(p.config.Archive, p.config.Kafka, p.store, quarantine, p.registry, p.log.Named("archive"))
	if err != nil {
		return fmt.Errorf("making the archive: %w", err)
	}
	p.background("archive", func(ctx context.Context) {
		if err := keeper.Run(ctx); err != nil {
			failed <- fmt.Errorf("the archive has ended: %w", err)
		}
	})
	return nil
}

// startSinkOf starts the sink of one shard, counted from 0.
func (p *process) startSinkOf(shard int, quarantine sink.Quarantine, failed chan<- error) error {
	name, shards := ofShard("sink", shard, p.store), len(p.store.Shards())
	client, log, registerer := "sink", p.log.Named("sink"), prometheus.Registerer(p.registry)
	if shards > 1 {
		number := strconv.Itoa(shard + 1)
		client += "-" + number // told apart as all clients are: metrics of one name have the same labels
		log, registerer = log.With(zap.String("shard", number)), prometheus.WrapRegistererWith(prometheus.Labels{"shard": number}, registerer)
	}
	opts, err := stream.ConsumerOpts(p.config.Kafka, client, log, p.registry)
	if err != nil {
		return fmt.Errorf("preparing the sink's consumer: %w", err)
	}
	worker, err := sink.New(p.config.Sink.ForShard(shard, shards), p.config.Kafka.EventsTopic, opts, p.store.Shards()[shard], quarantine, registerer, log,
		sink.WithWorkspaces(p.directory.UnknownWorkspaces))
	if err != nil {
		return fmt.Errorf("making the %s: %w", name, err)
	}
	var outcome atomic.Pointer[error]
	p.background(name, func(ctx context.Context) { // in the end it stores and commits what it holds, and leaves the group
		if err := worker.Run(ctx); err != nil {
			err = fmt.Errorf("the %s has ended: %w", name, err)
			outcome.Store(&err)
			failed <- err
		}
	})
	p.dependencies = append(p.dependencies, dependency{name, []string{"sink"}, func(context.Context) error {
		if err := outcome.Load(); err != nil {
			return *err
		}
		return nil
	}})
	return nil
}

// reportOnly logs the failures of a role instead of ending the process: the other
// roles go on.
func (p *process) reportOnly(ctx context.Context) chan<- error {
	failed := make(chan error, 4)
	go func() {
		for {
			select {
			case err := <-failed:
				p.log.Error("a role has failed; the others go on", zap.Error(err))
			case <-ctx.Done():
				return
			}
		}
	}()
	return failed
}

// needsKafka refuses to run a role by itself on an engine inside another process.
func needsKafka(config Config) error {
	if config.embeddedKafka() {
		return errors.New("kafka.brokers is empty: a role by itself needs a Kafka that the others reach too")
	}
	return nil
}

// needsClusters is needsKafka for the roles that use ClickHouse too.
func needsClusters(config Config) error {
	err := needsKafka(config)
	if config.embeddedClickHouse() {
		err = errors.Join(err, errors.New("clickhouse.addresses is empty, and so is clickhouse.shards: a role by itself needs a ClickHouse that the others reach too"))
	}
	if err != nil {
		return &configError{err}
	}
	return nil
}
