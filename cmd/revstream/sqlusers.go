package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"revstream/clickhouse"
)

func sqlUsersCommand() *cobra.Command {
	return commandGroup("sql-users", "Create and drop users who ask in SQL", sqlUsersCreateCommand(), sqlUsersDropCommand())
}

const sqlUsersCreateHelp = `Create a ClickHouse user who reads the rows of one workspace and nothing else, and
print how to connect. The password cannot be shown again; a user of the same name
is made anew. The views to ask are in the database that is printed, each column with
a comment; analytics/cookbook/README.md has questions and their SQL.

The embedded ClickHouse is given its users at its start: there, a change of them holds
from the next start of "revstream run" on.`

func sqlUsersCreateCommand() *cobra.Command {
	user := clickhouse.SQLUser{}
	command := &cobra.Command{
		Use: "create name", Short: "Create a user who reads one workspace, and print the password, this once",
		Long: sqlUsersCreateHelp, Args: usage(cobra.ExactArgs(1)),
		PreRunE: func(*cobra.Command, []string) error { return required(map[string]string{"workspace": user.Workspace}) },
		RunE: withSite(bothEngines, func(command *cobra.Command, args []string, s *site) error {
			d, err := s.directory(command.Context())
			if err != nil {
				return err
			}
			workspace, known := d.Workspace(user.Workspace)
			if !known {
				return knownWorkspace(d, user.Workspace)
			}
			user.Name, user.Workspace, user.Password = args[0], workspace.ID, randomText()
			if s.config.embeddedClickHouse() {
				err = saveSQLUser(s.config.DataDir, user)
			} else {
				err = s.createSQLUser(command.Context(), user)
			}
			if err != nil {
				return err
			}
			address := append(s.config.ClickHouse.Addresses, s.config.ClickHouse.Shards...)[0]
			dsn := url.URL{Scheme: "clickhouse", User: url.UserPassword(user.Name, user.Password), Host: address,
				Path: "/" + clickhouse.ViewsDatabase(s.config.ClickHouse.Database)}
			_, err = fmt.Fprintln(command.OutOrStdout(), dsn.String())
			return err
		}),
	}
	flags := command.Flags()
	flags.StringVar(&user.Workspace, "workspace", "", "workspace whose rows are read (required)")
	flags.Int64Var(&user.MemoryBytesMax, "memory-bytes-max", 1<<30, "memory of one query")
	flags.DurationVar(&user.Timeout, "timeout", time.Minute, "time of one query")
	flags.Int64Var(&user.QueriesPerHourMax, "queries-per-hour-max", 3600, "quota")
	return command
}

func (s *site) createSQLUser(ctx context.Context, user clickhouse.SQLUser) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	return store.CreateSQLUser(ctx, user)
}

func sqlUsersDropCommand() *cobra.Command {
	return &cobra.Command{
		Use: "drop name", Short: "Drop a user", Args: usage(cobra.ExactArgs(1)),
		RunE: withSite(bothEngines, func(command *cobra.Command, args []string, s *site) error {
			if s.config.embeddedClickHouse() {
				return changeSQLUsers(s.config.DataDir, args[0])
			}
			store, err := s.store(command.Context())
			if err != nil {
				return err
			}
			return store.DropSQLUser(command.Context(), args[0])
		}),
	}
}
