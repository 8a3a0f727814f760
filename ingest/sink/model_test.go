package sink

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
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
	data   contents
	// epochLast makes epochs unique for good, as random ones are in the store.
	epochLast uint64
	// takenOver is which topic each epoch was given for.
	takenOver map[uint64]string
	deadUntil time.Time
	// backup is what restore brings back, and tearing that it is taken within the
	// next batch.
	backup  contents
	tearing bool
	// saved sees every report of progress, under the lock.
	saved func([]clickhouse.Progress)
	calls map[string]int // by what happened
}

// contents are the tables.
type contents struct {
	epochs map[int32]uint64
	logs   map[place]*log // what `events` has of each slice of each topic
	groups map[revenue.GroupKey]groupContents
	view   map[cell]measures
	// differing is what each cell of the derived tables lacks of the ledger's sum.
	differing map[cell]measures
}

// place is a slice of a topic, by the topic's id.
type place struct {
	topicID string
	slice   int32
}

// log is which offsets of a place are stored. All below next are.
type log struct {
	stored map[int64]bool
	next   int64
	high   int64 // one more than the highest
}

// groupContents is what the tables hold of one group.
type groupContents struct {
	statements []clickhouse.Statement
	rows       []clickhouse.Row
}

// faults are the shares of calls that go wrong, each in its own way.
type faults struct {
	before, after, partly, dead float64
	slowMax, deadMax            time.Duration
}

// derived are the tables that follow from the ledger, as in the schema.
var derived = [...]string{"entries", "revenue_hourly", "revenue_daily", "revenue_monthly", "mrr_daily", "mrr_monthly"}

// cell is a key of a derived table: the slice is part of it, so it has one writer.
type cell struct {
	table              string
	slice              int32
	workspace          string
	live               bool
	from, to           int64 // Unix days that it covers
	bucket             int64 // Unix hours; of entries, when they became known
	currency, provider string
	kind               revenue.EntryKind
	recurring          bool
	row                uint64 // of entries
}

// measures are what a cell sums up.
type measures struct{ entries, amount, mrr, subscriptions, customers int64 }

func (a measures) plus(b measures, sign int64) measures {
	return measures{a.entries + sign*b.entries, a.amount + sign*b.amount, a.mrr + sign*b.mrr,
		a.subscriptions + sign*b.subscriptions, a.customers + sign*b.customers}
}

var errFault = errors.New("injected fault")

func newModel(seed uint64, f faults) *model {
	return &model{
		random: rand.New(rand.NewPCG(seed, 2)), faults: f, calls: map[string]int{}, takenOver: map[uint64]string{}, saved: func([]clickhouse.Progress) {},
		data: contents{epochs: map[int32]uint64{}, logs: map[place]*log{}, groups: map[revenue.GroupKey]groupContents{},
			view: map[cell]measures{}, differing: map[cell]measures{}},
	}
}

// cellOf is the cell of a derived table that a row counts in, if any.
func cellOf(table string, row *clickhouse.Row) (cell, bool) {
	hour := row.OccurredAt.Unix() / 3600
	c := cell{table: table, slice: row.Slice, workspace: row.Workspace, live: row.Live(), from: hour / 24, to: hour / 24,
		currency: row.Currency, provider: row.Provider, kind: row.Kind, recurring: row.Recurring}
	state := row.Kind.Family() == revenue.FamilyState
	switch table {
	case "entries":
		c.bucket, c.row = row.KnownAt.UnixMicro(), row.RowID
		return c, true
	case "revenue_hourly":
		c.bucket = hour
		return c, !state
	case "revenue_monthly", "mrr_monthly":
		year, month, _ := row.OccurredAt.UTC().Date()
		first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		c.from, c.to = first.Unix()/86400, first.AddDate(0, 1, 0).Unix()/86400-1
	}
	if table == "mrr_daily" || table == "mrr_monthly" {
		c.recurring = false
		return c, state
	}
	return c, !state
}

func measured(row *clickhouse.Row) measures {
	return measures{}.plus(measures{1, row.Amount, row.MRR, row.Subscriptions, row.Customers}, int64(row.Sign))
}

// delay makes the call slow and possibly dead, and returns its fate.
func (m *model) delay(ctx context.Context) (fate float64, err error) {
	m.mu.Lock()
	wait := time.Duration(m.random.Int64N(int64(m.faults.slowMax) + 1))
	fate = m.random.Float64()
	if m.random.Float64() < m.faults.dead && time.Now().After(m.deadUntil) {
		m.deadUntil = time.Now().Add(time.Duration(m.random.Int64N(int64(m.faults.deadMax))))
		m.calls["store died"]++
	}
	dead := time.Now().Before(m.deadUntil)
	m.mu.Unlock()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if dead {
		return 0, errFault
	}
	return fate, nil
}

