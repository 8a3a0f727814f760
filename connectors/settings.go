package connectors

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one thing that an endpoint of a provider may be told.
type Setting struct {
	// Name is in snake case.
	Name string
	// About says in a sentence what it is for.
	About string
	// Default holds where nothing was set; Required says that something must be.
	Default  string
	Required bool
	// Secret keeps the value out of listings and logs: an API key, a password.
	Secret bool
	// Outbound says that our own requests go where the value points, which is for
	// those to set who run the installation: it may reach what callers cannot.
	Outbound bool
	// Check refuses a value; nil takes any text. It sees no empty one.
	Check func(value string) error
}

// Settings are the settings of one endpoint by name.
type Settings map[string]string

// Settle checks what was set for an endpoint and completes it with the defaults.
// The error names every setting at fault, and quotes no secret.
func (c Connector) Settle(given map[string]string) (Settings, error) {
	settled := make(Settings, len(c.Settings))
	var faults []error
	for _, setting := range c.Settings {
		value := given[setting.Name]
		switch {
		case value == "" && setting.Required:
			faults = append(faults, fmt.Errorf("%s is required: %s", setting.Name, setting.About))
		case value == "":
			value = setting.Default
		case setting.Check != nil:
			if err := setting.Check(value); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", setting.Name, err))
			}
		}
		settled[setting.Name] = value
	}
	for name := range given {
		if _, known := settled[name]; !known {
			faults = append(faults, fmt.Errorf("%s has no setting %q, it has %s", c.Provider, name, c.settingNames()))
		}
	}
	return settled, errors.Join(faults...)
}

// IsSecret reports whether the setting of that name is one to keep secret.
func (c Connector) IsSecret(name string) bool {
	return slices.ContainsFunc(c.Settings, func(s Setting) bool { return s.Name == name && s.Secret })
}

// Description is what there is to know before an endpoint of a provider is made.
type Description struct {
	Provider string               `json:"provider"`
	Title    string               `json:"title"`
	Secret   string               `json:"secret"`
	Settings []SettingDescription `json:"settings"`
}

// SettingDescription is a Setting in words.
type SettingDescription struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
	Outbound bool   `json:"outbound"`
}

// Describe puts the connector in words.
func (c Connector) Describe() Description {
	described := Description{c.Provider, c.Title, c.Secret, make([]SettingDescription, len(c.Settings))}
	for i, s := range c.Settings {
		described.Settings[i] = SettingDescription{s.Name, s.About, s.Default, s.Required, s.Secret, s.Outbound}
	}
	return described
}

func (c Connector) settingNames() string {
	names := make([]string, len(c.Settings))
	for i, setting := range c.Settings {
		names[i] = setting.Name
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Duration is a setting that Between has checked; 0 if it was not set.
func (s Settings) Duration(name string) time.Duration {
	duration, _ := time.ParseDuration(s[name])
	return duration
}

// Flag is a setting that IsFlag has checked; false if it was not set.
func (s Settings) Flag(name string) bool { return s[name] == "true" }

// OneOf takes the options only.
func OneOf(options ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(options, value) {
			return fmt.Errorf("%q must be one of: %s", value, strings.Join(options, ", "))
		}
		return nil
	}
}

// IsFlag takes true and false.
func IsFlag(value string) error { return OneOf("true", "false")(value) }

// Between takes a duration of Go's syntax, like 5m, within the bounds.
func Between(least, most time.Duration) func(string) error {
	return func(value string) error {
		if duration, err := time.ParseDuration(value); err != nil || duration < least || duration > most {
			return fmt.Errorf("%q must be a duration from %v to %v", value, least, most)
		}
		return nil
	}
}

// IsBaseURL takes the address of an API: https, or http on this machine.
func IsBaseURL(value string) error {
	address, err := url.Parse(value)
	if err != nil || address.Host == "" || address.User != nil || address.RawQuery != "" || address.Fragment != "" {
		return fmt.Errorf("%s must be an address like https://api.example.com", strconv.Quote(value))
	}
	host, err := netip.ParseAddr(address.Hostname())
	local := address.Hostname() == "localhost" || err == nil && host.IsLoopback()
	if address.Scheme != "https" && (address.Scheme != "http" || !local) {
		return fmt.Errorf("%s must begin with https", strconv.Quote(value))
	}
	return nil
}
