package analytics

import (
	"context"

	"revstream/clickhouse"
)

// nameCustomers puts names to rows of customers, as they were said last.
func (r *reading) nameCustomers(ctx context.Context, rows []TableRow) error {
	if len(rows) == 0 {
		return nil
	}
	customers := make([]string, len(rows))
	for i := range rows {
		customers[i] = rows[i].Value
	}
	found, err := ask[struct {
		Customer string `ch:"customer"`
		Name     string `ch:"name"`
	}](ctx, r, "names of customers", r.questions.customerNames, append(r.chosen(),
		clickhouse.Named{Name: "workspace", Value: r.workspace}, clickhouse.Named{Name: "provider", Value: r.Provider},
		clickhouse.Named{Name: "customers", Value: customers})...)
	if err != nil {
		return err
	}
	names := make(map[string]string, len(found))
	for _, row := range found {
		names[row.Customer] = row.Name
	}
	for i := range rows {
		rows[i].CustomerName = names[rows[i].Value]
	}
	return nil
}
