package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Named is a value bound to a parameter of a query: Name is what stands before
// the colon in {name:Type}. A value is never made part of the SQL text.
type Named struct {
	Name  string
	Value any // string, integer, bool, time.Time, or a slice of these
}

// Stats is what a query cost the store.
type Stats struct {
	RowsRead  uint64
	BytesRead uint64 // uncompressed
	Elapsed   time.Duration
}

// Add sums the costs of several queries behind one answer.
func (s *Stats) Add(other Stats) {
	s.RowsRead += other.RowsRead
	s.BytesRead += other.BytesRead
	s.Elapsed += other.Elapsed
}

// Select runs a query and returns its rows. T is a struct whose fields carry
// `ch:"column"` tags, or the type of the only column. Unqualified table names
// are those of the configured database. The query is bounded by the Query*
// limits of Config; one that would exceed them fails with ErrTooExpensive.
// Stats are valid also when there is an error.
func Select[T any](ctx context.Context, s *Store, sql string, args ...Named) ([]T, Stats, error) {
	var rows []T
	stats, err := Each(ctx, s, sql, func(row *T) error {
		rows = append(rows, *row)
		return nil
	}, args...)
	return rows, stats, err
}

// Each is Select for results that should not be held in memory: fn is called
// with each row, which is valid until fn returns. An error of fn ends the query
// and is returned.
func Each[T any](ctx context.Context, s *Store, sql string, fn func(*T) error, args ...Named) (Stats, error) {
	began := time.Now()
	var rowsRead, bytesRead atomic.Uint64
	stats := func() Stats {
		return Stats{RowsRead: rowsRead.Load(), BytesRead: bytesRead.Load(), Elapsed: time.Since(began)}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.QueryTimeout)
	defer cancel()
	settings := s.querySettings()
	settle(ctx, s, settings)
	if err := s.confirmReach(ctx); err != nil {
		s.metrics.observeQuery(stats(), err)
		return stats(), err
	}
	err := s.each(clickhouse.Context(ctx, clickhouse.WithSettings(settings),
		clickhouse.WithProgress(func(p *clickhouse.Progress) {
			rowsRead.Add(p.Rows)
			bytesRead.Add(p.Bytes)
		})), sql, bind(args), func(rows driver.Rows) error {
		return scanEach(rows, fn)
	})
	if err != nil && s.cluster != nil {
		err = s.cluster.explain(ctx, err)
	}
	s.metrics.observeQuery(stats(), err)
	return stats(), err
}

// confirmReach makes sure that the tables are whole, where that is in question.
func (s *Store) confirmReach(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	if err := s.cluster.confirmReach(ctx); err != nil {
		return s.cluster.explain(ctx, err)
	}
	return nil
}

// querySettings bound what one answer may cost.
func (s *Store) querySettings() clickhouse.Settings {
	settings := clickhouse.Settings{
		"max_execution_time":   int(s.config.QueryTimeout.Seconds()) + 1,
		"max_rows_to_read":     s.config.QueryRowsReadMax,
		"max_bytes_to_read":    s.config.QueryBytesReadMax,
		"max_result_rows":      s.config.QueryResultRowsMax,
		"max_memory_usage":     s.config.QueryMemoryBytesMax,
		"result_overflow_mode": "throw",
		"read_overflow_mode":   "throw",
		// The third answer of a shape would wait for LLVM, for half a second on a busy
		// machine, and none reads enough rows to get that back.
		"compile_expressions":           0,
		"compile_aggregate_expressions": 0,
		"compile_sort_description":      0,
	}
	if s.cluster != nil {
		// A profile of the server's may say otherwise, and then a figure would lack
		// what a shard has without a word.
		settings["skip_unavailable_shards"] = 0
		// A subquery of a question means all shards, too, and is asked once.
		settings["distributed_product_mode"] = "global"
	}
	return settings
}

// each runs a query and hands its rows to fn, closing them whatever happens.
func (s *Store) each(ctx context.Context, sql string, args []any, fn func(driver.Rows) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return classify(err)
	}
	if err := fn(rows); err != nil {
		cancel() // else Close would read the rest of the result
		return errors.Join(err, ignoreCanceled(rows.Close()))
	}
	if err := rows.Close(); err != nil {
		return classify(err)
	}
	return classify(rows.Err())
}

// ignoreCanceled drops the error that cancelling a query leaves behind.
func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// scanEach reads rows into T, by tags or as the only column, and calls fn with each.
// Which field a column goes to is found once: the driver's own ScanStruct makes a map
// for every row, which costs more than the rest of reading it.
func scanEach[T any](rows driver.Rows, fn func(*T) error) error {
	var row, zero T
	into := []any{&row}
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() {
		var err error
		if into, err = fieldsOf(reflect.ValueOf(&row).Elem(), rows.Columns()); err != nil {
			return err
		}
	}
	for rows.Next() {
		row = zero
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("scanning a row: %w", err)
		}
		if err := fn(&row); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf are pointers to the fields that are tagged with the columns.
func fieldsOf(row reflect.Value, columns []string) ([]any, error) {
	byColumn := map[string]any{}
	for _, field := range reflect.VisibleFields(row.Type()) {
		if tag := field.Tag.Get("ch"); tag != "" {
			byColumn[tag] = row.FieldByIndex(field.Index).Addr().Interface()
		}
	}
	into := make([]any, len(columns))
	for i, column := range columns {
		if into[i] = byColumn[column]; into[i] == nil {
			return nil, fmt.Errorf("column %s of the result has no field in %s", column, row.Type())
		}
	}
	return into, nil
}

// bind turns arguments into those of the driver. Times carry microseconds
// always, so that a parameter's text does not depend on its value.
func bind(args []Named) []any {
	bound := make([]any, len(args))
	for i, arg := range args {
		if t, ok := arg.Value.(time.Time); ok && !t.IsZero() {
			bound[i] = clickhouse.DateNamed(arg.Name, t.UTC(), clickhouse.MicroSeconds)
			continue
		}
		bound[i] = clickhouse.Named(arg.Name, arg.Value)
	}
	return bound
}
