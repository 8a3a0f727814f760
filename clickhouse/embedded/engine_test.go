package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

// parentCommand makes the test binary a revstream that only runs an engine:
// one that can be killed.
const parentCommand = "engine-parent"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == parentCommand {
		os.Exit(parentMain(os.Args[2]))
	}
	enginetest.Main(m)
}

func parentMain(dir string) int {
	engine, err := embedded.Start(context.Background(), enginetest.Config(dir), zap.NewNop())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(engine.PID())
	select {} // until killed
}

func startEngine(t *testing.T, cfg embedded.Config) *embedded.Engine {
	t.Helper()
	engine, err := embedded.Start(t.Context(), cfg, zap.NewNop())
	if err != nil {
		t.Fatalf("starting the engine: %v", err)
	}
	t.Cleanup(func() { _ = engine.Stop(context.Background()) })
	return engine
}

func stopEngine(t *testing.T, engine *embedded.Engine) {
	t.Helper()
	if err := engine.Stop(context.Background()); err != nil {
		t.Fatalf("stopping the engine: %v", err)
	}
}

func TestARestartKeepsDataPasswordAndLogs(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	cfg.Durable = true
	first := startEngine(t, cfg)
	enginetest.Exec(t, first, "CREATE DATABASE kept")
	enginetest.Exec(t, first, "CREATE TABLE kept.x (a Int64) ENGINE = MergeTree ORDER BY a")
	enginetest.Exec(t, first, "INSERT INTO kept.x SELECT number FROM numbers(1000)")
	password, _ := first.Password(embedded.AdminUser)
	stopEngine(t, first)
	enginetest.AwaitGone(t, first.PID())

	second := startEngine(t, cfg)
	if got, _ := second.Password(embedded.AdminUser); got != password || len(got) < 32 {
		t.Errorf("the password is %q, was %q", got, password)
	}
	if got := enginetest.Exec(t, second, "SELECT sum(a) FROM kept.x"); got != "499500" {
		t.Errorf("the sum is %s, want 499500", got)
	}
	// The library's default is dead on a second start.
	enginetest.Exec(t, second, "SYSTEM FLUSH LOGS")
	if got := enginetest.Exec(t, second, "SELECT count() > 0 FROM system.query_log WHERE query LIKE 'SELECT sum(a) FROM kept%'"); got != "1" {
		t.Error("system.query_log knows nothing of the query")
	}
	info, err := os.Stat(filepath.Join(cfg.Dir, "password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v, want mode 0600", info, err)
	}
}

func TestSettingsAreInForce(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	cfg.Durable = true
	engine := startEngine(t, cfg)
	for query, want := range map[string]string{
		"SELECT timezone()": "UTC",
		"SELECT value FROM system.settings WHERE name = 'async_insert'":                                         "0",
		"SELECT value FROM system.settings WHERE name = 'max_memory_usage'":                                     strconv.FormatInt(cfg.QueryMemoryBytesMax, 10),
		"SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'":                       strconv.FormatInt(cfg.MemoryBytesMax, 10),
		"SELECT value FROM system.server_settings WHERE name = 'background_pool_size'":                          "4",
		"SELECT value FROM system.server_settings WHERE name = 'background_schedule_pool_size'":                 "16",
		"SELECT value FROM system.server_settings WHERE name = 'mark_cache_size'":                               strconv.FormatInt(cfg.MarkCacheBytesMax, 10),
		"SELECT value FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime'":                        "480",
		"SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_after_insert'":                        "1",
		"SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_part_directory'":                      "1",
		"SELECT value FROM system.merge_tree_settings WHERE name = 'min_rows_to_fsync_after_merge'":             "1",
		"SELECT value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window'":       "0",
		"SELECT keep_free_space FROM system.disks WHERE name = 'default'":                                       strconv.FormatInt(cfg.KeepFreeBytes, 10),
		"SELECT count() FROM system.processes WHERE query LIKE '%/dev/stdin%' AND query NOT LIKE '%processes%'": "1",
	} {
		if got := enginetest.Exec(t, engine, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	// Identical inserts are two inserts.
	enginetest.Exec(t, engine, "CREATE DATABASE x")
	enginetest.Exec(t, engine, "CREATE TABLE x.y (a Int64) ENGINE = MergeTree ORDER BY a")
	for range 2 {
		enginetest.Exec(t, engine, "INSERT INTO x.y VALUES (1)")
	}
	if got := enginetest.Exec(t, engine, "SELECT count() FROM x.y"); got != "2" {
		t.Errorf("two identical inserts make %s rows, want 2", got)
	}
}

func TestNoSecretIsInTheListOfProcesses(t *testing.T) {
	engine := enginetest.Start(t)
	password, _ := engine.Password(embedded.AdminUser)
	for _, file := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", engine.PID(), file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), password) {
			t.Errorf("%s holds the password", file)
		}
	}
}

