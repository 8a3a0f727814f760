package sink

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

// benchEvents are new payments of many customers, as a busy shop sends them.
func benchEvents(n, generation int) []revenue.Event {
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	events := make([]revenue.Event, n)
	for i := range events {
		id := fmt.Sprintf("pi_%d_%08d", generation, i)
		at := begin.Add(time.Duration(i) * time.Second)
		events[i] = revenue.Event{
			Workspace: fmt.Sprintf("shop-%d", i%20), Provider: "stripe", Account: "acct_1", Livemode: true,
			ObjectID: id, Kind: revenue.KindCharge, Group: revenue.GroupName("stripe", "acct_1", true, id), Version: 1,
			OccurredAt: at, ReceivedAt: at.Add(time.Second), Amount: int64(100 + i%9900), Tax: 19, Currency: "USD",
			Dimensions: revenue.Dimensions{Customer: fmt.Sprintf("cus_%06d", i%50_000), Payment: id, Product: "prod_1", Plan: "pro", ExternalID: id},
			Delivery:   revenue.Delivery{ID: "evt_" + id, Type: "payment_intent.succeeded", APIVersion: "2025-03-31.basil"},
		}
	}
	return events
}

// benchBatch is long enough for many batches: the sink overlaps them, and the
// engine begins to merge what they leave.
const benchBatch = 400_000

// floorBatch is the rows of an insert of the floor.
const floorBatch = 50_000

// meter adds up the processor time of this process and of the engine while it
// runs: what an event costs, however busy the machine is.
type meter struct {
	b              *testing.B
	processes      map[string]procfs.Proc
	begun, metered map[string]float64 // seconds
}

func newMeter(b *testing.B) *meter {
	m := &meter{b, map[string]procfs.Proc{}, map[string]float64{}, map[string]float64{}}
	for name, pid := range map[string]int{"go": os.Getpid(), "engine": enginetest.Start(b).PID()} {
		process, err := procfs.NewProc(pid)
		if err != nil {
			b.Fatal(err)
		}
		m.processes[name] = process
	}
	return m
}

func (m *meter) read(name string) float64 {
	stat, err := m.processes[name].Stat()
	if err != nil {
		m.b.Fatal(err)
	}
	return stat.CPUTime()
}

func (m *meter) start() {
	for name := range m.processes {
		m.begun[name] = m.read(name)
	}
	m.b.StartTimer()
}

func (m *meter) stop() {
	m.b.StopTimer()
	for name := range m.processes {
		m.metered[name] += m.read(name) - m.begun[name]
	}
}

func (m *meter) report() {
	events := float64(benchBatch) * float64(m.b.N)
	m.b.ReportMetric(events/m.b.Elapsed().Seconds(), "events/s")
	for name, seconds := range m.metered {
		m.b.ReportMetric(1e6*seconds/events, name+"-µs/event")
	}
}

// gated is the store behind a gate: the sink joins its group and waits to take
// over, so that what is measured is the sink and not the group's join. It counts
// the rows that the sink inserts, so that the engine is not asked for them.
type gated struct {
	*clickhouse.Store
	arrived, opened, filled chan struct{}
	missing                 int
}

func (g *gated) InsertRows(ctx context.Context, rows []clickhouse.Row) error {
	err := g.Store.InsertRows(ctx, rows)
	if g.missing -= len(rows); err == nil && g.missing == 0 {
		close(g.filled)
	}
	return err
}

func (g *gated) TakeOver(ctx context.Context, topicID string, slices []int32) (map[int32]clickhouse.Takeover, error) {
	select {
	case g.arrived <- struct{}{}:
	default:
	}
	<-g.opened
	return g.Store.TakeOver(ctx, topicID, slices)
}

// BenchmarkSink is events per second from Kafka into ledger, entries and rollups,
// with the default batches and with those of the floor. Most of the difference is
// merges: the engine's work on an event grows with the number of parts.
func BenchmarkSink(b *testing.B) {
	for _, rows := range []int{DefaultConfig().BatchRowsMax, floorBatch} {
		config := DefaultConfig()
		config.BatchRowsMax = rows
		config.BatchBytesMax = rows * config.BatchBytesMax / DefaultConfig().BatchRowsMax
		b.Run(fmt.Sprintf("batch=%d", rows), func(b *testing.B) { benchSink(b, config) })
	}
}

func benchSink(b *testing.B, config Config) {
	r := newRig(b, enginetest.Start(b), enginetest.DatabaseName(b))
	m := newMeter(b)
	generation := 0
	for b.Loop() {
		b.StopTimer()
		generation++
		r.publish(b, benchEvents(benchBatch, generation))
		gate := &gated{r.store, make(chan struct{}, 1), make(chan struct{}), make(chan struct{}), benchBatch}
		stop := r.startWith(b, config, gate)
		<-gate.arrived
		m.start()
		close(gate.opened)
		<-gate.filled
		m.stop()
		stop()
		b.StartTimer()
	}
	m.report()
}

// BenchmarkSinkFloor is the floor beside it: the same rows into the same tables,
// already decoded and folded, 50,000 a batch, nothing read and nothing committed.
func BenchmarkSinkFloor(b *testing.B) {
	r := newRig(b, enginetest.Start(b), enginetest.DatabaseName(b))
	taken, err := r.store.TakeOver(b.Context(), "bench", []int32{0})
	if err != nil {
		b.Fatal(err)
	}
	m := newMeter(b)
	generation := 0
	for b.Loop() {
		b.StopTimer()
		generation++
		statements, rows := floorRows(generation, taken[0].Epoch)
		m.start()
		for begin := 0; begin < benchBatch; begin += floorBatch {
			if err := r.store.InsertStatements(b.Context(), statements[begin:begin+floorBatch]); err != nil {
				b.Fatal(err)
			}
			if err := r.store.InsertRows(b.Context(), rows[begin:begin+floorBatch]); err != nil {
				b.Fatal(err)
			}
		}
		m.stop()
		b.StartTimer()
	}
	m.report()
}

func floorRows(generation int, epoch uint64) ([]clickhouse.Statement, []clickhouse.Row) {
	events := benchEvents(benchBatch, generation)
	statements, rows := make([]clickhouse.Statement, len(events)), make([]clickhouse.Row, len(events))
	encoded := make([]byte, 480)
	for i := range events {
		position := clickhouse.Position{Slice: 0, Epoch: epoch, Offset: int64(generation*benchBatch + i), TopicID: "bench"}
		statements[i] = clickhouse.Statement{Position: position, Event: &events[i], Encoded: encoded}
		rows[i] = clickhouse.Row{Position: position, LedgerRow: &revenue.Ledger(events[i : i+1])[0]}
	}
	return statements, rows
}