func (m *model) fenced(slice int32, epoch uint64) bool { return epoch != m.data.epochs[slice] }

func (m *model) TakeOver(ctx context.Context, topicID string, slices []int32) (map[int32]clickhouse.Takeover, error) {
	_, err := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && m.random.IntN(2) == 0 {
		return nil, err
	}
	taken := map[int32]clickhouse.Takeover{}
	for _, slice := range slices {
		m.epochLast++
		m.data.epochs[slice], m.takenOver[m.epochLast] = m.epochLast, topicID
		taken[slice] = clickhouse.Takeover{Epoch: m.epochLast, NextOffset: m.log(topicID, slice).high, TopicChanged: m.topicChanged(topicID, slice)}
	}
	m.calls["takeovers"]++
	return taken, err // raised all the same, unknown to the caller
}

// log finds what is stored of a place, under the lock.
func (m *model) log(topicID string, slice int32) *log {
	at := place{topicID, slice}
	if m.data.logs[at] == nil {
		m.data.logs[at] = &log{stored: map[int64]bool{}}
	}
	return m.data.logs[at]
}

func (m *model) topicChanged(topicID string, slice int32) bool {
	others := false
	for at, l := range m.data.logs {
		if at.slice == slice && l.high > 0 {
			if at.topicID == topicID {
				return false
			}
			others = true
		}
	}
	return others
}

func (m *model) RowsUntil(ctx context.Context, topicID string, slice int32) (until int64, err error) {
	if _, err := m.delay(ctx); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, group := range m.data.groups {
		for i := range group.rows {
			if r := &group.rows[i]; r.TopicID == topicID && r.Slice == slice {
				until = max(until, r.Offset+1)
			}
		}
	}
	return until, nil
}

func (l *log) add(offset int64) {
	l.stored[offset] = true
	l.high = max(l.high, offset+1)
	for l.stored[l.next] {
		l.next++
	}
}

func (m *model) InsertStatements(ctx context.Context, statements []clickhouse.Statement) error {
	fate, err := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range statements {
		if m.fenced(statements[i].Slice, statements[i].Epoch) {
			m.calls["inserts fenced"]++
			return clickhouse.ErrFenced
		}
	}
	if err != nil && m.random.IntN(2) == 0 || err == nil && fate < m.faults.before {
		return errFault
	}
	// A call whose caller gave up may still be applied.
	for i := range statements {
		s := &statements[i]
		key := s.Event.GroupKey()
		group := m.data.groups[key]
		group.statements = append(group.statements, *s)
		m.data.groups[key] = group
		m.log(s.TopicID, s.Slice).add(s.Offset)
	}
	if m.tearing {
		m.tearing, m.backup = false, m.data.copy()
	}
	if err != nil || fate < m.faults.before+m.faults.after {
		m.calls["inserts unanswered"]++
		return errFault
	}
	return nil
}

// landing says which tables an insert of rows reaches, and whether it is answered.
type landing struct {
	ledger, answered bool
	views            [len(derived)]bool
}

var everywhere = landing{true, true, [...]bool{true, true, true, true, true, true}}

// land decides where rows land: under a fault nowhere, everywhere, or in some of
// the tables.
func (m *model) land(fate float64, failed bool) landing {
	f := m.faults
	switch {
	case !failed && fate < f.before:
		return landing{}
	case !failed && fate < f.before+f.after:
		whole := everywhere
		whole.answered = false
		return whole
	case failed || fate < f.before+f.after+f.partly:
		m.calls["inserts half applied"]++
		part := landing{ledger: m.random.IntN(2) == 0}
		for i := range part.views {
			part.views[i] = m.random.IntN(2) == 0
		}
		return part
	}
	return everywhere
}

func (m *model) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	fate, err := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		if m.fenced(rows[i].Slice, rows[i].Epoch) {
			m.calls["inserts fenced"]++
			return clickhouse.ErrFenced
		}
	}
	where := m.land(fate, err != nil)
	for i := range rows {
		m.apply(&rows[i], where)
	}
	if !where.answered {
		return errFault
	}
	return nil
}

// apply adds a row to the tables that it reaches.
func (m *model) apply(row *clickhouse.Row, where landing) {
	if where.ledger {
		key := revenue.GroupKey{Workspace: row.Workspace, Group: row.Group}
		group := m.data.groups[key]
		group.rows = append(group.rows, *row)
		m.data.groups[key] = group
	}
	amounts := measured(row)
	for i, table := range derived {
		c, counts := cellOf(table, row)
		if !counts {
			continue
		}
		if where.views[i] {
			m.data.view[c] = m.data.view[c].plus(amounts, 1)
		}
		if where.views[i] != where.ledger {
			sign := int64(1)
			if where.views[i] {
				sign = -1
			}
			m.differ(c, m.data.differing[c].plus(amounts, sign))
		}
	}
}

