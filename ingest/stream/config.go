package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config is how to reach Kafka, what the topics are called and made of, and the
// limits of everything that talks to it. All clients of one installation share it.
type Config struct {
	// Brokers are seed addresses, host:port.
	Brokers []string `koanf:"brokers"`
	// ClientID names this program to the brokers.
	ClientID string `koanf:"client_id"`
	TLS      TLS    `koanf:"tls"`
	SASL     SASL   `koanf:"sasl"`

	// EventsTopic carries every statement, keyed by workspace and group.
	EventsTopic string `koanf:"events_topic"`
	// DeadLettersTopic holds what the sink could not read, until it is retried.
	DeadLettersTopic string `koanf:"dead_letters_topic"`
	// DeliveriesTopic holds webhook deliveries as they came in until they are stored,
	// DeliveriesRetention at most. It has DeliveriesPartitions, whose count is as
	// fixed as that of the events.
	DeliveriesTopic      string        `koanf:"deliveries_topic"`
	DeliveriesPartitions int32         `koanf:"deliveries_partitions"`
	DeliveriesRetention  time.Duration `koanf:"deliveries_retention"`
	// The topics behind tables. All but that of placements are compacted.
	ControlTopic      string `koanf:"control_topic"`
	MessagesTopic     string `koanf:"messages_topic"`
	TransactionsTopic string `koanf:"transactions_topic"`
	IdempotencyTopic  string `koanf:"idempotency_topic"`
	PlacementsTopic   string `koanf:"placements_topic"`

	// Partitions of the events topic. Pinned: another count would send a group to
	// another partition, so it is refused at start. 32 or 64 on a cluster.
	Partitions int32 `koanf:"partitions"`
	// ReplicationFactor and MinInsyncReplicas of topics that EnsureTopics makes:
	// 3 and 2 on a cluster. Acknowledgement is always by all in-sync replicas.
	ReplicationFactor int16 `koanf:"replication_factor"`
	MinInsyncReplicas int   `koanf:"min_insync_replicas"`
	// SegmentBytes of topics that EnsureTopics makes; 0 is the broker's default.
	// Small ones let the embedded broker give back disk when it trims.
	SegmentBytes int `koanf:"segment_bytes"`
	// TombstoneRetention is how long a compacted topic shows a deletion. A table
	// that was away for half of it is rebuilt when it is opened, for it may have
	// missed some. A process that Kafka was out of reach of for so long has to be
	// restarted.
	TombstoneRetention time.Duration `koanf:"tombstone_retention"`

	DialTimeout time.Duration `koanf:"dial_timeout"`
	// ProduceTimeout is how long a publisher waits for acknowledgement before it
	// gives up with ErrBusy.
	ProduceTimeout time.Duration `koanf:"produce_timeout"`
	// ReadTimeout bounds questions to Kafka: where a topic ends, what its id is.
	ReadTimeout time.Duration `koanf:"read_timeout"`
	// InFlightRecordsMax and InFlightBytesMax bound what publishers have handed to
	// Kafka and is not acknowledged; beyond, Publish is ErrBusy at once.
	InFlightRecordsMax int `koanf:"in_flight_records_max"`
	InFlightBytesMax   int `koanf:"in_flight_bytes_max"`
	// RecordBytesMax bounds key and value of one record.
	RecordBytesMax int `koanf:"record_bytes_max"`

	// FetchBytesMax and FetchPartitionBytesMax bound one fetch of the sink, and
	// FetchWait how long the broker may hold it when there is nothing. They count
	// compressed bytes, of which a lagging sink holds what they unpack to: seven times
	// as much, where records are alike.
	FetchBytesMax          int           `koanf:"fetch_bytes_max"`
	FetchPartitionBytesMax int           `koanf:"fetch_partition_bytes_max"`
	FetchWait              time.Duration `koanf:"fetch_wait"`
	// SessionTimeout is how long the group waits for a silent member,
	// HeartbeatInterval how often members speak, RebalanceTimeout how long they
	// may take to hand over.
	SessionTimeout    time.Duration `koanf:"session_timeout"`
	HeartbeatInterval time.Duration `koanf:"heartbeat_interval"`
	RebalanceTimeout  time.Duration `koanf:"rebalance_timeout"`

	// TableCacheBytes is the block cache of one table, TableMemoryBytes its write
	// buffer, TableCacheEntries the values it keeps ready.
	TableCacheBytes   int `koanf:"table_cache_bytes"`
	TableMemoryBytes  int `koanf:"table_memory_bytes"`
	TableCacheEntries int `koanf:"table_cache_entries"`
}

