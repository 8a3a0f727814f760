package control

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"revstream/ingest/stream"
)

func TestEndpoints(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, table := node(t, cfg)
	workspace(t, a, "acme")
	e := newEndpoint(t, a, "acme", "whsec_1", "whsec_2")
	got, ok := b.Endpoint(e.ID)
	if !ok || got.Workspace != "acme" || got.Provider != "stripe" || got.Account != "acct_1" || got.Mode != ModeAny ||
		!slices.Equal(Reveal(got.Secrets), []string{"whsec_1", "whsec_2"}) || got.Options["a"] != "b" {
		t.Fatalf("%+v, %v", got, ok)
	}
	got.Options["a"], got.Secrets[0] = "changed", NewSecret("changed") // the caller's own
	if _, err := b.RotateSecret(within(t), tester, e.ID, NewSecret("whsec_3")); err != nil {
		t.Fatal(err)
	}
	if got, _ = b.Endpoint(e.ID); !slices.Equal(Reveal(got.Secrets), []string{"whsec_3", "whsec_1"}) || got.Options["a"] != "b" {
		t.Errorf("after rotation: %+v, %v", got, Reveal(got.Secrets))
	}
	if got, err := b.DropSecrets(within(t), tester, e.ID); err != nil || !slices.Equal(Reveal(got.Secrets), []string{"whsec_3"}) {
		t.Errorf("after dropping the old one: %v, %v", Reveal(got.Secrets), err)
	}
	isSecret := func(name string) bool { return name == "api_key" }
	edited, err := b.EditEndpoint(within(t), tester, e.ID, func(e *Endpoint) error {
		e.Options, e.Credentials = Divide(map[string]string{"c": "d", "api_key": "pk_live_1"}, isSecret)
		e.Mode, e.Workspace, e.Secrets = ModeLive, "other", nil
		return nil
	})
	if err != nil || edited.Mode != ModeLive || edited.Workspace != "acme" || len(edited.Secrets) != 1 {
		t.Fatalf("%+v, %v", edited, err)
	}
	wrong := errors.New("wrong")
	if _, err := b.EditEndpoint(within(t), tester, e.ID, func(*Endpoint) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("an edit that fails: %v", err)
	}
	if err := table.Refresh(within(t)); err != nil {
		t.Fatal(err)
	}
	if got, _ = b.Endpoint(e.ID); !maps.Equal(got.Settings(), map[string]string{"c": "d", "api_key": "pk_live_1"}) || len(got.Secrets) != 1 {
		t.Errorf("after new options: %v", got.Settings())
	}
	if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "pk_live_1") {
		t.Errorf("a credential shows in %s, %v", text, err)
	}
	for _, secret := range []Secret{{}, NewSecret("whsec_3")} {
		if _, err := b.RotateSecret(within(t), tester, e.ID, secret); !errors.Is(err, ErrInvalid) {
			t.Errorf("a secret that is empty, or the same: %v", err)
		}
	}
	if _, err := a.RevokeEndpoint(within(t), tester, e.ID); err != nil {
		t.Fatal(err)
	}
	if err := table.Refresh(within(t)); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*Directory{"here": a, "there": b} {
		if _, ok := d.Endpoint(e.ID); ok {
			t.Errorf("revoked, and still there: %s", name)
		}
		if list := d.Endpoints("acme"); len(list) != 1 || list[0].RevokedAt.IsZero() || len(list[0].Secrets) != 0 || len(list[0].Credentials) != 0 {
			t.Errorf("%s: %+v", name, list)
		}
	}
	if _, err := a.RotateSecret(within(t), tester, e.ID, NewSecret("whsec_4")); !errors.Is(err, ErrUnknown) {
		t.Errorf("secrets of a revoked one: %v", err)
	}
	for _, id := range []string{"", "we_x", "we_" + strings.Repeat("0", 32)} {
		if _, err := a.FindEndpoint(id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestEndpointValidation(t *testing.T) {
	cfg := kafka(t)
	limits := DefaultConfig()
	limits.EndpointsPerWorkspaceMax, limits.KeysPerWorkspaceMax = 1, 1
	d, _ := node(t, cfg, WithConfig(limits))
	workspace(t, d, "acme")
	good := []Secret{NewSecret("whsec_1")}
	for name, n := range map[string]NewEndpoint{
		"no provider":     {Secrets: good},
		"provider":        {Provider: "Stripe", Secrets: good},
		"no secret":       {Provider: "stripe"},
		"empty secret":    {Provider: "stripe", Secrets: []Secret{{}}},
		"short secret":    {Provider: "stripe", Secrets: []Secret{NewSecret("12345")}},
		"repeated secret": {Provider: "stripe", Secrets: append(good, good...)},
		"many secrets":    {Provider: "stripe", Secrets: slices.Repeat(good, 9)},
		"mode":            {Provider: "stripe", Secrets: good, Mode: "x"},
		"account":         {Provider: "stripe", Secrets: good, Account: "a\n"},
		"option":          {Provider: "stripe", Secrets: good, Options: map[string]string{"a": strings.Repeat("x", 9000)}},
	} {
		n.Workspace = "acme"
		_, err := d.CreateEndpoint(within(t), tester, n)
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "whsec_1") || strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.CreateEndpoint(within(t), tester, NewEndpoint{Workspace: "none", Provider: "stripe", Secrets: good}); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown workspace: %v", err)
	}
	for range 2 { // a revoked one leaves room
		e := newEndpoint(t, d, "acme", "whsec_1")
		key, _ := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
		if _, err := d.CreateEndpoint(within(t), tester, NewEndpoint{Workspace: "acme", Provider: "stripe", Secrets: good}); !errors.Is(err, ErrLimit) {
			t.Errorf("one endpoint too many: %v", err)
		}
		if _, _, err := d.CreateKey(within(t), tester, NewKey{Name: "x", Workspace: "acme", Scopes: []Scope{ScopeRead}}); !errors.Is(err, ErrLimit) {
			t.Errorf("one key too many: %v", err)
		}
		if _, err := d.RevokeEndpoint(within(t), tester, e.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.RevokeKey(within(t), tester, key.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestModeAccepts(t *testing.T) {
	for mode, want := range map[Mode][2]bool{ModeAny: {true, true}, ModeLive: {false, true}, ModeTest: {true, false}} {
		if got := [2]bool{mode.Accepts(false), mode.Accepts(true)}; got != want {
			t.Errorf("%s accepts test, live: %v", mode, got)
		}
	}
}

// TestConcurrentEdits: none of several edits of different settings is lost.
func TestConcurrentEdits(t *testing.T) {
	d, _ := node(t, kafka(t))
	workspace(t, d, "acme")
	e := newEndpoint(t, d, "acme", "whsec_1")
	var all sync.WaitGroup
	for _, name := range []string{"c", "d", "e", "f"} {
		all.Go(func() {
			_, err := d.EditEndpoint(within(t), tester, e.ID, func(e *Endpoint) error {
				e.Options[name] = "set"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, _ := d.Endpoint(e.ID)
	if want := map[string]string{"a": "b", "c": "set", "d": "set", "e": "set", "f": "set"}; !maps.Equal(got.Options, want) {
		t.Errorf("got %v, want %v", got.Options, want)
	}
}

// TestChangesWaitTheirTurn: who waits for another's change waits no longer than
// their request may take.
func TestChangesWaitTheirTurn(t *testing.T) {
	d, _ := node(t, kafka(t))
	workspace(t, d, "acme")
	e := newEndpoint(t, d, "acme", "whsec_1")
	_, err := d.EditEndpoint(within(t), tester, e.ID, func(*Endpoint) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := d.RevokeEndpoint(ctx, tester, e.ID); !errors.Is(err, stream.ErrBusy) {
			t.Errorf("a change within a change: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
