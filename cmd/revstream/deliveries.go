package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"revstream/clickhouse"
	"revstream/ingest/archive"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

func deliveriesCommand() *cobra.Command {
	return commandGroup("deliveries", "Find, show and read again webhook deliveries as they came in",
		deliveriesListCommand(), deliveriesShowCommand(), deliveriesReplayCommand())
}

// deliverySelection says which deliveries a command is about.
type deliverySelection struct {
	filter       clickhouse.DeliveryFilter
	since, until string
}

func (d *deliverySelection) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&d.filter.Workspace, "workspace", "", "workspace (required)")
	flags.StringVar(&d.filter.Endpoint, "endpoint", "", "only those of this webhook endpoint")
	flags.StringVar(&d.filter.Provider, "provider", "", "only those of this provider")
	flags.StringVar(&d.filter.Type, "type", "", "only those with an event of this type, like invoice.paid")
	flags.StringVar(&d.filter.Outcome, "outcome", "", "only those with an event that was booked, incomplete, ignored, other_mode, quarantined or refused")
	flags.StringVar(&d.filter.Name, "id", "", "only those of this id: of the delivery, an event, an object, a payment, invoice, subscription or customer")
	flags.StringVar(&d.since, "since", "", "received since: a date, an instant, or how long ago (24h)")
	flags.StringVar(&d.until, "until", "", "received before: the same")
}

// settle checks the flags.
func (d *deliverySelection) settle() (err error) {
	if err = required(map[string]string{"workspace": d.filter.Workspace}); err != nil {
		return err
	}
	now := time.Now()
	if d.filter.Since, err = moment("since", d.since, now); err == nil {
		d.filter.Until, err = moment("until", d.until, now)
	}
	return err
}

// moment reads a date, an instant, or how long before now; zero if nothing is given.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, exitWith(exitUsage, fmt.Errorf("--%s %s: want a date, an instant like 2026-01-31T12:00:00Z, or how long ago, like 24h", flag, text))
}

// shownDelivery is a delivery as it is printed; what it says, which is revenue data,
// only when one is shown.
type shownDelivery struct {
	stream.Delivery
	Body       string          `json:"body,omitempty"`
	BodyBase64 string          `json:"body_base64,omitempty"`
	Statements []revenue.Event `json:"statements,omitempty"`
}

func shown(d *stream.Delivery, whole bool) shownDelivery {
	s := shownDelivery{Delivery: *d}
	if !whole {
		s.Header, s.Answers = nil, nil
		return s
	}
	s.Statements = d.Statements
	if utf8.Valid(d.Body) {
		s.Body = string(d.Body)
	} else {
		s.BodyBase64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	return s
}

func deliveriesListCommand() *cobra.Command {
	var selection deliverySelection
	var limit int
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List webhook deliveries, newest first", Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) error {
			if limit < 1 {
				return exitWith(exitUsage, fmt.Errorf("--limit %d: at least 1", limit))
			}
			return selection.settle()
		},
		RunE: withStore(needs{clickhouse: true}, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, _ *site) error {
			found, err := archive.Find(command.Context(), store.Answers(), selection.filter, limit)
			if err != nil {
				return err
			}
			list := listing{header: "ID\tRECEIVED\tENDPOINT\tPROVIDER\tEVENTS\tOUTCOMES\tSTATEMENTS\tREPLAYED"}
			values := []shownDelivery{}
			for i := range found {
				d := &found[i]
				values = append(values, shown(d, false))
				list.rows = append(list.rows, []any{d.ID, d.ReceivedAt, d.Endpoint, d.Provider, typesOf(d), outcomesOf(d), len(d.Statements), replayedAt(d)})
			}
			list.values = values
			return list.print(command.OutOrStdout(), asJSON)
		}),
	}
	selection.addFlags(command.Flags())
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func typesOf(d *stream.Delivery) string {
	var types []string
	for _, item := range d.Items {
		if item.Type != "" {
			types = append(types, item.Type)
		}
	}
	return orDash(strings.Join(types, " "))
}

func outcomesOf(d *stream.Delivery) string {
	if d.Refusal != "" {
		return "refused: " + d.Refusal
	}
	var outcomes []string
	for _, item := range d.Items {
		outcomes = append(outcomes, item.Outcome)
	}
	return orDash(strings.Join(outcomes, " "))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func replayedAt(d *stream.Delivery) time.Time {
	if d.Revision == 0 {
		return time.Time{}
	}
	return time.UnixMicro(d.Revision).UTC()
}

// errNoDelivery says that the archive has none of an id.
var errNoDelivery = errors.New("no delivery has that id")

func deliveriesShowCommand() *cobra.Command {
	var workspace string
	command := &cobra.Command{
		Use: "show id", Short: "Show a webhook delivery: headers, body, and what it became", Args: usage(cobra.ExactArgs(1)),
		Long: "Show a webhook delivery as JSON: headers, body, and what it became. The id is that of\n" +
			"the delivery, or of an event of it; of several the newest is shown.",
		PreRunE: func(*cobra.Command, []string) error { return required(map[string]string{"workspace": workspace}) },
		RunE: withStore(needs{clickhouse: true}, func(command *cobra.Command, args []string, store *clickhouse.Cluster, _ *site) error {
			found, err := archive.Find(command.Context(), store.Answers(), clickhouse.DeliveryFilter{Workspace: workspace, Name: args[0]}, 1)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("%s: %w", args[0], errNoDelivery)
			}
			return printJSON(command.OutOrStdout(), shown(&found[0], true))
		}),
	}
	command.Flags().StringVar(&workspace, "workspace", "", "workspace (required)")
	return command
}

// printJSON prints for people's eyes.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
