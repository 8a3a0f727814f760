// Command chaos breaks a running revstream and holds it to its promise.
//
// It runs the binary as separate processes on loopback: the embedded broker, the
// embedded ClickHouse, acceptance, two sinks and the answers. Package simulation
// sends traffic through all doors at a steady rate, with corrections, deletions,
// duplicates and disorder, and sends again what got no 2xx, as providers do.
// Meanwhile processes are killed and paused, also in the middle of an insert, and
// the way to ClickHouse is slowed down, cut and swallowed. After each round every
// event that got a 2xx has to be counted once, to the cent: in the ledger, in what
// is derived from it, and in the answers. The truth is the simulation's own, which
// knows none of the product's rules.
//
// It is for developers and CI: see `make chaos`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options of the command line.
type options struct {
	binary string
	folder string
	report string
	rounds int
	seed   uint64
	events int
	rate   float64
}

func main() {
	o := options{}
	flag.StringVar(&o.binary, "binary", "bin/revstream", "the revstream to run")
	flag.StringVar(&o.folder, "folder", "", "where to keep data and logs (default a new folder, removed after success)")
	flag.StringVar(&o.report, "report", "", "file to write the report to, beside standard output")
	flag.IntVar(&o.rounds, "rounds", 200, "how many rounds")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "decides the traffic and the faults of each round")
	flag.IntVar(&o.events, "events", 240, "events sent in a round, repetitions not counted")
	flag.Float64Var(&o.rate, "rate", 120, "events sent in a second at most")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		os.Exit(1)
	}
}

// run plays all rounds. Of a run that failed everything is kept.
func run(ctx context.Context, o options) error {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return fmt.Errorf("finding revstream: %w", err)
	}
	temporary := o.folder == ""
	if temporary {
		if o.folder, err = os.MkdirTemp("", "revstream-chaos-"); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
	}
	tally := newTally(o)
	began := time.Now()
	err = playAll(ctx, o, binary, tally)
	tally.took = time.Since(began)
	err = errors.Join(err, tally.publish(o.report))
	if err != nil {
		return fmt.Errorf("%w\nseed %d; data and logs are kept in %s", err, o.seed, o.folder)
	}
	if temporary {
		return os.RemoveAll(o.folder)
	}
	return nil
}

func playAll(ctx context.Context, o options, binary string, tally *tally) (err error) {
	s, err := openStand(ctx, binary, o.folder)
	if err != nil {
		return fmt.Errorf("bringing revstream up: %w", err)
	}
	defer func() { err = errors.Join(err, s.close(err == nil)) }()
	a, err := newAudience(ctx, o, s)
	if err != nil {
		return err
	}
	tally.aim = s.aim.describe()
	for number := 1; number <= o.rounds; number++ {
		began := time.Now()
		faults := plan(o.seed, number)
		outcome := a.round(ctx, number, o.rounds, faults)
		outcome.took = time.Since(began)
		tally.add(number, outcome, a.play.Report(), s.endedByThemselves())
		if outcome.err != nil {
			return fmt.Errorf("round %d, %v: %w", number, faults, outcome.err)
		}
	}
	return nil
}
