package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAlerts(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, table := node(t, cfg)
	workspace(t, a, "acme")
	rule := AlertRule{On: AlertMovements, Kinds: []string{"churn"}, Minimums: map[string]int64{"USD": 100}}
	made, err := a.CreateAlert(within(t), tester, NewAlert{Workspace: "acme", URL: "https://example.org/hook/secret-path", Rule: rule})
	if err != nil {
		t.Fatal(err)
	}
	refreshed := func() Alert {
		t.Helper()
		if err := table.Refresh(within(t)); err != nil {
			t.Fatal(err)
		}
		got, err := b.FindAlert(made.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := refreshed()
	if got.Name != "movements" || len(got.Secrets) != 1 || got.Secrets[0] != made.Secrets[0] || got.Rule.Minimums["USD"] != 100 || !got.Active() {
		t.Errorf("%+v", got)
	}
	got.Rule.Kinds[0], got.Rule.Minimums["USD"] = "changed", 1 // the caller's own
	rotated, err := b.RotateAlert(within(t), tester, made.ID, Secret{})
	if err != nil || len(rotated.Secrets) != 2 || rotated.Secrets[1] != made.Secrets[0] || rotated.Rule.Kinds[0] != "churn" {
		t.Errorf("%+v, %v", rotated, err)
	}
	if dropped, err := b.DropAlertSecrets(within(t), tester, made.ID); err != nil || !slices.Equal(dropped.Secrets, rotated.Secrets[:1]) {
		t.Errorf("%+v, %v", dropped, err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v", rotated, rotated), fmt.Sprint(marshalled(t, rotated))} {
		if strings.Contains(text, rotated.Secrets[0].Reveal()) {
			t.Errorf("a secret shows in %s", text)
		}
	}
	if list := a.ActiveAlerts(); len(list) != 1 {
		t.Errorf("%+v", list)
	}

	// What is asked for stands until it is carried out, on every node.
	order, err := b.OrderAlert(within(t), tester, AlertOrder{Alert: made.ID, Action: AlertTest})
	if err != nil {
		t.Fatal(err)
	}
	refreshed()
	if err := a.Refresh(within(t)); err != nil {
		t.Fatal(err)
	}
	if orders := a.AlertOrders(); len(orders) != 1 || orders[0] != order {
		t.Errorf("%+v", orders)
	}
	if err := a.CloseAlertOrder(within(t), order.ID); err != nil {
		t.Fatal(err)
	}
	refreshed()
	if left := append(a.AlertOrders(), b.AlertOrders()...); len(left) != 0 {
		t.Errorf("%+v", left)
	}

	if _, err := a.RevokeAlert(within(t), tester, made.ID, "gone"); err != nil {
		t.Fatal(err)
	}
	if got := refreshed(); got.Active() || got.RevokedFor != "gone" || len(got.Secrets) != 0 || len(b.ActiveAlerts()) != 0 || len(b.Alerts("acme")) != 1 {
		t.Errorf("%+v", got)
	}
	for what, err := range map[string]error{
		"revoke": second(a.RevokeAlert(within(t), tester, made.ID, "")), "rotate": second(a.RotateAlert(within(t), tester, made.ID, Secret{})),
		"order": second(a.OrderAlert(within(t), tester, AlertOrder{Alert: made.ID, Action: AlertTest})), "find": second(a.FindAlert("al_none")),
	} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	entries, err := a.Audit(within(t), AuditFilter{Workspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, entry := range entries {
		actions = append(actions, entry.Action)
	}
	if want := []string{"alert.revoke", "alert.test", "alert.drop_secrets", "alert.rotate", "alert.create", "workspace.create"}; !slices.Equal(actions, want) {
		t.Errorf("audit: %v", actions)
	}
	if printed := fmt.Sprint(entries); strings.Contains(printed, "secret-path") {
		t.Errorf("the audit shows the path of a URL: %s", printed)
	}
}

func second[T any](_ T, err error) error { return err }

func marshalled(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAlertValidation(t *testing.T) {
	cfg := kafka(t)
	limits := DefaultConfig()
	limits.AlertsPerWorkspaceMax = 1
	d, _ := node(t, cfg, WithConfig(limits))
	workspace(t, d, "acme")
	good := NewAlert{Workspace: "acme", URL: "https://example.org/", Rule: AlertRule{On: AlertLag, Period: time.Hour}}
	for name, change := range map[string]func(*NewAlert){
		"no url":            func(n *NewAlert) { n.URL = "" },
		"plain http":        func(n *NewAlert) { n.URL = "http://example.org/" },
		"another scheme":    func(n *NewAlert) { n.URL = "file:///etc/passwd" },
		"a user":            func(n *NewAlert) { n.URL = "https://user:password@example.org/" },
		"mail to nobody":    func(n *NewAlert) { n.URL = "mailto:" },
		"mail to a name":    func(n *NewAlert) { n.URL = "mailto:Ops <ops@example.org>" },
		"mail to two":       func(n *NewAlert) { n.URL = "mailto:a@example.org,b@example.org" },
		"mail with a copy":  func(n *NewAlert) { n.URL = "mailto:a@example.org?cc=b@example.org" },
		"signed mail":       func(n *NewAlert) { n.URL, n.Secret = "mailto:a@example.org", NewNotificationSecret() },
		"plain slack":       func(n *NewAlert) { n.URL = "slack+http://hooks.example.org/" },
		"slack of slack":    func(n *NewAlert) { n.URL = "slack+slack+https://hooks.example.org/" },
		"too long":          func(n *NewAlert) { n.URL = "https://example.org/" + strings.Repeat("x", 2048) },
		"short secret":      func(n *NewAlert) { n.Secret = NewSecret("whsec_c2hvcnQ=") },
		"secret of another": func(n *NewAlert) { n.Secret = NewSecret("sk_test") },
		"about nothing":     func(n *NewAlert) { n.Rule = AlertRule{} },
		"no period":         func(n *NewAlert) { n.Rule.Period = 0 },
		"a short period":    func(n *NewAlert) { n.Rule.Period = time.Second },
		"rate of a lag":     func(n *NewAlert) { n.Rule.PerMille = 10 },
		"no rate":           func(n *NewAlert) { n.Rule.On = AlertMRRDrop },
		"a rate above all":  func(n *NewAlert) { n.Rule = AlertRule{On: AlertMRRDrop, Period: time.Hour, PerMille: 1001} },
		"a kind":            func(n *NewAlert) { n.Rule = AlertRule{On: AlertMovements, Kinds: []string{"transfer"}} },
		"a kind twice":      func(n *NewAlert) { n.Rule = AlertRule{On: AlertMovements, Kinds: []string{"new", "new"}} },
		"a currency":        func(n *NewAlert) { n.Rule = AlertRule{On: AlertRefunds, Minimums: map[string]int64{"XXY": 1}} },
		"a minimum of none": func(n *NewAlert) { n.Rule = AlertRule{On: AlertRefunds, Minimums: map[string]int64{"USD": 0}} },
		"an endpoint":       func(n *NewAlert) { n.Rule = AlertRule{On: AlertSourceSilent, Endpoint: "we_x"} },
	} {
		n := good
		change(&n)
		if _, err := d.CreateAlert(within(t), tester, n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.CreateAlert(within(t), tester, NewAlert{Workspace: "none", URL: good.URL, Rule: good.Rule}); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown workspace: %v", err)
	}
	local := good
	local.URL = "http://127.0.0.1:8080/"
	made, err := d.CreateAlert(within(t), tester, local)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateAlert(within(t), tester, good); !errors.Is(err, ErrLimit) {
		t.Errorf("one too many: %v", err)
	}
	for name, order := range map[string]AlertOrder{
		"no action": {Alert: made.ID}, "nothing to send again": {Alert: made.ID, Action: AlertRedeliver},
		"one, and all": {Alert: made.ID, Action: AlertRedeliver, Notification: "x", Since: time.Now()},
	} {
		if _, err := d.OrderAlert(within(t), tester, order); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// How a receiver is told follows from its URL; people need no secret, and cannot be given one.
func TestAlertChannels(t *testing.T) {
	d, _ := node(t, kafka(t))
	workspace(t, d, "acme")
	for url, want := range map[string]Alert{
		"https://example.org/hook":        {Name: "webhook", URL: "https://example.org/hook"},
		"mailto:ops@example.org":          {Name: "mail", URL: "ops@example.org"},
		"slack+https://example.org/T/B/X": {Name: "slack", URL: "https://example.org/T/B/X"},
	} {
		made, err := d.CreateAlert(within(t), tester, NewAlert{Workspace: "acme", URL: url, Rule: AlertRule{On: AlertRefunds}})
		if err != nil {
			t.Fatal(err)
		}
		channel, address := made.Channel()
		if string(channel) != want.Name || address != want.URL || made.host() != "example.org" || (len(made.Secrets) == 1) != made.signs() {
			t.Errorf("%s: %s %s of %s with %d secrets", url, channel, address, made.host(), len(made.Secrets))
		}
		if _, err := d.RotateAlert(within(t), tester, made.ID, Secret{}); made.signs() != (err == nil) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("rotating %s: %v", url, err)
		}
		if _, err := d.DropAlertSecrets(within(t), tester, made.ID); err != nil {
			t.Errorf("dropping secrets of %s: %v", url, err)
		}
	}
}
