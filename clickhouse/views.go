package clickhouse

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"go.uber.org/zap"

	"revstream/ingest/revenue"
)

// viewFiles are the views for people with an SQL client: one file each, and the parts
// that some have in common. Their names and columns stay within a version.
//
//go:embed views/*.sql
var viewFiles embed.FS

// ViewsVersion is the version of the views. A column that means something else, or is
// there no longer, is another version, in a database of its own beside this one.
const ViewsVersion = "v1"

// viewNames are those of the views, each in a file of its name.
var viewNames = []string{"events", "ledger", "entries", "subscriptions", "customers", "mrr_movements", "mrr_daily",
	"revenue_daily", "refunds", "refunds_by_charge", "cohorts", "revenue_cohorts", "fx_rates"}

// ViewsDatabase is the database with the views of a database's tables.
func ViewsDatabase(database string) string { return database + "_" + ViewsVersion }

// views is what the files are rendered with.
type views struct{ Views, Tables string }

// Money is an amount of minor units in units of its currency.
func (v views) Money(column string) string { return inUnits(column, 3, 1) }

// MRR is the same for 1/10,000 minor units.
func (v views) MRR(column string) string { return inUnits(column, 7, revenue.MRRScale) }

// inUnits divides by the minor units of a row's currency, of which each is so many of the
// column's, exactly: the scale has room for three decimals of currencies.
func inUnits(column string, scale int, perMinor int64) string {
	listed := func(exponent int) string { return "'" + strings.Join(revenue.Currencies(exponent), "', '") + "'" }
	return fmt.Sprintf("toDecimal128(%s, %d) / multiIf(currency IN (%s), %d, currency IN (%s), %d, %d)",
		column, scale, listed(0), perMinor, listed(3), 1000*perMinor, 100*perMinor)
}

// PublishViews makes the views of a database's tables, or makes them anew. It can be
// called again and by several processes at once.
func (s *Store) PublishViews(ctx context.Context, database string) error {
	if err := s.createDatabase(ctx, ViewsDatabase(database)); err != nil {
		return err
	}
	statements, err := renderViews(views{ViewsDatabase(database), database})
	if err != nil {
		return err
	}
	for i, statement := range statements {
		if err := s.publish(ctx, statement); err != nil {
			return fmt.Errorf("making the view %s: %w", viewNames[i], err)
		}
	}
	return nil
}

// publish makes a view, trying again if another process makes it at the same moment.
func (s *Store) publish(ctx context.Context, statement string) error {
	var err error
	for range migrateAttempts {
		if err = s.conn.Exec(ctx, statement); err == nil || ctx.Err() != nil || !concurrentlyMade(err) {
			return classify(err)
		}
		s.log.Info("another process makes the views too, trying again", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(migratePause):
		}
	}
	return classify(err)
}

// renderViews gives the statement of each view, in the order of their names.
func renderViews(v views) ([]string, error) {
	files, err := template.ParseFS(viewFiles, "views/*.sql")
	if err != nil {
		return nil, fmt.Errorf("parsing the views: %w", err)
	}
	var statements []string
	for _, name := range viewNames {
		var text bytes.Buffer
		if err := files.ExecuteTemplate(&text, name+".sql", v); err != nil {
			return nil, fmt.Errorf("rendering the view %s: %w", name, err)
		}
		statements = append(statements, text.String())
	}
	return statements, nil
}
