package clickhouse

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"go.uber.org/zap"
)

// schemaFiles are the migrations, one file each, in order of their number. Every
// statement in them can be run again without harm: ClickHouse has neither
// transactions nor locks for them, so two processes may migrate at once and a
// migration may be cut off anywhere.
//
//go:embed schema/*.sql
var schemaFiles embed.FS

const versionTable = "schema_versions"

// migrateAttempts and migratePause are for meeting another process that makes
// the same table at the same moment.
const (
	migrateAttempts = 5
	migratePause    = 200 * time.Millisecond
)

// Migrate makes the database and brings its tables up to date. It can be called
// again and by several processes at once.
func (s *Store) Migrate(ctx context.Context) error {
	var err error
	for range migrateAttempts {
		if err = s.migrateOnce(ctx); err == nil || ctx.Err() != nil || !concurrentlyMade(err) {
			return err
		}
		s.log.Info("another process migrates clickhouse too, trying again", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(migratePause):
		}
	}
	return err
}

// concurrentlyMade reports whether something appeared between the server's look
// for it and its making it.
func concurrentlyMade(err error) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) &&
		(exception.Code == codeTableExists || exception.Code == codeDatabaseExists) || Retryable(err)
}

func (s *Store) migrateOnce(ctx context.Context) error {
	if err := s.createDatabase(ctx, s.config.Database); err != nil {
		return err
	}
	schema, err := s.schema(ctx)
	if err != nil {
		return err
	}
	migrations, err := s.migrations(schema)
	if err != nil {
		return err
	}
	db := clickhouse.OpenDB(s.config.options(s.config.Database))
	defer db.Close()
	versions, err := newVersionStore(schema)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider("", db, nil, goose.WithStore(versions), goose.WithGoMigrations(migrations...),
		goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("preparing migrations of clickhouse: %w", err)
	}
	results, err := provider.Up(ctx)
	for _, result := range results {
		s.log.Info("migrated clickhouse", zap.Int64("version", result.Source.Version), zap.Duration("took", result.Duration))
	}
	if err != nil {
		return fmt.Errorf("migrating clickhouse: %w", classify(err))
	}
	return s.keepDeliveriesFor(ctx)
}

func (s *Store) createDatabase(ctx context.Context, name string) error {
	conn, err := clickhouse.Open(s.config.options(""))
	if err != nil {
		return fmt.Errorf("opening clickhouse: %w", err)
	}
	defer conn.Close()
	// The name is an identifier (see Validate) and cannot be bound.
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name); err != nil {
		return fmt.Errorf("creating database %s: %w", name, classify(err))
	}
	return nil
}

// migrations renders the schema files for the configured engine.
func (s *Store) migrations(schema schema) ([]*goose.Migration, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	migrations := make([]*goose.Migration, 0, len(names))
	for _, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "schema/"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("schema file %s has no number: %w", name, err)
		}
		statements, err := schema.render(name)
		if err != nil {
			return nil, err
		}
		migrations = append(migrations, goose.NewGoMigration(version, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			for _, statement := range statements {
				ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
				_, err := db.ExecContext(ctx, statement)
				cancel()
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		}}, nil))
	}
	return migrations, nil
}

// schema is what the schema files are rendered with.
type schema struct {
	Database   string
	Replicated bool
	Durable    bool
	// Statistics: the server keeps statistics of columns by itself, unless told
	// not to. Older ones do not know the setting.
	Statistics bool
}

func (s *Store) schema(ctx context.Context) (schema, error) {
	known, err := selectRows[uint64](ctx, s, s.sql.keepsStatistics)
	if err != nil {
		return schema{}, fmt.Errorf("asking what the server can do: %w", err)
	}
	return schema{
		Database: s.config.Database, Replicated: s.config.Engine == EngineReplicated, Durable: s.config.Durable,
		Statistics: len(known) == 1 && known[0] > 0,
	}, nil
}

// Engine is the engine of a table: the family's plain member, or its replicated
// one under a path of its own.
func (s schema) Engine(table, family string, args ...string) string {
	if s.Replicated {
		args = append([]string{"'/clickhouse/tables/{shard}/" + s.Database + "/" + table + "'", "'{replica}'"}, args...)
		family = "Replicated" + family
	}
	return family + "(" + strings.Join(args, ", ") + ")"
}

// FenceOf is the expression for the epoch that may write to a slice. The fence
// is named in full because a constraint is not resolved in its table's database.
func (s schema) FenceOf(slice string) string {
	if s.Replicated {
		return "dictGet('" + s.Database + ".fence_now', 'epoch', toUInt64(" + slice + "))"
	}
	return "joinGet('" + s.Database + ".fence', 'epoch', " + slice + ")"
}

// Settings of every table that money depends on. Inserted parts are compact (one
// file of data to write and sync instead of two per column), and no insert is
// ever dropped for looking like an earlier one: exactness comes from comparing
// with what is there.
func (s schema) Settings() string {
	settings := "min_bytes_for_wide_part = 134217728"
	if s.Statistics {
		// Merges would spend a tenth of what an insert costs on statistics of
		// fifty columns that no query here gains from.
		settings += ", auto_statistics_types = ''"
	}
	if s.Durable {
		settings += ", fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"
	}
	if s.Replicated {
		return settings + ", replicated_deduplication_window = 0"
	}
	return settings + ", non_replicated_deduplication_window = 0"
}

// render gives the statements of a file.
func (s schema) render(name string) ([]string, error) {
	parsed, err := template.ParseFS(schemaFiles, name)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, s); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return statements(text.String()), nil
}

// statements splits SQL text at semicolons that end a line.
func statements(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ";\n") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// versionStore is goose's table of versions, but durable. It is each server's own,
// also where the others are replicated: every replica has to make its tables.
type versionStore struct {
	database.Store
	schema schema
}

func newVersionStore(schema schema) (*versionStore, error) {
	store, err := database.NewStore(database.DialectClickHouse, versionTable)
	if err != nil {
		return nil, fmt.Errorf("preparing migrations of clickhouse: %w", err)
	}
	return &versionStore{store, schema}, nil
}

// CreateVersionTable makes the table if it is not there.
func (v *versionStore) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	plain := v.schema
	plain.Replicated = false
	_, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+versionTable+
		" (version_id Int64, is_applied UInt8, date Date DEFAULT now(), tstamp DateTime DEFAULT now()) ENGINE = "+
		plain.Engine(versionTable, "MergeTree")+" ORDER BY version_id SETTINGS "+plain.Settings())
	return err
}

// TableExists reports whether the table is there.
func (v *versionStore) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	var count uint64
	err := db.QueryRowContext(ctx, "SELECT count() FROM "+versionTable+" WHERE version_id = 0").Scan(&count)
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && exception.Code == codeUnknownTable {
		return false, nil
	}
	return count > 0, err
}
