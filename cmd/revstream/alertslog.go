package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"revstream/analytics"
	"revstream/clickhouse"
	"revstream/ingest/control"
)

func alertsLogCommand() *cobra.Command {
	var filter clickhouse.NotificationFilter
	var since time.Duration
	var asJSON bool
	command := &cobra.Command{
		Use: "log", Short: "Show what subscribers were told, newest first", Args: usage(cobra.NoArgs),
		Long: "Show what subscribers were told, newest first, and what came of each attempt. States are\n" +
			"pending, delivered, dead (given up; see `alerts redeliver`) and dropped (the alert ended).",
		PreRunE: func(*cobra.Command, []string) error {
			if filter.Limit < 1 {
				return exitWith(exitUsage, fmt.Errorf("--limit %d: at least 1", filter.Limit))
			}
			return required(map[string]string{"workspace": filter.Workspace})
		},
		RunE: withBooks(func(command *cobra.Command, directory *control.Directory, store *clickhouse.Cluster, _ *site) error {
			if err := knownWorkspace(directory, filter.Workspace); err != nil {
				return err
			}
			if since > 0 {
				filter.Since = time.Now().Add(-since)
			}
			found, err := store.Answers().Notifications(command.Context(), filter)
			if err != nil {
				return err
			}
			return notificationListing(found).print(command.OutOrStdout(), asJSON)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&filter.Workspace, "workspace", "", "workspace (required)")
	flags.StringVar(&filter.Alert, "alert", "", "of this alert only")
	flags.StringVar(&filter.State, "state", "", "in this state only")
	flags.StringVar(&filter.ID, "id", "", "this notification only")
	flags.DurationVar(&since, "since", 0, "made since so long ago, like 24h")
	flags.IntVar(&filter.Limit, "limit", 50, "how many at most")
	flags.BoolVar(&asJSON, "json", false, "print JSON, with bodies and every attempt")
	return command
}

func notificationListing(found []clickhouse.Notification) listing {
	list := listing{header: "ID\tALERT\tTYPE\tSTATE\tCREATED\tATTEMPTS\tLAST\tNEXT"}
	shown := []analytics.Notification{}
	for i := range found {
		n := &found[i]
		shown = append(shown, analytics.NotificationOf(n))
		last, next := "-", time.Time{}
		if tried := len(n.TriedAt); tried > 0 {
			last = fmt.Sprint(n.Statuses[tried-1], " ", n.Errors[tried-1])
		}
		if n.State == clickhouse.NotificationPending {
			next = n.NextAt
		}
		list.rows = append(list.rows, []any{n.ID, n.Alert, n.Type, n.State, n.CreatedAt, len(n.TriedAt), last, next})
	}
	list.values = shown
	return list
}
