package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// aim kills a process at a chosen moment of its work. With strace that is exactly
// at the n-th system call of one of its threads: the kernel does the call, and the
// process does not come back from it. Without strace it is right after the n-th
// change of a kind among the engine's files, as far as a watcher is quick.
type aim struct {
	strace string // path, or empty
	parts  string // the folder below which ClickHouse keeps the parts of its tables
}

// calls that an aimed kill waits for, and how many a thread makes of them in one
// batch, about. Paths are those of strace's regular expressions.
var calls = map[string][]struct {
	call string
	most int
}{
	clickHouse: {{"/^rename", 8}, {"/^f(data)?sync$", 25}, {"/^p?write(64|v)?$", 40}, {"/^unlink|^rmdir", 6}},
	broker:     {{"syncfs", 12}, {"/^p?write(64|v)?$", 40}, {"/^ftruncate|^unlink|^rename", 2}},
}

func drawCall(random *rand.Rand, victim string) (call string, number int) {
	choice := calls[victim][random.IntN(len(calls[victim]))]
	return choice.call, 1 + random.IntN(choice.most)
}

// newAim looks what the machine has.
func newAim(parts string) *aim {
	strace, _ := exec.LookPath("strace") // a machine without it has the watcher
	return &aim{strace: strace, parts: parts}
}

// describe says how kills are aimed, for the report.
func (a *aim) describe() string {
	if a.strace != "" {
		return "by strace, exactly at the call"
	}
	return "by watching files, right after a change of ClickHouse's (strace is not installed); those of the broker are not aimed"
}

// killAtCall kills the victim at its call, or when the time for that is up.
func (s *stand) killAtCall(ctx context.Context, f fault, pid int) (kind, error) {
	if f.victim != clickHouse {
		p := s.process(f.victim)
		p.mu.Lock()
		p.expectEnd(0)
		p.mu.Unlock()
	}
	within, cancel := context.WithTimeout(ctx, f.length)
	defer cancel()
	hit := false
	switch {
	case s.aim.strace != "":
		hit = s.aim.inject(within, f, pid)
	case f.victim == clickHouse:
		var err error
		if hit, err = s.aim.watch(within, f, pid); err != nil {
			return missed, err
		}
	}
	if hit || ctx.Err() != nil {
		return aimed, ctx.Err()
	}
	s.kill(f.victim, pid, 0)
	return missed, nil
}

// inject has strace send the signal at the call, and reports whether it came.
func (a *aim) inject(ctx context.Context, f fault, pid int) bool {
	command := exec.CommandContext(ctx, a.strace, "-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(pid),
		"-e", "trace="+f.call, "-e", "inject="+f.call+":signal=SIGKILL:when="+strconv.Itoa(f.number))
	// Asked to end, it lets go of the process unharmed.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 2 * time.Second
	_ = command.Run() // it ends with the process, or when it is asked to
	return gone(pid)
}

// gone reports whether the process has ended, waited for or not.
func gone(pid int) bool {
	for range 50 { // a dying process with hundreds of threads takes a moment
		state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // it does not wait
		if text := strings.TrimSpace(string(state)); err != nil || text == "" || strings.HasPrefix(text, "Z") {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

// watch kills the process after so many changes of its parts.
func (a *aim) watch(ctx context.Context, f fault, pid int) (bool, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return false, fmt.Errorf("watching ClickHouse's files: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	wanted := fsnotify.Create
	if strings.Contains(f.call, "rename") || strings.Contains(f.call, "sync") {
		wanted = fsnotify.Rename
	}
	// The parts lie in store/xxx/uuid/; what is within them is not looked at.
	tables, err := filepath.Glob(filepath.Join(a.parts, "*", "*"))
	if err != nil {
		return false, fmt.Errorf("looking for ClickHouse's tables: %w", err)
	}
	for _, table := range tables {
		if err := watcher.Add(table); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("watching %s: %w", table, err)
		}
	}
	for left := f.number; ; {
		select {
		case <-ctx.Done():
			return false, nil
		case event := <-watcher.Events:
			if !event.Has(wanted) || !strings.HasPrefix(filepath.Base(event.Name), "tmp_insert_") {
				continue
			}
			if left--; left == 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				return true, nil
			}
		}
	}
}
