package analytics

import (
	"context"
	"time"

	"revstream/clickhouse"
)

// nameWindows are how far back names are looked for, one after the other; the last is for
// ever. What was said last is nearly always said with the last bill, and to look through
// all entries for it takes a second for twenty millions.
var nameWindows = [...]time.Duration{92 * dayLength, 400 * dayLength, 0}

// nameCustomers puts names to rows of customers, as they were said last. Until is the
// end of the range, from which on the windows count back.
func (r *reading) nameCustomers(ctx context.Context, rows []TableRow, until time.Time) error {
	names := map[string]string{}
	for _, window := range nameWindows {
		var nameless []string
		for i := range rows {
			if _, named := names[rows[i].Value]; !named {
				nameless = append(nameless, rows[i].Value)
			}
		}
		if len(nameless) == 0 {
			break
		}
		var since []clickhouse.Named
		if window > 0 {
			since = []clickhouse.Named{{Name: "since", Value: until.Add(-window)}}
		}
		if err := r.findNames(ctx, nameless, names, since...); err != nil {
			return err
		}
	}
	for i := range rows {
		rows[i].CustomerName = names[rows[i].Value]
	}
	return nil
}

// findNames adds the names of customers that entries of the window tell.
func (r *reading) findNames(ctx context.Context, customers []string, names map[string]string, since ...clickhouse.Named) error {
	found, err := ask[struct {
		Customer string `ch:"customer"`
		Name     string `ch:"name"`
	}](ctx, r, "names of customers", r.questions.customerNames, append(append(r.chosen(),
		clickhouse.Named{Name: "workspace", Value: r.workspace}, clickhouse.Named{Name: "provider", Value: r.Provider},
		clickhouse.Named{Name: "customers", Value: customers}), since...)...)
	for _, row := range found {
		names[row.Customer] = row.Name
	}
	return err
}
