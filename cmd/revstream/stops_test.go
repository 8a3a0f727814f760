package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestStopsRunInReverseAndSurviveFailures(t *testing.T) {
	var s stops
	var order []string
	end := func(name string, err error) func(context.Context) error {
		return func(context.Context) error {
			order = append(order, name)
			return err
		}
	}
	s.add("first", end("first", nil))
	s.add("second", end("second", errors.New("broken")))
	s.add("third", end("third", nil))
	err := s.run(t.Context(), zap.NewNop())
	if !slices.Equal(order, []string{"third", "second", "first"}) {
		t.Errorf("stopped in the order %q", order)
	}
	if err == nil || !strings.Contains(err.Error(), "second") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the error %v does not tell which part failed and why", err)
	}
}

func TestStopsDoNotWaitForPartsThatHang(t *testing.T) {
	var s stops
	ended := false
	s.add("last", func(context.Context) error {
		ended = true
		return nil
	})
	s.add("hanging", func(context.Context) error { select {} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.run(ctx, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "hanging") {
		t.Errorf("got %v, want an error that names the hanging part", err)
	}
	if !ended {
		t.Error("what comes after a hanging part was not stopped")
	}
}
