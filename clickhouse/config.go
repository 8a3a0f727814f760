// Package clickhouse keeps revenue in ClickHouse: the statements as they came,
// the signed ledger of what they come to, and the tables that materialised views
// derive from it. It owns the schema and everything that writes to it; it knows
// nothing of HTTP or Kafka.
package clickhouse

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Engines of the tables.
const (
	// EnginePlain is for a single server: the MergeTree family.
	EnginePlain = "plain"
	// EngineReplicated is for servers with Keeper: the Replicated family.
	EngineReplicated = "replicated"
)

// Config says where ClickHouse is and what may be asked of it.
type Config struct {
	// Addresses are host:port pairs of the native protocol. Reads and writes of
	// one process go to the first that answers, so that it reads its own writes;
	// with EngineReplicated to the first and no other, for another replica may not
	// have yet what was written.
	Addresses []string `koanf:"addresses"`
	// Shards, instead of Addresses, are the servers that share the revenue, two at
	// least: in an order that is for ever, because it says which slices each has
	// (see ShardOf). Replicas of one shard are separated by bars, as in ClickHouse's
	// own addresses; the first is the one that is written to and read from.
	Shards []string `koanf:"shards"`
	// Cluster is what remote_servers of every shard call them: these shards, with
	// one replica each, the one that is written to. Answers come from its
	// Distributed tables.
	Cluster string `koanf:"cluster"`
	// Database is where tables are read. Shards keep their own parts in another,
	// with "_shard" after the name.
	Database string `koanf:"database"`
	User     string `koanf:"user"`
	Password string `koanf:"password"`
	TLS      bool   `koanf:"tls"`
	// TLSServerName is the name that the certificate must carry, if it is not the
	// host's.
	TLSServerName string `koanf:"tls_server_name"`
	// Compress the connection with LZ4. Not worth it over loopback.
	Compress bool `koanf:"compress"`

	// Engine is EnginePlain or EngineReplicated. It takes effect when a table is
	// created.
	Engine string `koanf:"engine"`
	// Durable makes the server sync a part to disk before an insert is
	// acknowledged. It takes effect when a table is created.
	Durable bool `koanf:"durable"`

	DialTimeout time.Duration `koanf:"dial_timeout"`
	// InsertTimeout bounds one insert, on the server too. It must be shorter than
	// the rebalance timeout of the consumer that inserts.
	InsertTimeout time.Duration `koanf:"insert_timeout"`
	// InsertStallTimeout is how long the server waits for the next block of an
	// insert before it gives the client up. It looks every 10 s or so.
	InsertStallTimeout time.Duration `koanf:"insert_stall_timeout"`
	// StateTimeout bounds reading what groups hold.
	StateTimeout time.Duration `koanf:"state_timeout"`
	// TakeOverTimeout bounds waiting for an older writer's inserts to end.
	TakeOverTimeout time.Duration `koanf:"take_over_timeout"`
	// MaintenanceTimeout bounds one statement of a migration, repair, check or
	// rebuild.
	MaintenanceTimeout time.Duration `koanf:"maintenance_timeout"`

	// DeliveriesRetention is how long webhook deliveries are kept as they came in, in
	// whole hours. It takes effect with the next migration.
	DeliveriesRetention time.Duration `koanf:"deliveries_retention"`

	// Query limits hold for Select and Each, that is for answers.
	QueryTimeout        time.Duration `koanf:"query_timeout"`
	QueryRowsReadMax    uint64        `koanf:"query_rows_read_max"`
	QueryBytesReadMax   uint64        `koanf:"query_bytes_read_max"`
	QueryResultRowsMax  uint64        `koanf:"query_result_rows_max"`
	QueryMemoryBytesMax uint64        `koanf:"query_memory_bytes_max"`

	ConnectionsMax     int           `koanf:"connections_max"`
	ConnectionsIdleMax int           `koanf:"connections_idle_max"`
	ConnectionLifetime time.Duration `koanf:"connection_lifetime"`

	// StateKeysMax is how many groups one query of ReadGroups asks for; more are
	// asked for in turn.
	StateKeysMax int `koanf:"state_keys_max"`
	// RepairRowsMax is how many ledger rows one statement of Equalise compares;
	// it bounds its memory.
	RepairRowsMax int `koanf:"repair_rows_max"`
	// RepairMemoryBytesMax bounds one statement of Equalise or Check; above half
	// of it, sums spill to disk.
	RepairMemoryBytesMax int64 `koanf:"repair_memory_bytes_max"`
	// DifferencesMax is how many differing cells Check lists.
	DifferencesMax int `koanf:"differences_max"`
}

