package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Difference is a cell of a derived table that is not what the ledger says.
type Difference struct {
	Table     string
	Slice     int32
	Workspace string
	Live      bool
	// Bucket is the beginning of the hour or day, or when an entry occurred.
	Bucket time.Time
	// Cell is the rest of the key: currency, kind, provider, recurring or not; of
	// `entries` kind and row id.
	Cell string
	// Missing is what has to be added to each measure to make it right.
	Missing map[string]int64
}

// Report is the outcome of a Check.
type Report struct {
	// Slices and Rows are what was compared; Rows counts those of the ledger and
	// of the derived tables.
	Slices int
	Rows   uint64
	// Cells is how many cells of each table differ.
	Cells map[string]int64
	// Differences lists them, at most Config.DifferencesMax of each table and
	// slice.
	Differences []Difference
}

// OK reports whether nothing differed.
func (r Report) OK() bool { return len(r.Cells) == 0 }

// A difference counts if it is seen checkPasses times unchanged, checkPause apart:
// an insert that is under way is in the ledger a moment before it is in what is
// derived.
const (
	checkPasses = 3
	checkPause  = 500 * time.Millisecond
)

// Check compares every derived table with the ledger, slice by slice, without
// changing anything and while others insert.
func (s *Store) Check(ctx context.Context) (Report, error) {
	report := Report{Cells: map[string]int64{}}
	list, err := s.slices(ctx)
	if err != nil {
		return report, fmt.Errorf("listing slices: %w", err)
	}
	if err := s.confirmPlace(ctx, list); err != nil {
		return report, err
	}
	for _, slice := range list {
		if err := s.checkSlice(ctx, Scope{Slices: []int32{slice}}, &report); err != nil {
			return report, fmt.Errorf("checking slice %d: %w", slice, err)
		}
		report.Slices++
	}
	return report, nil
}

// slices lists those that any table has rows of.
func (s *Store) slices(ctx context.Context) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	numbers, err := selectRows[uint16](ctx, s, s.sql.slices)
	list := make([]int32, len(numbers))
	for i, number := range numbers {
		list[i] = int32(number)
	}
	return list, err
}

// comparison is one table within one chunk, and what differed when last seen.
type comparison struct {
	table string
	chunk chunk
	found differences
}

// differences are all differing cells by their hash, and some in full.
type differences struct {
	cells map[uint64]struct{}
	list  []Difference
}

func (s *Store) checkSlice(ctx context.Context, scope Scope, report *Report) error {
	chunks, err := s.chunks(ctx, scope)
	if err != nil {
		return err
	}
	var open []comparison
	for _, chunk := range chunks {
		report.Rows += chunk.rows
		for _, table := range derivedTables {
			if chunk.concerns(table) {
				open = append(open, comparison{table: table, chunk: chunk})
			}
		}
	}
	for pass := range checkPasses {
		if pass > 0 && len(open) > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(s.checkPause):
			}
		}
		if open, err = s.compareAgain(ctx, scope, open); err != nil {
			return err
		}
	}
	for _, c := range open {
		report.Cells[c.table] += int64(len(c.found.cells))
		report.Differences = append(report.Differences, c.found.list...)
	}
	return nil
}

// compareAgain makes the comparisons and returns those in which something that
// was seen before, if they were made before, still differs.
func (s *Store) compareAgain(ctx context.Context, scope Scope, list []comparison) ([]comparison, error) {
	var open []comparison
	for _, c := range list {
		found, err := s.differences(ctx, c.table, scope, c.chunk, c.found.cells)
		if err != nil {
			return nil, fmt.Errorf("comparing %s: %w", c.table, err)
		}
		if len(found.cells) > 0 {
			open = append(open, comparison{c.table, c.chunk, found})
		}
	}
	return open, nil
}

// differences runs one comparison; if seen is given only cells count that are in
// it with the same difference.
func (s *Store) differences(ctx context.Context, table string, scope Scope, chunk chunk, seen map[uint64]struct{}) (differences, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	found := differences{cells: map[uint64]struct{}{}}
	type row struct {
		Slice     uint16           `ch:"slice"`
		Workspace string           `ch:"workspace"`
		Live      bool             `ch:"live"`
		Bucket    time.Time        `ch:"bucket"`
		Cell      string           `ch:"cell"`
		Missing   map[string]int64 `ch:"missing"`
		Hash      uint64           `ch:"hash"`
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(s.maintenanceSettings()))
	err := s.each(ctx, s.sql.check[table], bind(chunk.args(scope)), func(rows driver.Rows) error {
		for rows.Next() {
			var r row
			if err := rows.ScanStruct(&r); err != nil {
				return fmt.Errorf("scanning a difference: %w", err)
			}
			if _, before := seen[r.Hash]; seen != nil && !before {
				continue
			}
			found.cells[r.Hash] = struct{}{}
			if len(found.list) < s.config.DifferencesMax {
				found.list = append(found.list, Difference{
					Table: table, Slice: int32(r.Slice), Workspace: r.Workspace, Live: r.Live,
					Bucket: r.Bucket.UTC(), Cell: r.Cell, Missing: r.Missing,
				})
			}
		}
		return nil
	})
	found.list = slices.Clip(found.list)
	return found, err
}
