package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrIncomplete says that not everything that was to be told was acknowledged, so
// that there is nothing to compare with. The report has the failures.
var ErrIncomplete = errors.New("not every delivery was acknowledged")

// Run plays the stories to the service and compares its answers with the truth.
// The report is of use even with an error: ErrIncomplete, the context's, one of
// the options', or that of a question that found no answer. Differences are no
// error: see Report.Differences.
func Run(ctx context.Context, o Options) (Report, error) {
	p, err := Begin(ctx, o)
	if err != nil {
		return p.Report(), err
	}
	if err := p.Tell(ctx, o.Events); err != nil || !o.Verify {
		return p.Report(), err
	}
	err = p.Compare(ctx)
	return p.Report(), err
}

// Play is a run in several acts: each tells more stories, and after each the
// answers can be held against the truth of all that has been told so far. It is
// for one goroutine.
type Play struct {
	options   Options
	truth     *Truth
	courier   *courier
	stage     *stage
	inspector *inspector
	before    answers
	report    Report
	acts      uint64
}

// Begin prepares a run, and reads the answers that the workspace gives without it
// if they are to be verified. The Play is of use for its Report even with an error.
func Begin(ctx context.Context, o Options) (*Play, error) {
	if o.Until.IsZero() {
		o.Until = time.Now()
	}
	if o.Run == "" {
		o.Run = "s" + strconv.FormatInt(time.Now().UnixMilli(), 36) + strconv.FormatInt(rand.Int64N(36*36), 36)
	}
	p := &Play{options: o}
	if err := o.Validate(); err != nil {
		return p, fmt.Errorf("options of the simulation: %w", err)
	}
	p.report = Report{Seed: o.Seed, Run: o.Run, Until: o.Until}
	p.truth, p.courier, p.inspector = &Truth{}, newCourier(o), newInspector(o)
	p.stage = newStage(newScript(o), o, p.truth)
	if o.Verify {
		o.say("asking what is there already")
		var err error
		if p.before, err = p.inspector.before(ctx); err != nil {
			return p, fmt.Errorf("reading the answers before the run: %w", err)
		}
	}
	return p, nil
}

// Report is what the run did and found so far.
func (p *Play) Report() Report { return p.report }

// Tell tells the service so many more events, or, with a Duration in the options,
// as many as it takes; stories that have begun are told to their end.
func (p *Play) Tell(ctx context.Context, events int) error {
	watch := newProgress(p.options, p.courier)
	began := time.Now()
	p.stage.goOn(events)

	sending, stop := context.WithCancel(ctx)
	defer stop()
	p.courier.giveUp = stop
	parcels := make(chan parcel)
	group := &errgroup.Group{}
	mail := newMail(p.options.Seed+p.acts, p.options)
	p.acts++
	group.Go(func() error {
		p.stage.play(sending, mail, parcels)
		return nil
	})
	for range p.options.Workers {
		group.Go(func() error {
			for next := range parcels {
				p.courier.run(sending, next)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	watch.stop()
	p.courier.fill(&p.report, p.stage.next, p.report.Took+time.Since(began))
	failures := p.report.Failures
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("sending was cut off: %w", ctx.Err())
	case len(failures) > 0 && sending.Err() != nil:
		return fmt.Errorf("%w: the first of %d that was not: %s %s: %s",
			ErrIncomplete, len(failures), failures[0].Door, failures[0].Label, failures[0].Error)
	}
	return nil
}

// Compare waits until everything told is in the answers, puts all questions, and
// reports what differs from the truth.
func (p *Play) Compare(ctx context.Context) error { return p.compare(ctx, p.options.questions()) }

// CompareBriefly puts a few of the questions, others in each act: all of the
// history through every endpoint and of every door, and a ragged range.
func (p *Play) CompareBriefly(ctx context.Context) error {
	return p.compare(ctx, p.options.fewQuestions(p.acts))
}

func (p *Play) compare(ctx context.Context, questions []question) error {
	p.options.say("waiting until everything is in the answers")
	if err := p.inspector.settle(ctx, p.report.lastAck); err != nil {
		return fmt.Errorf("waiting for the service to take everything in: %w", err)
	}
	p.report.Settled = time.Since(p.report.sentAt)
	p.options.say("comparing the answers with the truth")
	return p.inspector.compare(ctx, questions, p.truth, p.before, &p.report)
}

// Figures are what all stories told so far come to through one door, or through
// all if it is empty, by the figures' names in reports. MRR is in 1/10,000 minor
// units, other amounts are in minor units.
func (p *Play) Figures(door Door) map[string]int64 {
	r := p.options.everything()
	r.Door = door
	figures := p.truth.Figures(r)
	named := make(map[string]int64, figureCount)
	for f := range figureCount {
		named[figureNames[f]] = figures[f]
	}
	return named
}
