//go:build synctests

package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// model keeps the semantics of the store that matter: an insert is atomic for
// one table and not across its views, its outcome may be unknown, an epoch
// fences older writers, and only what was applied can be read.
type model struct {
	mu     sync.Mutex
	random *rand.Rand
	faults faults

	epochs     map[int32]uint64
	statements []clickhouse.Statement
	stored     map[int32]map[int64]bool // offsets, by slice
	ledger     []clickhouse.Row
	view       map[cell]int64
	deadUntil  time.Time

	calls map[string]int // by what happened
}

// faults are the shares of calls that go wrong, each in its own way.
type faults struct {
	before, after, tableOnly, viewOnly, dead float64
	slowMax                                  time.Duration
}

// cell is a rollup's key: the slice is part of it, so it has one writer.
type cell struct {
	slice     int32
	workspace string
	hour      int64
	kind      revenue.EntryKind
	currency  string
	measure   string
}

var errFault = errors.New("injected fault")

func newModel(seed uint64, f faults) *model {
	return &model{
		random: rand.New(rand.NewPCG(seed, 2)), faults: f, epochs: map[int32]uint64{},
		stored: map[int32]map[int64]bool{}, view: map[cell]int64{}, calls: map[string]int{},
	}
}

func cellsOf(row *clickhouse.Row) map[cell]int64 {
	base := cell{row.Slice, row.Workspace, row.OccurredAt.Unix() / 3600, row.Kind, row.Currency, ""}
	sums := map[cell]int64{}
	for measure, value := range map[string]int64{"amount": row.Amount, "mrr": row.MRR, "entries": 1} {
		base.measure = measure
		sums[base] = int64(row.Sign) * value
	}
	return sums
}

// delay makes the call slow and possibly dead, and returns its fate.
func (m *model) delay(ctx context.Context) (fate float64, err error) {
	m.mu.Lock()
	wait := time.Duration(m.random.Int64N(int64(m.faults.slowMax) + 1))
	fate = m.random.Float64()
	if m.random.Float64() < m.faults.dead && time.Now().After(m.deadUntil) {
		m.deadUntil = time.Now().Add(time.Duration(m.random.Int64N(int64(3 * time.Minute))))
		m.calls["died"]++
	}
	dead := time.Now().Before(m.deadUntil)
	m.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if dead {
		return 0, errFault
	}
	return fate, nil
}

func (m *model) fenced(slice int32, epoch uint64) bool { return epoch != m.epochs[slice] }

func (m *model) TakeOver(ctx context.Context, _ string, slices []int32) (map[int32]clickhouse.Takeover, error) {
	if _, err := m.delay(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := map[int32]clickhouse.Takeover{}
	for _, slice := range slices {
		m.epochs[slice]++
		next := int64(0)
		for offset := range m.stored[slice] {
			next = max(next, offset+1)
		}
		taken[slice] = clickhouse.Takeover{Epoch: m.epochs[slice], NextOffset: next}
	}
	m.calls["takeover"]++
	return taken, nil
}

func (m *model) InsertStatements(ctx context.Context, statements []clickhouse.Statement) error {
	fate, err := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range statements {
		if m.fenced(s.Slice, s.Epoch) {
			m.calls["fenced"]++
			return clickhouse.ErrFenced
		}
	}
	if err != nil && m.random.IntN(2) == 0 || err == nil && fate < m.faults.before {
		return errFault
	}
	// A call whose caller gave up may still be applied.
	for _, s := range statements {
		m.statements = append(m.statements, s)
		if m.stored[s.Slice] == nil {
			m.stored[s.Slice] = map[int64]bool{}
		}
		m.stored[s.Slice][s.Offset] = true
	}
	if err != nil || fate < m.faults.before+m.faults.after {
		m.calls["statements unanswered"]++
		return errFault
	}
	return nil
}

func (m *model) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	fate, err := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		if m.fenced(r.Slice, r.Epoch) {
			m.calls["fenced"]++
			return clickhouse.ErrFenced
		}
	}
	table, view, answered := true, true, err == nil
	f := m.faults
	switch {
	case err != nil:
		table, view = m.random.IntN(2) == 0, m.random.IntN(2) == 0
	case fate < f.before:
		table, view, answered = false, false, false
	case fate < f.before+f.after:
		answered = false
	case fate < f.before+f.after+f.tableOnly:
		view, answered = false, false
	case fate < f.before+f.after+f.tableOnly+f.viewOnly:
		table, answered = false, false
	}
	for i := range rows {
		if table {
			m.ledger = append(m.ledger, rows[i])
		}
		if view {
			for key, sum := range cellsOf(&rows[i]) {
				m.view[key] += sum
			}
		}
	}
	if table != view {
		m.calls["half applied"]++
	}
	if !answered {
		return errFault
	}
	return nil
}

