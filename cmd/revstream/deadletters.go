package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"revstream/ingest/stream"
)

func deadLettersCommand() *cobra.Command {
	return commandGroup("dead-letters", "See, retry and discard records that could not be stored",
		deadLettersListCommand(), deadLettersRetryCommand(), deadLettersDiscardCommand())
}

// listedLetter is a dead letter as it is printed: with what it says, which is
// revenue data, only on demand.
type listedLetter struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Reason    string    `json:"reason"`
	Error     string    `json:"error"`
	At        time.Time `json:"at"`
	Attempts  int       `json:"attempts"`
	Key       string    `json:"key"`
	Value     string    `json:"value,omitempty"`
}

func deadLettersListCommand() *cobra.Command {
	var asJSON, withValues bool
	command := &cobra.Command{
		Use: "list", Short: "List the dead letters, oldest first", Args: usage(cobra.NoArgs),
		RunE: withSite(kafkaOnly, func(command *cobra.Command, _ []string, s *site) error {
			out := command.OutOrStdout()
			table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(table, "PARTITION\tOFFSET\tREASON\tATTEMPTS\tAT\tERROR")
			}
			lines := json.NewEncoder(out)
			count := 0
			err := stream.DeadLetters(command.Context(), s.config.Kafka, func(letter stream.DeadLetter) error {
				count++
				listed := listedLetter{
					Topic: letter.Topic, Partition: letter.Partition, Offset: letter.Offset, Reason: letter.Reason,
					Error: letter.Error, At: letter.At, Attempts: letter.Attempts, Key: string(letter.Key),
				}
				if withValues {
					listed.Value = string(letter.Value)
				}
				if asJSON {
					return lines.Encode(listed)
				}
				_, err := fmt.Fprintf(table, "%d\t%d\t%s\t%d\t%s\t%s\n", listed.Partition, listed.Offset, listed.Reason,
					listed.Attempts, listed.At.Format(time.RFC3339), listed.Error)
				return err
			})
			if err != nil {
				return err
			}
			if !asJSON && count == 0 {
				fmt.Fprintln(out, "no dead letters")
				return nil
			}
			return table.Flush()
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	command.Flags().BoolVar(&withValues, "values", false, "with the records themselves (needs --json)")
	return command
}

// letterSelection says which dead letters a command is about.
type letterSelection struct {
	partition int32 // -1: any
	offset    int64 // -1: any
	reason    string
}

func (l *letterSelection) addFlags(flags *pflag.FlagSet) {
	flags.Int32Var(&l.partition, "partition", -1, "only letters of this partition")
	flags.Int64Var(&l.offset, "offset", -1, "only the letter of this offset")
	flags.StringVar(&l.reason, "reason", "", "only letters with this reason")
}

func (l *letterSelection) narrow() bool { return l.partition >= 0 || l.offset >= 0 || l.reason != "" }

func (l *letterSelection) has(letter stream.DeadLetter) bool {
	return (l.partition < 0 || letter.Partition == l.partition) && (l.offset < 0 || letter.Offset == l.offset) &&
		(l.reason == "" || letter.Reason == l.reason)
}

// each calls change for the chosen letters and returns how many there were. All
// are read before the first is changed: those that come back must not be retried
// again by this very command.
func (l *letterSelection) each(ctx context.Context, s *site, change func(*stream.Producer, stream.DeadLetter) error) (int, error) {
	var chosen []stream.DeadLetter
	err := stream.DeadLetters(ctx, s.config.Kafka, func(letter stream.DeadLetter) error {
		if l.has(letter) {
			chosen = append(chosen, letter)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	producer, err := stream.NewProducer(s.config.Kafka, nil, zap.NewNop())
	if err != nil {
		return 0, fmt.Errorf("opening a producer: %w", err)
	}
	s.stops.add("producer", producer.Close)
	for _, letter := range chosen {
		if err := change(producer, letter); err != nil {
			return 0, fmt.Errorf("partition %d offset %d: %w", letter.Partition, letter.Offset, err)
		}
	}
	return len(chosen), nil
}

func deadLettersRetryCommand() *cobra.Command {
	var selection letterSelection
	command := &cobra.Command{
		Use: "retry", Short: "Publish dead letters again as they were", Args: usage(cobra.NoArgs),
		Long: "Publish dead letters again as they were, for instance after an upgrade that can\nread them. One that still cannot be read comes back with one more attempt.",
		RunE: withSite(kafkaOnly, func(command *cobra.Command, _ []string, s *site) error {
			ctx := command.Context()
			webhooks := 0
			count, err := selection.each(ctx, s, func(producer *stream.Producer, letter stream.DeadLetter) error {
				if letter.Reason == stream.ReasonWebhook { // no record, so none to publish again
					webhooks++
					return nil
				}
				return producer.Retry(ctx, letter)
			})
			if err != nil {
				return fmt.Errorf("retrying: %w", err)
			}
			fmt.Fprintf(command.OutOrStdout(), "retried %d dead letters\n", count-webhooks)
			if webhooks > 0 {
				fmt.Fprintf(command.OutOrStdout(), "left %d webhook deliveries: read them again with `deliveries replay`\n", webhooks)
			}
			return nil
		}),
	}
	selection.addFlags(command.Flags())
	return command
}

func deadLettersDiscardCommand() *cobra.Command {
	var selection letterSelection
	var all bool
	command := &cobra.Command{
		Use: "discard", Short: "Remove dead letters for good", Args: usage(cobra.NoArgs),
		Long: "Remove dead letters without publishing their records. They cannot be had back:\n`dead-letters list --json --values` first, and say which, or --all.",
		PreRunE: func(*cobra.Command, []string) error {
			if !all && !selection.narrow() {
				return exitWith(exitUsage, errors.New("say which: --partition, --offset, --reason or --all"))
			}
			return nil
		},
		RunE: withSite(kafkaOnly, func(command *cobra.Command, _ []string, s *site) error {
			ctx := command.Context()
			count, err := selection.each(ctx, s, func(producer *stream.Producer, letter stream.DeadLetter) error {
				return producer.Discard(ctx, letter)
			})
			if err != nil {
				return fmt.Errorf("discarding: %w", err)
			}
			fmt.Fprintf(command.OutOrStdout(), "discarded %d dead letters\n", count)
			return nil
		}),
	}
	selection.addFlags(command.Flags())
	command.Flags().BoolVar(&all, "all", false, "all of them, or all of the selection")
	return command
}
