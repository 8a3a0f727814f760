package stream

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"brokers":                   func(c *Config) { c.Brokers = nil },
		"partitions":                func(c *Config) { c.Partitions = 0 },
		"min_insync_replicas":       func(c *Config) { c.MinInsyncReplicas = 2 },
		"produce_timeout":           func(c *Config) { c.ProduceTimeout = -time.Second },
		"record_bytes_max":          func(c *Config) { c.RecordBytesMax = c.InFlightBytesMax + 1 },
		"in_flight_records_max":     func(c *Config) { c.InFlightRecordsMax = 999 },
		"fetch_partition_bytes_max": func(c *Config) { c.FetchPartitionBytesMax = c.FetchBytesMax + 1 },
		"heartbeat_interval":        func(c *Config) { c.HeartbeatInterval = c.SessionTimeout },
		"segment_bytes":             func(c *Config) { c.SegmentBytes = 1 },
		"tombstone_retention":       func(c *Config) { c.TombstoneRetention = time.Minute },
		"two uses":                  func(c *Config) { c.ControlTopic = c.EventsTopic },
		"not a topic name":          func(c *Config) { c.ControlTopic = "../x" },
		"cert_file":                 func(c *Config) { c.TLS = TLS{Enabled: true, CertFile: "x"} },
		"without enabled":           func(c *Config) { c.TLS.CAFile = "x" },
		"mechanism":                 func(c *Config) { c.SASL.Mechanism = "gssapi" },
		"user and password":         func(c *Config) { c.SASL.Mechanism = MechanismPlain },
		"without mechanism":         func(c *Config) { c.SASL.User = "x" },
	} {
		c := DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func TestRedacted(t *testing.T) {
	c := DefaultConfig()
	c.SASL.Password = "hunter2"
	if got := c.Redacted().SASL.Password; got != redacted || c.SASL.Password != "hunter2" {
		t.Errorf("%q, and %q", got, c.SASL.Password)
	}
}
