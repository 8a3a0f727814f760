package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
)

// RebuildProgress says how far a rebuild has come.
type RebuildProgress struct {
	Slice                   int32
	SlicesDone, SlicesTotal int
	// RowsDone and RowsTotal are of the slice, and approximate.
	RowsDone, RowsTotal uint64
	// Cells is how many were mended so far, in all slices.
	Cells int64
}

// A rebuild reserves a slice for a short while and renews that, so that a
// rebuild that dies does not keep the writer waiting.
const (
	reservationTerm  = 15 * time.Second
	reservationRenew = 5 * time.Second
	rebuildAttempts  = 10
)

// Rebuild makes a derived table what the ledger says, whatever is in it now: it
// may have been emptied or changed by hand. It goes slice by slice while others
// read and write: the writer of the slice is fenced off, waits in TakeOver until
// the slice is done, and goes on. onProgress, which may be nil, is called after
// every portion.
func (s *Store) Rebuild(ctx context.Context, table string, onProgress func(RebuildProgress)) (Repair, error) {
	total := Repair{Cells: map[string]int64{}}
	if !slices.Contains(derivedTables, table) {
		return total, fmt.Errorf("%q is not derived from the ledger: choose one of %v", table, derivedTables)
	}
	list, err := s.slices(ctx)
	if err != nil {
		return total, fmt.Errorf("listing slices: %w", err)
	}
	for done, slice := range list {
		report := func(rowsDone, rowsTotal uint64, cells int64) {
			if onProgress != nil {
				onProgress(RebuildProgress{slice, done, len(list), rowsDone, rowsTotal, total.Cells[table] + cells})
			}
		}
		repair, err := s.rebuildSlice(ctx, table, slice, report)
		total.Cells[table] += repair.Cells[table]
		if err != nil {
			return total, fmt.Errorf("rebuilding %s for slice %d: %w", table, slice, err)
		}
	}
	return total, nil
}

// rebuildSlice mends one table of a slice. What was mended in an attempt that was cut
// short stays mended.
func (s *Store) rebuildSlice(ctx context.Context, table string, slice int32, report func(rowsDone, rowsTotal uint64, cells int64)) (Repair, error) {
	total := Repair{Cells: map[string]int64{}}
	err := s.ownSlice(ctx, slice, func(epoch uint64) error {
		scope := Scope{Slices: []int32{slice}, Epochs: map[int32]uint64{slice: epoch}, Tables: []string{table}}
		repair, err := s.equaliseScope(ctx, scope, report)
		total.Cells[table] += repair.Cells[table]
		return err
	})
	return total, err
}

// ownSlice does something as the one writer of a slice, and lets go. It tries again
// when the usual writer was quicker in taking the slice back.
func (s *Store) ownSlice(ctx context.Context, slice int32, do func(epoch uint64) error) error {
	release, err := s.reserve(ctx, slice)
	if err != nil {
		return err
	}
	defer release()
	for range rebuildAttempts {
		var taken map[int32]Takeover
		if taken, err = s.takeOver(ctx, "", []int32{slice}); err == nil {
			err = do(taken[slice].Epoch)
		}
		if err == nil || !Retryable(err) || ctx.Err() != nil {
			return err
		}
		s.log.Info("the slice was taken back during a rebuild, trying again", zap.Int32("slice", slice), zap.Error(err))
	}
	return err
}

// reserve asks writers to leave the slice alone until release is called.
func (s *Store) reserve(ctx context.Context, slice int32) (release func(), err error) {
	if err := s.writeReservation(ctx, slice, reservationTerm); err != nil {
		return nil, fmt.Errorf("reserving slice %d: %w", slice, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(reservationRenew)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := s.writeReservation(ctx, slice, reservationTerm); err != nil && ctx.Err() == nil {
					s.log.Warn("renewing the reservation of a slice", zap.Int32("slice", slice), zap.Error(err))
				}
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		if err := s.writeReservation(context.WithoutCancel(ctx), slice, 0); err != nil {
			s.log.Warn("releasing a slice; it is free when its reservation ends", zap.Int32("slice", slice), zap.Error(err))
		}
	}, nil
}

func (s *Store) writeReservation(ctx context.Context, slice int32, term time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	return classify(s.conn.Exec(ctx, s.sql.reserve, bind([]Named{{"slice", slice}, {"milliseconds", term.Milliseconds()}})...))
}

// reservedPoll is between two looks at a reservation that is waited for.
const reservedPoll = 100 * time.Millisecond

// awaitReservations waits until no rebuild asks to leave the slices alone.
func (s *Store) awaitReservations(ctx context.Context, list []int32) error {
	for {
		reserved, err := selectRows[uint16](ctx, s, s.sql.reserved, Named{"slices", list})
		if err != nil || len(reserved) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("slices %v are being rebuilt: %w", reserved, errors.Join(ErrUnavailable, ctx.Err()))
		case <-time.After(reservedPoll):
		}
	}
}
