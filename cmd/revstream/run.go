package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"revstream/ingest/stream"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run all roles in one process, with embedded engines unless real ones are configured",
		Long: runHelp, Args: usage(cobra.NoArgs),
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			return inProcess(command, config, config.DataDir, startAll)
		}),
	}
}

const runHelp = `Run all roles in one process. Without kafka.brokers an embedded Kafka broker is
started, without clickhouse.addresses an embedded ClickHouse, each by itself.

The first start creates the workspace "demo" and writes its keys to demo.env in the
data folder. Ctrl-C stops in order: nothing that was accepted is lost, nor is it
when the process or its engine is killed.`

// startAll starts every role. What is started last is stopped first, so this is
// also, read upwards, the order of an orderly stop:
//
//  9. http: no new connection is accepted; requests in flight get their answer,
//     so everything that was answered 2xx is acknowledged by Kafka.
//  8. alerts: what came of telling subscribers is noted, and another may lead.
//  7. producer: flushed; nothing is left in it after 9, but for requests that
//     were given up.
//  6. reconciliation, archive, sink: the last inserts what it holds, commits, leaves the
//     group.
//  5. tables: local copies of compacted topics, control among them.
//  4. broker: writes down its state; nobody talks to it any more.
//  3. clickhouse pools: an open connection would make the engine wait.
//  2. engine: ends its merges and its process.
//  1. data folder: unlocked when nothing of ours uses it.
func startAll(ctx context.Context, p *process) error {
	var err error
	if p.demo, err = prepareDemo(p.config); err != nil {
		return err
	}
	if err := p.startEngine(ctx); err != nil { // 2
		return err
	}
	if err := p.openStore(ctx, "sink", "query"); err != nil { // 3
		return err
	}
	if err := p.startBroker(ctx); err != nil { // 4
		return err
	}
	if err := stream.EnsureTopics(ctx, p.config.Kafka); err != nil {
		return fmt.Errorf("preparing the topics: %w", err)
	}
	if err := p.store.Migrate(ctx); err != nil {
		return fmt.Errorf("migrating ClickHouse: %w", err)
	}
	if err := p.openDirectory(ctx, p.config.DataDir, "ingest", "query"); err != nil { // 5
		return err
	}
	if err := p.openTables(ctx, p.config.DataDir); err != nil {
		return err
	}
	if p.demo != nil {
		if err := p.demo.ensure(ctx, p.directory); err != nil {
			return fmt.Errorf("preparing the workspace %s: %w", demoWorkspace, err)
		}
	}
	if err := p.startSink(p.reportOnly(ctx)); err != nil { // 6
		return err
	}
	if err := p.startIngest(p.config.DataDir); err != nil { // 7
		return err
	}
	return p.startQuery() // 8, and 9 follows: see inProcess
}