func (m *model) differ(c cell, by measures) {
	if by == (measures{}) {
		delete(m.data.differing, c)
	} else {
		m.data.differing[c] = by
	}
}

func (m *model) ReadGroups(ctx context.Context, keys []revenue.GroupKey) (map[revenue.GroupKey]clickhouse.GroupState, error) {
	if _, err := m.delay(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	states := map[revenue.GroupKey]clickhouse.GroupState{}
	for _, key := range keys {
		group := m.data.groups[key]
		state := clickhouse.GroupState{Events: group.events(), Held: revenue.HeldOf(group.ledger())}
		if len(state.Events)+len(state.Held) > 0 {
			states[key] = state
		}
	}
	return states, nil
}

// events are what was said of the group.
func (g groupContents) events() []revenue.Event {
	events := make([]revenue.Event, len(g.statements))
	for i := range g.statements {
		events[i] = *g.statements[i].Event
	}
	return events
}

// ledger is the group's rows without who wrote them.
func (g groupContents) ledger() []revenue.LedgerRow {
	rows := make([]revenue.LedgerRow, len(g.rows))
	for i := range g.rows {
		rows[i] = *g.rows[i].LedgerRow
	}
	return rows
}

func (m *model) ReadRows(ctx context.Context, keys []revenue.GroupKey) ([]revenue.LedgerRow, error) {
	if _, err := m.delay(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []revenue.LedgerRow
	for _, key := range keys {
		rows = append(rows, m.data.groups[key].ledger()...)
	}
	return rows, nil
}

func (m *model) GroupHashes(ctx context.Context, slice int32, each func([]uint64) error) error {
	if _, err := m.delay(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	var hashes []uint64
	for key, group := range m.data.groups {
		if len(group.statements) > 0 && group.statements[0].Slice == slice {
			hashes = append(hashes, xxhash.Sum64String(key.String()))
		}
	}
	m.mu.Unlock()
	return each(hashes)
}

// Equalise makes the cells of the derived tables within the scope what the ledger
// says.
func (m *model) Equalise(ctx context.Context, scope clickhouse.Scope) (clickhouse.Repair, error) {
	_, failed := m.delay(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for slice, epoch := range scope.Epochs {
		if m.fenced(slice, epoch) {
			return clickhouse.Repair{}, clickhouse.ErrFenced
		}
	}
	repair := clickhouse.Repair{Cells: map[string]int64{}}
	for c, by := range m.data.differing {
		if !within(scope, c) || failed != nil && m.random.IntN(2) == 0 { // a repair may be cut short
			continue
		}
		m.data.view[c] = m.data.view[c].plus(by, 1)
		delete(m.data.differing, c)
		repair.Cells[c.table]++
	}
	m.calls["cells equalised"] += int(repair.Total())
	return repair, failed
}

// within reports whether a cell lies in the scope, whose range is of whole days.
func within(scope clickhouse.Scope, c cell) bool {
	return slices.Contains(scope.Slices, c.slice) &&
		(len(scope.Workspaces) == 0 || slices.Contains(scope.Workspaces, c.workspace)) &&
		(scope.From.IsZero() || c.to >= scope.From.Unix()/86400) &&
		(scope.To.IsZero() || c.from <= scope.To.Add(-time.Nanosecond).Unix()/86400)
}

func (m *model) SaveProgress(ctx context.Context, progress []clickhouse.Progress) error {
	if _, err := m.delay(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved(progress)
	return nil
}

// beginBackup keeps the contents for restore: as they are, or as the next batch of
// statements finds them before its rows are there.
func (m *model) beginBackup() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backup, m.tearing = m.data.copy(), m.random.IntN(2) == 0
}

// restore puts the backup in the place of what is there, the fence included.
func (m *model) restore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data, m.tearing = m.backup.copy(), false
}

func (c contents) copy() contents {
	same := contents{maps.Clone(c.epochs), map[place]*log{}, maps.Clone(c.groups), maps.Clone(c.view), maps.Clone(c.differing)}
	for at, l := range c.logs {
		same.logs[at] = &log{maps.Clone(l.stored), l.next, l.high}
	}
	for key, group := range same.groups { // what is appended later must not be shared
		same.groups[key] = groupContents{slices.Clip(group.statements), slices.Clip(group.rows)}
	}
	return same
}
