package clickhouse

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// column is one column of an insert: its name in the table and how a row of Go
// type R fills it.
type column[R any] struct {
	name string
	fill func(into driver.BatchColumn, rows []R, order []int32, spare *scratch) error
}

// scratch holds one column of values on their way into a block. Columns are
// filled one after the other, so one slice of each type is enough: it stays in
// the processor's cache and makes no garbage.
type scratch struct {
	texts    []string
	int64s   []int64
	uint64s  []uint64
	uint16s  []uint16
	int8s    []int8
	flags    []bool
	times    []time.Time
	order    []int32
	sortKeys []sortKey
	families []groupFamily
}

// fillWith gathers a value of each row, in the given order, and appends them to
// the block in one call: appending row by row would box every value.
func fillWith[R, V any](slice func(*scratch) *[]V, get func(*R) V) func(driver.BatchColumn, []R, []int32, *scratch) error {
	return func(into driver.BatchColumn, rows []R, order []int32, spare *scratch) error {
		values := (*slice(spare))[:0]
		for _, i := range order {
			values = append(values, get(&rows[i]))
		}
		*slice(spare) = values
		err := into.Append(values)
		clear(values) // do not keep the rows' strings alive
		return err
	}
}

func text[R any](name string, get func(*R) string) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]string { return &s.texts }, get)}
}

func number[R any](name string, get func(*R) int64) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]int64 { return &s.int64s }, get)}
}

func unsigned[R any](name string, get func(*R) uint64) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]uint64 { return &s.uint64s }, get)}
}

func sliceNumber[R any](name string, get func(*R) uint16) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]uint16 { return &s.uint16s }, get)}
}

func sign[R any](name string, get func(*R) int8) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]int8 { return &s.int8s }, get)}
}

func flag[R any](name string, get func(*R) bool) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]bool { return &s.flags }, get)}
}

func instant[R any](name string, get func(*R) time.Time) column[R] {
	return column[R]{name, fillWith(func(s *scratch) *[]time.Time { return &s.times }, func(row *R) time.Time {
		return storable(get(row))
	})}
}

// The range of times that can be stored: ClickHouse counts microseconds from
// 1900 on, the driver nanoseconds up to 2262. What lies outside is stored as the
// nearest end; that includes "for ever".
var (
	timeMin = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	timeMax = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// storable brings a time into the range; the zero time, "none", is stored as
// 1970-01-01 by the driver.
func storable(t time.Time) time.Time {
	switch {
	case t.IsZero():
		return t
	case t.Before(timeMin):
		return timeMin
	case t.After(timeMax):
		return timeMax
	default:
		return t
	}
}

// blockRows is how many rows are sent at a time. The server puts the blocks of an
// insert together again before it writes (see insertSettings), so it is still
// one part; but it can read one block while the next is made, and the buffers of
// a small block are reused where those of a large one would grow by copying.
const blockRows = 4096

// fillBatch fills the block column by column and sends it, piece by piece.
func fillBatch[R any](batch driver.Batch, columns []column[R], rows []R, order []int32, spare *scratch) error {
	for {
		count := min(len(order), blockRows)
		for i := range columns {
			if err := columns[i].fill(batch.Column(i), rows, order[:count], spare); err != nil {
				return fmt.Errorf("column %s: %w", columns[i].name, err)
			}
		}
		if order = order[count:]; len(order) == 0 {
			return nil
		}
		if err := batch.Flush(); err != nil {
			return err
		}
	}
}
