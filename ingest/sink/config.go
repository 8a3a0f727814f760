package sink

import (
	"fmt"
	"time"
)

// Config bounds the sink. See Validate for how the limits relate.
type Config struct {
	// Group is the consumer group that shares the partitions of the events topic.
	Group string `koanf:"group"`
	// BatchRowsMax, BatchBytesMax (of record values) and BatchWaitMax (since the
	// first record) end a batch, whichever comes first.
	BatchRowsMax  int           `koanf:"batch_rows_max"`
	BatchBytesMax int           `koanf:"batch_bytes_max"`
	BatchWaitMax  time.Duration `koanf:"batch_wait_max"`
	// RecordBytesMax is the key and value of the largest record that is stored. What is
	// larger, was written by somebody else than ingest, and is quarantined.
	RecordBytesMax int `koanf:"record_bytes_max"`
	// TurnMax is how long one batch may follow another without letting the group
	// rebalance, while Kafka has full batches waiting.
	TurnMax time.Duration `koanf:"turn_max"`
	// StoreTimeout bounds what is done with one batch: reading prior state and
	// the inserts. A turn, with a batch that is being stored and one in hand, has
	// to be shorter than RebalanceTimeout, so that a worker that is thrown out of
	// the group is not still inserting. Repairs after a crash are not bounded by it,
	// for they take as long as the ledger is large; see clickhouse.maintenance_timeout.
	StoreTimeout time.Duration `koanf:"store_timeout"`
	// SessionTimeout is after which silence a worker is thrown out. Kafka's brokers
	// refuse less than their group.min.session.timeout.ms, which is 6 s unless
	// configured; the embedded one takes a second.
	SessionTimeout   time.Duration `koanf:"session_timeout"`
	RebalanceTimeout time.Duration `koanf:"rebalance_timeout"`
	// BackoffMin and BackoffMax bound the wait between attempts while the store
	// is down.
	BackoffMin time.Duration `koanf:"backoff_min"`
	BackoffMax time.Duration `koanf:"backoff_max"`
	// CacheStatementsMax bounds the statements of recently used groups that are
	// kept in memory (about 1 KiB each).
	CacheStatementsMax int `koanf:"cache_statements_max"`
	// FilterErrorRate is the share of new groups that the never-seen filter takes
	// for known ones; each costs a read. Smaller costs memory: 0.001 is 1.8 bytes
	// a group.
	FilterErrorRate float64 `koanf:"filter_error_rate"`
	// FreshnessInterval is how often the sink says until when everything accepted
	// is in the answers.
	FreshnessInterval time.Duration `koanf:"freshness_interval"`

	shard, shards int // see ForShard; both zero for a single server
}

// DefaultConfig suits one process on a small machine.
func DefaultConfig() Config {
	return Config{
		Group:              "revstream-sink",
		BatchRowsMax:       20_000,
		BatchBytesMax:      16 << 20,
		BatchWaitMax:       300 * time.Millisecond,
		RecordBytesMax:     1 << 20,
		TurnMax:            2 * time.Second,
		StoreTimeout:       40 * time.Second,
		SessionTimeout:     45 * time.Second,
		RebalanceTimeout:   90 * time.Second,
		BackoffMin:         100 * time.Millisecond,
		BackoffMax:         5 * time.Second,
		CacheStatementsMax: 50_000,
		FilterErrorRate:    0.001,
		FreshnessInterval:  500 * time.Millisecond,
	}
}

// Validate says which limit is wrong.
func (c Config) Validate() error {
	switch {
	case c.Group == "":
		return fmt.Errorf("sink.group is empty")
	case c.BatchRowsMax < 1 || c.BatchRowsMax > 500_000:
		return fmt.Errorf("sink.batch_rows_max %d is not within 1 and 500000 rows", c.BatchRowsMax)
	case c.BatchBytesMax < 1<<16:
		return fmt.Errorf("sink.batch_bytes_max %d is less than 65536 bytes", c.BatchBytesMax)
	case c.RecordBytesMax < 1<<10:
		return fmt.Errorf("sink.record_bytes_max %d is less than 1024 bytes", c.RecordBytesMax)
	case c.BatchWaitMax <= 0 || c.BatchWaitMax > 10*time.Second:
		return fmt.Errorf("sink.batch_wait_max %v is not within 0 and 10s", c.BatchWaitMax)
	case c.TurnMax <= 0 || c.StoreTimeout <= 0 || c.BatchWaitMax+c.TurnMax+2*c.StoreTimeout >= c.RebalanceTimeout:
		return fmt.Errorf("sink.batch_wait_max %v + sink.turn_max %v + twice sink.store_timeout %v is not less than sink.rebalance_timeout %v",
			c.BatchWaitMax, c.TurnMax, c.StoreTimeout, c.RebalanceTimeout)
	case c.SessionTimeout < time.Second || c.SessionTimeout > c.RebalanceTimeout:
		return fmt.Errorf("sink.session_timeout %v is not within 1s and sink.rebalance_timeout %v", c.SessionTimeout, c.RebalanceTimeout)
	case c.BackoffMin <= 0 || c.BackoffMax < c.BackoffMin:
		return fmt.Errorf("sink.backoff_min %v and sink.backoff_max %v are not a range", c.BackoffMin, c.BackoffMax)
	case c.CacheStatementsMax < 0:
		return fmt.Errorf("sink.cache_statements_max %d is negative", c.CacheStatementsMax)
	case c.FilterErrorRate <= 0 || c.FilterErrorRate >= 1:
		return fmt.Errorf("sink.filter_error_rate %v is not between 0 and 1", c.FilterErrorRate)
	case c.FreshnessInterval <= 0:
		return fmt.Errorf("sink.freshness_interval %v is not positive", c.FreshnessInterval)
	}
	return nil
}
