package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"revstream/analytics"
	"revstream/analytics/alerts"
	"revstream/clickhouse"
	engine "revstream/clickhouse/embedded"
	"revstream/connectors/stripe"
	"revstream/ingest"
	"revstream/ingest/archive"
	"revstream/ingest/control"
	"revstream/ingest/reconcile"
	"revstream/ingest/sink"
	"revstream/ingest/stream"
	broker "revstream/ingest/stream/embedded"
)

// Config is every setting of every role. Each section belongs to the package that
// uses it; this package adds how they have to fit together.
type Config struct {
	// DataDir holds everything that is kept on this machine.
	DataDir string        `koanf:"data_dir"`
	Process ProcessConfig `koanf:"process"`
	Log     LogConfig     `koanf:"log"`
	HTTP    HTTPConfig    `koanf:"http"`
	// Kafka says how to reach Kafka; without brokers the embedded one is started,
	// as Broker says.
	Kafka  stream.Config `koanf:"kafka"`
	Broker broker.Config `koanf:"broker"`
	// ClickHouse says how to reach ClickHouse; without addresses or shards the
	// embedded one is started, as Engine says.
	ClickHouse clickhouse.Config `koanf:"clickhouse"`
	Engine     engine.Config     `koanf:"engine"`
	Control    control.Config    `koanf:"control"`
	Ingest     ingest.Config     `koanf:"ingest"`
	Sink       sink.Config       `koanf:"sink"`
	// Archive says how webhook deliveries are kept as they came in.
	Archive archive.Config `koanf:"archive"`
	// Reconciliation says when what providers moved is compared with the ledger.
	Reconciliation reconcile.Config `koanf:"reconciliation"`
	Query          analytics.Config `koanf:"query"`
	// Alerts says how subscribers are told.
	Alerts alerts.Config `koanf:"alerts"`
	// Stripe says how its deliveries are read.
	Stripe stripe.Config `koanf:"stripe"`
}

// ProcessConfig bounds the process as a whole.
type ProcessConfig struct {
	// MemoryBytesMax is the soft limit of the Go runtime: near it, it collects
	// more often. Zero leaves the runtime's default, GOMEMLIMIT goes before it.
	MemoryBytesMax int64 `koanf:"memory_bytes_max"`
	// GarbagePercent is how much the heap grows between collections (GOGC, which
	// goes before it).
	GarbagePercent int `koanf:"garbage_percent"`
	// StopTimeout bounds the orderly stop.
	StopTimeout time.Duration `koanf:"stop_timeout"`
	// TrimInterval is how often the embedded broker forgets what is stored.
	TrimInterval time.Duration `koanf:"trim_interval"`
	// EngineBackoffMax is the longest wait before an embedded ClickHouse that does
	// not stay up is started once more. The first wait is 200 ms, each next one
	// twice as long.
	EngineBackoffMax time.Duration `koanf:"engine_backoff_max"`
}

// defaultConfig is for one machine: embedded engines, loopback only.
func defaultConfig() Config {
	config := Config{
		DataDir: "data",
		Process: ProcessConfig{
			MemoryBytesMax: 192 << 20, // of the 300 MiB that the process may have in all
			GarbagePercent: 75,
			StopTimeout:    30 * time.Second,
			TrimInterval:   30 * time.Second,

			EngineBackoffMax: 15 * time.Second,
		},
		Log:        defaultLogConfig(),
		HTTP:       defaultHTTPConfig(),
		Kafka:      stream.DefaultConfig(),
		Broker:     broker.DefaultConfig(),
		ClickHouse: clickhouse.DefaultConfig(),
		Engine:     engine.DefaultConfig(),
		Control:    control.DefaultConfig(),
		Ingest:     ingest.DefaultConfig(),
		Sink:       sink.DefaultConfig(),
		Archive:    archive.DefaultConfig(),
		Query:      analytics.DefaultConfig(),
		Alerts:     alerts.DefaultConfig(),

		Reconciliation: reconcile.DefaultConfig(),
		Stripe:         stripe.DefaultConfig(),
	}
	// Empty means embedded.
	config.Kafka.Brokers, config.ClickHouse.Addresses = nil, nil
	return config
}

// embeddedKafka and embeddedClickHouse tell which engines are ours to run.
func (c Config) embeddedKafka() bool      { return len(c.Kafka.Brokers) == 0 }
func (c Config) embeddedClickHouse() bool { return c.ClickHouse.Embedded() }

// placed is the configuration with the folders of the engines filled in, which
// lie in the data folder unless they were given.
func (c Config) placed() Config {
	if c.Broker.Dir == "" {
		c.Broker.Dir = filepath.Join(c.DataDir, "kafka")
	}
	if c.Engine.Dir == "" {
		c.Engine.Dir = filepath.Join(c.DataDir, "clickhouse")
	}
	return c
}

