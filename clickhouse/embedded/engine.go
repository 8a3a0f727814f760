// Package embedded runs a real ClickHouse as a child process, from the
// library that npm's @chdb/lib-* packages hold, pinned by package-lock.json.
//
// The child is this very program, started again under ChildCommand: so there
// is one binary to install, and a crash of the engine is not a crash of
// revstream. It is spoken to like any ClickHouse, over its native protocol
// and HTTP, with a password.
//
// The child reads its standard input to the end and then stops. The parent
// holds the other end and never writes: when the parent dies, however it
// dies, the system closes that end and the child follows. No pid file, no
// death signal, nothing to clean up.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

var (
	// ErrFolderInUse means that another revstream works in the same folder.
	ErrFolderInUse = errors.New("another revstream is using this folder")
	// ErrPortInUse means that a listener's port is taken.
	ErrPortInUse = errors.New("the port is already in use")
	// ErrKilled means that the engine did not end in time and was killed.
	// Everything acknowledged is on disk all the same.
	ErrKilled = errors.New("the embedded ClickHouse did not stop in time and was killed")
)

// Engine is a running child. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	log      *zap.Logger
	lock     *flock.Flock
	command  *exec.Cmd
	stdin    io.Closer
	stderr   *stderrTail
	password string

	nativeAddr, httpAddr string

	stopping chan struct{} // closed by the first Stop
	stopOnce sync.Once
	ended    chan struct{} // closed when the process is gone
	died     chan error    // holds one error if it went unasked
}

// Start brings the engine up in cfg.Dir and returns when both listeners
// answer. It gives ErrFolderInUse or ErrPortInUse where that is the reason,
// and otherwise an error with the last words of the child. The context bounds
// the start only, not the life of the engine.
func Start(ctx context.Context, cfg Config, log *zap.Logger) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of the embedded ClickHouse: %w", err)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolving the engine's folder: %w", err)
	}
	cfg.Dir = dir
	if cfg.Executable == "" {
		if cfg.Executable, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding the running program: %w", err)
		}
	}
	if cfg.LibraryPath, err = FindLibrary(cfg.LibraryPath, cfg.Executable); err != nil {
		return nil, err
	}
	if err := prepareFolder(cfg); err != nil {
		return nil, err
	}
	lock := flock.New(cfg.lockFile())
	if held, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("locking %s: %w", cfg.Dir, err)
	} else if !held {
		return nil, fmt.Errorf("%s: %w", cfg.Dir, ErrFolderInUse)
	}
	engine, err := startLocked(ctx, cfg, lock, log)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return engine, nil
}

// orphanPause is between two tries to start on a folder whose previous child
// is still ending.
const orphanPause = 100 * time.Millisecond

// startLocked starts the child under our lock. If ClickHouse then finds its
// own lock held, the holder can only be the child of a revstream that was
// killed: it is about to end (its standard input is at the end, but running
// queries may take it 5 s), so that is waited for.
func startLocked(ctx context.Context, cfg Config, lock *flock.Flock, log *zap.Logger) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	password, err := adminPassword(cfg)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(cfg, password); err != nil {
		return nil, err
	}
	for {
		engine := &Engine{
			cfg: cfg, log: log, lock: lock, password: password,
			stderr:   newStderrTail(log),
			stopping: make(chan struct{}),
			ended:    make(chan struct{}),
			died:     make(chan error, 1),
		}
		err := engine.launch(ctx)
		if err == nil {
			return engine, nil
		}
		if !errors.Is(err, ErrFolderInUse) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(orphanPause):
		}
	}
}

// launch starts one child and waits until it answers.
func (e *Engine) launch(ctx context.Context) error {
	for _, file := range []string{e.cfg.portsFile(), innerPortsFile(e.cfg.portsFile())} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the ports of the previous start: %w", err)
		}
	}
	// Not CommandContext: the context of the start must not end the engine.
	e.command = exec.Command(e.cfg.Executable, e.arguments()...) //nolint:noctx // its life is bounded by standard input and Stop
	e.command.Dir = e.cfg.Dir
	// Nothing of our own environment: it may hold secrets, and could change
	// what the library does.
	e.command.Env = []string{"TZ=UTC", "HOME=" + e.cfg.Dir, "PATH=/usr/bin:/bin"}
	e.command.Stderr = e.stderr
	// A group of its own: Ctrl-C in the terminal is for the parent, which
	// then stops the child in order.
	e.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := e.command.StdinPipe()
	if err != nil {
		return fmt.Errorf("opening the child's standard input: %w", err)
	}
	e.stdin = stdin
	if err := e.command.Start(); err != nil {
		return fmt.Errorf("starting the embedded ClickHouse: %w", err)
	}
	go e.reap()
	if err := e.awaitListeners(ctx); err != nil {
		return errors.Join(err, e.endChild(context.WithoutCancel(ctx)))
	}
	e.log.Info("embedded ClickHouse is up", zap.Int("pid", e.PID()),
		zap.String("native", e.nativeAddr), zap.String("http", e.httpAddr), zap.String("dir", e.cfg.Dir))
	return nil
}

