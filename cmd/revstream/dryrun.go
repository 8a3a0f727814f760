package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// dryRunBytesMax bounds the body that is tried.
const dryRunBytesMax = 16 << 20

// shownItem is what an event of a body would become.
type shownItem struct {
	ID         string             `json:"id,omitempty"`
	Type       string             `json:"type,omitempty"`
	Outcome    connectors.Outcome `json:"outcome"`
	Error      string             `json:"error,omitempty"`
	Statements []revenue.Event    `json:"statements"`
}

func endpointsDryRunCommand() *cobra.Command {
	var provider, account string
	var settings, headers []string
	var test bool
	var connector connectors.Connector
	delivery := connectors.Delivery{Workspace: "dry-run", Integration: "dry-run", Header: http.Header{}}
	command := &cobra.Command{
		Use: "dry-run file", Short: "Show what a webhook's body would become, and book nothing", Args: usage(cobra.ExactArgs(1)),
		Long: "Show what a webhook's body, read from a file or with - from standard input, would\n" +
			"become: its events as JSON, with the statements of each or why it cannot be read.\n" +
			"Nothing is booked, no service is needed, and signatures are not looked at. Connectors\n" +
			"that read objects from a provider's API do so if the settings allow it.",
		PreRunE: func(*cobra.Command, []string) (err error) {
			if err = required(map[string]string{"provider": provider}); err != nil {
				return err
			}
			if connector, err = connectorOf(provider); err != nil {
				return err
			}
			if delivery.Settings, err = settled(connector, settings); err != nil {
				return err
			}
			delivery.Header, err = headersOf(headers)
			return err
		},
		RunE: func(command *cobra.Command, args []string) (err error) {
			if delivery.Body, err = readBody(command.InOrStdin(), args[0]); err != nil {
				return err
			}
			delivery.Account, delivery.Livemode, delivery.ReceivedAt = account, !test, time.Now().UTC()
			items, err := connector.Decode(command.Context(), delivery)
			if err != nil {
				return fmt.Errorf("reading a webhook of %s: %w", connector.Title, err)
			}
			return printItems(command.OutOrStdout(), items)
		},
	}
	flags := command.Flags()
	flags.StringVar(&provider, "provider", "", "connector, like generic (required)")
	flags.StringVar(&account, "account", "", "the provider's account")
	flags.BoolVar(&test, "test", false, "take what does not say so itself for test mode")
	flags.StringArrayVar(&settings, "setting", nil, "a setting of the provider, name=value; name=@file reads the value from a file (repeatable)")
	flags.StringArrayVar(&headers, "header", nil, `a header of the webhook, "Name: value" (repeatable)`)
	return command
}

// settled are settings as a delivery has them: complete.
func settled(connector connectors.Connector, arguments []string) (connectors.Settings, error) {
	given, err := setting(connector, nil, arguments)
	if err != nil {
		return nil, err
	}
	return connector.Settle(given)
}

func readBody(input io.Reader, name string) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, exitWith(exitUsage, fmt.Errorf("reading the body: %w", err))
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	body, err := io.ReadAll(io.LimitReader(input, dryRunBytesMax))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return body, nil
}

func printItems(out io.Writer, items []connectors.Item) error {
	shown := []shownItem{}
	for _, item := range items {
		s := shownItem{ID: item.ID, Type: item.Type, Outcome: item.Outcome(), Statements: append([]revenue.Event{}, item.Events...)}
		if trouble := cmp.Or(item.Err, item.Lacks); trouble != nil {
			s.Error = trouble.Error()
		}
		shown = append(shown, s)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(shown)
}
