package sink

import (
	"context"
	"fmt"
)

// Workspaces tells which of the workspaces there are not, as of now: what was created
// before the call counts. The error is of a passing kind.
type Workspaces func(ctx context.Context, ids []string) (unknown []string, err error)

// An Option changes what a Sink does with what it reads.
type Option func(*Sink)

// WithWorkspaces quarantines statements of workspaces that there are not. Without it
// there are all.
func WithWorkspaces(known Workspaces) Option { return func(s *Sink) { s.workspaces = known } }

// sift takes statements for poison that are of workspaces which there are not. Whoever
// accepts a statement has seen its workspace, and whether there is one is asked after
// the statement was read, so none that was created a moment ago is missed.
func (s *Sink) sift(ctx context.Context, b *batch) error {
	if s.workspaces == nil || b.records == 0 {
		return nil
	}
	unknown, err := s.workspaces(ctx, b.workspaces())
	if err != nil {
		return fmt.Errorf("look for workspaces: %w", err)
	}
	if len(unknown) > 0 {
		b.refuse(unknown)
	}
	return nil
}
