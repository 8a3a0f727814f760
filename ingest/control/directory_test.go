package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"revstream/ingest/stream"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.MissTimeout, c.KeysPerWorkspaceMax = c.MissInterval, 0
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "miss_timeout") || !strings.Contains(err.Error(), "keys_per_workspace_max") {
		t.Error(err)
	}
}

func TestWhileKafkaIsDown(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	limits := DefaultConfig()
	limits.MissTimeout = 500 * time.Millisecond
	d, _ := node(t, cfg, WithConfig(limits))
	workspace(t, d, "acme")
	_, text := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	e := newEndpoint(t, d, "acme", "whsec_1")
	cluster.Close()
	if _, err := d.Authenticate(text); err != nil {
		t.Errorf("known key: %v", err)
	}
	if _, ok := d.Endpoint(e.ID); !ok {
		t.Error("known endpoint is gone")
	}
	if _, err := d.Authenticate("rsk_" + strings.Repeat("0", 32)); !errors.Is(err, stream.ErrBusy) {
		t.Errorf("unknown key: %v", err)
	}
	if _, err := d.FindEndpoint("we_" + strings.Repeat("0", 32)); !errors.Is(err, stream.ErrBusy) {
		t.Errorf("unknown endpoint: %v", err)
	}
	if _, err := d.CreateWorkspace(within(t), tester, NewWorkspace{Slug: "b"}); !errors.Is(err, stream.ErrBusy) {
		t.Errorf("change: %v", err)
	}
	if got := testutil.ToFloat64(d.metrics.changeFailures); got != 1 {
		t.Errorf("change failures: %v", got)
	}
}

func TestAudit(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, _ := node(t, cfg)
	workspace(t, a, "acme")
	workspace(t, a, "other")
	key, text := newKey(t, a, NewKey{Workspace: "acme", Name: "shop", Scopes: []Scope{ScopeRead, ScopeAdmin}})
	e := newEndpoint(t, a, "acme", "whsec_1")
	if _, err := b.RevokeKey(within(t), "cli:someone", key.ID); err != nil {
		t.Fatal(err)
	}
	entries, err := a.Audit(within(t), AuditFilter{Workspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, fmt.Sprintf("%s %s %s", entry.Actor, entry.Action, entry.Subject))
		if entry.At.IsZero() {
			t.Errorf("no time: %+v", entry)
		}
	}
	want := []string{"cli:someone key.revoke key/" + key.ID, "test endpoint.create endpoint/" + e.ID,
		"test key.create key/" + key.ID, "test workspace.create workspace/acme"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if entries[2].Detail["scopes"] != "read admin" || entries[2].Detail["name"] != "shop" {
		t.Errorf("%+v", entries[2])
	}
	if printed := fmt.Sprint(entries); strings.Contains(printed, text) || strings.Contains(printed, "whsec_1") {
		t.Error("a secret is in the audit")
	}
	for limit := range 5 {
		if entries, err := b.Audit(within(t), AuditFilter{Limit: limit + 1}); err != nil || len(entries) != limit+1 || entries[0].Action != "key.revoke" {
			t.Errorf("limit %d: %+v, %v", limit+1, entries, err)
		}
	}
	if entries, err := b.Audit(within(t), AuditFilter{Since: time.Now().Add(time.Hour)}); err != nil || len(entries) != 0 {
		t.Errorf("%+v, %v", entries, err)
	}
}

// Neither key text nor anything but its hash is written; nor does anything print
// a signing secret.
func TestSecretsStaySecret(t *testing.T) {
	cfg := kafka(t)
	var logged bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&logged), zap.DebugLevel))
	d, table := node(t, cfg, WithLog(log))
	workspace(t, d, "acme")
	key, text := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	e := newEndpoint(t, d, "acme", "whsec_1")
	log.Info("x", zap.Any("key", key), zap.Any("endpoint", e), zap.Any("secret", e.Secrets[0]), zap.Stringer("s", e.Secrets[0]), zap.Reflect("list", d.Endpoints("acme")))
	encoded, err := json.Marshal(map[string]any{"e": e, "s": e.Secrets[0]})
	if err != nil {
		t.Fatal(err)
	}
	printed := logged.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed += fmt.Sprintf(verb, e) + fmt.Sprintf(verb, &e) + fmt.Sprintf(verb, e.Secrets[0]) + fmt.Sprintf(verb, &e.Secrets[0])
	}
	for _, secret := range []string{text, text[4:], "whsec_1", fmt.Sprintf("%x", "whsec_1")} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if !strings.Contains(printed, redacted) {
		t.Error("nothing is redacted")
	}
	err = table.Range("", func(stored string, value []byte) bool {
		if strings.Contains(stored+string(value), text[4:]) {
			t.Errorf("the text of the key is stored under %s", stored)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A record that cannot be read takes away what it was about, and nothing else.
func TestUnreadableRecords(t *testing.T) {
	cfg := kafka(t)
	d, table := node(t, cfg)
	workspace(t, d, "acme")
	key, text := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	kept, keptText := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	for name, value := range map[string]string{
		keyPrefix + key.ID: `{"v":2,"value":{}}`, keyPrefix + "x": `{"v":1,"value":{"id":"y"}}`, "novel/x": `{}`,
		endpointPrefix + "x": `[`, workspacePrefix + "x": `{"v":1,"value":{"id":"y"}}`, auditPrefix + "x": `nonsense`,
	} {
		if err := table.Put(within(t), name, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Authenticate(text); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a key whose record cannot be read: %v", err)
	}
	if got, err := d.Authenticate(keptText); err != nil || got.ID != kept.ID {
		t.Errorf("another key: %v", err)
	}
	if got := testutil.ToFloat64(d.metrics.unreadable); got != 5 {
		t.Errorf("unreadable records: %v", got)
	}
	if entries, err := d.Audit(within(t), AuditFilter{}); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := table.Put(within(t), keyPrefix+kept.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(keptText); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a key that was deleted: %v", err)
	}
}

func TestRestart(t *testing.T) {
	cfg := kafka(t)
	dir := t.TempDir()
	table, err := stream.OpenTable(within(t), cfg, cfg.ControlTopic, dir, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(within(t), table)
	if err != nil {
		t.Fatal(err)
	}
	workspace(t, d, "acme")
	key, text := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	e := newEndpoint(t, d, "acme", "whsec_1")
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	table, err = stream.OpenTable(within(t), cfg, cfg.ControlTopic, dir, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if d, err = Open(within(t), table); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Authenticate(text); err != nil || got.ID != key.ID || !got.CreatedAt.Equal(key.CreatedAt) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, ok := d.Endpoint(e.ID); !ok || !slices.Equal(Reveal(got.Secrets), []string{"whsec_1"}) {
		t.Errorf("%+v, %v", got, ok)
	}
}
