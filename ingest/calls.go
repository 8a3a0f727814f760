package ingest

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"revstream/connectors"
)

// accept serves a call of an API: reads it, makes durable what it says in the order that
// its connector asks for, and answers.
func (s *Server) accept(ctx context.Context, r request, decode func(context.Context, connectors.Call, *connectors.Reading) error) (answer, error) {
	host := host{server: s, request: r}
	defer host.release()
	reading := s.readings.borrow()
	defer s.readings.giveBack(reading)
	if err := decode(ctx, r.call(&host), reading); err != nil {
		return answer{}, err
	}
	if err := s.register(ctx, r.workspace.ID, reading.Register); err != nil {
		return answer{}, err
	}
	if err := s.keepStates(ctx, r.workspace.ID, reading.Before); err != nil {
		return answer{}, err
	}
	if err := s.Producer.Publish(ctx, reading.Statements...); err != nil {
		return answer{}, err
	}
	if err := s.keepStates(ctx, r.workspace.ID, reading.After); err != nil {
		return answer{}, err
	}
	a := answerOf(reading.Answer)
	a.rejected, a.statements = reading.Refused(), len(reading.Statements)
	a.accepted = len(reading.Items) - a.rejected
	for _, step := range reading.Register {
		a.accepted += len(step)
	}
	return a, nil
}

// call is what the request is to the connector.
func (r *request) call(host connectors.Host) connectors.Call {
	return connectors.Call{
		Workspace: r.workspace.ID, Alias: r.workspace.Slug, Integration: r.key.ID, Currency: r.currency(),
		Key: r.headerToken, Body: r.body, ContentType: r.contentType, ReceivedAt: r.receivedAt,
		RecordsMax: r.recordsMax, Host: host,
	}
}

// currency is what amounts without one are in: the workspace's own.
func (r *request) currency() string {
	if r.workspace.Currency == "" {
		return "USD"
	}
	return r.workspace.Currency
}

// registrationsAtOnce bounds how many entries of one request are on their way to
// Kafka at a time.
const registrationsAtOnce = 64

func (s *Server) register(ctx context.Context, workspace string, steps [][]connectors.Entry) error {
	for _, step := range steps {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(registrationsAtOnce)
		for _, entry := range step {
			group.Go(func() error {
				return wrap("register "+entry.Name.Kind, s.Messages.Put(groupCtx, tableKey(workspace, entry.Name), entry.Value))
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) keepStates(ctx context.Context, workspace string, entries []connectors.Entry) error {
	for _, entry := range entries {
		if err := s.Transactions.Put(ctx, tableKey(workspace, entry.Name), entry.Value); err != nil {
			return wrap("keep state", err)
		}
	}
	return nil
}

// tableKey is the key of something kept, in the table of all workspaces.
func tableKey(workspace string, name connectors.Name) string {
	if name.Kind == "" {
		return workspace + "|" + name.ID
	}
	return workspace + "|" + name.Kind + "|" + name.ID
}

// readings lends what calls are read into. The zero value is ready.
type readings struct{ pool sync.Pool }

// borrow returns an empty reading.
func (l *readings) borrow() *connectors.Reading {
	if reading, ok := l.pool.Get().(*connectors.Reading); ok {
		return reading
	}
	return new(connectors.Reading)
}

func (l *readings) giveBack(reading *connectors.Reading) {
	reading.Reset()
	l.pool.Put(reading)
}
