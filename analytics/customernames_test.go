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
		charge("d", "2026-01-01T00:00:00Z", 100, named("c_3", "Right Ltd", "2026-01-02")), gone, undone)
	for asOf, names := range map[string]map[string]string{
		"":                 {"c_1": "New Name", "c_2": "", "c_3": "Right Ltd"},
		"&asOf=2026-01-20": {"c_1": "Old Name", "c_2": "", "c_3": "Right Ltd"},
		"&asOf=2026-03-03": {"c_1": "New Name", "c_2": "", "c_3": "Wrong Ltd"},
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
