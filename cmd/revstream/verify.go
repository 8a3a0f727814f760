package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"revstream/connectors"
	"revstream/ingest/control"
)

func webhooksCommand() *cobra.Command {
	return commandGroup("webhooks", "Check webhooks by hand", webhooksVerifyCommand())
}

func webhooksVerifyCommand() *cobra.Command {
	var endpointID, receivedAt string
	var headers []string
	var at time.Time
	header := http.Header{}
	command := &cobra.Command{
		Use: "verify file", Short: "Say whether a captured webhook verifies, and if not, why", Args: usage(cobra.ExactArgs(1)),
		Long: "Say whether a captured webhook, its body read from a file or with - from standard input,\n" +
			"verifies with the secrets of an endpoint; and if not, whether it is too old, its body was\n" +
			"altered on its way, or the secret is another. Nothing is booked.",
		PreRunE: func(*cobra.Command, []string) (err error) {
			if err = required(map[string]string{"endpoint": endpointID}); err != nil {
				return err
			}
			if header, err = headersOf(headers); err != nil {
				return err
			}
			at, err = moment("at", receivedAt, time.Now())
			return err
		},
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			body, err := readBody(command.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			endpoint, err := d.FindEndpoint(endpointID)
			if err != nil {
				return err
			}
			connector, err := connectorOf(endpoint.Provider)
			if err != nil {
				return err
			}
			settings, err := connector.Settle(endpoint.Settings())
			if err != nil {
				return fmt.Errorf("settings of endpoint %s: %w", endpoint.ID, err)
			}
			if at.IsZero() {
				at = time.Now().UTC()
			}
			delivery := connectors.Delivery{
				Workspace: endpoint.Workspace, Integration: endpoint.ID, Account: endpoint.Account, Livemode: endpoint.Mode != control.ModeTest,
				Secrets: control.Reveal(endpoint.Secrets), Settings: settings, Header: header, Body: body, ReceivedAt: at,
			}
			verdict, err := verdictOn(connector, delivery, otherSecrets(d, endpoint))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), verdict)
			return err
		}),
	}
	flags := command.Flags()
	flags.StringVar(&endpointID, "endpoint", "", "the webhook endpoint that it was sent to (required)")
	flags.StringVar(&receivedAt, "at", "", "when it was received: a date, an instant, or how long ago (default now)")
	flags.StringArrayVar(&headers, "header", nil, `a header of the webhook, "Name: value" (repeatable)`)
	return command
}

// headersOf reads "Name: value" arguments.
func headersOf(arguments []string) (http.Header, error) {
	header := http.Header{}
	for _, argument := range arguments {
		name, value, found := strings.Cut(argument, ":")
		if !found {
			return nil, exitWith(exitUsage, fmt.Errorf("--header %s: want \"Name: value\"", name))
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, nil
}

// otherSecrets are those of the workspace's other endpoints of the provider.
func otherSecrets(d *control.Directory, endpoint control.Endpoint) []string {
	var secrets []string
	for _, other := range d.Endpoints(endpoint.Workspace) {
		if other.Provider == endpoint.Provider && other.ID != endpoint.ID {
			secrets = append(secrets, control.Reveal(other.Secrets)...)
		}
	}
	return secrets
}

// verdictOn says by which secret a delivery verifies. The error says why it does not;
// of one that is only too old, that its signature is right.
func verdictOn(connector connectors.Connector, delivery connectors.Delivery, others []string) (string, error) {
	verification, err := connector.Verify(delivery)
	if err == nil {
		return fmt.Sprintf("verifies by secret %d of %d", verification.Secret+1, len(delivery.Secrets)), nil
	}
	reason := connectors.ReasonOf(err)
	if reason != connectors.ReasonTooOld && reason != connectors.ReasonFromFuture {
		diagnosed := connector.Diagnose(delivery, others, err)
		return "", fmt.Errorf("refused, %s: %w", words(connectors.ReasonOf(diagnosed)), diagnosed)
	}
	delivery.Settings = ageless(delivery.Settings)
	if _, otherwise := connector.Verify(delivery); otherwise != nil {
		diagnosed := connector.Diagnose(delivery, others, otherwise)
		return "", fmt.Errorf("refused, %s and %s: %w", words(reason), words(connectors.ReasonOf(diagnosed)), errors.Join(err, diagnosed))
	}
	return "", fmt.Errorf("refused, %s: %w; the signature is right otherwise (--at says when it was received)", words(reason), err)
}

// ageless are the settings with which no signature is too old.
func ageless(settings connectors.Settings) connectors.Settings {
	changed := connectors.Settings{}
	for name, value := range settings {
		changed[name] = value
	}
	changed["signature_age_max"] = "876000h"
	return changed
}

func words(reason connectors.Reason) string { return strings.ReplaceAll(string(reason), "_", " ") }
