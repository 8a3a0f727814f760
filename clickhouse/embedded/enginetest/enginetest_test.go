package enginetest_test

import (
	"testing"

	"revstream/clickhouse/embedded/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	engine := enginetest.Start(t)
	first, second := enginetest.DatabaseName(t), enginetest.DatabaseName(t)
	if first == second {
		t.Fatalf("both databases are named %s", first)
	}
	enginetest.Exec(t, engine, "CREATE TABLE "+first+".x (a Int64) ENGINE = MergeTree ORDER BY a")
	enginetest.Exec(t, engine, "INSERT INTO "+first+".x VALUES (1), (2)")
	if got := enginetest.Exec(t, engine, "SELECT sum(a) FROM "+first+".x"); got != "3" {
		t.Errorf("sum is %s, want 3", got)
	}
	if got := enginetest.Exec(t, engine, "SELECT count() FROM system.tables WHERE database = '"+second+"'"); got != "0" {
		t.Errorf("the other database has %s tables, want 0", got)
	}
}
