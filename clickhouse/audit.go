package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/go-json-experiment/json"

	"revstream/ingest/revenue"
)

// TableLedger is the name of the ledger in a Report, where a cell is a group.
const TableLedger = "ledger"

// AuditProgress says how far an audit has come.
type AuditProgress struct {
	SlicesDone, SlicesTotal int
	Groups                  uint64 // folded so far
}

// CheckLedger folds every group's statements anew and compares with the rows that the
// ledger holds, what figures are made of included, slice by slice, without changing
// anything and while others insert. It reads all statements, so it takes as long as
// they are many; memory is bounded by the largest group. onProgress, which may be nil,
// is called every now and then.
func (s *Store) CheckLedger(ctx context.Context, onProgress func(AuditProgress)) (Report, error) {
	report := Report{Cells: map[string]int64{}}
	list, err := s.slices(ctx)
	if err != nil {
		return report, fmt.Errorf("listing slices: %w", err)
	}
	if err := s.confirmPlace(ctx, list); err != nil {
		return report, err
	}
	var groups uint64
	for done, slice := range list {
		tell := func(more uint64) {
			groups += more
			if onProgress != nil {
				onProgress(AuditProgress{done, len(list), groups})
			}
		}
		found, rows, err := s.suspects(ctx, slice, tell)
		for pass := 1; pass < checkPasses && err == nil && len(found) > 0; pass++ {
			found, err = s.lookAgain(ctx, found)
		}
		if err != nil {
			return report, fmt.Errorf("comparing the ledger of slice %d with its statements: %w", slice, err)
		}
		report.add(slice, found, s.config.DifferencesMax)
		report.Rows += rows
		report.Slices++
	}
	return report, nil
}

// content is what of a ledger row figures are made of, and its key.
type content struct {
	revenue.RowKey
	kind, provider, currency                                      string
	real, recurring                                               bool
	occurredAt                                                    int64 // Unix microseconds
	amount, tax, fee, discount, mrr, subscriptions, customerCount int64
}

// contentOf is the content that a row has once it is stored.
func contentOf(row *revenue.LedgerRow) content {
	return content{
		RowKey: revenue.RowKey{RowID: row.RowID, KnownAt: storable(row.KnownAt).UnixMicro()},
		kind:   string(row.Kind), provider: row.Provider, currency: row.Currency, real: row.Live(), recurring: row.Recurring,
		occurredAt: storable(row.OccurredAt).UnixMicro(), amount: row.Amount, tax: row.Tax, fee: row.Fee, discount: row.Discount,
		mrr: row.MRR, subscriptions: row.Subscriptions, customerCount: row.Customers,
	}
}

// lacking is how many of each row have to be added to make the ledger of a group what
// its statements come to; fewer than none have to be taken back.
type lacking map[content]int64

func (l lacking) count(c content, n int64) {
	if l[c] += n; l[c] == 0 {
		delete(l, c)
	}
}

// signedContent is a row as the ledger holds it.
type signedContent struct {
	content
	sign int8
}

func lackingOf(events []revenue.Event, held []signedContent) lacking {
	l := lacking{}
	rows := revenue.Ledger(events)
	for i := range rows {
		l.count(contentOf(&rows[i]), int64(rows[i].Sign))
	}
	for i := range held {
		l.count(held[i].content, -int64(held[i].sign))
	}
	return l
}

// suspects are groups whose ledger was not what their statements come to when it was
// looked at, at most Config.StateKeysMax of them.
type suspects map[revenue.GroupKey]lacking

// suspects compares a slice. rows is how many of the ledger were read.
func (s *Store) suspects(ctx context.Context, slice int32, tell func(groups uint64)) (found suspects, rows uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.MaintenanceTimeout)
	defer cancel()
	settings := s.maintenanceSettings()
	settings["max_bytes_before_external_sort"] = s.config.RepairMemoryBytesMax / 2
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings))
	// The ledger is opened first: a row is there only if its statement was before it.
	held, stopHeld := iter.Pull2(groupsOf(ctx, s, s.sql.auditRows, slice, scanContent))
	defer stopHeld()
	holding, err := pull(held)
	if err != nil {
		return nil, 0, err
	}
	said, stopSaid := iter.Pull2(groupsOf(ctx, s, s.sql.auditStatements, slice, scanStatement))
	defer stopSaid()
	saying, err := pull(said)
	found = suspects{}
	for groups := uint64(0); err == nil && (holding.any() || saying.any()) && len(found) < s.config.StateKeysMax; {
		order := compareGroups(saying, holding)
		key, events, contents := saying.key, saying.rows, holding.rows
		if order > 0 {
			key, events = holding.key, nil
		}
		if order < 0 {
			contents = nil
		}
		if lacks := lackingOf(events, contents); len(lacks) > 0 {
			found[key] = lacks
		}
		if groups++; groups%auditTold == 0 {
			tell(auditTold)
		}
		rows += uint64(len(contents))
		if order >= 0 {
			holding, err = pull(held)
		}
		if order <= 0 && err == nil {
			saying, err = pull(said)
		}
	}
	return found, rows, err
}

// auditTold is every how many groups progress is told.
const auditTold = 10_000

