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

// setting applies name=value arguments to what an endpoint was told before, checks
// the result, and splits it into what may be shown and what may not. An empty value
// takes a setting back.
func setting(connector connectors.Connector, before map[string]string, arguments []string) (map[string]string, map[string]control.Secret, error) {
	settings := map[string]string{}
	maps.Copy(settings, before)
	for _, argument := range arguments {
		name, value, found := strings.Cut(argument, "=")
		if !found {
			return nil, nil, exitWith(exitUsage, fmt.Errorf("%s: want name=value", name))
		}
		if file, isFile := strings.CutPrefix(value, "@"); isFile {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			value = strings.TrimSpace(string(text))
		}
		settings[name] = value
		if value == "" {
			delete(settings, name)
		}
	}
	if _, err := connector.Settle(settings); err != nil {
		return nil, nil, exitWith(exitUsage, fmt.Errorf("settings of %s: %w", connector.Title, err))
	}
	options, credentials := map[string]string{}, map[string]control.Secret{}
	for _, known := range connector.Settings {
		value, given := settings[known.Name]
		switch {
		case given && known.Secret:
			credentials[known.Name] = control.NewSecret(value)
		case given:
			options[known.Name] = value
		}
	}
	return options, credentials, nil
}

func endpointsProvidersCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "providers", Short: "List the providers that endpoints can be for, with their settings", Args: usage(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			known := registry.New(defaultConfig().Stripe, nil)
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(shownProviders(known))
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

// shownSetting and shownProvider are the JSON of the listing.
type shownSetting struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
}

type shownProvider struct {
	Provider string         `json:"provider"`
	Title    string         `json:"title"`
	Secret   string         `json:"secret"`
	Settings []shownSetting `json:"settings"`
}

func shownProviders(known []connectors.Connector) []shownProvider {
	shown := make([]shownProvider, len(known))
	for i, connector := range known {
		shown[i] = shownProvider{connector.Provider, connector.Title, connector.Secret, []shownSetting{}}
		for _, s := range connector.Settings {
			shown[i].Settings = append(shown[i].Settings, shownSetting{s.Name, s.About, s.Default, s.Required, s.Secret})
		}
	}
	return shown
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
			options, credentials, err := setting(connector, endpoint.Settings(), args[1:])
			if err != nil {
				return err
			}
			if _, err := d.SetOptions(command.Context(), actor(), endpoint.ID, options, credentials); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "set %s\n", endpoint.ID)
			return err
		}),
	}
}
