package analytics

import (
	"testing"

	"revstream/ingest/revenue"
)

// A table of customers has the names that were said last, as of the moment, and none that
// was taken back.
func TestTablesNameCustomers(t *testing.T) {
	f := newFixture(t)
	named := func(customer, name, received string) func(*revenue.Event) {
		return func(e *revenue.Event) {
			e.Customer, e.CustomerName = customer, name
			if received != "" {
				e.ReceivedAt = at(received)
			}
		}
	}
	gone := charge("gone", "2026-03-01T00:00:00Z", 100, named("c_3", "Wrong Ltd", "2026-03-02"))
	undone := gone
	undone.Version, undone.Deleted, undone.ReceivedAt = gone.Version+1, true, at("2026-03-05")
	f.write(
		charge("a", "2026-01-01T00:00:00Z", 300, named("c_1", "Old Name", "2026-01-02")),
		charge("b", "2026-02-01T00:00:00Z", 300, named("c_1", "New Name", "2026-02-02")),
		charge("c", "2026-01-01T00:00:00Z", 200, named("c_2", "", "2026-01-02")),
		charge("d", "2026-01-01T00:00:00Z", 100, named("c_3", "Right Ltd", "2026-01-02")), gone, undone,
		// Named long ago, and not since.
		charge("e", "2024-01-05T00:00:00Z", 50, named("c_4", "Ancient Ltd", "2024-01-06")),
		charge("f", "2026-01-10T00:00:00Z", 50, named("c_4", "", "2026-01-11")),
		charge("g", "2025-06-01T00:00:00Z", 50, named("c_5", "Yearly Ltd", "2025-06-02")))
	for asOf, names := range map[string]map[string]string{
		"":                 {"c_1": "New Name", "c_2": "", "c_3": "Right Ltd", "c_4": "Ancient Ltd", "c_5": "Yearly Ltd"},
		"&asOf=2026-01-20": {"c_1": "Old Name", "c_2": "", "c_3": "Right Ltd", "c_4": "Ancient Ltd", "c_5": "Yearly Ltd"},
		"&asOf=2026-03-03": {"c_1": "New Name", "c_2": "", "c_3": "Wrong Ltd", "c_4": "Ancient Ltd", "c_5": "Yearly Ltd"},
	} {
		table := get[Table](f, PathTables, "workspaceSlug=acme&by=customer"+asOf)
		if len(table.Rows) != len(names) {
			t.Fatalf("%q: %+v", asOf, table.Rows)
		}
		for _, row := range table.Rows {
			if row.CustomerName != names[row.Value] {
				t.Errorf("%q: %s is called %q, want %q", asOf, row.Value, row.CustomerName, names[row.Value])
			}
		}
	}
	if table := get[Table](f, PathTables, "workspaceSlug=acme&by=plan"); table.Rows[0].CustomerName != "" {
		t.Errorf("a plan is called %q", table.Rows[0].CustomerName)
	}
}
