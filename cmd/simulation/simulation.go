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
	if o.Until.IsZero() {
		o.Until = time.Now()
	}
	if o.Run == "" {
		o.Run = "s" + strconv.FormatInt(time.Now().UnixMilli(), 36) + strconv.FormatInt(rand.Int64N(36*36), 36)
	}
	if err := o.Validate(); err != nil {
		return Report{}, fmt.Errorf("options of the simulation: %w", err)
	}
	truth := &Truth{}
	report := Report{Seed: o.Seed, Run: o.Run, Until: o.Until}
	inspector := newInspector(o)
	var before answers
	if o.Verify {
		o.say("asking what is there already")
		var err error
		if before, err = inspector.before(ctx); err != nil {
			return report, fmt.Errorf("reading the answers before the run: %w", err)
		}
	}
	if err := deliverAll(ctx, o, truth, &report); err != nil || !o.Verify {
		return report, err
	}
	o.say("waiting until everything is in the answers")
	if err := inspector.settle(ctx, report.lastAck); err != nil {
		return report, fmt.Errorf("waiting for the service to take everything in: %w", err)
	}
	report.Settled = time.Since(report.sentAt)
	o.say("comparing the answers with the truth")
	return report, inspector.compare(ctx, truth, before, &report)
}

// deliverAll tells the service all stories.
func deliverAll(ctx context.Context, o Options, truth *Truth, report *Report) error {
	courier := newCourier(o)
	stage := newStage(newScript(o), o, truth)
	watch := newProgress(o, courier)
	began := time.Now()

	sending, stop := context.WithCancel(ctx)
	defer stop()
	courier.giveUp = stop
	parcels := make(chan parcel)
	group := &errgroup.Group{}
	group.Go(func() error {
		stage.play(sending, newMail(o.Seed, o), parcels)
		return nil
	})
	for range o.Workers {
		group.Go(func() error {
			for p := range parcels {
				courier.run(sending, p)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	watch.stop()
	courier.fill(report, stage.next, time.Since(began))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("sending was cut off: %w", ctx.Err())
	case len(report.Failures) > 0 && sending.Err() != nil:
		first := report.Failures[0]
		return fmt.Errorf("%w: the first of %d that was not: %s %s: %s", ErrIncomplete, len(report.Failures), first.Door, first.Label, first.Error)
	}
	return nil
}