// Validate says everything that is wrong: within each section, and between them.
func (c Config) Validate() error {
	c = c.placed()
	embeddedClickHouse := c.embeddedClickHouse()
	// What stands in for the embedded engines until they have an address.
	if c.embeddedKafka() {
		c.Kafka.Brokers = []string{"127.0.0.1:9092"}
	}
	if embeddedClickHouse {
		c.ClickHouse.Addresses = []string{"127.0.0.1:9000"}
	}
	problems := []error{
		section("log", c.Log.Validate()), section("http", c.HTTP.Validate()),
		section("kafka", c.Kafka.Validate()), section("broker", c.Broker.Validate()),
		section("clickhouse", c.ClickHouse.Validate()), section("engine", c.Engine.Validate()),
		section("control", c.Control.Validate()), section("ingest", c.Ingest.Validate()), section("sink", c.Sink.Validate()), section("query", c.Query.Validate()),
		section("archive", c.Archive.Validate()), section("reconciliation", c.Reconciliation.Validate()),
		section("alerts", c.Alerts.Validate()),
		section("stripe", c.Stripe.Validate()),
	}
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(c.DataDir != "", "data_dir is empty")
	check(c.Process.MemoryBytesMax == 0 || c.Process.MemoryBytesMax >= 64<<20, "process.memory_bytes_max %d is below 64 MiB", c.Process.MemoryBytesMax)
	check(c.Process.GarbagePercent >= 10, "process.garbage_percent %d is below 10", c.Process.GarbagePercent)
	check(c.Process.StopTimeout >= time.Second, "process.stop_timeout %v is shorter than a second", c.Process.StopTimeout)
	check(c.Process.TrimInterval >= time.Second, "process.trim_interval %v is shorter than a second", c.Process.TrimInterval)
	check(c.Process.EngineBackoffMax >= engineBackoffMin, "process.engine_backoff_max %v is shorter than the first wait of %v", c.Process.EngineBackoffMax, engineBackoffMin)
	check(!embeddedClickHouse || c.ClickHouse.Engine == clickhouse.EnginePlain,
		"clickhouse.engine %q needs a cluster: the embedded engine has plain tables only", c.ClickHouse.Engine)
	c.checkRelations(check)
	return errors.Join(problems...)
}

// checkRelations checks the limits of one section against those of another.
func (c Config) checkRelations(check func(holds bool, format string, args ...any)) {
	check(c.Sink.BatchWaitMax+c.ClickHouse.InsertTimeout < c.Sink.RebalanceTimeout,
		"sink.batch_wait_max %v + clickhouse.insert_timeout %v is not less than sink.rebalance_timeout %v: "+
			"a member that has been replaced could still be inserting",
		c.Sink.BatchWaitMax, c.ClickHouse.InsertTimeout, c.Sink.RebalanceTimeout)
	check(c.Kafka.HeartbeatInterval*3 <= c.Sink.SessionTimeout,
		"kafka.heartbeat_interval %v is more than a third of sink.session_timeout %v: a late one would look like a death",
		c.Kafka.HeartbeatInterval, c.Sink.SessionTimeout)
	check(c.ClickHouse.InsertTimeout <= c.Sink.StoreTimeout,
		"clickhouse.insert_timeout %v is longer than sink.store_timeout %v, which bounds it", c.ClickHouse.InsertTimeout, c.Sink.StoreTimeout)
	check(c.Query.QueryTimeout <= c.ClickHouse.QueryTimeout,
		"query.query_timeout %v is longer than clickhouse.query_timeout %v, which bounds it", c.Query.QueryTimeout, c.ClickHouse.QueryTimeout)
	check(c.Query.QueryTimeout < c.Ingest.WriteTimeout,
		"query.query_timeout %v is not less than ingest.write_timeout %v", c.Query.QueryTimeout, c.Ingest.WriteTimeout)
	check(c.Query.QueryStringBytesMax < c.HTTP.HeaderBytesMax,
		"query.query_string_bytes_max %d is not less than http.header_bytes_max %d", c.Query.QueryStringBytesMax, c.HTTP.HeaderBytesMax)
	check(c.Kafka.ProduceTimeout <= c.Ingest.RequestTimeout,
		"kafka.produce_timeout %v is longer than ingest.request_timeout %v, which bounds it", c.Kafka.ProduceTimeout, c.Ingest.RequestTimeout)
	check(c.Ingest.DecodedBytesMax <= c.Kafka.InFlightBytesMax,
		"ingest.decoded_bytes_max %d is more than kafka.in_flight_bytes_max %d: the largest request could never be published",
		c.Ingest.DecodedBytesMax, c.Kafka.InFlightBytesMax)
	check(c.Kafka.RecordBytesMax <= c.Sink.RecordBytesMax,
		"kafka.record_bytes_max %d is more than sink.record_bytes_max %d: what is accepted would be quarantined", c.Kafka.RecordBytesMax, c.Sink.RecordBytesMax)
	check(c.ClickHouse.ShardCount() <= int(c.Kafka.Partitions),
		"clickhouse.shards are %d, more than kafka.partitions %d: some would have nothing to keep", c.ClickHouse.ShardCount(), c.Kafka.Partitions)
	check(c.Ingest.RecordsPerRequestMax <= c.Kafka.InFlightRecordsMax,
		"ingest.records_per_request_max %d is more than kafka.in_flight_records_max %d", c.Ingest.RecordsPerRequestMax, c.Kafka.InFlightRecordsMax)
}

// section prefixes the problems of a section with its name, unless they carry it.
func section(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
