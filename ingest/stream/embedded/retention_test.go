package embedded

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTrimKeepsTheLastRecordAndTheNextOffset(t *testing.T) {
	cfg := testConfig(t)
	cfg.Partitions = 2
	cfg.SegmentBytes = 1 << 20
	cfg.LogBytesMax = 4 << 20
	b := startBroker(t, cfg, nil)
	client := newClient(t, b, kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, client, topic, 2, nil)
	fill := func(records int) {
		value := bytes.Repeat([]byte("x"), 64<<10)
		for range records {
			for partition := range int32(2) {
				produce(t, client, &kgo.Record{Topic: topic, Partition: partition, Value: value})
			}
		}
	}
	fill(20) // 2.5 MiB
	ctx := testContext(t)
	if deleted, err := b.Trim(ctx, topic, map[int32]int64{0: 20, 1: 20}); err != nil || deleted != 0 {
		t.Fatalf("below the budget %d records were deleted (%v), want 0", deleted, err)
	}
	fill(60) // 10 MiB
	before := diskBytes(t, cfg.Dir)
	if _, err := b.Trim(ctx, topic, map[int32]int64{0: 80}); err != nil {
		t.Fatal(err)
	}
	if info := b.cluster.PartitionInfo(topic, 0); info.LogStartOffset != 79 || info.HighWatermark != 80 {
		t.Errorf("partition 0 is [%d, %d), want the last record only: [79, 80)", info.LogStartOffset, info.HighWatermark)
	}
	if info := b.cluster.PartitionInfo(topic, 1); info.LogStartOffset != 0 || info.HighWatermark != 80 {
		t.Errorf("partition 1 is [%d, %d), want [0, 80): nothing of it is committed", info.LogStartOffset, info.HighWatermark)
	}
	if after := diskBytes(t, cfg.Dir); after > before-3<<20 {
		t.Errorf("trimming gave back %d bytes, want 3 MiB at least", before-after)
	}
	client.Close()
	closeBroker(t, b)
	again := startBroker(t, cfg, nil)
	record := &kgo.Record{Topic: topic, Value: []byte("next")}
	produce(t, newClient(t, again), record)
	if record.Offset != 80 {
		t.Errorf("after a restart the next record got offset %d, want 80", record.Offset)
	}
}

func diskBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		sum += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func fillTable(t *testing.T, b *Broker) {
	t.Helper()
	client := newClient(t, b)
	compact := "compact"
	createTopic(t, client, "revenue.control", 1, map[string]*string{"cleanup.policy": &compact})
	createTopic(t, client, topic, 1, nil)
	for i := range 100 {
		key := fmt.Appendf(nil, "key-%d", i%7)
		value := []byte(strconv.Itoa(i))
		produce(t, client, &kgo.Record{Topic: "revenue.control", Key: key, Value: value},
			&kgo.Record{Topic: topic, Key: key, Value: value})
	}
	client.Close()
}

// checkTable holds the table against its last values by key.
func checkTable(t *testing.T, b *Broker, recordsMax int) {
	t.Helper()
	records := readAll(t, b, "revenue.control", 0)
	last := map[string]string{}
	for _, r := range records {
		last[string(r.Key)] = string(r.Value)
	}
	for i := 93; i < 100; i++ {
		key := fmt.Sprintf("key-%d", i%7)
		if last[key] != strconv.Itoa(i) {
			t.Errorf("%s is %q, want %d", key, last[key], i)
		}
	}
	if len(records) > recordsMax {
		t.Errorf("the table has %d records, want %d at most", len(records), recordsMax)
	}
	if got := len(readAll(t, b, topic, 0)); got != 100 {
		t.Errorf("the events topic has %d records, want all 100", got)
	}
}

func TestCompactionKeepsTheLastValueOfEachKey(t *testing.T) {
	cfg := testConfig(t)
	b := startBroker(t, cfg, nil)
	fillTable(t, b)
	if err := b.compact(); err != nil {
		t.Fatal(err)
	}
	checkTable(t, b, 8)
	record := &kgo.Record{Topic: "revenue.control", Key: []byte("key-2"), Value: []byte("93")}
	produce(t, newClient(t, b), record)
	if record.Offset != 100 {
		t.Errorf("after compaction the next record got offset %d, want 100", record.Offset)
	}
	closeBroker(t, b)
	checkTable(t, startBroker(t, cfg, nil), 9)
	for _, leftover := range []string{cfg.compactionPartial(), cfg.compactionBackup(), cfg.compactionDone()} {
		if _, err := os.Stat(leftover); !os.IsNotExist(err) {
			t.Errorf("%s is left over (%v)", leftover, err)
		}
	}
}

// A process that dies between the deletion of the old files and the writing
// of the new ones finds the old ones again.
func TestAnInterruptedCompactionIsUndone(t *testing.T) {
	cfg := testConfig(t)
	b := startBroker(t, cfg, nil)
	fillTable(t, b)
	if err := b.backUp(); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	if err := os.Rename(cfg.compactionPartial(), cfg.compactionBackup()); err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(cfg.partitionsDir(), "revenue.control-0")
	for _, name := range []string{"0.dat", "0.idx"} {
		if err := os.Remove(filepath.Join(original, name)); err != nil {
			t.Fatal(err)
		}
	}
	checkTable(t, startBroker(t, cfg, nil), 100)
}

// Links that were not complete do not count: what they are of was not touched.
func TestAnIncompleteBackupIsDropped(t *testing.T) {
	cfg := testConfig(t)
	b := startBroker(t, cfg, nil)
	fillTable(t, b)
	if err := b.backUp(); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	checkTable(t, startBroker(t, cfg, nil), 100)
	if _, err := os.Stat(cfg.compactionPartial()); !os.IsNotExist(err) {
		t.Errorf("the incomplete backup is still there (%v)", err)
	}
}
