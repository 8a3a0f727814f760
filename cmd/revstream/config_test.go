package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load reads a configuration as a command would.
func load(t *testing.T, environ []string, args ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, environ)
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "revstream.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultConfigIsValid(t *testing.T) {
	config, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !config.embeddedKafka() || !config.embeddedClickHouse() {
		t.Error("without any configuration the engines should be the embedded ones")
	}
	if config.HTTP.Addr != "127.0.0.1:8080" || config.DataDir != "data" {
		t.Errorf("http.addr %q and data_dir %q are not the documented ones", config.HTTP.Addr, config.DataDir)
	}
}

func TestFlagsGoBeforeEnvironmentBeforeFileBeforeDefaults(t *testing.T) {
	file := configFile(t, "http: {addr: '127.0.0.1:1'}\nlog: {level: warn, format: json}\nsink: {batch_wait_max: 100ms, batch_rows_max: 7}\ndata_dir: from-file\n")
	environ := []string{"REVSTREAM_CONFIG=" + file, "REVSTREAM_HTTP_ADDR=127.0.0.1:2", "REVSTREAM_LOG_LEVEL=error", "REVSTREAM_SINK_BATCH_ROWS_MAX=8", "HOME=/"}
	config, err := load(t, environ, "--http-addr", "127.0.0.1:3", "--set", "sink.batch_rows_max=9")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"flag over environment", config.HTTP.Addr, "127.0.0.1:3"},
		{"--set over environment", config.Sink.BatchRowsMax, 9},
		{"environment over file", config.Log.Level, "error"},
		{"file over default", config.Log.Format, "json"},
		{"file over default", config.Sink.BatchWaitMax, 100 * time.Millisecond},
		{"file over default", config.DataDir, "from-file"},
		{"default", config.Sink.Group, defaultConfig().Sink.Group},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

func TestListsComeFromEveryPlace(t *testing.T) {
	want := []string{"a:1", "b:2"}
	for name, from := range map[string]func() (Config, error){
		"flag":        func() (Config, error) { return load(t, nil, "--kafka-brokers", "a:1,b:2") },
		"set":         func() (Config, error) { return load(t, nil, "--set", "kafka.brokers=a:1,b:2") },
		"environment": func() (Config, error) { return load(t, []string{"REVSTREAM_KAFKA_BROKERS=a:1,b:2"}) },
		"file": func() (Config, error) {
			return load(t, nil, "--config", configFile(t, "kafka: {brokers: ['a:1', 'b:2']}"))
		},
	} {
		config, err := from()
		if err != nil || !slices.Equal(config.Kafka.Brokers, want) {
			t.Errorf("%s: brokers %q, %v; want %q", name, config.Kafka.Brokers, err, want)
		}
	}
}

func TestWhatConfigurationRefuses(t *testing.T) {
	for name, from := range map[string]struct {
		file    string
		environ []string
		args    []string
		says    string
	}{
		"unknown key in the file":       {file: "sink: {batch_row_max: 1}", says: "batch_row_max"},
		"unknown section in the file":   {file: "snik: {group: a}", says: "snik"},
		"no YAML":                       {file: "a: [", says: "revstream.yaml"},
		"unknown variable":              {environ: []string{"REVSTREAM_SINK_GRUOP=a"}, says: "REVSTREAM_SINK_GRUOP"},
		"unknown --set":                 {args: []string{"--set", "sink.gruop=a"}, says: "sink.gruop"},
		"--set without a value":         {args: []string{"--set", "sink.group"}, says: "section.key=value"},
		"a duration without a unit":     {file: "sink: {batch_wait_max: 5}", says: "unit"},
		"text for a number":             {environ: []string{"REVSTREAM_SINK_BATCH_ROWS_MAX=many"}, says: "batch_rows_max"},
		"a bad level":                   {args: []string{"--log-level", "loud"}, says: "log.level"},
		"a bad address":                 {args: []string{"--http-addr", "8080"}, says: "http.addr"},
		"insert longer than rebalance":  {args: []string{"--set", "clickhouse.insert_timeout=2m", "--set", "clickhouse.take_over_timeout=3m"}, says: "rebalance_timeout"},
		"a replicated embedded engine":  {args: []string{"--set", "clickhouse.engine=replicated"}, says: "embedded"},
		"a query longer than its bound": {args: []string{"--set", "query.query_timeout=50s"}, says: "clickhouse.query_timeout"},
		"a missing file":                {args: []string{"--config", "/nonexistent/revstream.yaml"}, says: "nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			args := from.args
			if from.file != "" {
				args = append(args, "--config", configFile(t, from.file))
			}
			_, err := load(t, from.environ, args...)
			if !errors.As(err, new(*configError)) {
				t.Fatalf("got %v, want a configuration error", err)
			}
			if !strings.Contains(err.Error(), from.says) {
				t.Errorf("%q does not say %q", err, from.says)
			}
			if exitCode(err) != exitUsage {
				t.Errorf("exit code %d, want %d", exitCode(err), exitUsage)
			}
		})
	}
}

func TestDemoVariablesAreNoSettings(t *testing.T) {
	var environ []string
	for _, name := range demoVariables {
		environ = append(environ, name+"=x")
	}
	if _, err := load(t, environ); err != nil {
		t.Errorf("a shell that has sourced demo.env: %v", err)
	}
}

func TestEveryVariableIsOneSetting(t *testing.T) {
	config := defaultConfig()
	known := settingKeys(config)
	if len(known) < 50 {
		t.Fatalf("only %d settings found", len(known))
	}
	for _, name := range environmentIgnored {
		if key, taken := known[name]; taken {
			t.Errorf("%s is both a demo variable and the setting %s", name, key)
		}
	}
	for flag, key := range namedFlags {
		if known[environmentName(key)] != key {
			t.Errorf("--%s is for %s, which is no setting", flag, key)
		}
	}
}

func TestDumpIsAConfigurationWithoutSecrets(t *testing.T) {
	config, err := load(t, nil, "--set", "clickhouse.password=hunter2", "--set", "kafka.sasl.mechanism=plain",
		"--set", "kafka.sasl.user=u", "--set", "kafka.sasl.password=hunter2", "--set", "sink.batch_wait_max=123ms",
		"--clickhouse-addresses", "a:9000", "--kafka-brokers", "b:9092")
	if err != nil {
		t.Fatal(err)
	}
	text, err := dumpConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	again, err := load(t, nil, "--config", configFile(t, string(text)))
	if err != nil {
		t.Fatalf("the dump is not accepted: %v\n%s", err, text)
	}
	if again.Sink != config.Sink || again.HTTP != config.HTTP || !slices.Equal(again.Kafka.Brokers, config.Kafka.Brokers) {
		t.Errorf("the dump reads back as something else:\n%s", text)
	}
}