func (m *model) ReadGroups(ctx context.Context, keys []revenue.GroupKey) (map[revenue.GroupKey]clickhouse.GroupState, error) {
	if _, err := m.delay(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	states := map[revenue.GroupKey]clickhouse.GroupState{}
	for _, key := range keys {
		state := clickhouse.GroupState{Held: revenue.Held{}}
		for _, s := range m.statements {
			if s.Event.GroupKey() == key {
				state.Events = append(state.Events, *s.Event)
			}
		}
		var rows []revenue.LedgerRow
		for _, r := range m.ledger {
			if r.Workspace == key.Workspace && r.Group == key.Group {
				rows = append(rows, *r.LedgerRow)
			}
		}
		state.Held = revenue.HeldOf(rows)
		states[key] = state
	}
	return states, nil
}

func (m *model) ReadRows(ctx context.Context, keys []revenue.GroupKey) ([]revenue.LedgerRow, error) {
	if _, err := m.delay(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []revenue.LedgerRow
	for _, key := range keys {
		for _, r := range m.ledger {
			if r.Workspace == key.Workspace && r.Group == key.Group {
				rows = append(rows, *r.LedgerRow)
			}
		}
	}
	return rows, nil
}

func (m *model) GroupHashes(ctx context.Context, slice int32, each func([]uint64) error) error {
	if _, err := m.delay(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	var hashes []uint64
	for _, s := range m.statements {
		if s.Slice == slice {
			hashes = append(hashes, xxhash.Sum64String(s.Event.GroupKey().String()))
		}
	}
	m.mu.Unlock()
	return each(hashes)
}

// Equalise makes the view's cells within the scope what the ledger says.
func (m *model) Equalise(ctx context.Context, scope clickhouse.Scope) (clickhouse.Repair, error) {
	if _, err := m.delay(ctx); err != nil {
		return clickhouse.Repair{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	within := func(c cell) bool {
		slice, workspace := false, len(scope.Workspaces) == 0
		for _, s := range scope.Slices {
			slice = slice || s == c.slice
		}
		for _, w := range scope.Workspaces {
			workspace = workspace || w == c.workspace
		}
		return slice && workspace && (scope.From.IsZero() || c.hour >= scope.From.Unix()/3600 && c.hour <= scope.To.Unix()/3600)
	}
	for slice, epoch := range scope.Epochs {
		if m.fenced(slice, epoch) {
			return clickhouse.Repair{}, clickhouse.ErrFenced
		}
	}
	repair := clickhouse.Repair{Cells: map[string]int64{}}
	want := m.rollup()
	for key := range m.view {
		if _, ok := want[key]; !ok {
			want[key] = 0
		}
	}
	for key, sum := range want {
		if within(key) && m.view[key] != sum {
			m.view[key] = sum
			repair.Cells["view"]++
		}
	}
	m.calls["equalised cells"] += int(repair.Total())
	return repair, nil
}

func (m *model) SaveProgress(ctx context.Context, _ []clickhouse.Progress) error {
	_, err := m.delay(ctx)
	return err
}

// rollup is what the view should hold.
func (m *model) rollup() map[cell]int64 {
	sums := map[cell]int64{}
	for i := range m.ledger {
		for key, sum := range cellsOf(&m.ledger[i]) {
			sums[key] += sum
		}
	}
	return sums
}
