package clickhouse

import (
	"context"
	"embed"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed sql/*.sql
var queryFiles embed.FS

// queries are the statements of sql/*.sql.
type queries struct {
	fence, raiseFence, runningWrites, killWrites, highWater, highestEpochs string
}

func loadQueries() (queries, error) {
	var q queries
	for name, into := range map[string]*string{
		"fence": &q.fence, "raise_fence": &q.raiseFence,
		"running_writes": &q.runningWrites, "kill_writes": &q.killWrites,
		"high_water": &q.highWater, "highest_epochs": &q.highestEpochs,
	} {
		text, err := queryFiles.ReadFile("sql/" + name + ".sql")
		if err != nil {
			return queries{}, fmt.Errorf("embedded query %s: %w", name, err)
		}
		*into = string(text)
	}
	return q, nil
}

// selectRows is Select for the Store's own questions: the context bounds them.
func selectRows[T any](ctx context.Context, s *Store, sql string, args ...Named) ([]T, error) {
	var list []T
	err := s.each(ctx, sql, bind(args), func(rows driver.Rows) error {
		var row, zero T
		scan := scanner(&row)
		for rows.Next() {
			row = zero
			if err := scan(rows); err != nil {
				return fmt.Errorf("scanning a row: %w", err)
			}
			list = append(list, row)
		}
		return nil
	})
	return list, err
}
