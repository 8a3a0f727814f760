package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AlertAction is what somebody asks of whoever sends notifications.
type AlertAction string

// The actions.
const (
	// AlertTest sends a notification that says nothing but that it is a test.
	AlertTest AlertAction = "test"
	// AlertRedeliver sends notifications once more: one, or all of an alert since a moment
	// that were never delivered.
	AlertRedeliver AlertAction = "redeliver"
)

// AlertOrder is an action that was asked for and not carried out yet. It is kept in the
// topic, so that who asks need not reach who sends, and none is lost.
type AlertOrder struct {
	ID     string      `json:"id"`
	Alert  string      `json:"alert"`
	Action AlertAction `json:"action"`
	// Notification is the id of the one to send again; if it is empty, Since is when the
	// oldest of those was made.
	Notification string    `json:"notification,omitempty"`
	Since        time.Time `json:"since,omitzero"`
	At           time.Time `json:"at"`
}

// alertOrdersMax bounds what is asked for and not carried out yet.
const alertOrdersMax = 1000

func (d *Directory) applyAlertOrder(id string, value []byte) error {
	var order AlertOrder
	present, err := decode(value, &order)
	if present && order.ID != id {
		present, err = false, errOther("order")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.alertOrders, id)
	if present {
		d.alertOrders[id] = order
	}
	return err
}

// OrderAlert asks for an action on an alert that is not revoked. Errors: ErrInvalid,
// ErrUnknown, ErrLimit, stream.ErrBusy.
func (d *Directory) OrderAlert(ctx context.Context, by Actor, order AlertOrder) (AlertOrder, error) {
	order.ID, order.At = "ao_"+randomHex(), d.now()
	err := d.change(ctx, by, func() (step, error) {
		alert, err := d.FindAlert(order.Alert)
		switch {
		case err != nil || !alert.Active():
			return step{}, fmt.Errorf("alert %q: %w", order.Alert, ErrUnknown)
		case order.Action != AlertTest && order.Action != AlertRedeliver:
			return step{}, invalid(fmt.Errorf("action %q is unknown", order.Action))
		case order.Action == AlertRedeliver && (order.Notification == "") == order.Since.IsZero():
			return step{}, invalid(fmt.Errorf("a notification, or since, and not both"))
		case len(d.AlertOrders()) >= alertOrdersMax:
			return step{}, fmt.Errorf("%w: %d orders wait", ErrLimit, alertOrdersMax)
		}
		return step{action: "alert." + string(order.Action), workspace: alert.Workspace, key: alertOrderPrefix + order.ID, value: order,
			detail: map[string]string{"alert": alert.ID, "notification": order.Notification}}, nil
	})
	if err != nil {
		return AlertOrder{}, fmt.Errorf("order %s of alert: %w", order.Action, err)
	}
	return order, nil
}

// AlertOrders lists what is to be carried out, oldest first.
func (d *Directory) AlertOrders() []AlertOrder {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]AlertOrder, 0, len(d.alertOrders))
	for _, order := range d.alertOrders {
		list = append(list, order)
	}
	slices.SortFunc(list, func(a, b AlertOrder) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// CloseAlertOrder says that an order was carried out. Errors: stream.ErrBusy.
func (d *Directory) CloseAlertOrder(ctx context.Context, id string) error {
	if err := d.table.Put(ctx, alertOrderPrefix+id, nil); err != nil {
		return fmt.Errorf("close order of alert: %w", err)
	}
	return nil
}