func (e *Engine) arguments() []string {
	shards := "alone"
	if len(e.cfg.Clusters) > 0 {
		shards = shardsWelcome
	}
	return []string{
		ChildCommand, e.cfg.LibraryPath,
		net.JoinHostPort(e.cfg.ListenHost, strconv.Itoa(e.cfg.NativePort)),
		net.JoinHostPort(e.cfg.ListenHost, strconv.Itoa(e.cfg.HTTPPort)),
		e.cfg.portsFile(), shards,
		"--config-file=" + e.cfg.configFile(),
		"--path=" + e.cfg.dataDir(),
		"--listen_host=" + innerHost(e.cfg.ListenHost),
		"--tcp_port=0", "--http_port=0",
		"--log-level=warning", // the level in the configuration is ignored
		"--query", startQuery(innerPortsFile(e.cfg.portsFile())),
	}
}

// reap waits for the end of the child, whatever the reason.
func (e *Engine) reap() {
	err := e.command.Wait()
	select {
	case <-e.stopping:
	default:
		e.died <- fmt.Errorf("the embedded ClickHouse (pid %d) ended unasked (%s): %w",
			e.command.Process.Pid, e.command.ProcessState, e.stderr.reason(err))
	}
	close(e.died)
	close(e.ended)
}

// Wait returns a channel that yields one error if the engine dies unasked,
// and is closed when it has ended for whatever reason. There is one channel:
// one reader should own it.
func (e *Engine) Wait() <-chan error { return e.died }

// Stop ends the engine by closing its standard input and returns when the
// process is gone and its folder free. It is quick when no native connection
// is open, so close the pools first. When neither the context nor StopTimeout
// leave time for that, the child is killed and ErrKilled returned. A second
// Stop waits for the first.
func (e *Engine) Stop(ctx context.Context) error {
	err := e.endChild(ctx)
	return errors.Join(err, e.lock.Unlock())
}

func (e *Engine) endChild(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StopTimeout)
	defer cancel()
	e.stopOnce.Do(func() {
		close(e.stopping)
		// Its only error is "already closed", by a child that ended.
		_ = e.stdin.Close()
	})
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
	}
	if err := e.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing the embedded ClickHouse: %w", err)
	}
	<-e.ended
	return ErrKilled
}

// Addr returns host:port of the native protocol.
func (e *Engine) Addr() string { return e.nativeAddr }

// HTTPAddr returns host:port of the HTTP interface.
func (e *Engine) HTTPAddr() string { return e.httpAddr }

// PID returns the process id of the child.
func (e *Engine) PID() int { return e.command.Process.Pid }

// Password returns the password of a user: AdminUser or a configured
// Reader. It reports false for anybody else.
func (e *Engine) Password(user string) (string, bool) {
	if user == AdminUser {
		return e.password, true
	}
	for _, reader := range e.cfg.Readers {
		if reader.Name == user {
			return reader.Password, true
		}
	}
	return "", false
}

// DSN returns the address of a database for a user, as
// clickhouse://user:password@host:port/database (native protocol). It holds
// the password: do not log it. An unknown user is an error.
func (e *Engine) DSN(user, database string) (string, error) {
	password, ok := e.Password(user)
	if !ok {
		return "", fmt.Errorf("the embedded ClickHouse has no user %q", user)
	}
	dsn := url.URL{Scheme: "clickhouse", User: url.UserPassword(user, password), Host: e.nativeAddr, Path: "/" + database}
	return dsn.String(), nil
}

// dialable turns a listening host into one that can be dialled.
func dialable(host string, port int) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
