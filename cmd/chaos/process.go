package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one revstream of the stand. It is started again whenever it ends, as
// an init system would.
type process struct {
	name   string
	binary string
	role   string
	env    []string
	log    *os.File
	health string // address of /readyz/{role}

	done chan struct{} // closed when it is not started any more

	mu      sync.Mutex
	command *exec.Cmd
	ending  bool // it is asked to end for good
	killed  bool // its end is our doing
	away    time.Duration
	alone   int // ends that were not
	code    int // of the last end
}

// restartPause is between an end that nobody asked for and the next start.
const restartPause = 200 * time.Millisecond

// supervise runs the process until it is asked to end for good.
func (p *process) supervise() {
	defer close(p.done)
	// The system kills the child when the thread that started it ends: so nothing
	// is left behind if this program is killed, and the thread must live on.
	runtime.LockOSThread()
	for {
		if !p.launch() {
			return
		}
		_ = p.command.Wait() // what it says is in its log, the code is looked at below
		p.mu.Lock()
		pause := restartPause
		if p.killed {
			pause = p.away
		} else if !p.ending {
			p.alone++
			fmt.Fprintf(p.log, "--- %s ended by itself: %v\n", p.name, p.command.ProcessState)
		}
		p.killed, p.code = false, p.command.ProcessState.ExitCode()
		ending := p.ending
		p.mu.Unlock()
		if ending {
			return
		}
		time.Sleep(pause)
	}
}

// launch starts it, unless it is to end for good.
func (p *process) launch() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return false
	}
	p.command = exec.Command(p.binary, p.role) //nolint:noctx // its life is bounded by stop, and by ours
	p.command.Env = p.env
	p.command.Stdout, p.command.Stderr = p.log, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		fmt.Fprintf(p.log, "--- %s cannot be started: %v\n", p.name, err)
		p.ending = true
		return false
	}
	return true
}

// pid is that of the running process.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.command.Process.Pid
}

// kill ends it the hard way; it comes back after the time given.
func (p *process) kill(away time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expectEnd(away)
	_ = p.command.Process.Kill() // one that is not running right now is away anyhow
}

// expectEnd says that the next end is our doing. It is called with mu held.
func (p *process) expectEnd(away time.Duration) { p.killed, p.away = true, away }

// ready asks whether it can do its work.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.health, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", p.health, response.StatusCode)
	}
	return nil
}

// refusal is the exit code for a configuration that cannot work.
const refusal = 2

// refuses reports whether starting it again is of no use.
func (p *process) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alone > 0 && p.code == refusal
}

// stopTimeout bounds an orderly end.
const stopTimeout = 40 * time.Second

// stop asks it to end in order, and says if it does not.
func (p *process) stop() error {
	p.mu.Lock()
	p.ending = true
	_ = p.command.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	p.mu.Unlock()
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill(0)
		<-p.done
		return fmt.Errorf("%s did not stop within %v", p.name, stopTimeout)
	}
	if p.code != 0 {
		return fmt.Errorf("%s stopped with exit code %d", p.name, p.code)
	}
	return nil
}

// childOf finds the only child of a process: the ClickHouse of the engine role.
func childOf(ctx context.Context, pid int) (int, error) {
	output, err := exec.CommandContext(ctx, "pgrep", "-P", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("looking for the child of %d: %w", pid, err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(output)))
	if err != nil {
		return 0, fmt.Errorf("the children of %d: %w", pid, err)
	}
	return child, nil
}
