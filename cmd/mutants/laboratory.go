package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mutant is a rule and how it is broken.
type mutant struct {
	// rule is the broken rule, in words.
	rule string
	// file is the path of the source, edits what is replaced in it.
	file  string
	edits []edit
	// by is what has to notice.
	by check
}

// edit is a piece of source, which has to be there exactly once, and what takes its
// place.
type edit struct{ old, new string }

// check is a package and the tests of it that must fail.
type check struct {
	pkg, tests string
	// simulated says that the tests are the simulation, which takes seeds.
	simulated bool
}

// simulation is the check of whatever concerns the sink at work.
var simulation = check{pkg: "./ingest/sink", tests: "TestSimulation", simulated: true}

func tests(pkg, names string) check { return check{pkg: pkg, tests: names} }

// verdict is what became of a mutant.
type verdict struct {
	check check
	seeds int // that were needed, if the simulation caught it
	took  time.Duration
	err   error // it survived, or could not be tested
}

func (v verdict) caughtBy() string {
	if v.err != nil {
		return "NOT CAUGHT"
	}
	return strings.TrimPrefix(v.check.pkg, "./") + " " + v.check.tests
}

func (v verdict) effort() string {
	if v.seeds == 0 {
		return "-"
	}
	return strconv.Itoa(v.seeds)
}

// laboratory builds and tests mutants.
type laboratory struct {
	root, dir string
	seeds     int
}

var (
	errSurvived = errors.New("the mutant survived")
	errSource   = errors.New("the source has changed: the mutant must be updated")
	errSick     = errors.New("the tests fail without any mutant")
	errTimeout  = errors.New("the tests took too long to tell")
)

// mutate returns the source with the edits made.
func (m mutant) mutate(source string) (string, error) {
	for _, e := range m.edits {
		if n := strings.Count(source, e.old); n != 1 {
			return "", fmt.Errorf("%w: %s has %d times, not once: %q", errSource, m.file, n, e.old)
		}
		source = strings.Replace(source, e.old, e.new, 1)
	}
	return source, nil
}

// overlay writes the mutated source and says in go's way what it stands for.
func (l laboratory) overlay(m mutant) (file string, err error) {
	path, err := filepath.Abs(filepath.Join(l.root, m.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	mutated, err := m.mutate(string(source))
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp(l.dir, "")
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(folder, filepath.Base(m.file))
	if err := os.WriteFile(replacement, []byte(mutated), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: replacement}})
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// build makes a test binary, of a mutant if an overlay is given.
func (l laboratory) build(ctx context.Context, c check, overlay string) (binary string, err error) {
	folder, err := os.MkdirTemp(l.dir, "")
	if err != nil {
		return "", err
	}
	binary = filepath.Join(folder, "test")
	args := []string{"test", "-c", "-o", binary}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if c.simulated {
		args = append(args, "-tags", "synctests")
	}
	command := exec.CommandContext(ctx, "go", append(args, c.pkg)...)
	command.Dir = l.root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", c.pkg, err, output)
	}
	return binary, nil
}

// health requires that all the checks pass on the source as it is: else a failure
// would say nothing.
func (l laboratory) health(ctx context.Context, list []mutant) error {
	checked := map[check]bool{}
	for _, m := range list {
		if checked[m.by] {
			continue
		}
		checked[m.by] = true
		binary, err := l.build(ctx, m.by, "")
		if err != nil {
			return err
		}
		if failed, output := l.execute(ctx, m.by, binary, 0, min(l.seeds, 24)); failed {
			return fmt.Errorf("%w: %s %s\n%s", errSick, m.by.pkg, m.by.tests, output)
		}
		_ = os.Remove(binary)
	}
	return ctx.Err()
}

// test builds a mutant and lets its check look for it.
func (l laboratory) test(ctx context.Context, m mutant) verdict {
	v := verdict{check: m.by}
	overlay, err := l.overlay(m)
	if err != nil {
		v.err = err
		return v
	}
	binary, err := l.build(ctx, m.by, overlay)
	if err != nil {
		v.err = err
		return v
	}
	defer func() { _ = os.Remove(binary) }()
	if !m.by.simulated {
		switch failed, output := l.execute(ctx, m.by, binary, 0, 0); {
		case !failed:
			v.err = errSurvived
		case bytes.Contains(output, []byte("panic: test timed out")):
			v.err = errTimeout // on a busy machine the tests do so without a mutant
		}
		return v
	}
	// Few seeds are enough for most.
	for first, more := 0, 4; first < l.seeds; first, more = first+more, 2*more {
		if failed, output := l.execute(ctx, m.by, binary, first, min(more, l.seeds-first)); failed {
			v.seeds = firstFailure(output, first+more)
			return v
		}
	}
	v.err = fmt.Errorf("%w %d seeds", errSurvived, l.seeds)
	return v
}

// execute runs the tests and reports whether any failed, as opposed to the run
// having been stopped.
func (l laboratory) execute(ctx context.Context, c check, binary string, first, seeds int) (failed bool, output []byte) {
	args := []string{"-test.run", "^(" + c.tests + ")$", "-test.timeout", "4m", "-test.v"}
	if c.simulated {
		args = append(args, "-seeds", strconv.Itoa(seeds), "-first-seed", strconv.Itoa(first))
	}
	command := exec.CommandContext(ctx, binary, args...)
	command.Dir = filepath.Join(l.root, c.pkg)
	output, err := command.CombinedOutput()
	if err == nil && !bytes.Contains(output, []byte("--- PASS: ")) {
		return true, append(output, "no test of that name has run"...)
	}
	return err != nil && ctx.Err() == nil, output
}

var failedSeed = regexp.MustCompile(`FIRST_SEED=(\d+)`)

// firstFailure is how many seeds were needed, the first that failed included; all
// of them if the run ended without naming any.
func firstFailure(output []byte, all int) int {
	var seeds []int
	for _, match := range failedSeed.FindAllSubmatch(output, -1) {
		if seed, err := strconv.Atoi(string(match[1])); err == nil {
			seeds = append(seeds, seed+1)
		}
	}
	if len(seeds) == 0 {
		return all
	}
	return slices.Min(seeds)
}
