package ingest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestTimesRiseThroughRestarts takes times of a clock that jumps, between processes
// that end in order or are killed, or whose disk takes nothing any more: each time is
// greater than all before, and none is further ahead than it has to be.
func TestTimesRiseThroughRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var last time.Time
	for i, life := range []struct {
		jump   time.Duration
		killed bool
		ahead  time.Duration // of the wall clock, give or take a minute
	}{
		{jump: 0},
		{jump: -time.Hour, ahead: time.Hour, killed: true},
		{jump: -time.Hour, ahead: 2 * time.Hour, killed: true},
		{jump: 0, ahead: 2 * time.Hour},
		{jump: -time.Millisecond, ahead: 2 * time.Hour, killed: true},
		{jump: 24 * time.Hour, killed: true},
		{jump: -10 * time.Second, ahead: 10 * time.Second},
		{jump: time.Minute},
	} {
		wall = wall.Add(life.jump)
		observed, logs := observer.New(zap.WarnLevel)
		c, err := newClock(func() time.Time { return wall }, path, zap.New(observed))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 1000 {
			at := c.next()
			if !at.After(last) {
				t.Fatalf("life %d: %v is given out after %v", i, at, last)
			}
			last = at
			if n == 500 {
				wall = wall.Add(3 * time.Second) // past what was reserved
			}
		}
		if ahead := c.ahead(); ahead < life.ahead-time.Minute || ahead > life.ahead+time.Minute || life.ahead == 0 && ahead > clockTerm {
			t.Errorf("life %d is %v ahead, want about %v", i, ahead, life.ahead)
		}
		if said := logs.FilterMessageSnippet("set back").Len() > 0; said != (life.ahead > 0) {
			t.Errorf("life %d says that the clock was set back: %v", i, said)
		}
		if !life.killed {
			ended, end := context.WithCancel(context.Background())
			end()
			c.keep(ended)
		}
	}
}

// TestTimesRiseForAllAtOnce takes times from many goroutines while more are reserved.
func TestTimesRiseForAllAtOnce(t *testing.T) {
	c, err := newClock(time.Now, filepath.Join(t.TempDir(), "clock"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var taking sync.WaitGroup
	taken := make([][]time.Time, 8)
	for worker := range taken {
		taking.Go(func() {
			for range 2000 {
				taken[worker] = append(taken[worker], c.next())
			}
		})
	}
	taking.Wait()
	seen := map[time.Time]bool{}
	for _, list := range taken {
		for i, at := range list {
			if seen[at] || i > 0 && !at.After(list[i-1]) {
				t.Fatalf("%v is given out twice, or late", at)
			}
			seen[at] = true
			if at.UnixMicro() > c.reserved.Load() {
				t.Fatalf("%v was not reserved", at)
			}
		}
	}
}

func TestClockWithoutItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	c, err := newClock(time.Now, path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.file.Close(); err != nil { // as a disk that takes nothing
		t.Fatal(err)
	}
	if first, second := c.next(), c.next(); !second.After(first) {
		t.Errorf("%v, and then %v", first, second)
	}
	if err := os.WriteFile(path, []byte("yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newClock(time.Now, path, zap.NewNop()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is no clock's: %v", err)
	}
}