// lookAgain returns the suspects that lack the same as before, a moment later: what
// is being inserted has its statements before its rows.
func (s *Store) lookAgain(ctx context.Context, before suspects) (suspects, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.checkPause):
	}
	still := suspects{}
	err := s.eachSuspect(ctx, before, func(key revenue.GroupKey, events []revenue.Event, rows []revenue.LedgerRow) error {
		if lacks := lackingOf(events, contentsOf(rows)); maps.Equal(lacks, before[key]) {
			still[key] = lacks
		}
		return nil
	})
	return still, err
}

// eachSuspect reads what the store has of each group now.
func (s *Store) eachSuspect(ctx context.Context, list suspects, do func(revenue.GroupKey, []revenue.Event, []revenue.LedgerRow) error) error {
	keys := make([]revenue.GroupKey, 0, len(list))
	for key := range list {
		keys = append(keys, key)
	}
	rows, err := s.ReadRows(ctx, keys)
	if err != nil {
		return err
	}
	states, err := s.ReadGroups(ctx, keys)
	if err != nil {
		return err
	}
	byGroup := map[revenue.GroupKey][]revenue.LedgerRow{}
	for i := range rows {
		key := revenue.GroupKey{Workspace: rows[i].Workspace, Group: rows[i].Group}
		byGroup[key] = append(byGroup[key], rows[i])
	}
	for _, key := range keys {
		if err := do(key, states[key].Events, byGroup[key]); err != nil {
			return err
		}
	}
	return nil
}

func contentsOf(rows []revenue.LedgerRow) []signedContent {
	contents := make([]signedContent, len(rows))
	for i := range rows {
		contents[i] = signedContent{contentOf(&rows[i]), rows[i].Sign}
	}
	return contents
}

// add puts the groups into the report, and lists at most as many as given.
func (r *Report) add(slice int32, found suspects, most int) {
	for key, lacks := range found {
		r.Cells[TableLedger]++
		if most--; most < 0 {
			continue
		}
		difference := Difference{Table: TableLedger, Slice: slice, Workspace: key.Workspace, Cell: "group " + key.Group, Missing: map[string]int64{}}
		for c, n := range lacks {
			difference.Live = difference.Live || c.real
			if at := time.UnixMicro(c.occurredAt).UTC(); difference.Bucket.IsZero() || at.Before(difference.Bucket) {
				difference.Bucket = at
			}
			difference.Missing["rows"] += n
			difference.Missing["amount"] += n * c.amount
			difference.Missing["mrr"] += n * c.mrr
		}
		r.Differences = append(r.Differences, difference)
	}
}

// grouped is all rows of one group.
type grouped[T any] struct {
	key  revenue.GroupKey
	rows []T
}

func (g grouped[T]) any() bool { return len(g.rows) > 0 }

// compareGroups orders two groups as the tables are; none comes last.
func compareGroups[A, B any](a grouped[A], b grouped[B]) int {
	if !a.any() || !b.any() {
		return cmp.Compare(len(b.rows), len(a.rows))
	}
	return cmp.Or(cmp.Compare(a.key.Workspace, b.key.Workspace), cmp.Compare(a.key.Group, b.key.Group))
}

// errEnough ends a query whose result is not wanted any more.
var errEnough = errors.New("enough was read")

// groupsOf runs a query of a slice whose result is in order of groups, and hands on
// one group after the other.
func groupsOf[T any](ctx context.Context, s *Store, sql string, slice int32, scan func(driver.Rows, *revenue.GroupKey, *T) error) iter.Seq2[grouped[T], error] {
	return func(yield func(grouped[T], error) bool) {
		var open grouped[T]
		err := s.each(ctx, sql, bind([]Named{{"slice", slice}}), func(rows driver.Rows) error {
			for rows.Next() {
				var key revenue.GroupKey
				var row T
				if err := scan(rows, &key, &row); err != nil {
					return err
				}
				if key != open.key && open.any() {
					if !yield(open, nil) {
						return errEnough
					}
					open = grouped[T]{}
				}
				open.key, open.rows = key, append(open.rows, row)
			}
			return nil
		})
		switch {
		case errors.Is(err, errEnough):
		case err != nil:
			yield(grouped[T]{}, err)
		case open.any():
			yield(open, nil)
		}
	}
}

// pull is the next group, or none.
func pull[T any](next func() (grouped[T], error, bool)) (grouped[T], error) {
	group, err, _ := next()
	return group, err
}

func scanStatement(rows driver.Rows, key *revenue.GroupKey, event *revenue.Event) error {
	var statement []byte
	if err := rows.Scan(&key.Workspace, &key.Group, &statement); err != nil {
		return fmt.Errorf("scanning a statement: %w", err)
	}
	if err := json.Unmarshal(statement, event); err != nil {
		return fmt.Errorf("decoding a statement of group %s: %w", key, err)
	}
	return nil
}

func scanContent(rows driver.Rows, key *revenue.GroupKey, c *signedContent) error {
	err := rows.Scan(&key.Workspace, &key.Group, &c.RowID, &c.KnownAt, &c.sign, &c.kind, &c.provider, &c.currency, &c.real,
		&c.recurring, &c.occurredAt, &c.amount, &c.tax, &c.fee, &c.discount, &c.mrr, &c.subscriptions, &c.customerCount)
	if err != nil {
		return fmt.Errorf("scanning a ledger row: %w", err)
	}
	return nil
}
