package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// diskByLimit is for trying what stands in for a full disk where there is no need to.
var diskByLimit = flag.Bool("disk-by-limit", false, "mount nothing for the tests of full disks, but limit the sizes of files")

// smallDisk is a file system of a few MiB that only those see who enter its
// namespace, so that nobody has to be root. Where even that is forbidden, in a
// container or by AppArmor, a limit on the sizes of files takes its place: no write
// gets through then either, though not for want of room, and ClickHouse, whose
// library leaves the signal of that limit to the kernel, is ended at its first try.
type smallDisk struct {
	t      *testing.T
	holder *exec.Cmd // keeps the namespace, and with it the file system; nil without one
	folder string
}

// newSmallDisk mounts one on the folder.
func newSmallDisk(t *testing.T, folder string, mebibytes int) *smallDisk {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &smallDisk{t: t, folder: folder}
	err := errors.New("as the flag says")
	if !*diskByLimit {
		err = d.mount(mebibytes)
	}
	if err != nil {
		t.Logf("nothing is mounted (%v): a limit on the sizes of files stands in for the full disk", err)
	}
	return d
}

// mount makes the file system, or says why it may not.
func (d *smallDisk) mount(mebibytes int) error {
	holder := exec.Command("sh", "-c", `mount -t tmpfs -o size="$0"m,mode=700 none "$1" && echo mounted && exec sleep 100000`,
		strconv.Itoa(mebibytes), d.folder)
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	var complaint bytes.Buffer
	holder.Stderr = &complaint
	output, err := holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	d.t.Cleanup(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "mounted\n" {
		_ = holder.Wait()
		return fmt.Errorf("mount: %s", strings.TrimSpace(complaint.String()))
	}
	d.holder = holder
	return nil
}

// enter is what to put before a command so that it sees the disk.
func (d *smallDisk) enter() []string {
	if d.holder == nil {
		return nil
	}
	working, err := os.Getwd()
	if err != nil {
		d.t.Fatal(err)
	}
	return []string{"nsenter", "--target", strconv.Itoa(d.holder.Process.Pid), "--user", "--mount", "--preserve-credentials", "--wd=" + working}
}

// filler is a file that takes what room there is, as this process reaches it.
func (d *smallDisk) filler() string {
	return filepath.Join("/proc", strconv.Itoa(d.holder.Process.Pid), "root", d.folder, "filler")
}

// fill takes the room from the process, but for so many bytes.
func (d *smallDisk) fill(pid int, left int64) {
	d.t.Helper()
	if d.holder == nil {
		d.limit(pid, "0")
		return
	}
	file, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, size := range []int64{1 << 20, 4096, 1} { // down to the last byte
		for block := make([]byte, size); left == 0 || d.room(file)-size >= left; {
			if _, err := file.Write(block); err != nil {
				break
			}
		}
	}
}

// room is what is left on the disk of a file.
func (d *smallDisk) room(file *os.File) int64 {
	d.t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(file.Fd()), &disk); err != nil {
		d.t.Fatal(err)
	}
	return int64(disk.Bavail) * disk.Bsize
}

// free gives the room back.
func (d *smallDisk) free(pid int) {
	d.t.Helper()
	if d.holder == nil {
		d.limit(pid, "unlimited")
		return
	}
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// limit sets what size files of a process, if it has not ended, may grow to. The
// hard limit stays.
func (d *smallDisk) limit(pid int, size string) {
	d.t.Helper()
	output, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), "--fsize="+size+":").CombinedOutput()
	if err != nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		d.t.Fatalf("limiting the sizes of files: %v: %s", err, output)
	}
}

