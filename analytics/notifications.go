package analytics

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"revstream/clickhouse"
)

// Notifications is the answer of GET /v1/alerts/notifications: what subscribers to
// alerts were told, newest first.
type Notifications struct {
	WorkspaceSlug string         `json:"workspaceSlug"`
	Items         []Notification `json:"items"`
	// Next is what after has to be for the rest; absent if there is none.
	Next string `json:"next,omitempty"`
}

// Notification is what a subscriber was told, or is to be.
type Notification struct {
	ID    string `json:"id"`
	Alert string `json:"alert"`
	Type  string `json:"type"`
	// State is pending, delivered, dead (given up) or dropped (the alert ended).
	State     string `json:"state"`
	CreatedAt string `json:"createdAt"`
	// NextAttemptAt is when it is sent next, null if it is not.
	NextAttemptAt *string               `json:"nextAttemptAt"`
	Attempts      []NotificationAttempt `json:"attempts"`
	// Body is what is sent.
	Body json.RawMessage `json:"body"`
}

// NotificationAttempt is one attempt to send it. Status is the receiver's, null without
// an answer; Error is empty if it took it.
type NotificationAttempt struct {
	At     string  `json:"at"`
	Status *uint16 `json:"status"`
	Error  string  `json:"error,omitempty"`
}

// notificationStates are those that the log can be filtered by.
var notificationStates = []string{
	clickhouse.NotificationPending, clickhouse.NotificationDelivered, clickhouse.NotificationDead, clickhouse.NotificationDropped,
}

const notificationIDBytesMax = 64

func (s *Server) notifications(ctx context.Context, request asked) (answered, error) {
	values, err := parseValues(request.query, s.config)
	if err != nil {
		return answered{}, refuse(http.StatusBadRequest, "%w", err)
	}
	p := parser{values: values}
	slug, state := p.slug(), p.choice("state", notificationStates, "")
	limit := p.number("limit", s.config.PageSizeDefault, s.config.PageSizeMax)
	names := map[string]string{}
	for _, name := range []string{"alert", "after"} {
		names[name], _ = p.text(name)
		if len(names[name]) > notificationIDBytesMax {
			p.fail(name, "longer than %d bytes", notificationIDBytesMax)
		}
	}
	if err := errors.Join(p.errs...); err != nil {
		return answered{}, refuse(http.StatusBadRequest, "%w", err)
	}
	workspace, err := s.workspace(request.key, slug)
	if err != nil {
		return answered{}, err
	}
	filter := clickhouse.NotificationFilter{Workspace: workspace.ID, Alert: names["alert"], State: state, Limit: limit + 1}
	if after := names["after"]; after != "" {
		last, err := s.store.Notifications(ctx, clickhouse.NotificationFilter{Workspace: workspace.ID, ID: after, Limit: 1})
		if err != nil {
			return answered{}, err
		}
		if len(last) == 0 {
			return answered{}, refuse(http.StatusBadRequest, "after: names nothing in this log")
		}
		filter.Before, filter.BeforeID = last[0].CreatedAt, after
	}
	found, err := s.store.Notifications(ctx, filter)
	if err != nil {
		return answered{}, err
	}
	body := Notifications{WorkspaceSlug: workspace.Slug, Items: []Notification{}}
	if len(found) > limit {
		found = found[:limit]
		body.Next = found[limit-1].ID
	}
	for i := range found {
		body.Items = append(body.Items, NotificationOf(&found[i]))
	}
	return answered{body: body}, nil
}

// NotificationOf is a notification as the log shows it.
func NotificationOf(n *clickhouse.Notification) Notification {
	shown := Notification{
		ID: n.ID, Alert: n.Alert, Type: n.Type, State: n.State, CreatedAt: exactInstant(n.CreatedAt),
		Attempts: []NotificationAttempt{}, Body: json.RawMessage(n.Body),
	}
	if n.State == clickhouse.NotificationPending {
		shown.NextAttemptAt = new(exactInstant(n.NextAt))
	}
	for i, at := range n.TriedAt {
		attempt := NotificationAttempt{At: exactInstant(at.In(time.UTC)), Error: n.Errors[i]}
		if status := n.Statuses[i]; status != 0 {
			attempt.Status = &status
		}
		shown.Attempts = append(shown.Attempts, attempt)
	}
	return shown
}
