package sink

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"revstream/clickhouse"
)

// With several shards there is a sink for each, in a consumer group of its own
// that shares the slices of that shard and no others. So what happens to a shard,
// down to one that hangs and answers nothing, holds up its own slices only; a batch
// goes to one shard; and everything else in this package need not know of shards.

// ForShard is the configuration of the sink of one shard, counted from 0, of so
// many. The cache's bound is shared between them.
func (c Config) ForShard(shard, shards int) Config {
	if shards > 1 {
		c.Group = c.Groups(shards)[shard]
		c.shard, c.shards = shard, shards
		c.CacheStatementsMax /= shards
	}
	return c
}

// Groups names the consumer groups of the sinks of so many shards.
func (c Config) Groups(shards int) []string {
	if shards == 1 {
		return []string{c.Group}
	}
	groups := make([]string, shards)
	for shard := range groups {
		groups[shard] = fmt.Sprintf("%s.shard-%d-of-%d", c.Group, shard+1, shards)
	}
	return groups
}

// shardBalancer is a cooperative balancer that gives out the slices of one shard.
// Its name has the shard in it, so that Kafka refuses members that disagree.
type shardBalancer struct {
	kgo.GroupBalancer // for what members tell each other
	shard, shards     int
}

func newShardBalancer(shard, shards int) shardBalancer {
	return shardBalancer{kgo.CooperativeStickyBalancer(), shard, shards}
}

// ProtocolName is what all members of the group have to agree on.
func (b shardBalancer) ProtocolName() string {
	return fmt.Sprintf("revstream-shard-%d-of-%d", b.shard+1, b.shards)
}

// MemberBalancer reads what the members say of themselves.
func (b shardBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	balancer, err := kgo.NewConsumerBalancer(b, members)
	return balancer, balancer.MemberTopics(), err
}

// Balance gives each member an equal number of the shard's slices, as many as
// possible of those that it has.
func (b shardBalancer) Balance(members *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := members.NewPlan()
	for topic, partitions := range topics {
		var own []int32
		for slice := range partitions {
			if clickhouse.ShardOf(slice, b.shards) == b.shard {
				own = append(own, slice)
			}
		}
		for member, list := range share(own, holdings(members, topic)) {
			at, _ := members.MemberAt(member)
			plan.AddPartitions(at, topic, list)
		}
	}
	plan.AdjustCooperative(members)
	return plan
}

// holdings are the slices that each member has now, newest claims only.
func holdings(members *kgo.ConsumerBalancer, topic string) []map[int32]bool {
	held := make([]map[int32]bool, len(members.Members()))
	newest := map[int32]int32{}
	for pass := range 2 { // first find the newest generation that claims a slice
		for member := range held {
			_, metadata := members.MemberAt(member)
			held[member] = map[int32]bool{}
			for _, owned := range metadata.OwnedPartitions {
				for _, slice := range owned.Partitions {
					if owned.Topic == topic && pass == 0 {
						newest[slice] = max(newest[slice], metadata.Generation)
					} else if owned.Topic == topic && metadata.Generation == newest[slice] {
						held[member][slice] = true
					}
				}
			}
		}
	}
	return held
}

// share divides slices among members such that none has two more than another, and
// few change hands.
func share(list []int32, held []map[int32]bool) [][]int32 {
	shares := make([][]int32, len(held))
	order := make([]int, len(held))
	for member := range order {
		order[member] = member
	}
	// Who has most keeps the odd ones.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(held[b]), len(held[a])) })
	room := make([]int, len(held))
	for rank, member := range order {
		room[member] = len(list) / len(held)
		if rank < len(list)%len(held) {
			room[member]++
		}
	}
	give := func(slice int32, may func(member int) bool) bool {
		for _, member := range order {
			if room[member] > 0 && may(member) {
				shares[member] = append(shares[member], slice)
				room[member]--
				return true
			}
		}
		return false
	}
	var rest []int32
	for _, slice := range list {
		if !give(slice, func(member int) bool { return held[member][slice] }) {
			rest = append(rest, slice)
		}
	}
	for _, slice := range rest {
		give(slice, func(int) bool { return true })
	}
	return shares
}
