package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"revstream/ingest/revenue"
)

// GroupState is what the store has of a group.
type GroupState struct {
	// Events are its statements, in no order; a repeated delivery is there as
	// often as it was inserted.
	Events []revenue.Event
	// Held is what the ledger holds.
	Held revenue.Held
}

// ReadGroups reads what the store has of each group now, all that was inserted
// before the call. A group that it knows nothing of is not in the answer. Keys
// are best in the order of their names, or those of one batch: neighbours are
// read together. ErrUnavailable if the server does not answer in time.
func (s *Store) ReadGroups(ctx context.Context, keys []revenue.GroupKey) (map[revenue.GroupKey]GroupState, error) {
	states := make(map[revenue.GroupKey]GroupState, len(keys))
	for wanted := range slices.Chunk(keys, s.config.StateKeysMax) {
		began := time.Now()
		if err := s.readGroups(ctx, wanted, states); err != nil {
			return nil, fmt.Errorf("reading the state of %d groups: %w", len(wanted), err)
		}
		s.metrics.stateSeconds.Observe(time.Since(began).Seconds())
		s.metrics.stateKeys.Add(float64(len(wanted)))
	}
	return states, nil
}

// readGroups asks both tables at once and adds what they know to states.
func (s *Store) readGroups(ctx context.Context, wanted []revenue.GroupKey, states map[revenue.GroupKey]GroupState) error {
	group, ctx := errgroup.WithContext(ctx)
	events := make(map[revenue.GroupKey][]revenue.Event)
	held := make(map[revenue.GroupKey]revenue.Held)
	group.Go(func() error { return s.readStatements(ctx, wanted, events) })
	group.Go(func() error { return s.readHeld(ctx, wanted, held) })
	if err := group.Wait(); err != nil {
		return err
	}
	for key, list := range events {
		states[key] = GroupState{Events: list, Held: held[key]}
	}
	for key, rows := range held {
		if _, known := states[key]; !known {
			states[key] = GroupState{Held: rows}
		}
	}
	return nil
}

func (s *Store) readStatements(ctx context.Context, wanted []revenue.GroupKey, events map[revenue.GroupKey][]revenue.Event) error {
	return s.askFor(ctx, wanted, s.sql.groupStatements, func(rows driver.Rows) error {
		var key revenue.GroupKey
		var statement []byte
		for rows.Next() {
			if err := rows.Scan(&key.Workspace, &key.Group, &statement); err != nil {
				return fmt.Errorf("scanning a statement: %w", err)
			}
			var event revenue.Event
			if err := json.Unmarshal(statement, &event); err != nil {
				return fmt.Errorf("decoding a statement of group %s: %w", key, err)
			}
			events[key] = append(events[key], event)
		}
		return nil
	})
}

func (s *Store) readHeld(ctx context.Context, wanted []revenue.GroupKey, held map[revenue.GroupKey]revenue.Held) error {
	return s.askFor(ctx, wanted, s.sql.groupHeld, func(rows driver.Rows) error {
		var key revenue.GroupKey
		var row revenue.RowKey
		var count int64
		for rows.Next() {
			if err := rows.Scan(&key.Workspace, &key.Group, &row.RowID, &row.KnownAt, &count); err != nil {
				return fmt.Errorf("scanning a held row: %w", err)
			}
			if held[key] == nil {
				held[key] = revenue.Held{}
			}
			held[key][row] = count
		}
		return nil
	})
}

// ReadRows reads the ledger's rows of the groups, retracted ones and their
// retractions included, in no order.
func (s *Store) ReadRows(ctx context.Context, keys []revenue.GroupKey) ([]revenue.LedgerRow, error) {
	var list []revenue.LedgerRow
	for wanted := range slices.Chunk(keys, s.config.StateKeysMax) {
		err := s.askFor(ctx, wanted, s.sql.groupRows, func(rows driver.Rows) error {
			for rows.Next() {
				var record ledgerRecord
				if err := rows.ScanStruct(&record); err != nil {
					return fmt.Errorf("scanning a ledger row: %w", err)
				}
				list = append(list, record.row())
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the ledger of %d groups: %w", len(wanted), err)
		}
	}
	return list, nil
}

// askFor runs a query that refers to the wanted groups as the table `wanted`. It
// travels beside the query, so its size is not bounded by that of a query text.
func (s *Store) askFor(ctx context.Context, wanted []revenue.GroupKey, sql string, fn func(driver.Rows) error) error {
	table, err := ext.NewTable("wanted", ext.Column("workspace", "String"), ext.Column("fact_group", "String"))
	if err != nil {
		return err
	}
	for _, key := range wanted {
		if err := table.Append(key.Workspace, key.Group); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.StateTimeout)
	defer cancel()
	var rowsRead atomic.Uint64
	defer func() { s.metrics.stateRows.Add(float64(rowsRead.Load())) }()
	return s.each(clickhouse.Context(ctx,
		clickhouse.WithExternalTable(table),
		clickhouse.WithProgress(func(p *clickhouse.Progress) { rowsRead.Add(p.Rows) }),
		clickhouse.WithSettings(clickhouse.Settings{
			"max_execution_time": int(s.config.StateTimeout.Seconds()) + 1,
		})), sql, nil, fn)
}

// groupHashesMax is how many hashes are handed on at a time.
const groupHashesMax = 65_536

// GroupHashes calls fn with the GroupHash of every group that has a statement in
// the slice, in portions that are valid until fn returns. A hash may come more
// than once. It reads the whole slice: it is for filling a filter at a start.
func (s *Store) GroupHashes(ctx context.Context, slice int32, fn func([]uint64) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	portion := make([]uint64, 0, groupHashesMax)
	err := s.each(ctx, s.sql.groupHashes, bind([]Named{{"slice", slice}}), func(rows driver.Rows) error {
		var hash, last uint64
		for first := true; rows.Next(); first = false {
			if err := rows.Scan(&hash); err != nil {
				return fmt.Errorf("scanning a hash: %w", err)
			}
			// The table is in order of groups: repetitions are neighbours.
			if !first && hash == last {
				continue
			}
			last = hash
			if portion = append(portion, hash); len(portion) == cap(portion) {
				if err := fn(portion); err != nil {
					return err
				}
				portion = portion[:0]
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the groups of slice %d: %w", slice, err)
	}
	if len(portion) == 0 {
		return nil
	}
	return fn(portion)
}
