package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The variables of <data>/demo.env. They are for the reader's shell: revstream
// itself ignores them.
const (
	demoURL            = "REVSTREAM_URL"
	demoSecretKey      = "REVSTREAM_SECRET_KEY"
	demoPublicKey      = "REVSTREAM_PUBLIC_KEY"
	demoStripeEndpoint = "REVSTREAM_STRIPE_ENDPOINT"
	demoStripeSecret   = "REVSTREAM_STRIPE_SECRET"
	demoClickHouseDSN  = "REVSTREAM_CLICKHOUSE_DSN"
	demoClickHouseHTTP = "REVSTREAM_CLICKHOUSE_HTTP"
)

// demoVariables in the order of the file.
var demoVariables = []string{
	demoURL, demoSecretKey, demoPublicKey, demoStripeEndpoint, demoStripeSecret, demoClickHouseDSN, demoClickHouseHTTP,
}

// demoFileName lies in the data folder. It is the only place where the demo keys
// can be read: the service itself keeps their hashes.
const demoFileName = "demo.env"

// readDemoFile returns the variables of the file, none if there is no file yet.
func readDemoFile(folder string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(folder, demoFileName))
	if errors.Is(err, os.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the demo keys: %w", err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if found {
			values[name] = value
		}
	}
	return values, nil
}

// shellSafe is a value that a POSIX shell takes as it stands, without quotes.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_:/.@%+,-]*$`)

// writeDemoFile writes the variables for a POSIX shell to source.
func writeDemoFile(folder string, values map[string]string) (path string, err error) {
	var text strings.Builder
	text.WriteString("# Keys of the workspace \"demo\". Written by revstream run; use: source this file\n")
	for _, name := range demoVariables {
		if !shellSafe.MatchString(values[name]) {
			return "", fmt.Errorf("writing the demo keys: the value of %s would need quotes", name)
		}
		if values[name] != "" {
			fmt.Fprintf(&text, "export %s=%s\n", name, values[name])
		}
	}
	path = filepath.Join(folder, demoFileName)
	return path, replaceFile(path, []byte(text.String()))
}
