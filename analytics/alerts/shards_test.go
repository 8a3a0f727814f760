package alerts

import (
	"fmt"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/control"
)

// On two shards everything is told once, whichever has it, corrections and thresholds too,
// and a new leader tells nothing again.
func TestAlertsOnShards(t *testing.T) {
	engines := enginetest.StartShards(t, 2)
	stored := clickhouse.DefaultConfig()
	stored.Addresses, stored.Shards, stored.Cluster = nil, engines.Addresses(), enginetest.ClusterName
	stored.User, stored.Password, stored.Durable = embedded.AdminUser, enginetest.ClusterPassword, false
	h, r := newHouseOn(t, stored), newReceiver(t)
	h.alert(r.url, movements)
	h.alert(r.url, control.AlertRule{On: control.AlertLag, Period: time.Minute})
	shards, begin := map[int]int{}, h.now
	for n := range 8 {
		e := subscription(fmt.Sprint("c", n), begin, 2000)
		shards[clickhouse.ShardOf(int32(clickhouse.GroupHash(e.GroupKey())%slices4), 2)]++
		h.say(e)
	}
	if len(shards) != 2 {
		t.Fatal("all customers are on one shard: the test shows nothing")
	}
	h.tell()
	told := map[any]bool{}
	for _, a := range r.got() {
		told[a.body.Data["customer"]] = true
		if a.body.Type != "movement.new" {
			t.Errorf("told of %s", a.body.Type)
		}
	}
	if len(told) != 8 {
		t.Errorf("told of %v", told)
	}
	h.restart()
	h.tell()
	r.none("a new leader has nothing to tell")
	for n := range 8 {
		h.say(subscription(fmt.Sprint("c", n), begin, 2500, version(begin.UnixMicro()+1)))
	}
	h.tell()
	if got := r.got(); len(got) != 8 || got[0].body.Type != "movement.corrected" {
		t.Errorf("corrections: %v", typesOf(got))
	}
	h.now = h.now.Add(5 * time.Minute)
	h.tell()
	r.one("lag.raised")
}
