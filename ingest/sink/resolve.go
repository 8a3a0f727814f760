package sink

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// work is a batch on its way into the store.
type work struct {
	statements []clickhouse.Statement
	groups     []*group // by slice, in order of their first statement
	rows       []clickhouse.Row
}

// assemble puts the parts' statements and groups together. What can never be a
// statement goes to the dead-letter topic before anything is committed past it.
func (s *Sink) assemble(ctx context.Context, parts []*part) (*work, error) {
	records, groups := 0, 0
	for _, p := range parts {
		records += len(p.records)
		groups += len(p.groups)
	}
	w := &work{statements: make([]clickhouse.Statement, 0, records), groups: make([]*group, 0, groups)}
	for _, p := range parts {
		for i, record := range p.records {
			position := p.session.position(record.Offset)
			if p.faults[i] != nil {
				if err := s.bury(ctx, record, stream.PoisonReason(p.faults[i]), p.faults[i]); err != nil {
					return nil, err
				}
				w.statements = append(w.statements, gravestone(position, record))
				continue
			}
			w.statements = append(w.statements, clickhouse.Statement{Position: position, Event: &p.events[i], Encoded: record.Value})
		}
		w.groups = append(w.groups, p.groups...)
	}
	return w, nil
}

func (s *Sink) bury(ctx context.Context, record *kgo.Record, reason string, cause error) error {
	if err := s.quarantine(ctx, stream.NewDeadLetter(record, reason, cause, time.Now().UTC())); err != nil {
		return fmt.Errorf("quarantine record %d of slice %d: %w", record.Offset, record.Partition, err)
	}
	s.metrics.quarantined.WithLabelValues(reason).Inc()
	s.log.Error("record quarantined", zap.String("reason", reason), zap.Int32("partition", record.Partition),
		zap.Int64("offset", record.Offset), zap.Error(cause))
	return nil
}

// kindQuarantined marks the place of a record that went to the dead-letter topic.
const kindQuarantined revenue.Kind = "quarantined"

// gravestone leaves a trace of a quarantined record's position among the
// statements, so that they say how far the log was read. It belongs to no
// workspace and so to no group that is ever read.
func gravestone(position clickhouse.Position, record *kgo.Record) clickhouse.Statement {
	at := record.Timestamp.UTC()
	return clickhouse.Statement{Position: position, Event: &revenue.Event{Kind: kindQuarantined, OccurredAt: at, ReceivedAt: at}}
}

// resolve finds out what the ledger lacks: it reads what is known of the groups
// that are neither new nor cached, and folds.
func (s *Sink) resolve(ctx context.Context, w *work) error {
	if err := s.timed("read", func() error { return s.readKnown(ctx, w) }); err != nil {
		return err
	}
	begin := time.Now()
	each(len(w.groups), func(i int) { w.groups[i].fold() })
	s.metrics.seconds.WithLabelValues("fold").Observe(time.Since(begin).Seconds())
	var surprised []*group
	largest, rows := 0, 0
	for _, g := range w.groups {
		rows += len(g.missing)
	}
	w.rows = make([]clickhouse.Row, 0, rows) // a row is large: growing would copy much
	for _, g := range w.groups {
		w.append(g, g.missing)
		if len(g.foreign) > 0 {
			surprised = append(surprised, g)
		}
		largest = max(largest, len(g.all))
		s.metrics.groups.WithLabelValues(g.source).Inc()
	}
	s.metrics.groupMax.Set(float64(largest))
	return s.retractForeign(ctx, w, surprised)
}

func (s *Sink) readKnown(ctx context.Context, w *work) error {
	unknown := map[revenue.GroupKey]*group{}
	for _, g := range w.groups {
		g.part.session.filterUntil = max(g.part.session.filterUntil, g.part.last+1)
		if known, ok := s.cache.get(g.key); ok {
			g.known, g.held, g.source = known.events, known.held, "cache"
			continue
		}
		// The filter learns the group here, before anything is inserted, so that a
		// second attempt reads what the first may have left.
		if !g.part.session.filter.add(xxhash.Sum64String(g.key.String())) {
			g.source = "new"
			continue
		}
		g.source = "read"
		unknown[g.key] = g
	}
	if len(unknown) == 0 {
		return nil
	}
	states, err := s.store.ReadGroups(ctx, slices.Collect(maps.Keys(unknown)))
	if err != nil {
		return fmt.Errorf("read %d groups: %w", len(unknown), err)
	}
	for key, g := range unknown {
		g.known, g.held = states[key].Events, states[key].Held
	}
	return nil
}

