package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Trim gives back disk: if the topic is larger than LogBytesMax, everything
// before the committed offsets is deleted, partition by partition. committed
// is what must be read next, as in Kafka's offset commits; a partition that is
// not in it keeps everything. The last record of a partition always stays: it
// is how a restart knows the next offset. It returns the number of records
// deleted. A topic that does not exist has nothing to trim.
func (b *Broker) Trim(ctx context.Context, topic string, committed map[int32]int64) (int64, error) {
	infos := b.cluster.PartitionInfos(topic)
	var bytes int64
	for _, info := range infos {
		bytes += info.NumBytes
	}
	if bytes <= b.cfg.LogBytesMax {
		return 0, nil
	}
	var deleted int64
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return deleted, fmt.Errorf("trimming %s: %w", topic, err)
		}
		to := min(committed[info.Partition], info.HighWatermark-1)
		if to <= info.LogStartOffset {
			continue
		}
		if err := b.cluster.DeleteRecords(topic, info.Partition, to); err != nil {
			return deleted, fmt.Errorf("trimming %s/%d to offset %d: %w", topic, info.Partition, to, err)
		}
		deleted += to - info.LogStartOffset
	}
	b.metrics.trimmedRecords.Add(float64(deleted))
	if deleted > 0 {
		b.log.Info("embedded broker trimmed its log", zap.String("topic", topic), zap.Int64("records", deleted), zap.Int64("bytes_before", bytes))
	}
	return deleted, nil
}

// maintain looks from time to time whether compaction is due.
func (b *Broker) maintain() {
	ticker := time.NewTicker(b.cfg.MaintenanceInterval)
	defer ticker.Stop()
	compactAt := b.cfg.CompactBytesMin
	for {
		select {
		case <-b.quit:
			return
		case <-ticker.C:
		}
		size, err := b.compactedBytes()
		if err == nil && size >= compactAt {
			if err = b.compact(); err == nil {
				size, err = b.compactedBytes()
			}
			compactAt = max(b.cfg.CompactBytesMin, 2*size)
		}
		if err != nil {
			b.log.Error("maintaining the embedded broker's log", zap.Error(err))
		}
	}
}

// compactedBytes returns the size of the compacted topics together.
func (b *Broker) compactedBytes() (int64, error) {
	partitions, err := b.partitions()
	if err != nil {
		return 0, err
	}
	sizes := map[string]int64{}
	var compacted int64
	for _, p := range partitions {
		if _, counted := sizes[p.topic]; counted {
			continue
		}
		sizes[p.topic] = 0
		for _, info := range b.cluster.PartitionInfos(p.topic) {
			sizes[p.topic] += info.NumBytes
		}
		b.metrics.logBytes.WithLabelValues(p.topic).Set(float64(sizes[p.topic]))
		if p.compacted {
			compacted += sizes[p.topic]
		}
	}
	return compacted, nil
}

// partitionDir is one partition as kfake keeps it on disk.
type partitionDir struct {
	topic     string
	dir       string // name of the folder
	compacted bool
}

// partitions lists what is on disk, with what the cluster knows about it.
func (b *Broker) partitions() ([]partitionDir, error) {
	entries, err := os.ReadDir(b.cfg.partitionsDir())
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("listing partitions: %w", err)
	}
	var found []partitionDir
	for _, entry := range entries {
		name := entry.Name()
		at := strings.LastIndexByte(name, '-')
		if at < 0 || !entry.IsDir() {
			continue
		}
		topic, err := url.PathUnescape(name[:at])
		if err != nil {
			return nil, fmt.Errorf("partition folder %q: %w", name, err)
		}
		info := b.cluster.TopicInfo(topic)
		if info == nil {
			continue // being deleted
		}
		policy := info.Configs["cleanup.policy"]
		found = append(found, partitionDir{
			topic: topic, dir: name,
			compacted: policy != nil && slices.Contains(strings.Split(*policy, ","), "compact"),
		})
	}
	return found, nil
}

func (c Config) partitionsDir() string { return filepath.Join(c.logDir(), "partitions") }
