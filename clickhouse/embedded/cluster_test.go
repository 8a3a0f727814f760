package embedded_test

import (
	"strconv"
	"strings"
	"testing"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

// Engines of one cluster answer for each other, as the user who asks: a reader
// who is confined to a workspace on one shard is so on all of them.
func TestShardsAnswerForEachOther(t *testing.T) {
	tables := []string{"revenue.entries", "shard.entries"}
	shards := enginetest.StartShards(t, 2, embedded.Reader{
		Name: "tenant", Password: "tenant-password", Workspaces: []string{"acme"}, WorkspaceTables: tables,
	})
	for i, address := range shards.Addresses() {
		engine := shards.Engine(i)
		if engine.Addr() != address {
			t.Errorf("shard %d is at %s, not at %s", i, engine.Addr(), address)
		}
		for _, statement := range []string{
			"CREATE DATABASE revenue", "CREATE DATABASE shard",
			"CREATE TABLE shard.entries (workspace String, amount Int64) ENGINE = MergeTree ORDER BY workspace",
			"CREATE TABLE revenue.entries AS shard.entries ENGINE = Distributed(shards, shard, entries)",
			"INSERT INTO shard.entries VALUES ('acme', 1" + strconv.Itoa(i) + "), ('globex', 7)",
		} {
			enginetest.Exec(t, engine, statement)
		}
	}
	sum := func(i int, user, password string) (string, error) {
		return enginetest.ExecAs(shards.Engine(i), user, password, "SELECT sum(amount), count(), uniqExact(_shard_num) FROM revenue.entries")
	}
	for i := range 2 {
		if got, err := sum(i, embedded.AdminUser, enginetest.ClusterPassword); err != nil || got != "35\t4\t2" {
			t.Errorf("shard %d tells all: %s, %v", i, got, err)
		}
		if got, err := sum(i, "tenant", "tenant-password"); err != nil || got != "21\t2\t2" {
			t.Errorf("shard %d tells a tenant: %s, %v", i, got, err)
		}
	}
	shards.Kill(t, 1)
	if got, err := sum(0, embedded.AdminUser, enginetest.ClusterPassword); err == nil {
		t.Errorf("with a shard down the other answers %s", got)
	}
	shards.Start(t, 1)
	if got, err := sum(0, embedded.AdminUser, enginetest.ClusterPassword); err != nil || got != "35\t4\t2" {
		t.Errorf("after the shard is back: %s, %v", got, err)
	}
}

func TestClusterIsValidated(t *testing.T) {
	for _, cluster := range []embedded.Cluster{
		{Name: "no-identifier", Secret: "s", Shards: []string{"127.0.0.1:1"}},
		{Name: "c", Shards: []string{"127.0.0.1:1"}}, {Name: "c", Secret: "s"},
		{Name: "c", Secret: "s", Shards: []string{"localhost:1"}},
	} {
		config := enginetest.Config(t.TempDir())
		config.Clusters = []embedded.Cluster{cluster}
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "cluster") {
			t.Errorf("%+v: %v", cluster, err)
		}
	}
}
