package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
)

// A client that goes away with a reset (killed in the middle of an answer, or
// a query given up) must not take the engine with it: the library's TCP server
// ends the process on an exception that leaves a connection's thread.
func TestAnEngineOutlivesClientsThatReset(t *testing.T) {
	t.Parallel()
	cfg := enginetest.Config(t.TempDir())
	engine := startEngine(t, cfg)
	for round := range 20 {
		resetWhileIdle(t, engine)
		resetInAQuery(t, engine, time.Duration(round)*time.Millisecond)
		resetRaw(t, engine.Addr())
		resetRaw(t, engine.HTTPAddr())
	}
	awaitEngine(t, engine, cfg.Dir)
}

// Whatever a client had said when it went away, the engine lives. The
// conversation is a real one, with an insert in it, cut off at every byte.
func TestAnEngineOutlivesClientsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	cfg := enginetest.Config(t.TempDir())
	engine := startEngine(t, cfg)
	enginetest.Exec(t, engine, "CREATE TABLE default.cut (a Int64, b String) ENGINE = MergeTree ORDER BY a")
	said := conversation(t, engine)
	for cut := range said {
		sayAndReset(t, engine, said[:cut])
	}
	awaitEngine(t, engine, cfg.Dir)
}

// Nor does it mind a client that talks nonsense.
func TestAnEngineOutlivesNonsense(t *testing.T) {
	t.Parallel()
	cfg := enginetest.Config(t.TempDir())
	engine := startEngine(t, cfg)
	enginetest.Exec(t, engine, "CREATE TABLE default.cut (a Int64, b String) ENGINE = MergeTree ORDER BY a")
	said := conversation(t, engine)
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		wrong := bytes.Clone(said)
		for range 1 + random.IntN(3) {
			wrong[random.IntN(len(wrong))] = byte(random.IntN(256))
		}
		wrong[random.IntN(400)] = byte(random.IntN(256))
		sayAndReset(t, engine, wrong)
	}
	awaitEngine(t, engine, cfg.Dir)
}

func sayAndReset(t *testing.T, engine *embedded.Engine, said []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", engine.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(said) // the engine may have hung up
	time.Sleep(2 * time.Millisecond)
	reset(t, conn.(*net.TCPConn))
}

// awaitEngine fails if the engine ends; an end takes it seconds, in which it
// goes on answering.
func awaitEngine(t *testing.T, engine *embedded.Engine, dir string) {
	t.Helper()
	select {
	case err := <-engine.Wait():
		t.Fatalf("the engine is gone: %v; it logged: %s", err, fatalLines(dir))
	case <-time.After(4 * time.Second):
	}
}

