package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"revstream/cmd/simulation"
)

// audience tells the stand stories, breaks it meanwhile, and afterwards asks what
// it has understood.
type audience struct {
	stand  *stand
	play   *simulation.Play
	events int
}

// settleTimeout bounds the wait for what was accepted to be in the answers. Members
// of the sinks' group that died in a rebalance can hold it up for its timeout, more
// than once.
const settleTimeout = 90 * time.Second

// workspace is where everything is told.
const workspace = "chaos"

func newAudience(ctx context.Context, o options, s *stand) (*audience, error) {
	if _, err := s.operate(ctx, "workspaces", "create", workspace, "--currency", "USD"); err != nil {
		return nil, err
	}
	var key struct{ Secret string }
	if err := s.ask(ctx, &key, "keys", "create", "--workspace", workspace, "--scopes", "revenue:write,read", "--json"); err != nil {
		return nil, err
	}
	var endpoint struct{ URL, Secret string }
	if err := s.ask(ctx, &endpoint, "endpoints", "create", "--workspace", workspace, "--provider", "stripe", "--json"); err != nil {
		return nil, err
	}
	told := simulation.DefaultOptions()
	told.URL, told.QuestionsURL = "http://"+s.addresses[ingest], "http://"+s.addresses[query]
	told.Workspace, told.SecretKey, told.OwnClock = workspace, key.Secret, true
	told.StripeEndpoint, told.StripeSecret = endpoint.URL[strings.LastIndexByte(endpoint.URL, '/')+1:], endpoint.Secret
	told.Seed, told.Rate, told.Window = o.seed, o.rate, 50
	told.Corrections, told.Duplicates = 0.15, 0.15
	told.RequestTimeout, told.Patience, told.SettleTimeout = 8*time.Second, time.Minute, settleTimeout
	play, err := simulation.Begin(ctx, told)
	if err != nil {
		return nil, fmt.Errorf("preparing the traffic: %w", err)
	}
	return &audience{stand: s, play: play, events: o.events}, nil
}

// ask runs a command and decodes its JSON.
func (s *stand) ask(ctx context.Context, into any, args ...string) error {
	output, err := s.operate(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(output, into); err != nil {
		return fmt.Errorf("reading what revstream %s printed: %w", strings.Join(args, " "), err)
	}
	return nil
}

// outcome is what a round did and found.
type outcome struct {
	done        []inflicted
	sums        int // of the ledger, compared with the truth
	differences int // of the ledger's sums; those of answers are in the play's report
	took        time.Duration
	err         error
}

// inflicted is a fault as it happened.
type inflicted struct {
	victim string
	kind   kind
}

// thoroughly is every how many rounds all questions are put.
const thoroughly = 25

// round tells an act under faults and looks whether everything is as it was told.
func (a *audience) round(ctx context.Context, number, of int, faults []fault) (o outcome) {
	o.done, o.err = a.tell(ctx, faults)
	if o.err == nil {
		o.err = a.stand.awaitReady(ctx, a.stand.processes...)
	}
	if o.err != nil {
		return o
	}
	thorough := number%thoroughly == 0 || number == of
	var questioned, checked error
	var both sync.WaitGroup
	both.Go(func() { questioned = a.question(ctx, thorough) })
	both.Go(func() { _, checked = a.stand.operate(ctx, "check", "--wait", settleTimeout.String()) })
	both.Wait()
	o.err = errors.Join(questioned, checked)
	if questioned != nil {
		return o // it is not known whether everything is in the ledger yet
	}
	differing, sums, err := a.compareLedger(ctx)
	o.sums, o.differences = sums, len(differing)
	for _, text := range differing {
		o.err = errors.Join(o.err, errors.New(text))
	}
	o.err = errors.Join(o.err, err)
	if thorough {
		o.err = errors.Join(o.err, a.noDeadLetters(ctx))
	}
	return o
}

// question waits until everything told is in the answers, and holds them against
// the truth.
func (a *audience) question(ctx context.Context, thorough bool) error {
	compare := a.play.CompareBriefly
	if thorough {
		compare = a.play.Compare
	}
	if err := compare(ctx); err != nil {
		return err
	}
	report := a.play.Report()
	if report.Exact() {
		return nil
	}
	var text strings.Builder
	report.Print(&text)
	return errors.New(text.String())
}

// tell plays an act while the faults happen.
func (a *audience) tell(ctx context.Context, faults []fault) ([]inflicted, error) {
	var done []inflicted
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.play.Tell(ctx, a.events) })
	var mu sync.Mutex
	for _, f := range faults {
		group.Go(func() error {
			what, err := a.stand.inflict(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			done = append(done, inflicted{f.victim, what})
			if err != nil {
				return fmt.Errorf("%v: %w", f, err)
			}
			return nil
		})
	}
	err := group.Wait()
	return done, err
}

// noDeadLetters complains of any: nothing that is told here cannot be read.
func (a *audience) noDeadLetters(ctx context.Context) error {
	output, err := a.stand.operate(ctx, "dead-letters", "list")
	if err == nil && !strings.Contains(string(output), "no dead letters") {
		err = fmt.Errorf("there are dead letters:\n%s", output)
	}
	return err
}
