package control

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// AlertOn is what an alert is about.
type AlertOn string

// What alerts can be about. The first two tell of single facts, the others of a figure
// that passes a threshold, and that it is back.
const (
	// AlertMovements are changes of a customer's MRR.
	AlertMovements AlertOn = "movements"
	AlertRefunds   AlertOn = "refunds"
	// AlertRefundRate is a refund rate over PerMille within Period.
	AlertRefundRate AlertOn = "refund_rate"
	// AlertMRRDrop is an MRR that is lower by PerMille than it was a Period ago.
	AlertMRRDrop AlertOn = "mrr_drop"
	// AlertSourceSilent is a webhook endpoint without deliveries for a Period; without
	// one, for longer than it is ever quiet.
	AlertSourceSilent AlertOn = "source_silent"
	// AlertLag is answers that lack what was accepted more than a Period ago.
	AlertLag AlertOn = "lag"
)

// AlertsOn lists what alerts can be about.
var AlertsOn = []AlertOn{AlertMovements, AlertRefunds, AlertRefundRate, AlertMRRDrop, AlertSourceSilent, AlertLag}

// AlertKinds are the kinds of movements that an alert can be about.
var AlertKinds = []string{"new", "reactivation", "expansion", "contraction", "churn"}

// AlertRule says when there is something to tell.
type AlertRule struct {
	On AlertOn `json:"on"`
	// Kinds of movements; none are all.
	Kinds []string `json:"kinds,omitempty"`
	// Minimums are the least amounts worth telling of movements (of MRR) and refunds, in
	// minor units by currency. A currency without one has none.
	Minimums map[string]int64 `json:"minimums,omitempty"`
	// PerMille is the threshold of a rate, in thousandths.
	PerMille int64 `json:"per_mille,omitempty"`
	// ByAmount has the refund rate be the share of the amount that came in, not of the
	// number of charges.
	ByAmount bool `json:"by_amount,omitempty"`
	// ChargesMin is how many charges a Period has to have for its refund rate to be
	// judged.
	ChargesMin int64 `json:"charges_min,omitempty"`
	// Period is the time that a threshold is about.
	Period time.Duration `json:"period,omitempty"`
	// Endpoint is the only webhook endpoint whose silence matters; empty for any.
	Endpoint string `json:"endpoint,omitempty"`
}

// Alert is where a workspace wants to be told of what.
type Alert struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	Name      string `json:"name"`
	// URL is where notifications go, and how: see Channel.
	URL string `json:"url"`
	// Secrets sign notifications as Standard Webhooks says, each with a signature of its
	// own: two during a rotation. Mail and Slack have none.
	Secrets   []Secret  `json:"secrets"`
	Rule      AlertRule `json:"rule"`
	CreatedAt time.Time `json:"created_at"`
	// RevokedAt is when it ended, RevokedFor why if the receiver ended it.
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	RevokedFor string    `json:"revoked_for,omitempty"`
}

// Active reports whether there is anything to be told still.
func (a Alert) Active() bool { return a.RevokedAt.IsZero() }

// NewAlert is what an alert is created from. Name may be empty, for what it is about.
// Without a secret one is made, if there is anything to sign.
type NewAlert struct {
	Workspace, Name, URL string
	Secret               Secret
	Rule                 AlertRule
}

// NewNotificationSecret makes a secret of the form that Standard Webhooks has: 256
// random bits.
func NewNotificationSecret() Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the program instead
	return Secret{"whsec_" + base64.StdEncoding.EncodeToString(bits[:])}
}

// storedAlert is an alert as the topic holds it: secrets in clear.
type storedAlert struct {
	Alert
	Secrets []string `json:"secrets"`
}

func (a Alert) step(action string, detail map[string]string) step {
	return step{action: action, workspace: a.Workspace, key: alertPrefix + a.ID,
		value: storedAlert{a, Reveal(a.Secrets)}, detail: detail}
}

// clone keeps the caller's slices and maps apart from ours.
func (a Alert) clone() Alert {
	a.Secrets, a.Rule.Kinds, a.Rule.Minimums = slices.Clone(a.Secrets), slices.Clone(a.Rule.Kinds), maps.Clone(a.Rule.Minimums)
	return a
}

func (d *Directory) applyAlert(id string, value []byte) error {
	var stored storedAlert
	present, err := decode(value, &stored)
	if present && stored.ID != id {
		present, err = false, errOther("alert")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.alerts, id)
	if present {
		alert := stored.Alert
		alert.Secrets = nil
		for _, text := range stored.Secrets {
			alert.Secrets = append(alert.Secrets, NewSecret(text))
		}
		d.alerts[id] = alert
	}
	return err
}