// TLS says how connections are encrypted.
type TLS struct {
	Enabled bool `koanf:"enabled"`
	// CAFile holds the PEM certificates to trust; empty trusts the system's.
	CAFile string `koanf:"ca_file"`
	// CertFile and KeyFile are the client's own certificate, both or neither.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
	// ServerName to expect, if it is not the broker's host.
	ServerName string `koanf:"server_name"`
}

// SASL says who we are to the brokers.
type SASL struct {
	// Mechanism is one of the constants below; empty is none.
	Mechanism string `koanf:"mechanism"`
	User      string `koanf:"user"`
	Password  string `koanf:"password"`
}

// The mechanisms of SASL.
const (
	MechanismPlain       = "plain"
	MechanismScramSHA256 = "scram-sha-256"
	MechanismScramSHA512 = "scram-sha-512"
)

const redacted = "[redacted]"

// Redacted is the configuration with secrets blotted out, to be shown.
func (c Config) Redacted() Config {
	if c.SASL.Password != "" {
		c.SASL.Password = redacted
	}
	return c
}

// recordOverheadBytesMax is room for headers and framing beside key and value.
const recordOverheadBytesMax = 16 << 10

// batchBytesMax is the largest batch a producer sends, and max.message.bytes of
// the topics: one record of the largest size always fits, and it is never below
// Kafka's own default.
func (c Config) batchBytesMax() int {
	return max(1_000_012, c.RecordBytesMax+recordOverheadBytesMax)
}

// recordBytesMax bounds key and value of one record of a topic. A delivery may be as large
// as topics take, because readers of statements never see it.
func (c Config) recordBytesMax(topic string) int {
	if topic == c.DeliveriesTopic {
		return c.batchBytesMax() - recordOverheadBytesMax
	}
	return c.RecordBytesMax
}

// recordsPerCallMax is what one bulk request may hold; it must fit in flight.
const recordsPerCallMax = 1000

// DefaultConfig suits one node with the embedded broker.
func DefaultConfig() Config {
	return Config{
		Brokers:  []string{"127.0.0.1:9092"},
		ClientID: "revstream",

		EventsTopic:       "revenue.events",
		DeadLettersTopic:  "revenue.dead-letters",
		DeliveriesTopic:   "revenue.deliveries",
		ControlTopic:      "revenue.control",
		MessagesTopic:     "revenue.messages",
		TransactionsTopic: "revenue.transactions",
		IdempotencyTopic:  "revenue.idempotency",
		PlacementsTopic:   "revenue.placements",

		DeliveriesPartitions: 1,
		DeliveriesRetention:  14 * 24 * time.Hour,

		Partitions:         4,
		ReplicationFactor:  1,
		MinInsyncReplicas:  1,
		SegmentBytes:       16 << 20,
		TombstoneRetention: 30 * 24 * time.Hour,

		DialTimeout:        5 * time.Second,
		ProduceTimeout:     10 * time.Second,
		ReadTimeout:        5 * time.Second,
		InFlightRecordsMax: 20_000,
		InFlightBytesMax:   64 << 20,
		RecordBytesMax:     512 << 10,

		FetchBytesMax:          4 << 20,
		FetchPartitionBytesMax: 1 << 20,
		FetchWait:              500 * time.Millisecond,
		SessionTimeout:         45 * time.Second,
		HeartbeatInterval:      3 * time.Second,
		RebalanceTimeout:       60 * time.Second,

		TableCacheBytes:   8 << 20,
		TableMemoryBytes:  2 << 20,
		TableCacheEntries: 4096,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	require := func(ok bool, format string, values ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, values...))
		}
	}
	require(len(c.Brokers) > 0 && !slices.Contains(c.Brokers, ""), "brokers: at least one address, none empty")
	for name, value := range c.counts() {
		require(value > 0, "%s: must be positive, not %d", name, value)
	}
	require(c.MinInsyncReplicas <= int(c.ReplicationFactor),
		"min_insync_replicas %d exceeds replication_factor %d", c.MinInsyncReplicas, c.ReplicationFactor)
	require(c.SegmentBytes == 0 || c.SegmentBytes >= c.batchBytesMax(),
		"segment_bytes %d: 0, or at least a batch of %d", c.SegmentBytes, c.batchBytesMax())
	require(c.RecordBytesMax <= c.InFlightBytesMax,
		"record_bytes_max %d exceeds in_flight_bytes_max %d", c.RecordBytesMax, c.InFlightBytesMax)
	require(c.InFlightRecordsMax >= recordsPerCallMax,
		"in_flight_records_max %d is less than the %d records of a bulk request", c.InFlightRecordsMax, recordsPerCallMax)
	require(c.FetchPartitionBytesMax <= c.FetchBytesMax,
		"fetch_partition_bytes_max %d exceeds fetch_bytes_max %d", c.FetchPartitionBytesMax, c.FetchBytesMax)
	require(c.HeartbeatInterval*3 <= c.SessionTimeout,
		"heartbeat_interval %v must be at most a third of session_timeout %v", c.HeartbeatInterval, c.SessionTimeout)
	require(c.ProduceTimeout >= time.Second, "produce_timeout %v is less than a second", c.ProduceTimeout)
	require(c.DeliveriesRetention >= time.Hour, "deliveries_retention %v is less than an hour", c.DeliveriesRetention)
	require(c.TombstoneRetention >= time.Hour, "tombstone_retention %v is less than an hour", c.TombstoneRetention)
	faults = append(faults, c.validateTopics(), c.TLS.validate(), c.SASL.validate())
	return errors.Join(faults...)
}

