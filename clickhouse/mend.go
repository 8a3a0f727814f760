package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

// RebuildLedger makes the ledger what the statements come to, whatever is in it now,
// and then every derived table what the ledger says: whoever changed the ledger by
// hand may have left those alone. It goes slice by slice as Rebuild does, while others
// read and write. In the Repair a cell of the ledger is a group.
func (s *Store) RebuildLedger(ctx context.Context, onProgress func(RebuildProgress)) (Repair, error) {
	total := Repair{Cells: map[string]int64{}}
	list, err := s.slices(ctx)
	if err != nil {
		return total, fmt.Errorf("listing slices: %w", err)
	}
	for done, slice := range list {
		if onProgress != nil {
			onProgress(RebuildProgress{Slice: slice, SlicesDone: done, SlicesTotal: len(list), Cells: total.Total()})
		}
		err := s.ownSlice(ctx, slice, func(epoch uint64) error {
			groups, err := s.mendLedger(ctx, slice, epoch)
			total.Cells[TableLedger] += groups
			if err != nil {
				return err
			}
			repair, err := s.Equalise(ctx, Scope{Slices: []int32{slice}, Epochs: map[int32]uint64{slice: epoch}})
			for table, cells := range repair.Cells {
				total.Cells[table] += cells
			}
			return err
		})
		if err != nil {
			return total, fmt.Errorf("rebuilding the ledger of slice %d: %w", slice, err)
		}
	}
	return total, nil
}

// errNotMended says that what was added did not help.
var errNotMended = errors.New("groups still differ after they were mended")

// mendLedger adds to the ledger of a slice what it lacks, and returns of how many
// groups that was. The caller is the slice's one writer.
func (s *Store) mendLedger(ctx context.Context, slice int32, epoch uint64) (groups int64, err error) {
	var last suspects
	for {
		found, _, err := s.suspects(ctx, slice, func(uint64) {})
		if err != nil || len(found) == 0 {
			return groups, err
		}
		for key := range found {
			if _, again := last[key]; again {
				return groups, fmt.Errorf("%w: group %s", errNotMended, key)
			}
		}
		var rows []Row
		err = s.eachSuspect(ctx, found, func(_ revenue.GroupKey, events []revenue.Event, held []revenue.LedgerRow) error {
			rows = append(rows, s.mendingRows(Position{Slice: slice, Epoch: epoch}, events, held)...)
			return nil
		})
		if err != nil {
			return groups, err
		}
		if err := s.InsertRows(ctx, rows); err != nil {
			return groups, err
		}
		s.log.Warn("mended groups whose ledger was not what their statements come to",
			zap.Int("groups", len(found)), zap.Int("rows", len(rows)), zap.Int32("slice", slice))
		s.metrics.cellsMended.WithLabelValues(TableLedger).Add(float64(len(found)))
		groups += int64(len(found))
		last = found
	}
}

// mendingRows are the rows that make the ledger of a group what its statements come
// to. They are of no topic's log, so that they say nothing about how far one was read.
func (s *Store) mendingRows(position Position, events []revenue.Event, held []revenue.LedgerRow) []Row {
	lacks := lackingOf(events, contentsOf(held))
	var list []Row
	for _, source := range [][]revenue.LedgerRow{revenue.Ledger(events), held} {
		for i := range source {
			c := contentOf(&source[i])
			n := lacks[c]
			delete(lacks, c)
			row := source[i]
			row.Sign = 1
			if n < 0 {
				row.Sign, n = -1, -n
			}
			for range n {
				copied := row
				list = append(list, Row{Position: position, LedgerRow: &copied})
			}
		}
	}
	return list
}
