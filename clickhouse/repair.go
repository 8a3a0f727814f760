package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
)

// derivedTables are the tables that follow from the ledger, in the order in
// which they are repaired.
var derivedTables = append([]string{tableEntries}, rollupTables()...)

const tableEntries = "entries"

// rollup is a table that adds up the ledger by hour, day or month.
type rollup struct {
	Table string
	// Bucket is the column, hour, day or month, and of what the rollup is: revenue
	// or mrr. They choose the SQL.
	Bucket, of string
}

var rollups = []rollup{
	{"revenue_hourly", "hour", "revenue"}, {"revenue_daily", "day", "revenue"}, {"revenue_monthly", "month", "revenue"},
	{"mrr_daily", "day", "mrr"}, {"mrr_monthly", "month", "mrr"},
}

func rollupTables() []string {
	tables := make([]string, len(rollups))
	for i, r := range rollups {
		tables[i] = r.Table
	}
	return tables
}

// DerivedTables returns the names of the tables that follow from the ledger.
func DerivedTables() []string { return slices.Clone(derivedTables) }

// Scope is what to make equal, or to compare.
type Scope struct {
	// Slices are the caller's own: nobody may insert into them meanwhile, the
	// caller included.
	Slices []int32
	// Epochs are those under which the caller owns the slices, as TakeOver gave
	// them. If the fence has moved on, the repair is refused with ErrFenced.
	// Without them whatever the fence says at the start is taken for the
	// caller's.
	Epochs map[int32]uint64
	// Workspaces bounds the scope to these; empty means all. Reading a ledger is
	// by workspace, so this is what keeps a repair cheap.
	Workspaces []string
	// From and To bound the scope to entries that occurred in the UTC days that
	// [From, To) touches, and to the months of those days in rollups by month; zero
	// times mean no bound.
	From, To time.Time
	// Tables bounds the scope to these of DerivedTables; empty means all.
	Tables []string
}

// Repair says what Equalise mended: for each table how many cells differed from
// the ledger. A cell is a row of a rollup's key, or an entry.
type Repair struct {
	Cells map[string]int64
}

// Total is the number of cells mended.
func (r Repair) Total() int64 {
	var total int64
	for _, cells := range r.Cells {
		total += cells
	}
	return total
}

// Equalise makes the derived tables equal to the ledger within the scope, by
// inserting what is missing and the opposite of what is too much. It reads what
// is there and so may be repeated, cut off and repeated again. Memory is bounded
// by Config.RepairRowsMax: it goes by workspaces and portions of them.
func (s *Store) Equalise(ctx context.Context, scope Scope) (Repair, error) {
	return s.equaliseScope(ctx, scope, func(uint64, uint64, int64) {})
}

// equaliseScope is Equalise that reports after every chunk.
func (s *Store) equaliseScope(ctx context.Context, scope Scope, report func(rowsDone, rowsTotal uint64, cells int64)) (Repair, error) {
	repair := Repair{Cells: map[string]int64{}}
	if len(scope.Slices) == 0 {
		return repair, nil
	}
	scope, err := s.owned(ctx, scope)
	if err != nil {
		return repair, err
	}
	chunks, err := s.chunks(ctx, scope)
	if err != nil {
		return repair, fmt.Errorf("sizing a repair: %w", err)
	}
	var rowsDone, rowsTotal uint64
	for _, chunk := range chunks {
		rowsTotal += chunk.rows
	}
	for _, chunk := range chunks {
		for _, table := range scope.tables() {
			if !chunk.concerns(table) {
				continue
			}
			cells, err := s.equalise(ctx, table, scope, chunk)
			if err != nil {
				return repair, fmt.Errorf("making %s equal to the ledger: %w", table, err)
			}
			if cells > 0 {
				repair.Cells[table] += cells
				s.metrics.cellsMended.WithLabelValues(table).Add(float64(cells))
				s.log.Warn("mended cells that differed from the ledger", zap.String("table", table),
					zap.Int64("cells", cells), zap.Int32s("slices", scope.Slices))
			}
		}
		rowsDone += chunk.rows
		report(rowsDone, rowsTotal, repair.Total())
	}
	return repair, nil
}

// equalise mends one table within one chunk and returns how many cells differed.
func (s *Store) equalise(ctx context.Context, table string, scope Scope, chunk chunk) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	var written atomic.Uint64
	ctx = clickhouse.Context(ctx,
		clickhouse.WithQueryID(s.writeID(len(scope.Slices), func(i int) Position {
			return Position{Slice: scope.Slices[i], Epoch: scope.Epochs[scope.Slices[i]]}
		})),
		clickhouse.WithSettings(s.maintenanceSettings()),
		clickhouse.WithProgress(func(p *clickhouse.Progress) { written.Add(p.WroteRows) }))
	err := s.conn.Exec(ctx, s.sql.equalise[table], bind(append(chunk.args(scope), Named{"epochs", scope.epochs()}))...)
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && exception.Code == codeThrowIf {
		return 0, fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return int64(written.Load()), classify(err)
}

