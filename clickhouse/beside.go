package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	values "github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"revstream/ingest/revenue"
)

// restatedTable is the table of rows that travel beside a question.
const restatedTable = "restated"

// besideColumns are those of the ledger that questions about what subscriptions are worth
// read, and how a row fills them. Of money and attribution they know nothing.
var besideColumns = []struct {
	name, kind string
	of         func(*revenue.LedgerRow) any
}{
	{"row", "UInt64", func(r *revenue.LedgerRow) any { return r.RowID }},
	{"sign", "Int8", func(r *revenue.LedgerRow) any { return r.Sign }},
	{"known_at", "DateTime64(6, 'UTC')", func(r *revenue.LedgerRow) any { return storable(r.KnownAt) }},
	{"fact_group", "String", func(r *revenue.LedgerRow) any { return r.Group }},
	{"fact", "String", func(r *revenue.LedgerRow) any { return r.Fact }},
	{"object_id", "String", func(r *revenue.LedgerRow) any { return r.ObjectID }},
	{"version", "Int64", func(r *revenue.LedgerRow) any { return r.Version }},
	{"kind", "String", func(r *revenue.LedgerRow) any { return string(r.Kind) }},
	{"provider", "String", func(r *revenue.LedgerRow) any { return r.Provider }},
	{"account", "String", func(r *revenue.LedgerRow) any { return r.Account }},
	{"integration", "String", func(r *revenue.LedgerRow) any { return r.Integration }},
	{"occurred_at", "DateTime64(6, 'UTC')", func(r *revenue.LedgerRow) any { return storable(r.OccurredAt) }},
	{"received_at", "DateTime64(6, 'UTC')", func(r *revenue.LedgerRow) any { return storable(r.ReceivedAt) }},
	{"currency", "String", func(r *revenue.LedgerRow) any { return r.Currency }},
	{"mrr", "Int64", func(r *revenue.LedgerRow) any { return r.MRR }},
	{"subscriptions", "Int64", func(r *revenue.LedgerRow) any { return r.Subscriptions }},
	{"customers", "Int64", func(r *revenue.LedgerRow) any { return r.Customers }},
	{"reason", "String", func(r *revenue.LedgerRow) any { return r.Reason }},
	{"customer", "String", func(r *revenue.LedgerRow) any { return r.Customer }},
	{"country", "String", func(r *revenue.LedgerRow) any { return r.Country }},
	{"subscription", "String", func(r *revenue.LedgerRow) any { return r.Subscription }},
	{"invoice", "String", func(r *revenue.LedgerRow) any { return r.Invoice }},
	{"product", "String", func(r *revenue.LedgerRow) any { return r.Product }},
	{"plan", "String", func(r *revenue.LedgerRow) any { return r.Plan }},
	{"interval", "String", func(r *revenue.LedgerRow) any { return r.Interval }},
	{"external_id", "String", func(r *revenue.LedgerRow) any { return r.ExternalID }},
}

// Restated are rows of a ledger by other definitions, which travel beside the questions
// that are put with them. They can be put with several at once, and are kept nowhere.
type Restated struct {
	table *ext.Table
	rows  int
}

// Restate makes rows ready to travel.
func Restate(rows []revenue.LedgerRow) (*Restated, error) {
	columns := make([]func(*ext.Table) error, len(besideColumns))
	for i, c := range besideColumns {
		columns[i] = ext.Column(c.name, values.Type(c.kind))
	}
	table, err := ext.NewTable(restatedTable, columns...)
	if err != nil {
		return nil, fmt.Errorf("making a table of restated rows: %w", err)
	}
	row := make([]any, len(besideColumns))
	for i := range rows {
		for j, c := range besideColumns {
			row[j] = c.of(&rows[i])
		}
		if err := table.Append(row...); err != nil {
			return nil, fmt.Errorf("adding a restated row: %w", err)
		}
	}
	return &Restated{table, len(rows)}, nil
}

// Len is how many rows there are.
func (r *Restated) Len() int { return r.rows }

// besideKey marks contexts whose questions have rows beside them.
type besideKey struct{}

// Beside is a context in which questions can read the rows as the table `restated`.
func (r *Restated) Beside(ctx context.Context) context.Context {
	return clickhouse.Context(context.WithValue(ctx, besideKey{}, true), clickhouse.WithExternalTable(r.table))
}

// settle makes settings fit for a question with rows beside it.
func settle(ctx context.Context, s *Store, settings clickhouse.Settings) {
	if s.cluster != nil && ctx.Value(besideKey{}) != nil {
		// Conditions on the union with the rows would be sent to the shards once more, as
		// text, in which instants before 2001 cannot be read back.
		settings["allow_push_predicate_ast_for_distributed_subqueries"] = 0
	}
}