// DefaultConfig is for a single server on this machine.
func DefaultConfig() Config {
	return Config{
		Addresses:            []string{"127.0.0.1:9000"},
		Database:             "revstream",
		User:                 "default",
		Engine:               EnginePlain,
		Durable:              true,
		DialTimeout:          5 * time.Second,
		InsertTimeout:        20 * time.Second,
		InsertStallTimeout:   5 * time.Second,
		StateTimeout:         20 * time.Second,
		TakeOverTimeout:      30 * time.Second,
		MaintenanceTimeout:   10 * time.Minute,
		DeliveriesRetention:  400 * 24 * time.Hour,
		QueryTimeout:         30 * time.Second,
		QueryRowsReadMax:     2_000_000_000,
		QueryBytesReadMax:    200 << 30,
		QueryResultRowsMax:   1_000_000,
		QueryMemoryBytesMax:  2 << 30,
		ConnectionsMax:       16,
		ConnectionsIdleMax:   8,
		ConnectionLifetime:   time.Hour,
		StateKeysMax:         20_000,
		RepairRowsMax:        2_000_000,
		RepairMemoryBytesMax: 512 << 20,
		DifferencesMax:       100,
	}
}

// identifier is what a database may be called: it is the one name that cannot be
// bound as a value.
var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Addresses) > 0 || len(c.Shards) > 0, "clickhouse: addresses is empty, and so is shards")
	c.checkShards(check)
	check(identifier.MatchString(c.Database), "clickhouse: database %q is not an identifier", c.Database)
	check(c.User != "", "clickhouse: user is empty")
	check(c.Engine == EnginePlain || c.Engine == EngineReplicated, "clickhouse: engine %q is neither plain nor replicated", c.Engine)
	for name, value := range map[string]time.Duration{
		"dial_timeout": c.DialTimeout, "insert_timeout": c.InsertTimeout, "insert_stall_timeout": c.InsertStallTimeout, "state_timeout": c.StateTimeout,
		"take_over_timeout": c.TakeOverTimeout, "maintenance_timeout": c.MaintenanceTimeout,
		"query_timeout": c.QueryTimeout, "connection_lifetime": c.ConnectionLifetime,
	} {
		check(value >= time.Second, "clickhouse: %s %v is shorter than a second", name, value)
	}
	check(c.DeliveriesRetention >= time.Hour, "clickhouse: deliveries_retention %v is shorter than an hour", c.DeliveriesRetention)
	for name, value := range map[string]uint64{
		"query_rows_read_max": c.QueryRowsReadMax, "query_bytes_read_max": c.QueryBytesReadMax,
		"query_result_rows_max": c.QueryResultRowsMax, "query_memory_bytes_max": c.QueryMemoryBytesMax,
	} {
		check(value > 0, "clickhouse: %s is zero", name)
	}
	check(c.ConnectionsMax >= 4, "clickhouse: connections_max %d is less than 4", c.ConnectionsMax)
	check(c.ConnectionsIdleMax > 0 && c.ConnectionsIdleMax <= c.ConnectionsMax, "clickhouse: connections_idle_max %d is not in 1..%d", c.ConnectionsIdleMax, c.ConnectionsMax)
	check(c.StateKeysMax > 0, "clickhouse: state_keys_max is not positive")
	check(c.RepairRowsMax >= 10_000, "clickhouse: repair_rows_max is less than 10000")
	check(c.RepairMemoryBytesMax >= 64<<20, "clickhouse: repair_memory_bytes_max is less than 64 MiB")
	check(c.DifferencesMax > 0, "clickhouse: differences_max is not positive")
	check(c.InsertStallTimeout < c.InsertTimeout, "clickhouse: insert_stall_timeout %v is not shorter than insert_timeout %v", c.InsertStallTimeout, c.InsertTimeout)
	check(c.TakeOverTimeout > c.InsertTimeout, "clickhouse: take_over_timeout %v is not longer than insert_timeout %v", c.TakeOverTimeout, c.InsertTimeout)
	return errors.Join(problems...)
}

// checkShards checks what only shards need.
func (c Config) checkShards(check func(ok bool, format string, args ...any)) {
	if len(c.Shards) == 0 {
		check(c.Cluster == "", "clickhouse: cluster %q needs shards", c.Cluster)
		return
	}
	check(len(c.Addresses) == 0, "clickhouse: addresses are for a single server, shards for several: give one of the two")
	check(len(c.Shards) >= 2, "clickhouse: one shard is a single server: give it as addresses")
	check(identifier.MatchString(c.Cluster), "clickhouse: cluster %q is not an identifier: shards need their name in remote_servers", c.Cluster)
	seen := map[string]bool{}
	for _, shard := range c.Shards {
		replicas := strings.Split(shard, "|")
		check(len(replicas) == 1 || c.Engine == EngineReplicated, "clickhouse: shard %q has replicas, which need engine replicated", shard)
		for _, address := range replicas {
			check(address != "" && !seen[address], "clickhouse: shard %q: address %q is empty or named twice", shard, address)
			seen[address] = true
		}
	}
}

// ShardCount is how many servers share the slices.
func (c Config) ShardCount() int { return max(1, len(c.Shards)) }

// Embedded reports whether no server is configured, so that one has to be started.
func (c Config) Embedded() bool { return len(c.Addresses) == 0 && len(c.Shards) == 0 }
