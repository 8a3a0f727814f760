package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"revstream/clickhouse"
	"revstream/ingest/stream"
)

func gapsCommand() *cobra.Command {
	return commandGroup("gaps", "See and accept ranges of the log that are lost for good", gapsListCommand(), gapsAcceptCommand())
}

func gapsListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the gaps that were accepted", Args: usage(cobra.NoArgs),
		RunE: withStore(bothEngines, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, _ *site) error {
			gaps, err := store.Gaps(command.Context())
			if err != nil {
				return err
			}
			return listGaps(gaps).print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func listGaps(gaps []clickhouse.LostRange) listing {
	list := listing{header: "TOPIC\tPARTITION\tFROM\tTO\tRECORDS\tACCEPTED\tBY\tNOTE", values: gaps}
	for _, g := range gaps {
		list.rows = append(list.rows, []any{g.Topic, g.Slice, g.From, g.To, g.Records(), g.AcceptedAt, g.By, g.Note})
	}
	return list
}

const gapsAcceptHelp = `Accept that records are gone from Kafka which were never stored, so that the sink goes
on behind them. The range has to be said, and has to be the one that "revstream check"
shows for the partition: from what is STORED to KAFKA START. It is written down in the
ledger's database, with who accepted it and why, and shown by "check" from then on.

The sinks have to be stopped. What is accepted here is not in any figure until its
sources have sent it again.`

func gapsAcceptCommand() *cobra.Command {
	gap := clickhouse.LostRange{From: -1, To: -1}
	command := &cobra.Command{
		Use: "accept", Short: "Accept that a range of the log is lost", Long: gapsAcceptHelp, Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) error {
			if gap.Slice < 0 || gap.From < 0 || gap.To <= gap.From || gap.Note == "" {
				return exitWith(exitUsage, errors.New("say which: --partition, --from, --to (the one after the last) and --note"))
			}
			return nil
		},
		RunE: withStore(bothEngines, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, s *site) error {
			ctx := command.Context()
			if err := s.acceptGap(ctx, store, gap); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "accepted: %d records of partition %d, from offset %d to %d, are lost; the sinks go on from there\n",
				gap.Records(), gap.Slice, gap.From, gap.To-1)
			return nil
		}),
	}
	flags := command.Flags()
	flags.Int32Var(&gap.Slice, "partition", -1, "partition of the events topic")
	flags.Int64Var(&gap.From, "from", -1, "first offset that is lost")
	flags.Int64Var(&gap.To, "to", -1, "the offset after the last that is lost")
	flags.StringVar(&gap.Note, "note", "", "why, for those who come later")
	return command
}

// acceptGap holds the range against what Kafka has, and lets store and group go on
// behind it: the store first, so that the gap is written down before anybody skips it.
func (s *site) acceptGap(ctx context.Context, store *clickhouse.Cluster, gap clickhouse.LostRange) error {
	shards := s.config.ClickHouse.ShardCount()
	groups := s.config.Sink.Groups(shards)
	positions, err := stream.Positions(ctx, s.config.Kafka, groups...)
	if err != nil {
		return err
	}
	position, known := positions[gap.Slice]
	if !known || position.Start != gap.To {
		return exitWith(exitUsage, fmt.Errorf("partition %d begins at offset %d in Kafka: the gap does not end at %d", gap.Slice, position.Start, gap.To))
	}
	group := groups[clickhouse.ShardOf(gap.Slice, shards)]
	if err := stream.MoveGroup(ctx, s.config.Kafka, group, gap.Slice, max(0, position.Committed)); err != nil {
		return err // before anything is written down: the sinks are still running
	}
	gap.Topic, gap.By, gap.AcceptedAt = s.config.Kafka.EventsTopic, string(actor()), time.Now().UTC()
	if gap.TopicID, err = stream.TopicID(ctx, s.config.Kafka, gap.Topic); err != nil {
		return err
	}
	err = store.AcceptGap(ctx, gap)
	if errors.Is(err, clickhouse.ErrGap) {
		return exitWith(exitUsage, err)
	}
	if err != nil {
		return fmt.Errorf("writing down the gap: %w", err)
	}
	return stream.MoveGroup(ctx, s.config.Kafka, group, gap.Slice, gap.To)
}
