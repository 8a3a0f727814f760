package embedded

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// One record of 1 KiB at a time by each of 64 goroutines, over 4 partitions:
// what the HTTP side does under load.
func BenchmarkProduceSync(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run("durable="+strconv.FormatBool(durable), func(b *testing.B) {
			cfg := testConfig(b)
			cfg.Durable = durable
			broker := startBroker(b, cfg, nil)
			client := newClient(b, broker, kgo.ProducerLinger(0))
			createTopic(b, client, topic, 4, nil)
			value := make([]byte, 1024)
			var next atomic.Int64
			var workers sync.WaitGroup
			b.ResetTimer()
			for range 64 {
				workers.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						record := &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: value}
						if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			workers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
