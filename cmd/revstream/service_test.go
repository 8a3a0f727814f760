package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	folder, err := os.MkdirTemp("", "revstream-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary = filepath.Join(folder, "revstream")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", binary, ".")...)
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// service is one `revstream run` as a process, with everything real.
type service struct {
	t       testing.TB
	folder  string
	command *exec.Cmd
	output  *lockedBuffer
	exited  chan struct{}
	demo    map[string]string
	client  client // of the workspace demo
	stopped bool
}

// lockedBuffer is what a process has printed so far.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// startService runs the binary on the folder and waits until it is ready.
func startService(t testing.TB, folder string) *service {
	t.Helper()
	s := &service{t: t, folder: folder, output: &lockedBuffer{}, exited: make(chan struct{})}
	s.command = exec.Command(binary, "run")
	s.command.Env = append(serviceEnvironment(folder, freeAddr(t)), "REVSTREAM_LOG_LEVEL=debug", "REVSTREAM_LOG_ACCESS_PER_SECOND_MAX=1")
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.command.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		if !s.stopped {
			s.kill()
		}
		if t.Failed() {
			t.Logf("output of revstream:\n%s", s.output)
		}
	})
	s.await("ready", 60*time.Second, func() error {
		select {
		case <-s.exited:
			t.Fatalf("revstream ended at its start:\n%s", s.output)
		default:
		}
		demo, err := readDemoFile(folder)
		if err != nil || demo[demoURL] == "" {
			return fmt.Errorf("no demo file yet: %w", err)
		}
		if !strings.Contains(s.output.String(), demo[demoURL]) {
			return fmt.Errorf("the demo file is of an earlier start")
		}
		s.demo = demo
		s.client = client{
			t: t, url: demo[demoURL], secret: demo[demoSecretKey], workspace: "demo",
			stripeEndpoint: demo[demoStripeEndpoint], stripeSecret: demo[demoStripeSecret],
		}
		status, body, err := s.client.get("/readyz")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s %w", status, body, err)
		}
		return nil
	})
	return s
}

// serviceEnvironment has nothing of revstream's from the tester's own shell.
func serviceEnvironment(folder, addr string) []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, environmentPrefix) {
			kept = append(kept, variable)
		}
	}
	return append(kept, "REVSTREAM_DATA_DIR="+folder, "REVSTREAM_HTTP_ADDR="+addr)
}

func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// await polls until check has nothing to complain about.
func (s *service) await(what string, within time.Duration, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waiting %v for %s: %v", within, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends the process as a power cut would end it, engine child included: that
// one follows by itself.
func (s *service) kill() {
	s.stopped = true
	_ = s.command.Process.Kill()
	<-s.exited
}

// stop asks for an orderly end and wants it clean.
func (s *service) stop() {
	s.t.Helper()
	s.stopped = true
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(40 * time.Second):
		_ = s.command.Process.Kill()
		s.t.Fatalf("still running 40 s after SIGTERM:\n%s", s.output)
	}
	if code := s.command.ProcessState.ExitCode(); code != exitOK {
		s.t.Fatalf("exit code %d after SIGTERM:\n%s", code, s.output)
	}
}

// engineUp is the line that the log has for every start of the engine child.
var engineUp = regexp.MustCompile(`embedded ClickHouse is up.*"pid": ?(\d+)`)

// enginePID is the ClickHouse child's, of its latest start.
func (s *service) enginePID() (int, error) {
	starts := engineUp.FindAllStringSubmatch(s.output.String(), -1)
	if len(starts) == 0 {
		return 0, errors.New("the log tells of no engine")
	}
	return strconv.Atoi(starts[len(starts)-1][1])
}
