package clickhouse

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed sql/*.sql
var queryFiles embed.FS

// queries are the statements of sql/*.sql.
type queries struct {
	fence, raiseFence, runningWrites, killWrites, highWater, highestEpochs, rowsUntil          string
	groupStatements, groupHeld, groupRows, groupHashes                                         string
	saveProgress, completeThrough, latestRates                                                 string
	chunks, slices, reserve, reserved, keepsStatistics                                         string
	auditStatements, auditRows, gaps                                                           string
	layout, layoutSeen, claimLayout, ownTables                                                 string
	reconciliations, reconciliationsOfDay                                                      string
	notificationsTold, notificationsDue, notificationsLog, alertProgress                       string
	sources, sourceCounts, providerTotals, deliveriesNewest, deliveriesOldest, deliveriesTable string
	// By derived table.
	equalise, check map[string]string
}

// loadQueries renders the embedded files. Those of repair and check are made of
// one comparison per table, so that what is mended is what is found.
func loadQueries() (queries, error) {
	q := queries{equalise: map[string]string{}, check: map[string]string{}}
	files, err := template.ParseFS(queryFiles, "sql/*.sql")
	if err != nil {
		return q, fmt.Errorf("parsing the embedded queries: %w", err)
	}
	renderFor := func(name string, data any) string {
		var text strings.Builder
		if renderError := files.ExecuteTemplate(&text, name+".sql", data); renderError != nil {
			err = errors.Join(err, fmt.Errorf("embedded query %s: %w", name, renderError))
		}
		return text.String()
	}
	render := func(name string) string { return renderFor(name, nil) }
	for name, into := range map[string]*string{
		"fence": &q.fence, "raise_fence": &q.raiseFence,
		"running_writes": &q.runningWrites, "kill_writes": &q.killWrites,
		"high_water": &q.highWater, "highest_epochs": &q.highestEpochs, "rows_until": &q.rowsUntil,
		"group_statements": &q.groupStatements, "group_held": &q.groupHeld,
		"group_rows": &q.groupRows, "group_hashes": &q.groupHashes,
		"save_progress": &q.saveProgress, "complete_through": &q.completeThrough,
		"latest_rates": &q.latestRates,
		"chunks":       &q.chunks, "slices": &q.slices,
		"audit_statements": &q.auditStatements, "audit_rows": &q.auditRows, "gaps": &q.gaps,
		"reserve": &q.reserve, "reserved": &q.reserved, "keeps_statistics": &q.keepsStatistics,
		"layout": &q.layout, "layout_seen": &q.layoutSeen, "claim_layout": &q.claimLayout, "own_tables": &q.ownTables,
		"notifications_told": &q.notificationsTold, "notifications_due": &q.notificationsDue,
		"notifications_log": &q.notificationsLog, "alert_progress": &q.alertProgress,
		"deliveries_table": &q.deliveriesTable, "sources": &q.sources, "source_counts": &q.sourceCounts, "provider_totals": &q.providerTotals,
		"reconciliations": &q.reconciliations, "reconciliations_of_day": &q.reconciliationsOfDay,
	} {
		*into = render(name)
	}
	q.deliveriesNewest, q.deliveriesOldest = renderFor("deliveries", "DESC"), renderFor("deliveries", "ASC")
	q.equalise[tableEntries], q.check[tableEntries] = render("equalise_entries"), render("check_entries")
	for _, r := range rollups {
		q.equalise[r.Table] = renderFor("equalise_"+r.of, r)
		q.check[r.Table] = renderFor("check_"+r.of, r)
	}
	return q, err
}

// selectRows is Select for the Store's own questions: the context bounds them.
func selectRows[T any](ctx context.Context, s *Store, sql string, args ...Named) ([]T, error) {
	var list []T
	err := s.each(ctx, sql, bind(args), func(rows driver.Rows) error {
		return scanEach(rows, func(row *T) error {
			list = append(list, *row)
			return nil
		})
	})
	return list, err
}
