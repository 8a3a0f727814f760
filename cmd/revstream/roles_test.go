package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRolesApart runs each role as a process of its own on engines that are
// somewhere else: those of a `revstream run`, reached as a cluster would be. The
// sinks of both share the partitions.
func TestRolesApart(t *testing.T) {
	t.Parallel()
	whole := startService(t, t.TempDir())
	folder := t.TempDir()
	at := map[string]string{}
	var processes []*exec.Cmd
	for _, role := range []string{"ingest", "sink", "query"} {
		var process *exec.Cmd
		process, at[role] = whole.startRole(role, folder)
		processes = append(processes, process)
	}
	for role, addr := range at {
		whole.awaitRole(role, addr)
	}
	accepting, answering := whole.client, whole.client
	accepting.url, answering.url = "http://"+at["ingest"], "http://"+at["query"]
	p := startPayer(accepting)
	p.until(whole, 500)
	p.end()
	whole.awaitSummary(answering, revenueSummary{
		Currency: "USD", GrossRevenueCents: p.cents.Load(), NetRevenueCents: p.cents.Load(),
		PurchaseCount: p.accepted.Load(), PositiveChargeCount: p.accepted.Load(),
	})
	if status, _, _ := answering.send(call{method: http.MethodPost, path: "/v1/events"}); status != http.StatusNotFound {
		t.Errorf("the query role answers %d to revenue", status)
	}
	for _, process := range processes {
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Errorf("%v: %v", process.Args, err)
		}
	}
	whole.checkStored()
	whole.stop()
}

// startRole runs one role as a process on the engines of the service, and returns
// where it answers.
func (s *service) startRole(role, folder string) (process *exec.Cmd, addr string) {
	s.t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	addr = freeAddr(s.t)
	process = exec.Command(binary, role)
	output := &lockedBuffer{}
	process.Stdout, process.Stderr = output, output
	process.Env = append(serviceEnvironment(folder, addr), s.settings...)
	process.Env = append(process.Env,
		"REVSTREAM_KAFKA_BROKERS="+strings.Join(place.Kafka, ","), "REVSTREAM_CLICKHOUSE_ADDRESSES="+place.ClickHouse[0],
		"REVSTREAM_CLICKHOUSE_USER="+place.ClickHouseUser, "REVSTREAM_CLICKHOUSE_PASSWORD="+place.ClickHousePasswd)
	if err := process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
		if s.t.Failed() {
			s.t.Logf("output of revstream %s:\n%s", role, output)
		}
	})
	return process, addr
}

// awaitRole waits until the process at the address is ready for its role.
func (s *service) awaitRole(role, addr string) {
	s.t.Helper()
	s.await(role+" to be ready", 30*time.Second, func() error {
		status, body, err := s.client.send(call{method: http.MethodGet, path: "http://" + addr + "/readyz/" + role})
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
}

// checkStored wants nothing to differ and everything that was accepted to be
// stored and committed. It returns how many records there are.
func (s *service) checkStored() (records int64) {
	s.t.Helper()
	var outcome checkOutcome
	if err := json.Unmarshal([]byte(s.revstream(exitOK, "check", "--wait", "20s", "--json")), &outcome); err != nil {
		s.t.Fatal(err)
	}
	for _, slice := range outcome.Slices {
		records += slice.End
		if slice.End > 0 && (slice.Stored != slice.End || slice.Committed != slice.End) {
			s.t.Errorf("slice %d: stored %d, committed %d, want %d", slice.Slice, slice.Stored, slice.Committed, slice.End)
		}
	}
	if records == 0 || outcome.Rows == 0 {
		s.t.Errorf("check compared %d rows and %d records", outcome.Rows, records)
	}
	return records
}

// TestRolesNeedEngines says what a role by itself lacks, before anything starts.
func TestRolesNeedEngines(t *testing.T) {
	s := &service{t: t, folder: t.TempDir()}
	if output := s.revstream(exitUsage, "ingest"); !strings.Contains(output, "kafka.brokers") {
		t.Errorf("ingest: %s", output)
	}
	if output := s.revstream(exitUsage, "sink"); !strings.Contains(output, "clickhouse.addresses") {
		t.Errorf("sink: %s", output)
	}
}

// TestEnginesNeedToBeOurs refuses to run an embedded engine that the configuration
// says is somewhere else.
func TestEnginesNeedToBeOurs(t *testing.T) {
	for role, setting := range map[string]string{"broker": "kafka.brokers=127.0.0.1:9092", "engine": "clickhouse.addresses=127.0.0.1:9000"} {
		s := &service{t: t, folder: t.TempDir()}
		name, _, _ := strings.Cut(setting, "=")
		if output := s.revstream(exitUsage, role, "--set", setting); !strings.Contains(output, name) {
			t.Errorf("%s: %s", role, output)
		}
	}
}

// TestBusyAddress says so when the HTTP address is taken.
func TestBusyAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	s := &service{t: t, folder: t.TempDir()}
	addr := listener.Addr().String()
	output := s.revstream(exitFailure, "run", "--http-addr", addr)
	if !strings.Contains(output, addr+" is in use") || strings.Count(output, "\n") != 1 {
		t.Errorf("the output is not one line that says so: %s", output)
	}
}
