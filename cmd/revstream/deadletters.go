package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/ingest/stream"
)

func deadLettersCommand() *cobra.Command {
	return commandGroup("dead-letters", "See and retry records that could not be stored",
		deadLettersListCommand(), deadLettersRetryCommand())
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

func deadLettersRetryCommand() *cobra.Command {
	var partition int32
	var offset int64
	var reason string
	command := &cobra.Command{
		Use: "retry", Short: "Publish dead letters again as they were", Args: usage(cobra.NoArgs),
		Long: "Publish dead letters again as they were, for instance after an upgrade that can\nread them. One that still cannot be read comes back with one more attempt.",
		RunE: withSite(kafkaOnly, func(command *cobra.Command, _ []string, s *site) error {
			ctx := command.Context()
			// All are read before the first is retried: those that come back must not
			// be retried again by this very command.
			var chosen []stream.DeadLetter
			err := stream.DeadLetters(ctx, s.config.Kafka, func(letter stream.DeadLetter) error {
				if (partition < 0 || letter.Partition == partition) && (offset < 0 || letter.Offset == offset) &&
					(reason == "" || letter.Reason == reason) {
					chosen = append(chosen, letter)
				}
				return nil
			})
			if err != nil {
				return err
			}
			producer, err := stream.NewProducer(s.config.Kafka, nil, zap.NewNop())
			if err != nil {
				return fmt.Errorf("opening a producer: %w", err)
			}
			s.stops.add("producer", producer.Close)
			for _, letter := range chosen {
				if err := producer.Retry(ctx, letter); err != nil {
					return fmt.Errorf("retrying partition %d offset %d: %w", letter.Partition, letter.Offset, err)
				}
			}
			fmt.Fprintf(command.OutOrStdout(), "retried %d dead letters\n", len(chosen))
			return nil
		}),
	}
	command.Flags().Int32Var(&partition, "partition", -1, "only letters of this partition")
	command.Flags().Int64Var(&offset, "offset", -1, "only the letter of this offset")
	command.Flags().StringVar(&reason, "reason", "", "only letters with this reason")
	return command
}
