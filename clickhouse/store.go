package clickhouse

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Store is revenue in ClickHouse. It is safe for concurrent use; that a slice has
// one writer at a time is for TakeOver to enforce.
type Store struct {
	config  Config
	conn    driver.Conn
	log     *zap.Logger
	metrics *metrics

	// process tells the query ids of this Store from those of any other, and
	// sequence one of its queries from the next.
	process  string
	sequence atomic.Uint64

	checkPause time.Duration // shorter in tests

	place   place    // which shard the server is
	cluster *Cluster // whose Distributed tables are read; nil for a server's own

	sql       queries
	events    *table[Statement]
	ledger    *table[Row]
	scratches scratches
}

// Open connects lazily: it fails for a Config that cannot work, not for a server
// that is down (see Ping). The database and its tables are made by Migrate.
func Open(_ context.Context, config Config, log *zap.Logger, registerer prometheus.Registerer) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(config.options(config.Database))
	if err != nil {
		return nil, fmt.Errorf("opening clickhouse: %w", err)
	}
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("registering metrics of clickhouse: %w", err)
	}
	sql, err := loadQueries()
	if err != nil {
		return nil, err
	}
	var process [4]byte
	rand.Read(process[:])
	return &Store{
		config: config, conn: conn, log: log, metrics: metrics, process: hex.EncodeToString(process[:]), sql: sql,
		checkPause: checkPause,
		events:     newTable("events", statementColumns()),
		ledger:     newTable("ledger", rowColumns()),
	}, nil
}

// options of a connection whose default database is the given one.
func (c Config) options(database string) *clickhouse.Options {
	options := &clickhouse.Options{
		Addr:             c.Addresses,
		Auth:             clickhouse.Auth{Database: database, Username: c.User, Password: c.Password},
		DialTimeout:      c.DialTimeout,
		MaxOpenConns:     c.ConnectionsMax,
		MaxIdleConns:     c.ConnectionsIdleMax,
		ConnMaxLifetime:  c.ConnectionLifetime,
		ConnOpenStrategy: clickhouse.ConnOpenInOrder,
	}
	if c.TLS {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName}
	}
	if c.Compress {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	return options
}

// Ping reports whether the server answers.
func (s *Store) Ping(ctx context.Context) error { return classify(s.conn.Ping(ctx)) }

// Close ends all connections.
func (s *Store) Close() error { return s.conn.Close() }
