package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// startQuery is all that the engine is asked to run: listen behind the doors,
// write down the ports (chosen by the system), then read standard input until
// the parent is gone. A file name cannot be bound, so it is escaped.
func startQuery(portsFile string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(portsFile)
	return "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; " +
		"SELECT getServerPort('tcp_port'), getServerPort('http_port') INTO OUTFILE '" + escaped + "' TRUNCATE FORMAT TSV; " +
		"SELECT count() FROM file('/dev/stdin', 'LineAsString') FORMAT Null"
}

// startPoll is how often the ports file is looked for.
const startPoll = 5 * time.Millisecond

// awaitListeners returns when the child has written its ports and both accept
// connections, or with the reason why that will not happen.
func (e *Engine) awaitListeners(ctx context.Context) error {
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		select {
		case <-e.ended:
			return fmt.Errorf("starting the embedded ClickHouse: %w", <-e.died)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the embedded ClickHouse to listen: %w", e.stderr.reason(ctx.Err()))
		case <-ticker.C:
		}
		native, http, ok, err := readPorts(e.cfg.portsFile())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		e.nativeAddr = dialable(e.cfg.ListenHost, native)
		e.httpAddr = dialable(e.cfg.ListenHost, http)
		return errors.Join(dial(ctx, e.nativeAddr), dial(ctx, e.httpAddr))
	}
}

// readPorts reports false as long as the file is not there in full.
func readPorts(path string) (native, http int, ok bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("reading the engine's ports: %w", err)
	}
	line, complete := strings.CutSuffix(string(content), "\n")
	if !complete {
		return 0, 0, false, nil
	}
	first, second, _ := strings.Cut(line, "\t")
	native, nativeErr := strconv.Atoi(first)
	http, httpErr := strconv.Atoi(second)
	if err := errors.Join(nativeErr, httpErr); err != nil {
		return 0, 0, false, fmt.Errorf("reading the engine's ports: %w", err)
	}
	return native, http, true, nil
}

func dial(ctx context.Context, addr string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connecting to the embedded ClickHouse: %w", err)
	}
	return conn.Close()
}

// portInUse is how a child says that a port is taken.
const portInUse = "Address already in use"

// stderrBytesMax is how much of the child's last words is kept.
const stderrBytesMax = 8 << 10

// stderrTail keeps the end of what the child wrote to standard error, and
// passes whole lines on to the log. The engine's own log is in files; what
// comes here is about starting and dying.
type stderrTail struct {
	mu   sync.Mutex
	log  *zap.Logger
	tail []byte
	line []byte
}

func newStderrTail(log *zap.Logger) *stderrTail { return &stderrTail{log: log} }

// Write implements io.Writer; it never fails.
func (s *stderrTail) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, p...)
	if extra := len(s.tail) - stderrBytesMax; extra > 0 {
		s.tail = append(s.tail[:0], s.tail[extra:]...)
	}
	for _, b := range p {
		if b != '\n' && len(s.line) < stderrBytesMax {
			s.line = append(s.line, b)
			continue
		}
		if text := strings.TrimSpace(string(s.line)); text != "" {
			s.log.Debug("embedded ClickHouse", zap.String("stderr", text))
		}
		s.line = s.line[:0]
	}
	return len(p), nil
}

// reason wraps what happened to the process with what it said, and with the
// error that callers look for. The child's exit code is 0 in these cases.
func (s *stderrTail) reason(cause error) error {
	s.mu.Lock()
	said := strings.TrimSpace(string(s.tail))
	s.mu.Unlock()
	if cause == nil {
		cause = errors.New("it reported success")
	}
	switch {
	case strings.Contains(said, "Cannot lock file"):
		return fmt.Errorf("%w (%s)", ErrFolderInUse, said)
	case strings.Contains(said, portInUse):
		return fmt.Errorf("%w (%s)", ErrPortInUse, said)
	case said == "":
		return fmt.Errorf("%w; it said nothing on standard error", cause)
	}
	return fmt.Errorf("%w; it said: %s", cause, said)
}