func TestTheFolderIsForOneAtATime(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	first := startEngine(t, cfg)
	if _, err := embedded.Start(t.Context(), cfg, zap.NewNop()); !errors.Is(err, embedded.ErrFolderInUse) {
		t.Fatalf("a second start gives %v, want ErrFolderInUse", err)
	}
	stopEngine(t, first)
	startEngine(t, cfg)
}

func TestAPortInUseIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cfg := enginetest.Config(t.TempDir())
	cfg.NativePort = listener.Addr().(*net.TCPAddr).Port
	began := time.Now()
	if _, err := embedded.Start(t.Context(), cfg, zap.NewNop()); !errors.Is(err, embedded.ErrPortInUse) {
		t.Fatalf("it gives %v, want ErrPortInUse", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to notice", took)
	}
	cfg.NativePort = 0
	startEngine(t, cfg) // the folder is free again
}

func TestADeathIsNoticedAndTheFolderUsableAgain(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	engine := startEngine(t, cfg)
	enginetest.Exec(t, engine, "CREATE DATABASE kept")
	if err := syscall.Kill(engine.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-engine.Wait():
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("Wait yields %v, want what happened", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
	stopEngine(t, engine)
	again := startEngine(t, cfg)
	if got := enginetest.Exec(t, again, "EXISTS DATABASE kept"); got != "1" {
		t.Error("the database is gone")
	}
}

func TestAnOrdinaryStopIsNoDeath(t *testing.T) {
	engine := startEngine(t, enginetest.Config(t.TempDir()))
	stopEngine(t, engine)
	if err, open := <-engine.Wait(); open {
		t.Errorf("Wait yields %v, want only to be closed", err)
	}
	stopEngine(t, engine) // again does no harm
}

func TestAStopThatTakesTooLongKills(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	cfg.StopTimeout = 200 * time.Millisecond
	engine := startEngine(t, cfg)
	password, _ := engine.Password(embedded.AdminUser)
	answered := make(chan error, 1)
	go func() {
		_, err := enginetest.ExecAs(engine, embedded.AdminUser, password, "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0")
		answered <- err
	}()
	deadline := time.Now().Add(10 * time.Second)
	for enginetest.Exec(t, engine, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'") != "1" {
		select {
		case err := <-answered:
			t.Fatalf("the long query has ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the long query does not run")
		}
	}
	if err := engine.Stop(context.Background()); !errors.Is(err, embedded.ErrKilled) {
		t.Errorf("stopping gives %v, want ErrKilled", err)
	}
	enginetest.AwaitGone(t, engine.PID())
	if err := <-answered; err == nil {
		t.Error("the query of a killed engine has an answer")
	}
}

// However the parent dies, the child does not outlive it, and the next start
// waits for its end.
func TestTheChildDiesWithItsParent(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	parent := exec.CommandContext(t.Context(), executable, parentCommand, dir)
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent did not start its engine: %v", err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // "signal: killed"
	// At once: the child may still hold ClickHouse's lock.
	engine := startEngine(t, enginetest.Config(dir))
	enginetest.AwaitGone(t, child)
	enginetest.Exec(t, engine, "SELECT 1")
}

func TestAMissingLibraryTellsWhatToDo(t *testing.T) {
	cfg := enginetest.Config(t.TempDir())
	cfg.LibraryPath = t.TempDir()
	if _, err := embedded.Start(t.Context(), cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), cfg.LibraryPath) {
		t.Errorf("with a wrong path: %v", err)
	}
	t.Chdir(t.TempDir())
	if path, err := embedded.FindLibrary("", filepath.Join(t.TempDir(), "revstream")); err == nil || !strings.Contains(err.Error(), "npm ") {
		t.Errorf("with nothing installed: %q, %v", path, err)
	}
}

// The lock file has to name the very package that is looked for, with a hash,
// and not where it was fetched from.
func TestTheLockFilePinsTheLibrary(t *testing.T) {
	content, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity, Resolved string }
	}
	if err := json.Unmarshal(content, &lock); err != nil {
		t.Fatal(err)
	}
	entry, ok := lock.Packages["node_modules/@chdb/lib-linux-x64-gnu"]
	if !ok || entry.Version != "26.7.3-stable.1" || !strings.HasPrefix(entry.Integrity, "sha512-") {
		t.Errorf("the lock file has %+v", entry)
	}
	for name, entry := range lock.Packages {
		if entry.Resolved != "" {
			t.Errorf("%s: the lock file says where it came from", name)
		}
	}
}
