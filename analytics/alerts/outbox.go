package alerts

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// actor makes the changes of the control plane that a receiver asks for.
const actor control.Actor = "alerts"

// send begins to send what is due, to each receiver by itself: a slow one holds up
// nobody else.
func (n *Notifier) send(ctx context.Context) error {
	n.mu.Lock()
	busy := slices.Collect(maps.Keys(n.busy))
	n.mu.Unlock()
	room := n.config.ReceiversAtOnceMax - len(busy)
	if room <= 0 {
		return nil
	}
	due, err := n.Store.Answers().DueNotifications(ctx, n.now(), busy, n.config.BatchRowsMax, n.config.BatchRowsMax*n.config.ReceiversAtOnceMax)
	if err != nil {
		return err
	}
	byAlert := map[string][]clickhouse.Notification{}
	var order []string
	for i := range due {
		if byAlert[due[i].Alert] == nil {
			order = append(order, due[i].Alert)
		}
		byAlert[due[i].Alert] = append(byAlert[due[i].Alert], due[i])
	}
	for _, alert := range order[:min(room, len(order))] {
		n.begin(ctx, alert, byAlert[alert])
	}
	return nil
}

// begin sends to one receiver in the background.
func (n *Notifier) begin(ctx context.Context, alert string, due []clickhouse.Notification) {
	n.mu.Lock()
	n.busy[alert] = true
	n.mu.Unlock()
	n.senders.Go(func() {
		if err := n.sendAll(ctx, alert, due); err != nil && ctx.Err() == nil {
			n.metrics.failures.Inc()
			n.Log.Warn("noting what came of notifications", zap.String("alert", alert), zap.Error(err))
		}
		n.mu.Lock()
		delete(n.busy, alert)
		n.mu.Unlock()
	})
}

// noteInterval is how long outcomes may wait to be noted together. What is not noted
// when the process ends is sent once more.
const noteInterval = 2 * time.Second

// attemptGrace is how long an attempt may still take when the process is asked to
// stop: one that is cut off is made again, and its receiver may have had it.
const attemptGrace = 2 * time.Second

// lingering is done so much later than its parent.
func lingering(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	forget := context.AfterFunc(parent, func() { time.AfterFunc(grace, cancel) })
	return ctx, func() { forget(); cancel() }
}

// sendAll sends what is due to one receiver, one after the other, until one fails: then
// it is down, or at its limit, and the rest waits for its turn.
func (n *Notifier) sendAll(ctx context.Context, id string, due []clickhouse.Notification) error {
	var noted []clickhouse.Notification
	last := time.Now()
	for i := range due {
		alert, err := n.Directory.FindAlert(id)
		if err != nil || !alert.Active() {
			noted = append(noted, n.dropped(due[i:])...)
			break
		}
		attempt, end := lingering(ctx, attemptGrace)
		result := n.deliver(attempt, &alert, due[i].ID, due[i].Body)
		cutOff := attempt.Err() != nil
		end()
		if result.err != nil && cutOff {
			break // by us
		}
		noted = append(noted, n.tried(&due[i], result))
		if result.gone() {
			if _, err := n.Directory.RevokeAlert(ctx, actor, id, "the receiver answered 410 Gone"); err != nil {
				return fmt.Errorf("ending alert %s: %w", id, err)
			}
			n.Log.Info("a receiver wants nothing any more", zap.String("alert", id))
			continue // the rest is dropped
		}
		if result.err != nil || ctx.Err() != nil {
			break
		}
		if time.Since(last) > noteInterval {
			if err := n.Store.InsertNotifications(ctx, noted); err != nil {
				return err
			}
			noted, last = nil, time.Now()
		}
	}
	// What came of attempts is worth noting when we are asked to stop, too.
	return n.Store.InsertNotifications(context.WithoutCancel(ctx), noted)
}

// dropped are notifications that nobody wants any more.
func (n *Notifier) dropped(list []clickhouse.Notification) []clickhouse.Notification {
	now := n.now()
	for i := range list {
		list[i].State, list[i].Revision = clickhouse.NotificationDropped, max(list[i].Revision+1, now.UnixMicro())
		n.metrics.ended.WithLabelValues(clickhouse.NotificationDropped).Inc()
	}
	return list
}

// tried is a notification after an attempt.
func (n *Notifier) tried(sent *clickhouse.Notification, result outcome) clickhouse.Notification {
	now, text := n.now(), ""
	if result.err != nil {
		text = result.err.Error()
	}
	next := *sent
	next.TriedAt = append(slices.Clone(sent.TriedAt), now)
	next.Statuses = append(slices.Clone(sent.Statuses), result.status)
	next.Errors = append(slices.Clone(sent.Errors), text)
	next.Counted++
	next.Revision = max(sent.Revision+1, now.UnixMicro())
	switch {
	case result.err == nil:
		next.State = clickhouse.NotificationDelivered
	case result.gone():
		next.State = clickhouse.NotificationDropped
	case int(next.Counted) >= n.config.AttemptsMax:
		next.State = clickhouse.NotificationDead
		n.Log.Warn("a notification is given up", zap.String("notification", next.ID), zap.String("alert", next.Alert), zap.Error(result.err))
	default:
		next.NextAt = now.Add(max(n.config.pause(int(next.Counted)), result.retryAfter))
	}
	n.metrics.tried(result, next.State)
	return next
}

// pause is how long to wait after so many attempts have failed.
func (c Config) pause(failed int) time.Duration {
	pause := c.BackoffMin
	for i := 1; i < failed && pause < c.BackoffMax; i++ {
		pause *= 4
	}
	pause = min(pause, c.BackoffMax)
	// Receivers that were down together are not called together.
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}