// fatalLines is what the engine logged about its end.
func fatalLines(dir string) string {
	log, err := os.ReadFile(filepath.Join(dir, "logs", "clickhouse.log"))
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "<Fatal>") && strings.Contains(line, "Code:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// One who is not welcome is told so in the protocol's own words, and nobody
// else notices.
func TestAnEngineOutlivesWrongPasswords(t *testing.T) {
	t.Parallel()
	cfg := enginetest.Config(t.TempDir())
	cfg.Readers = []embedded.Reader{{Name: "reader", Password: "right", Databases: []string{"books"}}}
	engine := startEngine(t, cfg)
	admin, _ := engine.Password(embedded.AdminUser)
	enginetest.Exec(t, engine, "CREATE DATABASE books")
	for name, test := range map[string]struct {
		user, password, database string
		code                     int32
	}{
		"a wrong password":      {embedded.AdminUser, "wrong", "default", 516},
		"no such user":          {"nobody", admin, "default", 516},
		"a name with a colon":   {"reader:right", "right", "default", 516},
		"no user":               {"", "", "", 516},
		"no such database":      {embedded.AdminUser, admin, "elsewhere", 81},
		"one who plays a shard": {" INTERSERVER SECRET ", "", "", 516},
		"the admin":             {embedded.AdminUser, admin, "default", 0},
		"a reader":              {"reader", "right", "books", 0},
	} {
		conn, err := clickhouse.Open(&clickhouse.Options{
			Addr: []string{engine.Addr()},
			Auth: clickhouse.Auth{Username: test.user, Password: test.password, Database: test.database},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Ping(t.Context())
		var exception *clickhouse.Exception
		switch {
		case test.code == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.code != 0 && (!errors.As(err, &exception) || exception.Code != test.code):
			t.Errorf("%s: %v, want code %d", name, err, test.code)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	awaitEngine(t, engine, cfg.Dir)
}

// A query whose client is gone ends: nobody reads its answer.
func TestAQueryEndsWithItsClient(t *testing.T) {
	t.Parallel()
	cfg := enginetest.Config(t.TempDir())
	engine := startEngine(t, cfg)
	var raw *net.TCPConn
	conn := dialRaw(t, engine, func(c *net.TCPConn) { raw = c })
	go func() {
		_ = conn.Exec(context.Background(), "SELECT sleepEachRow(0.1) FROM numbers(600) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null /* long */")
	}()
	const running = "SELECT count() FROM system.processes WHERE query LIKE '%/* long */%' AND query NOT LIKE '%system.processes%'"
	awaitAnswer(t, engine, running, "1")
	reset(t, raw)
	awaitAnswer(t, engine, running, "0")
}

func awaitAnswer(t *testing.T, engine *embedded.Engine, query, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := enginetest.Exec(t, engine, query)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, want %s", query, got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// recorder keeps what a client says.
type recorder struct {
	net.Conn
	said *bytes.Buffer
}

func (r recorder) Write(p []byte) (int, error) {
	r.said.Write(p)
	return r.Conn.Write(p)
}

func conversation(t *testing.T, engine *embedded.Engine) []byte {
	t.Helper()
	said := &bytes.Buffer{}
	conn := open(t, engine, func(c net.Conn) net.Conn { return recorder{c, said} })
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO default.cut (a, b)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := batch.Append(int64(i), strings.Repeat("x", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "SELECT count() FROM default.cut"); err != nil {
		t.Fatal(err)
	}
	return said.Bytes()
}

// resetWhileIdle speaks the handshake, and a query, and then resets.
func resetWhileIdle(t *testing.T, engine *embedded.Engine) {
	t.Helper()
	var raw *net.TCPConn
	conn := dialRaw(t, engine, func(c *net.TCPConn) { raw = c })
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	reset(t, raw)
}

func resetInAQuery(t *testing.T, engine *embedded.Engine, after time.Duration) {
	t.Helper()
	var raw *net.TCPConn
	conn := dialRaw(t, engine, func(c *net.TCPConn) { raw = c })
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go func() {
		time.Sleep(after)
		_ = raw.SetLinger(0)
		_ = raw.Close()
	}()
	rows, err := conn.Query(ctx, "SELECT number, sleepEachRow(0.001) FROM numbers(200) SETTINGS max_block_size = 1")
	if err != nil {
		return
	}
	for rows.Next() {
	}
	_ = rows.Close()
}

func resetRaw(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("GET"))
	reset(t, conn.(*net.TCPConn))
}

func reset(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	if err := conn.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func dialRaw(t *testing.T, engine *embedded.Engine, dialed func(*net.TCPConn)) clickhouse.Conn {
	t.Helper()
	return open(t, engine, func(c net.Conn) net.Conn {
		dialed(c.(*net.TCPConn))
		return c
	})
}

// open connects a client of one connection, which wrap sees and may replace.
func open(t *testing.T, engine *embedded.Engine, wrap func(net.Conn) net.Conn) clickhouse.Conn {
	t.Helper()
	dsn, err := engine.DSN(embedded.AdminUser, "default")
	if err != nil {
		t.Fatal(err)
	}
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxOpenConns, options.MaxIdleConns = 1, 1
	options.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