// fold finds what the store lacks of the group. It is pure but for its receiver.
func (g *group) fold() {
	g.all = g.fresh
	if len(g.known) > 0 {
		g.all = append(append(make([]revenue.Event, 0, len(g.known)+len(g.fresh)), g.known...), g.fresh...)
	}
	if len(g.all) > 1 {
		g.all = revenue.Distinct(g.all)
	}
	// Where an earlier attempt may have been cut short, the whole history is
	// compared; elsewhere what the new statements add is enough.
	if len(g.known) > 0 && !g.part.uncertain() {
		var ok bool
		if g.missing, g.foreign, ok = revenue.Advance(g.known, g.fresh, g.held); ok {
			return
		}
	}
	desired := revenue.Ledger(g.all)
	if len(g.held) == 0 {
		g.missing = desired
		return
	}
	g.missing, g.foreign = revenue.Difference(desired, g.held)
}

// append adds rows of a group under the position of its batch.
func (w *work) append(g *group, rows []revenue.LedgerRow) {
	position := g.part.session.position(g.part.last)
	for i := range rows {
		w.rows = append(w.rows, clickhouse.Row{Position: position, LedgerRow: &rows[i]})
	}
}

// retractForeign takes back rows that no statement accounts for: left by an
// attempt that saw fewer statements, or by other code.
func (s *Sink) retractForeign(ctx context.Context, w *work, surprised []*group) error {
	if len(surprised) == 0 {
		return nil
	}
	keys := make([]revenue.GroupKey, len(surprised))
	for i, g := range surprised {
		keys[i] = g.key
	}
	read, err := s.store.ReadRows(ctx, keys)
	if err != nil {
		return fmt.Errorf("read the rows of %d groups: %w", len(keys), err)
	}
	byGroup := map[revenue.GroupKey][]revenue.LedgerRow{}
	for i := range read {
		key := revenue.GroupKey{Workspace: read[i].Workspace, Group: read[i].Group}
		byGroup[key] = append(byGroup[key], read[i])
	}
	for _, g := range surprised {
		rows := revenue.Retract(byGroup[g.key], g.foreign)
		s.metrics.foreign.Add(float64(len(rows)))
		g.retracted = rows // their cells are touched, too
		w.append(g, rows)
	}
	return nil
}

// uncertain returns what has to be made equal to the ledger because an earlier
// attempt at these statements may have been cut short between a table and its
// views. That attempt may have had more of the statements, or fewer, and so other
// rows: the scope is wherever any rows of these groups can lie.
func (w *work) uncertain(parts []*part) (clickhouse.Scope, bool) {
	scope := clickhouse.Scope{Epochs: map[int32]uint64{}}
	doubtful := map[int32]bool{}
	for _, p := range parts {
		if p.uncertain() {
			doubtful[p.slice] = true
			scope.Slices = append(scope.Slices, p.slice)
			scope.Epochs[p.slice] = p.session.epoch
		}
	}
	workspaces := map[string]bool{}
	for _, g := range w.groups {
		if !doubtful[g.part.slice] {
			continue
		}
		if !workspaces[g.key.Workspace] {
			workspaces[g.key.Workspace] = true
			scope.Workspaces = append(scope.Workspaces, g.key.Workspace)
		}
		for i := range g.all {
			from, to := g.all[i].Span()
			scope = widen(scope, from, to)
		}
		for i := range g.retracted {
			scope = widen(scope, g.retracted[i].OccurredAt, g.retracted[i].OccurredAt)
		}
	}
	return scope, len(scope.Workspaces) > 0
}

// widen makes the scope's range include both moments.
func widen(scope clickhouse.Scope, from, to time.Time) clickhouse.Scope {
	if scope.From.IsZero() || from.Before(scope.From) {
		scope.From = from
	}
	if end := to.Add(time.Microsecond); end.After(scope.To) {
		scope.To = end
	}
	return scope
}

// remember keeps what is now known to be stored.
func (s *Sink) remember(parts []*part, w *work) {
	for _, p := range parts {
		p.session.next = p.last + 1
	}
	for _, g := range w.groups {
		// A payment seen for the first time is seldom seen again; a customer is.
		if g.source != "new" || len(g.all) > 1 || g.all[0].Recurring {
			// A copy: one statement must not keep those of a whole batch in memory.
			s.cache.put(g.key, cached{g.part.slice, slices.Clone(g.all), g.holds()})
		}
	}
}

// holds is what the ledger holds of the group once its rows are stored: what it
// held before and what was written.
func (g *group) holds() revenue.Held {
	held := revenue.HeldOf(slices.Concat(g.missing, g.retracted))
	for key, n := range g.held {
		if held[key] += n; held[key] == 0 {
			delete(held, key)
		}
	}
	return held
}