// Alerts lists the alerts of a workspace, revoked ones too, oldest first.
func (d *Directory) Alerts(workspace string) []Alert {
	return d.alertsWhere(func(a Alert) bool { return a.Workspace == workspace })
}

// ActiveAlerts lists the alerts of all workspaces that are not revoked.
func (d *Directory) ActiveAlerts() []Alert { return d.alertsWhere(Alert.Active) }

func (d *Directory) alertsWhere(wanted func(Alert) bool) []Alert {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var list []Alert
	for _, a := range d.alerts {
		if wanted(a) {
			list = append(list, a.clone())
		}
	}
	slices.SortFunc(list, func(a, b Alert) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// FindAlert looks an alert up in memory, which may be revoked. The error is ErrUnknown.
func (d *Directory) FindAlert(id string) (Alert, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a, known := d.alerts[id]
	if !known {
		return Alert{}, fmt.Errorf("alert %q: %w", id, ErrUnknown)
	}
	return a.clone(), nil
}

// CreateAlert creates an alert. It tells of what happens from now on. Errors:
// ErrInvalid, ErrUnknown (the workspace), ErrLimit, stream.ErrBusy.
func (d *Directory) CreateAlert(ctx context.Context, by Actor, n NewAlert) (Alert, error) {
	a := Alert{
		ID: "al_" + randomHex(), Workspace: n.Workspace, Name: orElse(n.Name, string(n.Rule.On)), URL: n.URL,
		Rule: n.Rule, CreatedAt: d.now(),
	}.clone()
	if n.Secret == (Secret{}) && a.signs() {
		n.Secret = NewNotificationSecret()
	}
	if n.Secret != (Secret{}) {
		a.Secrets = []Secret{n.Secret}
	}
	err := d.change(ctx, by, func() (step, error) {
		if err := a.validate(); err != nil {
			return step{}, err
		}
		if _, known := d.Workspace(a.Workspace); !known {
			return step{}, fmt.Errorf("workspace %q: %w", a.Workspace, ErrUnknown)
		}
		if active := d.alertsWhere(func(o Alert) bool { return o.Workspace == a.Workspace && o.Active() }); len(active) >= d.cfg.AlertsPerWorkspaceMax {
			return step{}, fmt.Errorf("%w: %d alerts", ErrLimit, d.cfg.AlertsPerWorkspaceMax)
		}
		return a.step("alert.create", map[string]string{"name": a.Name, "on": string(a.Rule.On), "host": a.host()}), nil
	})
	if err != nil {
		return Alert{}, fmt.Errorf("create alert: %w", err)
	}
	return a, nil
}

// RotateAlert gives an alert a new secret; without one, one is made. What is sent is
// signed with the one before as well, until DropAlertSecrets. Errors: ErrInvalid,
// ErrUnknown, stream.ErrBusy.
func (d *Directory) RotateAlert(ctx context.Context, by Actor, id string, secret Secret) (Alert, error) {
	if secret == (Secret{}) {
		secret = NewNotificationSecret()
	}
	return d.updateAlert(ctx, by, id, "alert.rotate", func(a *Alert) { a.Secrets = append([]Secret{secret}, a.Secrets[:min(1, len(a.Secrets))]...) })
}

// DropAlertSecrets leaves an alert with the newest of its secrets. Errors: ErrUnknown,
// stream.ErrBusy.
func (d *Directory) DropAlertSecrets(ctx context.Context, by Actor, id string) (Alert, error) {
	return d.updateAlert(ctx, by, id, "alert.drop_secrets", func(a *Alert) { a.Secrets = a.Secrets[:min(1, len(a.Secrets))] })
}

// RevokeAlert ends an alert for good and forgets its secrets. The reason may be empty.
// To revoke one again is ErrUnknown. Errors: ErrUnknown, stream.ErrBusy.
func (d *Directory) RevokeAlert(ctx context.Context, by Actor, id, reason string) (Alert, error) {
	return d.updateAlert(ctx, by, id, "alert.revoke", func(a *Alert) { a.RevokedAt, a.RevokedFor, a.Secrets = d.now(), reason, nil })
}

func (d *Directory) updateAlert(ctx context.Context, by Actor, id, action string, edit func(*Alert)) (Alert, error) {
	var a Alert
	err := d.change(ctx, by, func() (step, error) {
		var err error
		if a, err = d.FindAlert(id); err != nil || !a.Active() {
			return step{}, fmt.Errorf("alert %q: %w", id, ErrUnknown)
		}
		edit(&a)
		if err := a.validate(); err != nil && a.Active() {
			return step{}, err
		}
		return a.step(action, map[string]string{"name": a.Name, "reason": a.RevokedFor}), nil
	})
	if err != nil {
		return Alert{}, fmt.Errorf("%s: %w", action, err)
	}
	return a, nil
}
