package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"revstream/connectors"
	"revstream/ingest/control"
)

func endpointsCommand() *cobra.Command {
	return commandGroup("endpoints", "Create, list, rotate and revoke webhook endpoints",
		endpointsProvidersCommand(), endpointsCreateCommand(), endpointsListCommand(), endpointsSetCommand(),
		endpointsRotateCommand(), endpointsRevokeCommand(), endpointsDryRunCommand())
}

// shownEndpoint is an endpoint with its address and, right after it was made, the
// secret that was made for it.
type shownEndpoint struct {
	control.Endpoint
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"`
}

func (e shownEndpoint) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(e)
	}
	fmt.Fprintf(out, "id      %s\nurl     %s\n", e.ID, e.URL)
	if e.Secret != "" {
		fmt.Fprintf(out, "secret  %s\n", e.Secret)
	}
	return nil
}

// baseURL is where the service can be reached, as far as the command can know.
func (s *site) baseURL() string {
	if s.config.HTTP.PublicURL != "" {
		return strings.TrimSuffix(s.config.HTTP.PublicURL, "/")
	}
	if p, err := loadPlaces(s.config.DataDir); err == nil && p.URL != "" {
		return p.URL
	}
	return "http://" + dialable(s.config.HTTP.Addr)
}

func endpointsCreateCommand() *cobra.Command {
	var wanted control.NewEndpoint
	var mode string
	var settings []string
	var asJSON, secretFromInput bool
	var connector connectors.Connector
	command := &cobra.Command{
		Use: "create", Short: "Create a webhook endpoint", Args: usage(cobra.NoArgs),
		Long: "Create a webhook endpoint. The secret that verifies deliveries is read from standard\n" +
			"input with --secret-stdin, as the provider shows it; otherwise one is made and printed.\n" +
			"`endpoints providers` lists the providers with their settings.",
		PreRunE: func(*cobra.Command, []string) (err error) {
			if err = required(map[string]string{"workspace": wanted.Workspace, "provider": wanted.Provider}); err != nil {
				return err
			}
			if connector, err = connectorOf(wanted.Provider); err != nil {
				return err
			}
			given, err := setting(connector, nil, settings)
			wanted.Options, wanted.Credentials = control.Divide(given, connector.IsSecret)
			return err
		},
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, s *site) error {
			secret, made, err := signingSecret(connector, command.InOrStdin(), secretFromInput)
			if err != nil {
				return err
			}
			wanted.Mode, wanted.Secrets = control.Mode(mode), []control.Secret{secret}
			created, err := d.CreateEndpoint(command.Context(), actor(), wanted)
			if err != nil {
				return err
			}
			shown := shownEndpoint{Endpoint: created, URL: webhookURL(s.baseURL(), created.Provider, created.ID), Secret: made}
			return shown.print(command.OutOrStdout(), asJSON)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&wanted.Workspace, "workspace", "", "workspace that it is for (required)")
	flags.StringVar(&wanted.Provider, "provider", "", "connector, like stripe (required)")
	flags.StringVar(&wanted.Account, "account", "", "the provider's account")
	flags.StringVar(&mode, "mode", "", "any, live or test (default any)")
	flags.StringArrayVar(&settings, "setting", nil, "a setting of the provider, name=value; name=@file reads the value from a file (repeatable)")
	flags.BoolVar(&secretFromInput, "secret-stdin", false, "read the signing secret from standard input")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

// secretBytesMax bounds what is read as a secret.
const secretBytesMax = 4096

// signingSecret reads a secret, or makes one and returns its text too.
func signingSecret(connector connectors.Connector, input io.Reader, fromInput bool) (secret control.Secret, made string, err error) {
	if fromInput {
		text, err := io.ReadAll(io.LimitReader(input, secretBytesMax))
		if err != nil {
			return secret, "", fmt.Errorf("reading the secret: %w", err)
		}
		secret = control.NewSecret(strings.TrimSpace(string(text)))
	} else {
		secret = control.NewSigningSecret()
		made = secret.Reveal()
	}
	if connector.CheckSecret != nil {
		if err := connector.CheckSecret(secret.Reveal()); err != nil {
			return secret, "", exitWith(exitUsage, fmt.Errorf("%s needs %s (--secret-stdin): %w", connector.Title, connector.Secret, err))
		}
	}
	return secret, made, nil
}

func endpointsListCommand() *cobra.Command {
	var workspace string
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the webhook endpoints of a workspace", Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) error { return required(map[string]string{"workspace": workspace}) },
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, s *site) error {
			if err := knownWorkspace(d, workspace); err != nil {
				return err
			}
			list := listing{header: "ID\tPROVIDER\tACCOUNT\tMODE\tSECRETS\tCREATED\tREVOKED\tURL"}
			shown := []shownEndpoint{}
			for _, e := range d.Endpoints(workspace) {
				url := webhookURL(s.baseURL(), e.Provider, e.ID)
				shown = append(shown, shownEndpoint{Endpoint: e, URL: url})
				list.rows = append(list.rows, []any{e.ID, e.Provider, e.Account, e.Mode, len(e.Secrets), e.CreatedAt, e.RevokedAt, url})
			}
			list.values = shown
			return list.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().StringVar(&workspace, "workspace", "", "workspace (required)")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func endpointsRotateCommand() *cobra.Command {
	var dropOld, asJSON, secretFromInput bool
	command := &cobra.Command{
		Use: "rotate id", Short: "Give an endpoint a new signing secret", Args: usage(cobra.ExactArgs(1)),
		Long: "Give an endpoint a new signing secret. The newest of the old ones stays good, so\n" +
			"that nothing is refused while the provider changes over; run it again with\n" +
			"--drop-old to be left with the newest alone.",
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, s *site) error {
			endpoint, err := d.FindEndpoint(args[0])
			if err != nil {
				return err
			}
			connector, err := connectorOf(endpoint.Provider)
			if err != nil {
				return err
			}
			var made string
			if dropOld {
				endpoint, err = d.DropSecrets(command.Context(), actor(), endpoint.ID)
			} else {
				var secret control.Secret
				if secret, made, err = signingSecret(connector, command.InOrStdin(), secretFromInput); err != nil {
					return err
				}
				endpoint, err = d.RotateSecret(command.Context(), actor(), endpoint.ID, secret)
			}
			if err != nil {
				return err
			}
			shown := shownEndpoint{Endpoint: endpoint, URL: webhookURL(s.baseURL(), endpoint.Provider, endpoint.ID), Secret: made}
			return shown.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().BoolVar(&dropOld, "drop-old", false, "make no new secret, and forget all but the newest")
	command.Flags().BoolVar(&secretFromInput, "secret-stdin", false, "read the signing secret from standard input")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func endpointsRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke id", Short: "Turn a webhook endpoint off for good", Args: usage(cobra.ExactArgs(1)),
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			endpoint, err := d.RevokeEndpoint(command.Context(), actor(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "revoked %s\n", endpoint.ID)
			return err
		}),
	}
}
