package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// kind is what is done to a victim.
type kind string

// The kinds of faults.
const (
	kill  kind = "killed"
	pause kind = "paused"
	// aimed is a kill at the n-th of some system call.
	aimed kind = "killed at a call"
	// missed is an aimed kill whose call did not come; it was killed all the same.
	missed kind = "killed, call missed"

	slow    kind = "slow"              // answers come late
	mute    kind = "answers swallowed" // what is asked for happens, and nobody hears of it
	deaf    kind = "requests swallowed"
	cut     kind = "cut after bytes"
	refused kind = "refused"
)

// fault is something that is done to one victim.
type fault struct {
	victim string
	kind   kind
	at     time.Duration // after the begin of the round
	length time.Duration // until it is healed
	// call is which system call an aimed kill waits for, and number which one of
	// them; of a link that is cut it is how many bytes pass.
	call   string
	number int
}

func (f fault) String() string {
	text := fmt.Sprintf("%s %s at %v for %v", f.victim, f.kind, f.at, f.length)
	if f.number > 0 {
		text += fmt.Sprintf(" (%d. %s)", f.number, f.call)
	}
	return text
}

// dish is a fault that can be chosen, and how often it is.
type dish struct {
	weight int
	victim string
	kind   kind
}

var menu = []dish{
	{3, sinkOne, kill}, {3, sinkTwo, kill}, {3, sinkOne, pause}, {3, sinkTwo, pause},
	{3, ingest, kill}, {1, ingest, pause},
	{3, broker, kill}, {1, broker, pause}, {2, broker, aimed},
	{3, clickHouse, kill}, {2, clickHouse, pause}, {7, clickHouse, aimed},
	{1, engine, kill}, {1, query, kill},
	{2, theLink, slow}, {3, theLink, mute}, {2, theLink, deaf}, {3, theLink, cut}, {1, theLink, refused},
}

// plan is the faults of a round: one to three, of different victims.
func plan(seed uint64, round int) []fault {
	random := rand.New(rand.NewPCG(seed, uint64(round)))
	total := 0
	for _, d := range menu {
		total += d.weight
	}
	var faults []fault
	for most := 1 + random.IntN(3); len(faults) < most; {
		choice := random.IntN(total)
		at := slices.IndexFunc(menu, func(d dish) bool {
			choice -= d.weight
			return choice < 0
		})
		f := draw(random, menu[at].victim, menu[at].kind)
		if !slices.ContainsFunc(faults, func(other fault) bool { return other.victim == f.victim }) {
			faults = append(faults, f)
		}
	}
	return faults
}

// draw fills in when, how long and where.
func draw(random *rand.Rand, victim string, what kind) fault {
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(random.Int64N(int64(most-least))).Truncate(time.Millisecond)
	}
	f := fault{victim: victim, kind: what, at: between(50*time.Millisecond, 1500*time.Millisecond)}
	switch {
	case what == kill:
		f.length = between(0, 500*time.Millisecond)
	case what == pause && (victim == sinkOne || victim == sinkTwo):
		// Past the session: another takes over, and this one comes back as a zombie.
		f.length = between(sessionTimeout+300*time.Millisecond, sessionTimeout+time.Second)
	case what == aimed:
		f.length = 3 * time.Second // at most
		f.call, f.number = drawCall(random, victim)
	case what == cut:
		f.length = between(300*time.Millisecond, time.Second)
		f.call, f.number = "byte", 1+random.IntN(30_000)
	default:
		f.length = between(300*time.Millisecond, 2*time.Second)
	}
	return f
}

// inflict does what the fault says and undoes it. It returns what was done, which
// for an aimed kill can be something else than was meant.
func (s *stand) inflict(ctx context.Context, f fault) (kind, error) {
	if err := wait(ctx, f.at); err != nil {
		return f.kind, err
	}
	if f.victim == theLink {
		return f.kind, s.spoil(ctx, f)
	}
	pid, err := s.pidOf(ctx, f.victim)
	if err != nil {
		return f.kind, nil //nolint:nilerr // a ClickHouse that is just not there is broken enough
	}
	switch f.kind {
	case pause:
		_ = syscall.Kill(pid, syscall.SIGSTOP) // one that has just died is broken enough
		err := wait(ctx, f.length)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		return f.kind, err
	case aimed:
		return s.killAtCall(ctx, f, pid)
	default:
		s.kill(f.victim, pid, f.length)
		return f.kind, nil
	}
}

// kill ends a victim the hard way.
func (s *stand) kill(victim string, pid int, away time.Duration) {
	if victim == clickHouse { // the engine's process starts it again
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return
	}
	s.process(victim).kill(away)
}

func (s *stand) pidOf(ctx context.Context, victim string) (int, error) {
	if victim == clickHouse {
		return childOf(ctx, s.process(engine).pid())
	}
	return s.process(victim).pid(), nil
}

// spoil makes the link bad, and good again.
func (s *stand) spoil(ctx context.Context, f fault) error {
	var err error
	switch f.kind {
	case slow:
		err = s.link.spoil("latency", "downstream", map[string]int{"latency": 400, "jitter": 300})
	case mute:
		err = s.link.spoil("timeout", "downstream", map[string]int{"timeout": 0})
	case deaf:
		err = s.link.spoil("timeout", "upstream", map[string]int{"timeout": 0})
	case cut:
		err = s.link.spoil("limit_data", "upstream", map[string]int{"bytes": f.number})
	case refused:
		s.link.close()
	}
	if err != nil {
		return err
	}
	err = wait(ctx, f.length)
	if healing := s.link.heal(context.WithoutCancel(ctx)); healing != nil {
		return healing
	}
	return err
}

func wait(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}
