package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// steppedCommit is a group commit whose syncs begin and end when told to.
func steppedCommit(t *testing.T) (g *groupCommit, began <-chan struct{}, end chan<- error) {
	t.Helper()
	begins, ends, over := make(chan struct{}), make(chan error, 1), make(chan struct{})
	g = newGroupCommit(func() error {
		select {
		case begins <- struct{}{}:
			return <-ends
		case <-over:
			return nil
		}
	}, func(time.Duration) {}, func(error) {})
	t.Cleanup(func() {
		close(over)
		select {
		case ends <- nil: // of a test that gave up in the middle
		default:
		}
		g.stop()
	})
	return g, begins, ends
}

func waitAsync(g *groupCommit, until ticket) <-chan error {
	result := make(chan error, 1)
	go func() { result <- g.wait(until, nil) }()
	return result
}

func within[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing happened", what)
		panic("unreachable")
	}
}

func TestASyncThatIsRunningDoesNotCount(t *testing.T) {
	g, began, end := steppedCommit(t)
	g.writeBegan()
	first := g.writeEnded()
	within(t, "the first sync begins", began)
	// Written while the first sync runs: it may have been too late for it.
	g.writeBegan()
	second := g.writeEnded()
	if second <= first {
		t.Fatalf("tickets %d and %d: the second write shares a sync that had begun", first, second)
	}
	firstDone, secondDone := waitAsync(g, first), waitAsync(g, second)
	end <- nil
	if err := within(t, "the first is released", firstDone); err != nil {
		t.Fatal(err)
	}
	within(t, "the second sync begins", began)
	select {
	case err := <-secondDone:
		t.Fatalf("the second was released (%v) before its sync had ended", err)
	default:
	}
	end <- nil
	if err := within(t, "the second is released", secondDone); err != nil {
		t.Fatal(err)
	}
}

func TestReadersWaitForWritesAtWork(t *testing.T) {
	g, began, end := steppedCommit(t)
	// The previous process may have left something unsynced.
	initial := g.readTicket()
	if g.isFinished(initial) {
		t.Fatal("what was there at the start is taken to be synced")
	}
	within(t, "a sync begins", began)
	end <- nil
	if err := within(t, "it ends", waitAsync(g, initial)); err != nil {
		t.Fatal(err)
	}
	if !g.isFinished(g.readTicket()) {
		t.Error("with nothing written since, a reader has to wait")
	}
	g.writeBegan()
	if g.isFinished(g.readTicket()) {
		t.Error("a reader does not wait for a write that may have happened")
	}
	within(t, "a sync begins", began)
	end <- nil
	g.writeEnded()
	within(t, "a sync begins", began)
	end <- nil
}

func TestAfterAFailureNoTicketIsHonoured(t *testing.T) {
	g, began, end := steppedCommit(t)
	before := g.take()
	result := waitAsync(g, before)
	within(t, "a sync begins", began)
	diskGone := errors.New("input/output error")
	end <- diskGone
	if err := within(t, "the waiter hears of it", result); !errors.Is(err, diskGone) {
		t.Errorf("the waiter gets %v", err)
	}
	if err := within(t, "a later one too", waitAsync(g, g.take())); !errors.Is(err, diskGone) {
		t.Errorf("a later waiter gets %v", err)
	}
	if err := g.exclusive(func() error { return nil }); !errors.Is(err, diskGone) {
		t.Errorf("exclusive work gives %v", err)
	}
}

func TestExclusiveWorkHoldsAcknowledgements(t *testing.T) {
	g := newGroupCommit(func() error { return nil }, func(time.Duration) {}, func(error) {})
	t.Cleanup(g.stop)
	var released <-chan error
	err := g.exclusive(func() error {
		released = waitAsync(g, g.take())
		select {
		case err := <-released:
			return fmt.Errorf("acknowledged (%w) during exclusive work", err)
		case <-time.After(50 * time.Millisecond):
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := within(t, "released afterwards", released); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsAreFoundInPiecesOfAnySize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var stream bytes.Buffer
	var want []request
	table := knownEffects()
	for i := range int32(500) {
		key := []int16{0, 1, 3, 8, 12, 18, 19}[random.IntN(7)]
		body := make([]byte, random.IntN(300))
		for j := range body {
			body[j] = byte(random.Uint32())
		}
		header := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		header = binary.BigEndian.AppendUint16(header, uint16(key))
		header = binary.BigEndian.AppendUint16(header, 3)
		header = binary.BigEndian.AppendUint32(header, uint32(i*7))
		stream.Write(header)
		stream.Write(body)
		want = append(want, request{correlation: i * 7, effect: table[key]})
	}
	for _, pieceMax := range []int{1, 2, 5, 13, 1000, 1 << 20} {
		reader := requestReader{effects: table}
		var got []request
		for rest := stream.Bytes(); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(pieceMax))
			if err := reader.feed(rest[:n], func(r request) { got = append(got, r) }); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of up to %d bytes: found %d requests, want %d, or others", pieceMax, len(got), len(want))
		}
	}
}

func TestARequestOfImpossibleSizeIsRefused(t *testing.T) {
	for _, size := range []uint32{0, 7, requestBytesMax + 1, 1<<32 - 1} {
		reader := requestReader{effects: knownEffects()}
		frame := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, 8)...)
		if err := reader.feed(frame, func(request) { t.Errorf("size %d: taken for a request", size) }); err == nil {
			t.Errorf("size %d: accepted", size)
		}
	}
}

// Whatever changes something must not be among the requests whose answers go
// out at once. The names say it.
func TestEveryRequestThatChangesSomethingIsHeld(t *testing.T) {
	table := knownEffects()
	for _, key := range []kmsg.Key{
		kmsg.Produce, kmsg.OffsetCommit, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.CreatePartitions,
		kmsg.InitProducerID, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.AddPartitionsToTxn, kmsg.OffsetDelete, kmsg.DeleteGroups,
		kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs,
	} {
		if table[key.Int16()] != changes {
			t.Errorf("%s is not held", key.Name())
		}
	}
	if table[kmsg.Fetch.Int16()] != shows || table[kmsg.Metadata.Int16()] != asks {
		t.Error("Fetch or Metadata is in the wrong list")
	}
}

func TestFileSyncerSyncsWhatHasChanged(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var synced []string
	syncer := newFileSyncer(dir)
	syncer.fsync = func(path string) error {
		synced = append(synced, filepath.Base(path))
		return fsyncPath(path)
	}
	round := func(want ...string) {
		t.Helper()
		synced = nil
		if err := syncer.Sync(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(synced)
		slices.Sort(want)
		if !slices.Equal(synced, want) {
			t.Errorf("synced %v, want %v", synced, want)
		}
	}
	base := filepath.Base(dir)
	write("a", "1")
	write("b", "1")
	round(base, "a", "b")
	round()
	write("a", "2")
	round("a")
	write("c", "1")
	round(base, "c")
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	round(base)
}
