package sink

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"revstream/clickhouse/embedded"
)

// kill ends the engine's child the hard way and waits for its end.
func kill(t testing.TB, engine *embedded.Engine) {
	t.Helper()
	if err := syscall.Kill(engine.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case death := <-engine.Wait():
		t.Logf("the child: %v", death)
	case <-time.After(10 * time.Second):
		t.Fatal("the killed child did not end")
	}
	if err := engine.Stop(t.Context()); err != nil && !errors.Is(err, embedded.ErrKilled) {
		t.Logf("give the folder back: %v", err)
	}
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
