package clickhouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// scratches are reused from insert to insert.
type scratches struct{ pool sync.Pool }

func (s *scratches) get() *scratch {
	if spare, ok := s.pool.Get().(*scratch); ok {
		return spare
	}
	return &scratch{}
}

func (s *scratches) put(spare *scratch) { s.pool.Put(spare) }

// InsertStatements appends to `events`, in one block that becomes one part: all
// of them or none. ErrFenced if another writer has taken over any of the slices;
// ErrUnavailable if the outcome is unknown. The rows are not kept.
func (s *Store) InsertStatements(ctx context.Context, statements []Statement) error {
	spare := s.scratches.get()
	defer s.scratches.put(spare)
	order := spare.sorted(len(statements), func(i int) (string, string, int64) {
		return statements[i].Event.Workspace, statements[i].Event.Group, statements[i].Event.Version
	})
	return insert(ctx, s, s.events, statements, order, spare, func(i int) Position { return statements[i].Position })
}

// InsertRows appends to `ledger` like InsertStatements to `events`. The derived
// tables follow by themselves, each in one part, but not in one step with it:
// after anything but success they may hold less or more than the ledger (see
// Equalise).
func (s *Store) InsertRows(ctx context.Context, rows []Row) error {
	spare := s.scratches.get()
	defer s.scratches.put(spare)
	order := spare.sorted(len(rows), func(i int) (string, string, int64) {
		return rows[i].Workspace, rows[i].Group, rows[i].KnownAt.UnixMicro()
	})
	return insert(ctx, s, s.ledger, rows, order, spare, func(i int) Position { return rows[i].Position })
}

// table is a table that Go inserts into.
type table[R any] struct {
	name    string
	insert  string // the statement
	columns []column[R]
}

func newTable[R any](name string, columns []column[R]) *table[R] {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return &table[R]{name, "INSERT INTO " + name + " (" + strings.Join(names, ", ") + ")", columns}
}

func insert[R any](ctx context.Context, s *Store, into *table[R], rows []R, order []int32, spare *scratch, position func(int) Position) (err error) {
	if len(rows) == 0 {
		return nil
	}
	began := time.Now()
	defer func() { s.metrics.observeInsert(into.name, len(rows), began, err) }()
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx,
		clickhouse.WithQueryID(s.writeID(len(rows), position)),
		clickhouse.WithSettings(s.insertSettings()))
	batch, err := s.conn.PrepareBatch(ctx, into.insert)
	if err != nil {
		return fmt.Errorf("inserting into %s: %w", into.name, classify(err))
	}
	if err := fillBatch(batch, into.columns, rows, order, spare); err != nil {
		// Abort closes the connection, upon which the server drops what it has.
		_ = batch.Abort()
		return fmt.Errorf("inserting into %s: %w", into.name, classify(err))
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting %d rows into %s: %w", len(rows), into.name, classify(err))
	}
	return nil
}

// insertSettings make an insert one block and one part per table, at once.
func (s *Store) insertSettings() clickhouse.Settings {
	return clickhouse.Settings{
		"max_execution_time": int(s.config.InsertTimeout.Seconds()) + 1,
		"async_insert":       0,
		// A client that falls silent in the middle must not keep whoever takes
		// over waiting for long.
		"receive_timeout": int(s.config.InsertStallTimeout.Seconds()),
		"poll_interval":   1,
		// All blocks of an insert are put together, whatever their size: all rows
		// land or none.
		"min_insert_block_size_rows":  insertRowsMax,
		"min_insert_block_size_bytes": 0,
		"max_insert_threads":          1,
		"parallel_view_processing":    1,
		// The driver's own dictionary encoding costs a map look-up and an
		// allocation per value; the server's does not.
		"low_cardinality_allow_in_native_format": 0,
		"send_profile_events":                    0,
		"send_logs_level":                        "none",
		"log_queries":                            0,
	}
}

// insertRowsMax is more rows than any batch has.
const insertRowsMax = 1 << 30

// writeID is the id of a query that writes: which slices, each with the epoch
// that the writer believes to have. TakeOver reads it back.
func (s *Store) writeID(count int, position func(int) Position) string {
	var id strings.Builder
	id.WriteString(writePrefix)
	seen := map[int32]bool{}
	for i := range count {
		p := position(i)
		if i > 0 && p.Slice == position(i-1).Slice || seen[p.Slice] {
			continue
		}
		seen[p.Slice] = true
		appendWriter(&id, p.Slice, p.Epoch)
	}
	id.WriteString(s.process)
	id.WriteByte('-')
	id.WriteString(strconv.FormatUint(s.sequence.Add(1), 10))
	return id.String()
}

// unsafeText views bytes as a string for as long as they are copied into a block.
func unsafeText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
