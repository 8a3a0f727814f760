package embedded

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// effect is what a request may do to the log, which decides what its answer
// has to wait for.
type effect int

const (
	changes effect = iota // the log, or anything else that is kept
	shows                 // records
	asks                  // neither
)

// Whatever is in neither list changes something: a request that is new to
// Kafka is rather held too long than acknowledged too early.
var (
	showing = []kmsg.Key{kmsg.Fetch, kmsg.ShareFetch}
	asking  = []kmsg.Key{
		kmsg.ApiVersions, kmsg.Metadata, kmsg.ListOffsets, kmsg.OffsetFetch, kmsg.FindCoordinator,
		kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups,
		kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe, kmsg.OffsetForLeaderEpoch,
		kmsg.SASLHandshake, kmsg.SASLAuthenticate, kmsg.DescribeACLs, kmsg.DescribeConfigs, kmsg.DescribeLogDirs,
		kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.DescribeTransactions, kmsg.ListTransactions,
		kmsg.DescribeTopicPartitions, kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry, kmsg.ListConfigResources,
	}
)

// effects is the two lists as one table by request key.
type effects map[int16]effect

func knownEffects() effects {
	table := effects{}
	for _, key := range showing {
		table[key.Int16()] = shows
	}
	for _, key := range asking {
		table[key.Int16()] = asks
	}
	return table
}

// requestBytesMax is the largest request that is let through, Kafka's own
// socket.request.max.bytes: the broker would allocate whatever it is told.
const requestBytesMax = 100 << 20

// request is one that was read and not answered yet.
type request struct {
	correlation int32
	effect      effect
}

// requestReader follows the frames in a stream of requests: four bytes of
// size, then two each of key and version, four of correlation id, and the
// rest, which is of no interest here.
type requestReader struct {
	effects effects
	header  [12]byte
	have    int
	skip    int
}

// feed takes the next bytes of the stream, in pieces of any size, and calls
// began for each request whose header is complete: so before the last byte of
// it has been seen. A request that is too short or too long is an error.
func (r *requestReader) feed(p []byte, began func(request)) error {
	for len(p) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(p))
			r.skip -= n
			p = p[n:]
			continue
		}
		n := copy(r.header[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have < len(r.header) {
			return nil
		}
		r.have = 0
		size := int64(binary.BigEndian.Uint32(r.header[0:4]))
		if size < 8 || size > requestBytesMax {
			return fmt.Errorf("a request of %d bytes is not between 8 and %d", size, requestBytesMax)
		}
		r.skip = int(size) - 8
		began(request{
			correlation: int32(binary.BigEndian.Uint32(r.header[8:12])),
			effect:      r.effects[int16(binary.BigEndian.Uint16(r.header[4:6]))],
		})
	}
	return nil
}
