package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"revstream/ingest/control"
	"revstream/ingest/stream"
)

// withDirectory is the body of a command that reads or changes the control plane.
// It has a copy of its own for as long as it runs. What the control plane finds
// invalid was said on the command line, so it is wrong usage.
func withDirectory(body func(command *cobra.Command, args []string, d *control.Directory, s *site) error) func(*cobra.Command, []string) error {
	return withSite(kafkaOnly, func(command *cobra.Command, args []string, s *site) error {
		directory, err := s.directory(command.Context())
		if err != nil {
			return err
		}
		err = body(command, args, directory, s)
		if errors.Is(err, control.ErrInvalid) {
			return exitWith(exitUsage, err)
		}
		return err
	})
}

func (s *site) directory(ctx context.Context) (*control.Directory, error) {
	if err := stream.EnsureTopics(ctx, s.config.Kafka); err != nil {
		return nil, fmt.Errorf("preparing the topics: %w", err)
	}
	folder, err := os.MkdirTemp("", "revstream-control-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the control plane: %w", err)
	}
	s.stops.add("folder of the control plane", func(context.Context) error { return os.RemoveAll(folder) })
	table, err := stream.OpenTable(ctx, s.config.Kafka, s.config.Kafka.ControlTopic, folder, s.log, nil)
	if err != nil {
		return nil, err
	}
	s.stops.add("control plane", func(context.Context) error { return table.Close() })
	return control.Open(ctx, table, control.WithConfig(s.config.Control), control.WithLog(s.log))
}

// actor names who runs a command, for the audit.
func actor() control.Actor {
	if who, err := user.Current(); err == nil {
		return control.Actor("cli:" + who.Username)
	}
	return control.Actor(fmt.Sprintf("cli:uid %d", os.Getuid()))
}

// listing is how lists are printed: a table for people, or JSON.
type listing struct {
	header string
	rows   [][]any
	values any // what JSON shows
}

func (l listing) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(l.values)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, l.header)
	for _, row := range l.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = fmt.Sprint(cell)
			if at, isTime := cell.(time.Time); isTime {
				cells[i] = orNone(at)
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

func orNone(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

// knownWorkspace makes a misspelt slug an error where it would be an empty list.
func knownWorkspace(d *control.Directory, slug string) error {
	if _, known := d.Workspace(slug); !known {
		return fmt.Errorf("workspace %q: %w", slug, control.ErrUnknown)
	}
	return nil
}

// required complains about flags that were left out.
func required(flags map[string]string) error {
	for name, value := range flags {
		if value == "" {
			return exitWith(exitUsage, fmt.Errorf("--%s is required", name))
		}
	}
	return nil
}
