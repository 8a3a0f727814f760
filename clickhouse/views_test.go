package clickhouse

import (
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

// openSingle is a cluster of the one engine of the tests, migrated.
func openSingle(t *testing.T) (*Cluster, *embedded.Engine) {
	t.Helper()
	engine := enginetest.Start(t)
	config := DefaultConfig()
	config.Addresses, config.Database, config.Durable = []string{engine.Addr()}, enginetest.DatabaseName(t), false
	config.User = embedded.AdminUser
	config.Password, _ = engine.Password(embedded.AdminUser)
	cluster := openCluster(t, config)
	must(t, cluster.Migrate(t.Context()))
	must(t, cluster.Migrate(t.Context())) // it can be called again
	return cluster, engine
}

// Every view is there and answers, every column says what it is, and what one table holds
// the views of it hold.
func TestViews(t *testing.T) {
	cluster, _ := openSingle(t)
	store := cluster.Answers()
	w := takeOver(t, store, 0)
	must(t, w.write(t.Context(), 0, charges(1, 50)))
	database := ViewsDatabase(store.config.Database)
	type column struct {
		Table   string `ch:"table"`
		Name    string `ch:"name"`
		Comment string `ch:"comment"`
	}
	columns, _, err := Select[column](t.Context(), store, "SELECT table, name, comment FROM system.columns WHERE database = {database:String}", Named{"database", database})
	must(t, err)
	seen := map[string]bool{}
	for _, c := range columns {
		seen[c.Table] = true
		if len(c.Comment) < 4 {
			t.Errorf("%s.%s has no comment", c.Table, c.Name)
		}
		if strings.Contains(c.Name, "amount") && strings.Contains(c.Name, "float") {
			t.Errorf("%s.%s", c.Table, c.Name)
		}
	}
	for _, name := range viewNames {
		if !seen[name] {
			t.Errorf("the view %s has no columns", name)
		}
		exec(t, store, "SELECT * FROM "+database+"."+name+" FORMAT Null")
	}
	if len(seen) != len(viewNames) {
		t.Errorf("views %v, want %v", seen, viewNames)
	}
	for _, sums := range [][2]string{
		{"sum(sign * amount) FROM " + database + ".entries", "sum(sign * amount) FROM ledger"},
		{"sum(amount) FROM " + database + ".revenue_daily", "sum(sign * amount) FROM ledger WHERE family != 'state'"},
		{"count() FROM " + database + ".events", "count() FROM events"},
	} {
		if got, want := count(t, store, "SELECT "+sums[0]), count(t, store, "SELECT "+sums[1]); got != want || want == 0 {
			t.Errorf("%s is %d, the table says %d", sums[0], got, want)
		}
	}
}

// Decimals are exact in currencies of none, two and three decimals.
func TestViewsHaveDecimals(t *testing.T) {
	cluster, _ := openSingle(t)
	store := cluster.Answers()
	w := takeOver(t, store, 0)
	var events []revenue.Event
	for _, currency := range []string{"JPY", "USD", "KWD"} {
		event := charges(1, 1)[0]
		event.ObjectID, event.Group = currency, currency
		event.Amount, event.Currency = 90_071_992_547_409_931, currency // more than a float can tell
		events = append(events, event)
	}
	must(t, w.write(t.Context(), 0, events))
	rows, _, err := Select[string](t.Context(), store, "SELECT toString(amount_decimal) FROM "+ViewsDatabase(store.config.Database)+".entries ORDER BY amount_decimal")
	must(t, err)
	if want := []string{"90071992547409.931", "900719925474099.31", "90071992547409931"}; !slices.Equal(rows, want) {
		t.Errorf("decimals are %v, want %v", rows, want)
	}
}

// The embedded engine keeps no users, so that it cannot make one; but it reads what would
// make one, to the end.
func TestSQLUserStatements(t *testing.T) {
	cluster, _ := openSingle(t)
	store := cluster.Answers()
	user := SQLUser{Name: "bi", Password: "a 'password'", Workspace: "ws_'theirs", MemoryBytesMax: 1 << 28, Timeout: 20 * time.Second, QueriesPerHourMax: 30}
	must(t, user.Validate())
	if err := cluster.CreateSQLUser(t.Context(), user); err == nil || strings.Contains(err.Error(), "Syntax error") {
		t.Errorf("creating a user: %v", err)
	}
	values := cluster.sqlUserValues("bi")
	values.PasswordSHA256, values.WorkspaceHex = strings.Repeat("ab", 32), "77735f27"
	values.MemoryBytesMax, values.TimeoutSeconds, values.QueriesPerHourMax = 1, 1, 1
	for _, name := range []string{"create_sql_user", "drop_sql_user"} {
		rendered, err := renderFile("sql/"+name+".sql", values)
		must(t, err)
		for _, statement := range statements(rendered) {
			// They fail for what is not there, never for how they are written.
			if err := store.conn.Exec(t.Context(), statement); err != nil && strings.Contains(err.Error(), "Syntax error") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	for _, bad := range []SQLUser{{}, {Name: "a; DROP USER x", Password: "p", Workspace: "w", MemoryBytesMax: 1, Timeout: time.Second, QueriesPerHourMax: 1}} {
		if err := cluster.CreateSQLUser(t.Context(), bad); err == nil || strings.Contains(err.Error(), "code:") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
