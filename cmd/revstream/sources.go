package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"revstream/analytics"
	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/ingest/control"
)

func sourcesCommand() *cobra.Command {
	var workspace string
	var days int
	var asJSON bool
	command := &cobra.Command{
		Use: "sources", Short: "Tell how the webhook endpoints of a workspace do", Args: usage(cobra.NoArgs),
		Long: "Tell how the webhook endpoints of a workspace do: the last delivery, what came and what\n" +
			"became of it, what was refused and why, how late events arrive, in which versions, and\n" +
			"silences beyond the usual. What they left out, prices for instance, is in GET /v1/uncertain.",
		PreRunE: func(*cobra.Command, []string) error {
			if days < 1 {
				return exitWith(exitUsage, fmt.Errorf("--days %d: at least 1", days))
			}
			return required(map[string]string{"workspace": workspace})
		},
		RunE: withBooks(func(command *cobra.Command, directory *control.Directory, store *clickhouse.Cluster, _ *site) error {
			if err := knownWorkspace(directory, workspace); err != nil {
				return err
			}
			sources, err := analytics.ReadSources(command.Context(), store.Answers(), directory.Endpoints(workspace), workspace, days, time.Now().UTC())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(sources)
			}
			return printSources(command.OutOrStdout(), sources)
		}),
	}
	command.Flags().StringVar(&workspace, "workspace", "", "workspace (required)")
	command.Flags().IntVar(&days, "days", 30, "how far to look back")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func printSources(out io.Writer, sources []analytics.Source) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range sources {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Endpoint, s.Provider, sourceState(&s))
		fmt.Fprintf(table, "  deliveries\t%d, %d refused, the last %s\n", s.Deliveries, s.Refused, orNever(s.LastDeliveryAt))
		if s.UsualPauseSeconds != nil {
			fmt.Fprintf(table, "  pauses\tup to %v as a rule\n", seconds(*s.UsualPauseSeconds))
		}
		for _, gap := range s.Gaps {
			fmt.Fprintf(table, "  gap\tfrom %s until %s\n", gap.From, gap.Until)
		}
		if s.Lag != nil {
			fmt.Fprintf(table, "  lag\t%v, of 95 in 100 up to %v, at most %v\n", seconds(s.Lag.MedianSeconds), seconds(s.Lag.P95Seconds), seconds(s.Lag.MaxSeconds))
		}
		if r := s.Reconciliation; r != nil {
			fmt.Fprintf(table, "  reconciled\t%s\n", reconciledText(r))
		}
		for _, v := range s.Versions {
			fmt.Fprintf(table, "  version\t%s: %d events\n", v.Version, v.Count)
		}
		for _, r := range s.Refusals {
			fmt.Fprintf(table, "  refused\t%s: %d, the last %s\n", strings.ReplaceAll(r.Reason, "_", " "), r.Count, r.LastAt)
		}
		if n := incomplete(s.Events); n > 0 {
			fmt.Fprintf(table, "  api_key\tREFUSED what %d events leave out; see `revstream deliveries list --outcome incomplete --json`\n", n)
		}
		for _, e := range s.Events {
			fmt.Fprintf(table, "  %s\t%s: %d\n", e.Outcome, orDash(e.Type), e.Count)
		}
	}
	return table.Flush()
}

// incomplete is how many events lack what the provider's API refused to say.
func incomplete(events []analytics.SourceEvents) (n uint64) {
	for _, e := range events {
		if e.Outcome == string(connectors.OutcomeIncomplete) {
			n += e.Count
		}
	}
	return n
}

func reconciledText(r *analytics.SourceReconciliation) string {
	switch {
	case r.Failure != nil:
		return fmt.Sprintf("%s: could not be: %s", r.At, *r.Failure)
	case len(r.Differences) > 0:
		return fmt.Sprintf("%s: %d DIFFERENCES from %s until %s; see `revstream reconcile`", r.At, len(r.Differences), r.Since, r.Until)
	default:
		return fmt.Sprintf("%s: %d totals agree from %s until %s", r.At, r.Totals, r.Since, r.Until)
	}
}

func sourceState(s *analytics.Source) string {
	switch {
	case s.Revoked:
		return "revoked"
	case s.Silent:
		return "SILENT for longer than ever"
	case s.LastDeliveryAt == nil:
		return "nothing came yet"
	default:
		return "ok"
	}
}

func orNever(at *string) string {
	if at == nil {
		return "never"
	}
	return *at
}

func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(time.Millisecond)
}
