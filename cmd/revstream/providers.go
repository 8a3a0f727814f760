package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"revstream/connectors"
	"revstream/connectors/registry"
	"revstream/ingest/control"
)

// connectorOf refuses a provider whose every delivery would be a 404.
func connectorOf(provider string) (connectors.Connector, error) {
	var known []string
	for _, connector := range registry.New(defaultConfig().Stripe, nil) {
		if connector.Provider == provider {
			return connector, nil
		}
		known = append(known, connector.Provider)
	}
	return connectors.Connector{}, exitWith(exitUsage, fmt.Errorf("--provider %s: no connector of that name, want one of %s", provider, strings.Join(known, ", ")))
}

// setting applies name=value arguments to what an endpoint was told before, and
// checks the result. An empty value takes a setting back.
func setting(connector connectors.Connector, before map[string]string, arguments []string) (map[string]string, error) {
	settings := map[string]string{}
	maps.Copy(settings, before)
	for _, argument := range arguments {
		name, value, found := strings.Cut(argument, "=")
		if !found {
			return nil, exitWith(exitUsage, fmt.Errorf("%s: want name=value", name))
		}
		if file, isFile := strings.CutPrefix(value, "@"); isFile {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			value = strings.TrimSpace(string(text))
		}
		settings[name] = value
		if value == "" {
			delete(settings, name)
		}
	}
	if _, err := connector.Settle(settings); err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("settings of %s: %w", connector.Title, err))
	}
	return settings, nil
}

func endpointsProvidersCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "providers", Short: "List the providers that endpoints can be for, with their settings", Args: usage(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			known := registry.New(defaultConfig().Stripe, nil)
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(described(known))
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, connector := range known {
				fmt.Fprintf(table, "%s\t%s: verified by %s\n", connector.Provider, connector.Title, connector.Secret)
				for _, s := range connector.Settings {
					fmt.Fprintf(table, "  %s\t%s%s\n", s.Name, s.About, remark(s))
				}
			}
			return table.Flush()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

// remark is what else is to be said of a setting.
func remark(s connectors.Setting) string {
	switch {
	case s.Required && s.Secret:
		return " (required, secret)"
	case s.Required:
		return " (required)"
	case s.Secret:
		return " (secret)"
	case s.Default != "":
		return " (default " + s.Default + ")"
	default:
		return ""
	}
}

// described is the JSON of the listing.
func described(known []connectors.Connector) []connectors.Description {
	list := make([]connectors.Description, len(known))
	for i, connector := range known {
		list[i] = connector.Describe()
	}
	return list
}

func endpointsSetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set id name=value...", Short: "Change settings of a webhook endpoint", Args: usage(cobra.MinimumNArgs(2)),
		Long: "Change settings of a webhook endpoint. name=@file reads the value from a file, and\nname= goes back to the default. `endpoints providers` lists the settings.",
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			endpoint, err := d.FindEndpoint(args[0])
			if err != nil {
				return err
			}
			connector, err := connectorOf(endpoint.Provider)
			if err != nil {
				return err
			}
			_, err = d.EditEndpoint(command.Context(), actor(), endpoint.ID, func(e *control.Endpoint) error {
				settings, err := setting(connector, e.Settings(), args[1:])
				e.Options, e.Credentials = control.Divide(settings, connector.IsSecret)
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "set %s\n", endpoint.ID)
			return err
		}),
	}
}
