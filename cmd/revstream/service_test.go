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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/stream/kafkatest"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == embedded.ChildCommand { // an engine that a test has started by itself
		os.Exit(embedded.ChildMain(os.Args[2:]))
	}
	os.Exit(testMain(m))
}

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
	code := m.Run()
	for _, end := range atEnd {
		end()
	}
	return code
}

// atEnd ends what several tests have shared.
var atEnd []func()

// service is one `revstream run` as a process, with everything real.
type service struct {
	t        testing.TB
	folder   string
	settings []string // environment that leads to engines of somebody's, if there are any
	command  *exec.Cmd
	output   *lockedBuffer
	exited   chan struct{}
	url      string
	demo     map[string]string // demo.env; on a real Kafka there is none
	client   client            // of the workspace demo
	stopped  bool
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

// startService runs the binary on the folder and waits until it is ready. It has its
// own Kafka, or topics of its own on the real one of this run.
func startService(t testing.TB, folder string) *service {
	t.Helper()
	return startServiceOn(t, folder, realKafka(folder))
}

// realKafka is the environment that leads a process to the real Kafka of this run,
// if there is one: to topics and a group that belong to the folder.
func realKafka(folder string) []string {
	if kafkatest.Real() == nil {
		return nil
	}
	return kafkaEnvironment(kafkatest.Real(), folder)
}

// kafkaEnvironment leads a process to brokers, and has the group notice the death of
// a member as soon as Kafka allows: it takes 45 s by default.
func kafkaEnvironment(brokers []string, folder string) []string {
	prefix := filepath.Base(filepath.Dir(folder)) + "-" + filepath.Base(folder) + "." // as of t.TempDir
	variables := []string{
		"REVSTREAM_KAFKA_BROKERS=" + strings.Join(brokers, ","), "REVSTREAM_SINK_GROUP=" + prefix + "sink",
		"REVSTREAM_ARCHIVE_GROUP=" + prefix + "archive", "REVSTREAM_ALERTS_GROUP=" + prefix + "alerts",
		"REVSTREAM_SINK_SESSION_TIMEOUT=6s", "REVSTREAM_KAFKA_HEARTBEAT_INTERVAL=1s",
	}
	for _, topic := range []string{"EVENTS", "DEAD_LETTERS", "CONTROL", "MESSAGES", "TRANSACTIONS", "IDEMPOTENCY", "DELIVERIES", "PLACEMENTS"} {
		variables = append(variables, "REVSTREAM_KAFKA_"+topic+"_TOPIC="+prefix+strings.ToLower(topic))
	}
	return variables
}

// startServiceOn is startService with more of an environment. What is the process's
// own is not that of the operator's commands beside it.
func startServiceOn(t testing.TB, folder string, settings []string, own ...string) *service {
	t.Helper()
	return startServiceWithin(t, nil, folder, settings, own...)
}

// startServiceWithin is startServiceOn with a command before the binary, which has
// to become it: that it runs within something.
func startServiceWithin(t testing.TB, within []string, folder string, settings []string, own ...string) *service {
	t.Helper()
	s := launchService(t, within, folder, settings, own...)
	s.awaitReady()
	return s
}

// launchService starts the process and does not wait for it.
func launchService(t testing.TB, within []string, folder string, settings []string, own ...string) *service {
	t.Helper()
	s := &service{t: t, folder: folder, settings: settings, output: &lockedBuffer{}, exited: make(chan struct{})}
	words := append(slices.Clone(within), binary, "run")
	s.command = exec.Command(words[0], words[1:]...)
	s.command.Env = append(serviceEnvironment(folder, freeAddr(t)), "REVSTREAM_LOG_LEVEL=debug", "REVSTREAM_LOG_ACCESS_PER_SECOND_MAX=1")
	s.command.Env = append(append(s.command.Env, settings...), own...)
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
		// The engine dies with it, a moment later, and until then writes to a folder that
		// the test is about to remove.
		if pid, err := s.enginePID(); err == nil {
			enginetest.AwaitGone(t, pid)
		}
		if t.Failed() {
			t.Logf("output of revstream:\n%s", s.output)
		}
	})
	return s
}

// awaitReady waits until every role is.
func (s *service) awaitReady() {
	s.t.Helper()
	s.await("ready", 60*time.Second, func() error {
		select {
		case <-s.exited:
			s.t.Fatalf("revstream ended at its start:\n%s", s.output)
		default:
		}
		place, err := loadPlaces(s.folder)
		if err != nil {
			return err
		}
		if place.PID != s.command.Process.Pid {
			return errors.New("the places are of an earlier start")
		}
		s.url = place.URL
		status, body, err := client{t: s.t, url: s.url}.get("/readyz")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s %w", status, body, err)
		}
		return nil
	})
	s.enter()
}

// enter finds the keys of the workspace demo. On a Kafka of somebody's, which
// revstream puts no workspace in by itself, they are made as an operator makes them.
func (s *service) enter() {
	s.t.Helper()
	if len(s.settings) > 0 {
		if !strings.Contains(s.revstream(exitOK, "workspaces", "list"), demoWorkspace) {
			s.revstream(exitOK, "workspaces", "create", demoWorkspace, "--currency", "USD")
		}
		s.client = s.newKeys(demoWorkspace)
		return
	}
	demo, err := readDemoFile(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	if demo[demoURL] != s.url {
		s.t.Fatalf("demo.env names the address %q, not %q", demo[demoURL], s.url)
	}
	s.demo = demo
	s.client = client{
		t: s.t, url: s.url, secret: demo[demoSecretKey], workspace: demoWorkspace,
		stripeEndpoint: demo[demoStripeEndpoint], stripeSecret: demo[demoStripeSecret],
	}
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
