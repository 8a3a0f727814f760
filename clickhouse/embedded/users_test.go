package embedded_test

import (
	"strings"
	"testing"
	"time"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

// The library's own session is a user without a password, whom anybody on
// this machine can claim to be. It must be worth nothing.
func TestTheUserWithoutPasswordCanDoNothing(t *testing.T) {
	engine := enginetest.Start(t)
	database := enginetest.DatabaseName(t)
	enginetest.Exec(t, engine, "CREATE TABLE "+database+".x (a Int64) ENGINE = MergeTree ORDER BY a")
	for _, query := range []string{
		"SELECT count() FROM numbers(10)",
		"SELECT * FROM " + database + ".x",
		"INSERT INTO " + database + ".x VALUES (1)",
		"SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"DESCRIBE file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM default.`/etc/passwd`",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"SYSTEM STOP LISTEN TCP",
		"SHOW DATABASES",
		"SELECT name FROM system.databases",
		"CREATE DATABASE mine",
		"KILL QUERY WHERE 1",
		"SET max_memory_usage = 0",
	} {
		if out, err := enginetest.ExecAs(engine, "default", "", query); err == nil {
			t.Errorf("%s: answers %q", query, out)
		}
	}
	if got := enginetest.Exec(t, engine, "SELECT count() FROM "+database+".x"); got != "0" {
		t.Errorf("the table has %s rows, want 0", got)
	}
	if _, err := enginetest.ExecAs(engine, embedded.AdminUser, "guess", "SELECT 1"); err == nil {
		t.Error("a wrong password is accepted")
	}
}

func TestReadersReadWhatTheyMayAndNothingElse(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	confinedTo := "tricky ' \\ <&\"> workspace"
	cfg.Readers = []embedded.Reader{
		{Name: "grafana", Password: "p&<>\"'", Databases: []string{"revenue"}, QueryTimeout: 2 * time.Second},
		{
			Name: "tenant", Password: "tenant-password", Workspaces: []string{confinedTo},
			WorkspaceTables: []string{"revenue.entries", "revenue.later"}, QueriesPerHourMax: 12,
		},
	}
	engine := startEngine(t, cfg)
	enginetest.Exec(t, engine, "CREATE DATABASE revenue")
	enginetest.Exec(t, engine, "CREATE TABLE revenue.entries (workspace String, amount Int64) ENGINE = MergeTree ORDER BY workspace")
	enginetest.Exec(t, engine, "CREATE TABLE revenue.secrets (a Int64) ENGINE = MergeTree ORDER BY a")
	enginetest.Exec(t, engine, `INSERT INTO revenue.entries VALUES ('tricky \' \\ <&"> workspace', 1), ('other', 2)`)

	ask := func(user, query string) (string, error) {
		password, ok := engine.Password(user)
		if !ok {
			t.Fatalf("there is no user %s", user)
		}
		return enginetest.ExecAs(engine, user, password, query)
	}
	for user, want := range map[string]string{"grafana": "3", "tenant": "1"} {
		if got, err := ask(user, "SELECT sum(amount) FROM revenue.entries"); err != nil || got != want {
			t.Errorf("%s sees a sum of %q (%v), want %s", user, got, err, want)
		}
	}
	for _, refused := range []struct{ user, query string }{
		{"grafana", "INSERT INTO revenue.entries VALUES ('x', 1)"},
		{"grafana", "ALTER TABLE revenue.entries DELETE WHERE 1"},
		{"grafana", "DROP TABLE revenue.entries"},
		{"grafana", "SELECT * FROM file('/etc/passwd', 'LineAsString')"},
		{"grafana", "SELECT * FROM default.`/etc/passwd`"},
		{"grafana", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')"},
		{"grafana", "SELECT query FROM system.query_log"},
		{"grafana", "SELECT sum(amount) FROM revenue.entries SETTINGS max_memory_usage = 100000000000"},
		{"grafana", "SELECT sum(amount) FROM revenue.entries SETTINGS max_memory_usage = 0"},
		{"grafana", "SELECT sum(amount) FROM revenue.entries SETTINGS max_execution_time = 0"},
		{"grafana", "SELECT sum(amount) FROM revenue.entries SETTINGS max_execution_time = 600"},
		{"tenant", "SELECT count() FROM revenue.secrets"},
		{"tenant", "CREATE TABLE revenue.mine (a Int64) ENGINE = Memory"},
	} {
		if out, err := ask(refused.user, refused.query); err == nil {
			t.Errorf("%s: %s: answers %q", refused.user, refused.query, out)
		}
	}
	var refusal error
	for range 15 {
		if _, err := ask("tenant", "SELECT count() FROM revenue.entries"); err != nil {
			refusal = err
			break
		}
	}
	if refusal == nil || !strings.Contains(refusal.Error(), "QUOTA") {
		t.Errorf("after 15 queries of 12 an hour: %v, want that the quota is exceeded", refusal)
	}
}

func TestAddressesOfADatabaseCanBeParsed(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	cfg.Readers = []embedded.Reader{{Name: "grafana", Password: "a/b@c:d", Databases: []string{"revenue"}}}
	engine := startEngine(t, cfg)
	dsn, err := engine.DSN("grafana", "revenue")
	if want := "clickhouse://grafana:a%2Fb%40c%3Ad@" + engine.Addr() + "/revenue"; err != nil || dsn != want {
		t.Errorf("the address is %s (%v), want %s", dsn, err, want)
	}
	if _, err := engine.DSN("nobody", "revenue"); err == nil {
		t.Error("there is an address for a user that does not exist")
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	reader := func(change func(*embedded.Reader)) func(*embedded.Config) {
		return func(c *embedded.Config) {
			r := embedded.Reader{Name: "r", Password: "p", Databases: []string{"revenue"}}
			change(&r)
			c.Readers = []embedded.Reader{r}
		}
	}
	for name, change := range map[string]func(*embedded.Config){
		"no folder":                       func(c *embedded.Config) { c.Dir = "" },
		"a host name":                     func(c *embedded.Config) { c.ListenHost = "localhost" },
		"one port for both":               func(c *embedded.Config) { c.NativePort, c.HTTPPort = 9000, 9000 },
		"too little memory":               func(c *embedded.Config) { c.MemoryBytesMax = 1 << 20 },
		"a query larger than the server":  func(c *embedded.Config) { c.QueryMemoryBytesMax = c.MemoryBytesMax + 1 },
		"a reader that breaks the XML":    reader(func(r *embedded.Reader) { r.Name = "a><b" }),
		"a reader without password":       reader(func(r *embedded.Reader) { r.Password = "" }),
		"a reader named like the admin":   reader(func(r *embedded.Reader) { r.Name = embedded.AdminUser }),
		"a reader of the file system":     reader(func(r *embedded.Reader) { r.Databases = []string{"default"} }),
		"a reader of an injected grant":   reader(func(r *embedded.Reader) { r.Databases = []string{"a.* TO b; --"} }),
		"a workspace without its tables":  reader(func(r *embedded.Reader) { r.Workspaces = []string{"w"} }),
		"a reader whose limit is below 0": reader(func(r *embedded.Reader) { r.QueriesPerHourMax = -1 }),
	} {
		cfg := embedded.DefaultConfig()
		cfg.Dir = "somewhere"
		if err := cfg.Validate(); err != nil {
			t.Fatalf("the defaults are refused: %v", err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
