package alerts

import (
	"context"
	"errors"
	"fmt"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// testType is what a test notification says it is, testGroup keeps it out of what
// subscribers were told of the ledger.
const (
	testType  = "test"
	testGroup = "test"
)

// redeliveredMax bounds what one order sends again; the rest waits for the next look.
const redeliveredMax = 1000

// carryOut does what was asked for. An order is closed after it was carried out: once
// more does no harm.
func (n *Notifier) carryOut(ctx context.Context) error {
	var faults []error
	for _, order := range n.Directory.AlertOrders() {
		done, err := n.carryOutOne(ctx, order)
		if done && err == nil {
			err = n.Directory.CloseAlertOrder(ctx, order.ID)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("order %s of alert %s: %w", order.Action, order.Alert, err))
		}
	}
	return errors.Join(faults...)
}

// carryOutOne reports whether all of an order is done.
func (n *Notifier) carryOutOne(ctx context.Context, order control.AlertOrder) (done bool, err error) {
	alert, err := n.Directory.FindAlert(order.Alert)
	if err != nil || !alert.Active() {
		return true, nil // it ended meanwhile, and with it what was asked of it
	}
	if order.Action == control.AlertTest {
		test, err := n.complete(&alert, clickhouse.Notification{Subject: order.ID, Group: testGroup, Type: testType},
			func(id string) any {
				data := &struct {
					head
					Message string `json:"message"`
				}{Message: "This is a test: nothing has happened."}
				data.fill(id, &alert)
				return data
			})
		if err != nil {
			return false, err
		}
		return true, n.keep(ctx, []clickhouse.Notification{test})
	}
	filter := clickhouse.NotificationFilter{Workspace: alert.Workspace, Alert: alert.ID, ID: order.Notification, Limit: redeliveredMax}
	if order.Notification == "" {
		filter.Since, filter.State = order.Since, clickhouse.NotificationDead
	}
	found, err := n.Store.Answers().Notifications(ctx, filter)
	if err != nil {
		return false, err
	}
	now := n.now()
	for i := range found {
		again := &found[i]
		again.State, again.NextAt, again.Counted, again.Revision = clickhouse.NotificationPending, now, 0, max(again.Revision+1, now.UnixMicro())
	}
	return len(found) < redeliveredMax, n.Store.InsertNotifications(ctx, found)
}
