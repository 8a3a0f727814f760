package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// environmentPrefix starts the name of every environment variable that is read.
const environmentPrefix = "REVSTREAM_"

// environmentIgnored are variables with the prefix that are no settings: the
// config file's own name, and what <data>/demo.env exports for the reader's
// shell.
var environmentIgnored = append([]string{"REVSTREAM_CONFIG"}, demoVariables...)

// configError is a configuration that cannot be used, with everything that is
// wrong with it.
type configError struct{ err error }

func (e *configError) Error() string { return "configuration: " + e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// namedFlags are the settings with a flag of their own, by flag name. All others
// are reached with --set.
var namedFlags = map[string]string{
	"data-dir":             "data_dir",
	"http-addr":            "http.addr",
	"log-level":            "log.level",
	"kafka-brokers":        "kafka.brokers",
	"clickhouse-addresses": "clickhouse.addresses",
}

func addConfigFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file with settings (REVSTREAM_CONFIG)")
	flags.StringArray("set", nil, "a setting as section.key=value; repeatable")
	flags.String("data-dir", "", "folder for everything kept on this machine (default ./data)")
	flags.String("http-addr", "", "address of the HTTP API (default 127.0.0.1:8080)")
	flags.String("log-level", "", "debug, info, warn or error (default info)")
	flags.StringSlice("kafka-brokers", nil, "Kafka brokers, host:port; none: the embedded broker")
	flags.StringSlice("clickhouse-addresses", nil, "ClickHouse servers, host:port of the native protocol; none: the embedded engine")
}

// loadConfig composes the defaults, the file, the environment and the flags, each
// going before those named earlier, and validates the outcome. Unknown keys are
// errors wherever they come from. The error is a *configError.
func loadConfig(flags *pflag.FlagSet, environ []string) (Config, error) {
	config := defaultConfig()
	given := koanf.New(".")
	known := settingKeys(config)
	err := errors.Join(
		loadFile(given, configPath(flags, environ), known),
		loadEnvironment(given, environ, known),
		loadFlags(given, flags, known),
	)
	if err == nil {
		err = decodeConfig(given, &config)
	}
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return config, &configError{err}
	}
	return config, nil
}

// settingKeys maps every setting's environment variable to its dotted key.
func settingKeys(config Config) map[string]string {
	defaults := koanf.New(".")
	if err := defaults.Load(structs.Provider(config, "koanf"), nil); err != nil {
		panic("reading the default configuration: " + err.Error()) // a struct cannot fail to be read
	}
	known := map[string]string{}
	for _, key := range defaults.Keys() {
		known[environmentName(key)] = key
	}
	return known
}

func environmentName(key string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func configPath(flags *pflag.FlagSet, environ []string) string {
	if path, err := flags.GetString("config"); err == nil && path != "" {
		return path
	}
	for _, variable := range environ {
		if path, found := strings.CutPrefix(variable, "REVSTREAM_CONFIG="); found {
			return path
		}
	}
	return ""
}

func loadFile(given *koanf.Koanf, path string, known map[string]string) error {
	if path == "" {
		return nil
	}
	content := koanf.New(".")
	if err := content.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	var unknown []error
	for _, key := range content.Keys() {
		if known[environmentName(key)] != key {
			unknown = append(unknown, fmt.Errorf("%s: unknown key %q%s", path, key, suggestion(key, known)))
		}
	}
	if err := errors.Join(unknown...); err != nil {
		return err
	}
	return given.Merge(content)
}

func loadEnvironment(given *koanf.Koanf, environ []string, known map[string]string) error {
	var unknown []error
	provider := env.Provider(".", env.Opt{
		Prefix:      environmentPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key := known[name]
			if key == "" && !slices.Contains(environmentIgnored, name) {
				unknown = append(unknown, fmt.Errorf("unknown environment variable %s", name))
			}
			return key, value
		},
	})
	err := given.Load(provider, nil)
	return errors.Join(append(unknown, err)...)
}

func loadFlags(given *koanf.Koanf, flags *pflag.FlagSet, known map[string]string) error {
	err := given.Load(posflag.ProviderWithFlag(flags, ".", nil, func(flag *pflag.Flag) (string, any) {
		return namedFlags[flag.Name], posflag.FlagVal(flags, flag)
	}), nil)
	if err != nil {
		return err
	}
	settings, err := flags.GetStringArray("set")
	if err != nil {
		return nil // the command takes no settings
	}
	for _, setting := range settings {
		key, value, found := strings.Cut(setting, "=")
		if !found || known[environmentName(key)] != key {
			return fmt.Errorf("--set %s: want section.key=value with a known key%s", setting, suggestion(key, known))
		}
		if err := given.Set(key, value); err != nil {
			return fmt.Errorf("--set %s: %w", setting, err)
		}
	}
	return nil
}

// suggestion names a known key that ends like the unknown one.
func suggestion(unknown string, known map[string]string) string {
	last := unknown[strings.LastIndexByte(unknown, '.')+1:]
	var candidates []string
	for _, key := range known {
		if last != "" && strings.HasSuffix(key, last) {
			candidates = append(candidates, key)
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	sort.Strings(candidates)
	return "; did you mean " + strings.Join(candidates, " or ") + "?"
}

// decodeConfig writes what was given over the defaults in config.
func decodeConfig(given *koanf.Koanf, config *Config) error {
	return given.UnmarshalWithConf("", config, koanf.UnmarshalConf{
		Tag: "koanf",
		DecoderConfig: &mapstructure.DecoderConfig{
			WeaklyTypedInput: true, // the environment and --set have only text
			ErrorUnused:      true,
			DecodeHook: mapstructure.ComposeDecodeHookFunc(
				durationWithUnit,
				mapstructure.StringToTimeDurationHookFunc(),
				mapstructure.StringToSliceHookFunc(","),
				mapstructure.TextUnmarshallerHookFunc(),
			),
		},
	})
}

// durationWithUnit refuses bare numbers as durations: nobody who writes 5 means
// five nanoseconds.
func durationWithUnit(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() || from == to || from.Kind() == reflect.String {
		return value, nil
	}
	return nil, fmt.Errorf("%v is no duration: a unit is missing, as in 500ms or 5s", value)
}
