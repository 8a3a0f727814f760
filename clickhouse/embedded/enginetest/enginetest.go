// Package enginetest gives tests a real ClickHouse: one child process per
// test binary, one database per test. Tests share nothing but its memory.
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
//
//	func TestX(t *testing.T) {
//		dsn := enginetest.Database(t) // clickhouse://…/test_x_1
//	}
//
// If the library is not installed the test fails; nothing is skipped.
package enginetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse/embedded"
)

// shared is the engine of this test binary. It is the one piece of global
// state here: the testing package offers no other place to keep something
// across tests.
var shared struct {
	mainRan   bool
	once      sync.Once
	engine    *embedded.Engine
	err       error
	dir       string
	databases atomic.Int64
}

// Main is to be called from TestMain, and nothing before it: the test binary
// is also the engine's child. It runs the tests, stops the engine and exits.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == embedded.ChildCommand {
		os.Exit(embedded.ChildMain(os.Args[2:]))
	}
	shared.mainRan = true
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "enginetest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Start returns the engine of this test binary, starting it at the first
// call. Its folder is removed when the tests are over. A test that stops or
// kills an engine starts its own with embedded.Start and Config.
func Start(t testing.TB) *embedded.Engine {
	t.Helper()
	if !shared.mainRan {
		t.Fatal("enginetest: the package needs `func TestMain(m *testing.M) { enginetest.Main(m) }`")
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "revstream-engine-"); shared.err != nil {
			return
		}
		shared.engine, shared.err = embedded.Start(context.Background(), Config(shared.dir), zap.NewNop())
	})
	if shared.err != nil {
		t.Fatalf("starting the embedded ClickHouse: %v", shared.err)
	}
	return shared.engine
}

// Config returns the settings of a test's engine in dir: free ports, not
// synced (a test does not survive a power cut anyway).
func Config(dir string) embedded.Config {
	cfg := embedded.DefaultConfig()
	cfg.Dir = dir
	cfg.Durable = false
	return cfg
}

// Database creates an empty database for this test alone, dropped at its end,
// and returns its DSN for the user with all rights.
func Database(t testing.TB) string {
	t.Helper()
	name := DatabaseName(t)
	dsn, err := Start(t).DSN(embedded.AdminUser, name)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// DatabaseName is Database for those who want the name: the address and the
// password are at Start(t).
func DatabaseName(t testing.TB) string {
	t.Helper()
	engine := Start(t)
	name := fmt.Sprintf("test_%s_%d", plain(t.Name()), shared.databases.Add(1))
	Exec(t, engine, "CREATE DATABASE "+name)
	t.Cleanup(func() { Exec(t, engine, "DROP DATABASE IF EXISTS "+name+" SYNC") })
	return name
}

// AwaitGone waits until the process of an engine has ended, which it does a moment
// after the one that started it was killed. A process that nobody has waited for yet
// counts as ended.
func AwaitGone(t testing.TB, pid int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := syscall.Kill(pid, 0)
		if errors.Is(err, syscall.ESRCH) {
			return
		}
		if status, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); readErr == nil && strings.Contains(string(status), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there (%v)", pid, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Exec runs one statement over HTTP as the user with all rights and returns what it
// prints, without the last line break. An error fails the test. It is for
// preparing and for looking; what is tested goes through package clickhouse.
func Exec(t testing.TB, engine *embedded.Engine, statement string) string {
	t.Helper()
	password, _ := engine.Password(embedded.AdminUser)
	out, err := ExecAs(engine, embedded.AdminUser, password, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return out
}

// ExecAs is Exec for another user, with the refusal as an error.
func ExecAs(engine *embedded.Engine, user, password, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+engine.HTTPAddr()+"/", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	request.Header.Set("X-ClickHouse-User", user)
	request.Header.Set("X-ClickHouse-Key", password)
	request.Close = true // an open connection would make Stop wait
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(bufio.NewReader(response.Body))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(string(body), "\n")
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ClickHouse answers %d: %s", response.StatusCode, text)
	}
	return text, nil
}

func stop() error {
	var err error
	if shared.engine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = shared.engine.Stop(ctx)
	}
	if shared.dir == "" {
		return err
	}
	if removeErr := os.RemoveAll(shared.dir); err == nil {
		err = removeErr
	}
	return err
}

// plain turns a test's name into an identifier of bounded length.
func plain(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if b.Len() == 40 {
			break
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}