// refused sends deliveries of the workspace through each door until one is refused,
// and wants all doors to say that it can be sent again.
func (s *service) refused(c client) {
	s.t.Helper()
	number := 0
	doors := map[string]func() call{
		"native": func() call {
			return call{method: http.MethodPost, path: "/v1/events", body: fmt.Sprintf(
				`{"kind":"charge","object_id":"full_%d","amount":1,"currency":"USD","occurred_at":"2025-07-01T00:00:00Z","version":1}`, number)}
		},
		"trackly": func() call {
			return call{method: http.MethodPost, path: "/api/v2/revenue", header: map[string]string{"Idempotency-Key": fmt.Sprintf("full-%d", number)},
				body: `{"message_id":"a1b2c3d4","revenue":0.01,"attribution_type":"sale","timestamp":"2025-06-02T12:00:00Z"}`}
		},
		"pulsora": func() call {
			return call{method: http.MethodPost, path: "/api/ingest", body: fmt.Sprintf(`{"type":"revenue","data":{"visitor_fingerprint":"fp_1",
				"session_id":"s_1","customer_id":"cus_42","amount":1,"currency":"USD","transaction_id":"full_%d","event_type":"purchase"}}`, number)}
		},
		"stripe": func() call {
			return c.signed(fmt.Appendf(nil, `{"id":"evt_full_%[1]d","object":"event","type":"payment_intent.succeeded","api_version":"2025-03-31.basil",
				"created":1750000000,"livemode":true,"data":{"object":{"id":"pi_full_%[1]d","object":"payment_intent","amount":1,"amount_received":1,
				"currency":"usd","status":"succeeded","customer":"cus_9","created":1750000000}}}`, number))
		},
	}
	for door, delivery := range doors {
		s.await(door+" to refuse", 60*time.Second, func() error {
			number++
			status, header, body, err := c.exchange(delivery())
			switch {
			case err != nil:
				return err
			case status < 300:
				return fmt.Errorf("still accepted")
			case status != http.StatusServiceUnavailable || header.Get("Retry-After") == "":
				s.t.Errorf("%s: with the disk full it answers %d, Retry-After %q: %s", door, status, header.Get("Retry-After"), body)
			}
			return nil
		})
	}
}

// TestKafkaDiskFull fills the disk of the embedded broker: every door says 503 and
// when to try again, answers go on, nothing that was accepted is lost and nothing
// half written is left, through a kill on the full disk as well.
func TestKafkaDiskFull(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	disk := newSmallDisk(t, filepath.Join(folder, "kafka"), 24)
	s := startServiceWithin(t, disk.enter(), folder, nil)
	other := s.newWorkspace("other") // what is told in it does not count
	other.must(registration)
	p := startPayer(s.client)
	for range 2 {
		p.until(s, 200)
		disk.fill(s.command.Process.Pid, 0)
		s.refused(other)
		if status, body, err := s.client.get("/revenue?workspaceSlug=demo"); err != nil || status != http.StatusOK {
			t.Errorf("with Kafka's disk full, answers are %d %s %v", status, body, err)
		}
		disk.free(s.command.Process.Pid)
		p.until(s, 200)
	}
	disk.fill(s.command.Process.Pid, 0)
	s.refused(other)
	s.kill()
	if disk.holder != nil {
		disk.free(0) // a broker does not start without room for its own state
	}
	s = startServiceWithin(t, disk.enter(), folder, nil)
	p.client.Store(&s.client)
	p.until(s, 200)
	p.finish(s)
	s.stop()
}

// TestClickHouseDiskFull leaves the embedded ClickHouse less room than it keeps free: it
// refuses inserts before they begin, accepting goes on, and when there is room again
// everything gets into the answers.
func TestClickHouseDiskFull(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const kept = 16 << 20
	disk := newSmallDisk(t, filepath.Join(folder, "clickhouse"), 112)
	s := startServiceWithin(t, disk.enter(), folder, []string{fmt.Sprint("REVSTREAM_ENGINE_KEEP_FREE_BYTES=", kept)})
	p := startPayer(s.client)
	for range 2 {
		p.until(s, 300)
		engine, err := s.enginePID()
		if err != nil {
			t.Fatal(err)
		}
		before := strings.Count(s.output.String(), "batch given back")
		disk.fill(engine, kept-1<<20)
		p.until(s, 600) // Kafka is all that accepting needs
		s.await("an insert to be refused", 60*time.Second, func() error {
			if strings.Count(s.output.String(), "batch given back") == before {
				return errors.New("none is")
			}
			return nil
		})
		disk.free(engine)
	}
	p.until(s, 300)
	p.finish(s)
	s.stop()
}
