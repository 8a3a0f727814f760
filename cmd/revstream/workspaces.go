package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"revstream/ingest/control"
)

func workspacesCommand() *cobra.Command {
	return commandGroup("workspaces", "Create and list workspaces", workspacesCreateCommand(), workspacesListCommand())
}

func workspacesCreateCommand() *cobra.Command {
	var wanted control.NewWorkspace
	var asJSON bool
	command := &cobra.Command{
		Use: "create slug", Short: "Create a workspace", Args: usage(cobra.ExactArgs(1)),
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			wanted.Slug = args[0]
			created, err := d.CreateWorkspace(command.Context(), actor(), wanted)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(created)
			}
			fmt.Fprintf(command.OutOrStdout(), "created workspace %s (%s, %s)\n", created.Slug, created.Currency, created.TimeZone)
			return nil
		}),
	}
	command.Flags().StringVar(&wanted.Name, "name", "", "its name (default the slug)")
	command.Flags().StringVar(&wanted.Currency, "currency", "", "ISO 4217 currency of its answers (default USD)")
	command.Flags().StringVar(&wanted.TimeZone, "time-zone", "", "IANA time zone of its days (default UTC)")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func workspacesListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the workspaces", Args: usage(cobra.NoArgs),
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, _ *site) error {
			list := listing{header: "SLUG\tNAME\tCURRENCY\tTIME ZONE\tCREATED", values: d.Workspaces()}
			for _, w := range d.Workspaces() {
				list.rows = append(list.rows, []any{w.Slug, w.Name, w.Currency, w.TimeZone, w.CreatedAt})
			}
			return list.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}
