package control

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the limits of the control plane.
type Config struct {
	// WorkspacesMax, KeysPerWorkspaceMax, EndpointsPerWorkspaceMax and
	// AlertsPerWorkspaceMax bound what every node holds in memory. What is revoked does
	// not count.
	WorkspacesMax            int `koanf:"workspaces_max"`
	KeysPerWorkspaceMax      int `koanf:"keys_per_workspace_max"`
	EndpointsPerWorkspaceMax int `koanf:"endpoints_per_workspace_max"`
	AlertsPerWorkspaceMax    int `koanf:"alerts_per_workspace_max"`
	// SecretsPerEndpointMax bounds the secrets tried on one delivery.
	SecretsPerEndpointMax int `koanf:"secrets_per_endpoint_max"`

	// MissInterval is the least time between two questions to Kafka because of keys
	// or endpoints that are not in memory. All misses in between share one, so bad
	// keys cost Kafka a constant.
	MissInterval time.Duration `koanf:"miss_interval"`
	// MissTimeout bounds how long a miss waits.
	MissTimeout time.Duration `koanf:"miss_timeout"`
	// MissesWaitingMax bounds how many misses wait at a time; more are busy.
	MissesWaitingMax int `koanf:"misses_waiting_max"`
	// MissesKept is how many keys and endpoints are remembered not to exist.
	MissesKept int `koanf:"misses_kept"`

	// AuditEntriesMax bounds one listing of the audit.
	AuditEntriesMax int `koanf:"audit_entries_max"`
}

// DefaultConfig suits one installation with some thousand workspaces.
func DefaultConfig() Config {
	return Config{
		WorkspacesMax:            10_000,
		KeysPerWorkspaceMax:      100,
		EndpointsPerWorkspaceMax: 100,
		AlertsPerWorkspaceMax:    100,
		SecretsPerEndpointMax:    8,
		MissInterval:             100 * time.Millisecond,
		MissTimeout:              2 * time.Second,
		MissesWaitingMax:         1000,
		MissesKept:               10_000,
		AuditEntriesMax:          1000,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	for name, value := range map[string]int64{
		"workspaces_max":              int64(c.WorkspacesMax),
		"keys_per_workspace_max":      int64(c.KeysPerWorkspaceMax),
		"endpoints_per_workspace_max": int64(c.EndpointsPerWorkspaceMax),
		"alerts_per_workspace_max":    int64(c.AlertsPerWorkspaceMax),
		"secrets_per_endpoint_max":    int64(c.SecretsPerEndpointMax),
		"miss_interval":               int64(c.MissInterval),
		"misses_waiting_max":          int64(c.MissesWaitingMax),
		"misses_kept":                 int64(c.MissesKept),
		"audit_entries_max":           int64(c.AuditEntriesMax),
	} {
		if value <= 0 {
			faults = append(faults, fmt.Errorf("%s: must be positive, not %d", name, value))
		}
	}
	if c.MissTimeout < 2*c.MissInterval {
		faults = append(faults, fmt.Errorf("miss_timeout %v is less than twice miss_interval %v", c.MissTimeout, c.MissInterval))
	}
	return errors.Join(faults...)
}
