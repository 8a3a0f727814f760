package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// places is where a running process can be reached. It is printed at the start,
// and kept in the data folder for the commands that an operator runs beside it.
type places struct {
	PID              int      `json:"pid"`
	URL              string   `json:"url"`
	Kafka            []string `json:"kafka"`
	ClickHouse       []string `json:"clickhouse"`
	ClickHouseHTTP   string   `json:"clickhouse_http,omitempty"`
	Database         string   `json:"database"`
	ClickHouseUser   string   `json:"clickhouse_user"`
	ClickHousePasswd string   `json:"clickhouse_password,omitempty"`
	DemoFile         string   `json:"demo_file,omitempty"`
}

// placesFile lies in the data folder while a process runs on it.
const placesFile = "running.json"

// save writes the places for this user's eyes only, for they hold the password of
// the embedded ClickHouse.
func (p places) save(folder string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("rendering %s: %w", placesFile, err)
	}
	return replaceFile(filepath.Join(folder, placesFile), append(text, '\n'))
}

// errNotTold says that a process is only starting, or about to end.
var errNotTold = errors.New("but has not told yet where its engines are: try again")

// startPatience is how long a command waits for a process that is only starting.
const startPatience = 20 * time.Second

// awaitPlaces is loadPlaces, once the process has told.
func awaitPlaces(ctx context.Context, folder string) (places, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		p, err := loadPlaces(folder)
		if !errors.Is(err, errNotTold) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// loadPlaces reads where the process that runs on the folder can be reached.
func loadPlaces(folder string) (places, error) {
	text, err := os.ReadFile(filepath.Join(folder, placesFile))
	if errors.Is(err, os.ErrNotExist) {
		return places{}, fmt.Errorf("a process holds the data folder %s, %w", folder, errNotTold)
	}
	if err != nil {
		return places{}, fmt.Errorf("finding the running process: %w", err)
	}
	var p places
	if err := json.Unmarshal(text, &p); err != nil {
		return places{}, fmt.Errorf("reading %s: %w", placesFile, err)
	}
	return p, nil
}

// print writes the table that a start ends with.
func (p places) print(out io.Writer, config Config) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, place string) {
		if place != "" {
			fmt.Fprintf(table, "  %s\t%s\n", name, place)
		}
	}
	fmt.Fprintf(table, "revstream %s is up\n", version())
	line("API", p.URL)
	if p.URL != "" {
		line("OpenAPI", p.URL+"/openapi.json")
		line("documentation", p.URL+"/docs")
	}
	line("ClickHouse native", strings.Join(p.ClickHouse, ", "))
	line("ClickHouse HTTP", p.ClickHouseHTTP)
	line("Kafka", strings.Join(p.Kafka, ", "))
	line("data folder", config.DataDir)
	if p.DemoFile != "" {
		line("keys of workspace demo", "source "+p.DemoFile)
	}
	_ = table.Flush() // a closed terminal is no reason to stop
}

// replaceFile writes a file that only this user can read, whole or not at all.
func replaceFile(path string, content []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("putting %s in place: %w", path, err)
	}
	return nil
}