// maintenanceSettings keep a repair from taking the machine from everybody else.
func (s *Store) maintenanceSettings() clickhouse.Settings {
	return clickhouse.Settings{
		"max_execution_time":                 int(s.config.MaintenanceTimeout.Seconds()) + 1,
		"max_insert_threads":                 1,
		"async_insert":                       0,
		"priority":                           10,
		"max_bytes_before_external_group_by": s.config.RepairMemoryBytesMax / 2,
		"max_memory_usage":                   s.config.RepairMemoryBytesMax,
	}
}

// owned completes the scope with the fence's epochs if the caller gave none.
func (s *Store) owned(ctx context.Context, scope Scope) (Scope, error) {
	if scope.Epochs != nil {
		return scope, nil
	}
	epochs, err := s.fence(ctx, scope.Slices)
	if err != nil {
		return scope, fmt.Errorf("reading the fence: %w", err)
	}
	scope.Epochs = epochs
	return scope, nil
}

func (scope Scope) epochs() []uint64 {
	epochs := make([]uint64, len(scope.Slices))
	for i, slice := range scope.Slices {
		epochs[i] = scope.Epochs[slice]
	}
	return epochs
}

func (scope Scope) tables() []string {
	if len(scope.Tables) == 0 {
		return derivedTables
	}
	return scope.Tables
}

// lastSecond is the last that a DateTime can name.
const lastSecond = 1<<32 - 1

// seconds are the first and the last second of the UTC days of the scope.
func (scope Scope) seconds() (from, last int64) {
	const day = 24 * 60 * 60
	last = lastSecond
	if !scope.From.IsZero() {
		from = min(max(0, scope.From.Unix()), lastSecond)
		from -= from % day
	}
	if !scope.To.IsZero() {
		to := scope.To.Add(-time.Nanosecond).Unix()
		last = min(max(0, to)/day*day+day-1, lastSecond)
	}
	return from, last
}

// chunk is a part of a scope that is small enough to compare at once: some
// workspaces, or one portion of a large one's rows.
type chunk struct {
	workspaces  []string
	part, parts uint64
	// rows is how many rows the chunk has, its share of a large workspace.
	rows uint64
}

// concerns reports whether the chunk is to be compared for the table: rollups
// are small, however many rows they sum up, and are not taken in portions.
func (c chunk) concerns(table string) bool { return table == tableEntries || c.part == 0 }

func (c chunk) args(scope Scope) []Named {
	from, last := scope.seconds()
	return []Named{
		{"slices", scope.Slices}, {"workspaces", c.workspaces}, {"part", c.part}, {"parts", c.parts},
		{"from", from}, {"last", last},
	}
}

// chunks cuts the scope such that none has much more than RepairRowsMax rows.
func (s *Store) chunks(ctx context.Context, scope Scope) ([]chunk, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	type row struct {
		Workspace string `ch:"workspace"`
		Rows      uint64 `ch:"rows"`
	}
	workspaces := scope.Workspaces
	if workspaces == nil {
		workspaces = []string{}
	}
	rows, err := selectRows[row](ctx, s, s.sql.chunks, Named{"slices", scope.Slices},
		Named{"all", len(workspaces) == 0}, Named{"workspaces", workspaces})
	if err != nil {
		return nil, err
	}
	limit := uint64(s.config.RepairRowsMax)
	var chunks []chunk
	var open chunk
	closeChunk := func() {
		if len(open.workspaces) > 0 {
			chunks = append(chunks, open)
		}
		open = chunk{parts: 1}
	}
	closeChunk()
	for _, r := range rows {
		if open.rows+r.Rows > limit || len(open.workspaces) == chunkWorkspacesMax {
			closeChunk()
		}
		if parts := r.Rows/limit + 1; parts > 1 {
			for part := range parts {
				chunks = append(chunks, chunk{[]string{r.Workspace}, part, parts, r.Rows / parts})
			}
			continue
		}
		open.workspaces, open.rows = append(open.workspaces, r.Workspace), open.rows+r.Rows
	}
	closeChunk()
	return chunks, nil
}

// chunkWorkspacesMax keeps the list of workspaces of a chunk within a query.
const chunkWorkspacesMax = 1000

// String lists what was mended, for a log or a terminal.
func (r Repair) String() string {
	if r.Total() == 0 {
		return "nothing differed"
	}
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(r.Cells)) {
		parts = append(parts, fmt.Sprintf("%s: %d", table, r.Cells[table]))
	}
	return "cells mended: " + strings.Join(parts, ", ")
}
