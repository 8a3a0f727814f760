package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/structs"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// withConfig makes the body of a command out of one that wants the configuration.
func withConfig(body func(command *cobra.Command, args []string, config Config) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		config, err := loadConfig(command.Flags(), os.Environ())
		if err != nil {
			return err
		}
		return body(command, args, config)
	}
}

func configCommand() *cobra.Command {
	return commandGroup("config", "Inspect the configuration",
		&cobra.Command{
			Use: "check", Short: "Say whether the configuration is valid", Args: usage(cobra.NoArgs),
			RunE: withConfig(func(command *cobra.Command, _ []string, _ Config) error {
				fmt.Fprintln(command.OutOrStdout(), "configuration is valid")
				return nil
			}),
		},
		&cobra.Command{
			Use: "dump", Short: "Print every setting in effect as YAML, secrets left out", Args: usage(cobra.NoArgs),
			RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
				text, err := dumpConfig(config)
				if err != nil {
					return err
				}
				_, err = command.OutOrStdout().Write(text)
				return err
			}),
		},
	)
}

// dumpConfig renders the configuration as YAML that loadConfig takes back,
// except for secrets.
func dumpConfig(config Config) ([]byte, error) {
	settings, err := structs.Provider(config, "koanf").Read()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	redact(settings)
	text, err := yaml.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("rendering the configuration: %w", err)
	}
	return text, nil
}

// secretKeys are the last words of settings whose value is not to be shown.
var secretKeys = []string{"password", "secret", "token"}

func redact(settings map[string]any) {
	for key, value := range settings {
		if section, nested := value.(map[string]any); nested {
			redact(section)
			continue
		}
		last := key[strings.LastIndexByte(key, '_')+1:]
		if text, isText := value.(string); isText && text != "" && slices.Contains(secretKeys, last) {
			settings[key] = "(set)"
		}
	}
}
