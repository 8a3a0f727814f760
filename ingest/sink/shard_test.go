package sink

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"revstream/clickhouse"
)

// balance joins members that hold what they are given, and returns what each is
// assigned.
func balance(t *testing.T, b shardBalancer, partitions int32, held [][]int32, generations []int32) [][]int32 {
	t.Helper()
	names := []string{"a", "b", "c", "d", "e"}
	var members []kmsg.JoinGroupResponseMember
	for i, owned := range held {
		members = append(members, kmsg.JoinGroupResponseMember{
			MemberID: names[i], ProtocolMetadata: b.JoinGroupMetadata([]string{"t"}, map[string][]int32{"t": owned}, generations[i])})
	}
	balancer, topics, err := b.MemberBalancer(members)
	if err != nil || len(topics) != 1 {
		t.Fatal(topics, err)
	}
	assignment, err := balancer.(*kgo.ConsumerBalancer).BalanceOrError(map[string]int32{"t": partitions})
	if err != nil {
		t.Fatal(err)
	}
	plan := assignment.(*kgo.BalancePlan).AsMemberIDMap()
	list := make([][]int32, len(held))
	for i := range held {
		list[i] = plan[names[i]]["t"]
		slices.Sort(list[i])
	}
	return list
}

// Whatever the members begin with, after a few rounds each slice of the shard has
// one owner, no other slice has any, and the shares are even. In no round does a
// slice go to a member while another may still hold it.
func TestBalancerGivesOutTheShardsSlices(t *testing.T) {
	const partitions = 17
	for shards := 2; shards <= 5; shards++ {
		for shard := range shards {
			b := newShardBalancer(shard, shards)
			for members := 1; members <= 5; members++ {
				held, generations := make([][]int32, members), make([]int32, members)
				held[members-1] = slicesOf(shard, shards, partitions) // one had everything
				for round := range int32(3) {
					before := held
					held = balance(t, b, partitions, held, generations)
					for i := range held {
						generations[i] = round + 1
						checkHandover(t, i, before, held)
					}
				}
				checkEven(t, held, slicesOf(shard, shards, partitions))
				again := balance(t, b, partitions, held, generations)
				for i := range held {
					if !slices.Equal(held[i], again[i]) {
						t.Errorf("%s: member %d has %v, then %v, though nothing changed", b.ProtocolName(), i, held[i], again[i])
					}
				}
			}
		}
	}
}

func slicesOf(shard, shards int, partitions int32) []int32 {
	var list []int32
	for slice := range partitions {
		if clickhouse.ShardOf(slice, shards) == shard {
			list = append(list, slice)
		}
	}
	return list
}

func checkHandover(t *testing.T, member int, before, after [][]int32) {
	t.Helper()
	for _, slice := range after[member] {
		for other := range before {
			if other != member && slices.Contains(before[other], slice) {
				t.Errorf("slice %d goes to member %d while member %d holds it", slice, member, other)
			}
		}
	}
}

func checkEven(t *testing.T, held [][]int32, want []int32) {
	t.Helper()
	var all []int32
	least, most := len(want), 0
	for _, list := range held {
		all = append(all, list...)
		least, most = min(least, len(list)), max(most, len(list))
	}
	slices.Sort(all)
	if !slices.Equal(all, want) || most-least > 1 {
		t.Errorf("members have %v, want %v shared evenly", held, want)
	}
}

// A member that slept claims what another has got meanwhile.
func TestBalancerBelievesTheNewestClaim(t *testing.T) {
	b := newShardBalancer(0, 2)
	got := balance(t, b, 4, [][]int32{{0, 2}, {2}}, []int32{3, 5})
	if !slices.Equal(got[0], []int32{0}) || !slices.Equal(got[1], []int32{2}) {
		t.Errorf("assigned %v", got)
	}
}

func TestConfigForShard(t *testing.T) {
	config := DefaultConfig()
	if config.ForShard(0, 1) != config || config.Groups(1)[0] != config.Group {
		t.Error("a single server's sink is not as configured")
	}
	for shard, group := range config.Groups(3) {
		own := config.ForShard(shard, 3)
		if own.Group != group || group == config.Group || own.Validate() != nil {
			t.Errorf("shard %d: group %s, want %s", shard, own.Group, group)
		}
	}
}
