package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// stops is what has to be ended when a process stops. Each part of the wiring adds
// its own when it starts; run ends them in the reverse order, so whatever a part
// depends on outlives it. The order that results for all roles in one process is
// written down at runAll and tested there.
type stops struct {
	steps []stop
}

type stop struct {
	name string
	end  func(context.Context) error
}

func (s *stops) add(name string, end func(context.Context) error) {
	s.steps = append(s.steps, stop{name, end})
}

// run ends every part, last added first, within the deadline of ctx. A part that
// fails or hangs does not keep the others from their turn.
func (s *stops) run(ctx context.Context, log *zap.Logger) error {
	var problems []error
	for len(s.steps) > 0 {
		step := s.steps[len(s.steps)-1]
		s.steps = s.steps[:len(s.steps)-1]
		begin := time.Now()
		if err := step.within(ctx); err != nil {
			problems = append(problems, fmt.Errorf("stopping %s: %w", step.name, err))
			continue
		}
		log.Debug("stopped", zap.String("part", step.name), zap.Duration("took", time.Since(begin)))
	}
	return errors.Join(problems...)
}

func (s stop) within(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.end(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// A last chance for parts that end at once even when time is up.
		select {
		case err := <-done:
			return err
		case <-time.After(stopGrace):
			return ctx.Err()
		}
	}
}

// stopGrace is what a part gets after the deadline for stopping has passed.
const stopGrace = 500 * time.Millisecond