// counts are the settings that must be positive, by their names.
func (c Config) counts() map[string]int64 {
	return map[string]int64{
		"partitions":                int64(c.Partitions),
		"deliveries_partitions":     int64(c.DeliveriesPartitions),
		"replication_factor":        int64(c.ReplicationFactor),
		"min_insync_replicas":       int64(c.MinInsyncReplicas),
		"dial_timeout":              int64(c.DialTimeout),
		"produce_timeout":           int64(c.ProduceTimeout),
		"read_timeout":              int64(c.ReadTimeout),
		"record_bytes_max":          int64(c.RecordBytesMax),
		"fetch_partition_bytes_max": int64(c.FetchPartitionBytesMax),
		"fetch_wait":                int64(c.FetchWait),
		"heartbeat_interval":        int64(c.HeartbeatInterval),
		"rebalance_timeout":         int64(c.RebalanceTimeout),
		"table_cache_bytes":         int64(c.TableCacheBytes),
		"table_memory_bytes":        int64(c.TableMemoryBytes),
		"table_cache_entries":       int64(c.TableCacheEntries),
	}
}

// compactedTopics are those of tables whose values are replaced.
func (c Config) compactedTopics() []string {
	return []string{c.ControlTopic, c.MessagesTopic, c.TransactionsTopic, c.IdempotencyTopic}
}

func (c Config) validateTopics() error {
	topics := append([]string{c.EventsTopic, c.DeadLettersTopic, c.DeliveriesTopic, c.PlacementsTopic}, c.compactedTopics()...)
	slices.Sort(topics)
	for i, topic := range topics {
		if !isTopicName(topic) {
			return fmt.Errorf("topic %q is not a topic name", topic)
		}
		if i > 0 && topic == topics[i-1] {
			return fmt.Errorf("topic %q has two uses", topic)
		}
	}
	return nil
}

// isTopicName holds a name against Kafka's rules, under which it is also the name
// of a folder and of nothing else.
func isTopicName(topic string) bool {
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return topic != "" && len(topic) <= 249 && topic != "." && topic != ".." && strings.Trim(topic, characters) == ""
}

func (t TLS) validate() error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("tls: cert_file and key_file, both or neither")
	}
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.ServerName != "") {
		return errors.New("tls: settings without enabled")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" {
			return errors.New("sasl: user or password without mechanism")
		}
		return nil
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
		if s.User == "" || s.Password == "" {
			return errors.New("sasl: user and password are required")
		}
		return nil
	}
	return fmt.Errorf("sasl: mechanism %q is not plain, scram-sha-256 or scram-sha-512", s.Mechanism)
}
