package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"revstream/cmd/simulation"
)

// TestPlanFollowsFromTheSeed wants the same faults from the same seed, never two
// of one victim at a time, and every fault of the menu in the rounds of one run.
func TestPlanFollowsFromTheSeed(t *testing.T) {
	planned := map[inflicted]bool{}
	for round := range 200 {
		faults := plan(7, round)
		if !reflect.DeepEqual(faults, plan(7, round)) {
			t.Fatalf("round %d is not the same twice", round)
		}
		victims := map[string]bool{}
		for _, f := range faults {
			if victims[f.victim] {
				t.Errorf("round %d breaks %s twice: %v", round, f.victim, faults)
			}
			victims[f.victim], planned[inflicted{f.victim, f.kind}] = true, true
			if f.kind == pause && strings.HasPrefix(f.victim, "sink") && f.length <= sessionTimeout {
				t.Errorf("%v does not outlast the session", f)
			}
			if f.kind == aimed && (f.call == "" || f.number < 1) {
				t.Errorf("%v is not aimed at anything", f)
			}
		}
	}
	for _, d := range menu {
		if !planned[inflicted{d.victim, d.kind}] {
			t.Errorf("in 200 rounds %s is never %s", d.victim, d.kind)
		}
	}
}

// worker is a process that makes parts as ClickHouse does, until it is killed.
func worker(t *testing.T, table string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c",
		`while :; do mkdir "$0/tmp_insert_1" && mv "$0/tmp_insert_1" "$0/all_1" && rmdir "$0/all_1"; sleep 0.02; done`, table)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

// TestAimHits kills a process at its third change by both ways, where the machine
// has both, and says which it has.
func TestAimHits(t *testing.T) {
	table := filepath.Join(t.TempDir(), "abc", "uuid")
	if err := os.MkdirAll(table, 0o700); err != nil {
		t.Fatal(err)
	}
	a := newAim(filepath.Dir(filepath.Dir(table)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	victim := worker(t, table)
	if hit, err := a.watch(ctx, fault{call: "/^rename", number: 3}, victim.Process.Pid); !hit || err != nil {
		t.Errorf("the watcher did not hit: %v", err)
	}
	if !gone(victim.Process.Pid) {
		t.Error("the process lives on after the watcher has hit")
	}
	if a.strace == "" {
		if !strings.Contains(a.describe(), "strace is not installed") {
			t.Errorf("without strace it says %q", a.describe())
		}
		return
	}
	// The shell itself makes a process for each command; that is a call too.
	victim = worker(t, table)
	if !a.inject(ctx, fault{call: "/clone|fork", number: 3}, victim.Process.Pid) {
		t.Error("strace did not hit")
	}
	victim = worker(t, table)
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if a.inject(short, fault{call: "/clone|fork", number: 100_000}, victim.Process.Pid) {
		t.Error("strace reports a hit at a call that did not come")
	}
}

func TestSumsAreRead(t *testing.T) {
	held, err := readSums(strings.NewReader("provider\tgross revenue\trefunds\nstripe\t12\t-3\nnative\t0\t4\n"))
	want := map[string]map[string]int64{"stripe": {"gross revenue": 12, "refunds": -3}, "native": {"gross revenue": 0, "refunds": 4}}
	if err != nil || !reflect.DeepEqual(held, want) {
		t.Errorf("read %v, %v", held, err)
	}
	for _, text := range []string{"", "provider\trefunds\nstripe\tmany\n"} {
		if _, err := readSums(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for sums", text)
		}
	}
}

// TestReportShowsWhatDiffers wants a difference in the table, wherever it is from.
func TestReportShowsWhatDiffers(t *testing.T) {
	tally := newTally(options{rounds: 2, seed: 5})
	tally.add(1, outcome{done: []inflicted{{broker, kill}}, sums: 8}, simulation.Report{Events: 10}, 0)
	tally.add(2, outcome{done: []inflicted{{broker, kill}}, sums: 8, differences: 2, err: os.ErrInvalid},
		simulation.Report{Events: 20, Differences: make([]simulation.Difference, 3)}, 1)
	path := filepath.Join(t.TempDir(), "reports", "chaos.txt")
	if err := tally.publish(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{
		{"broker", "killed", "2"}, {"events", "sent", "and", "acknowledged", "20"}, {"sums", "of", "the", "ledger", "compared", "16"},
		{"rounds", "that", "failed", "1"}, {"differences", "5"},
	} {
		found := false
		for row := range bytes.Lines(text) {
			found = found || reflect.DeepEqual(strings.Fields(string(row)), line)
		}
		if !found {
			t.Errorf("the report has no line %q:\n%s", line, text)
		}
	}
}
