package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWorkspaces(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, _ := node(t, cfg)
	w, err := a.CreateWorkspace(within(t), tester, NewWorkspace{Slug: "acme", Name: "Acme Inc", Currency: "EUR", TimeZone: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := a.Workspace("acme"); !ok || got != w || w.ID != "acme" {
		t.Errorf("here %+v, %v", got, ok)
	}
	eventually(t, "the other node has it", func() bool { got, _ := b.Workspace("acme"); return got == w })
	if _, err := b.CreateWorkspace(within(t), tester, NewWorkspace{Slug: "acme"}); !errors.Is(err, ErrExists) {
		t.Errorf("again, on the other node: %v", err)
	}
	currency := "JPY"
	changed, err := b.UpdateWorkspace(within(t), tester, "acme", WorkspaceChange{Currency: &currency})
	if err != nil || changed.Currency != "JPY" || changed.Name != "Acme Inc" || changed.CreatedAt != w.CreatedAt {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := b.UpdateWorkspace(within(t), tester, "other", WorkspaceChange{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("update of none: %v", err)
	}
	if plain := workspace(t, a, "b"); plain.Name != "b" || plain.Currency != "USD" || plain.TimeZone != "UTC" {
		t.Errorf("defaults: %+v", plain)
	}
	if list := a.Workspaces(); len(list) != 2 || list[0].Currency != "JPY" || list[1].Slug != "b" {
		t.Errorf("%+v", list)
	}
}

func TestWorkspaceValidation(t *testing.T) {
	cfg := kafka(t)
	limits := DefaultConfig()
	limits.WorkspacesMax = 1
	d, _ := node(t, cfg, WithConfig(limits))
	for name, n := range map[string]NewWorkspace{
		"no slug":        {},
		"upper case":     {Slug: "Acme"},
		"separator":      {Slug: "a|b"},
		"folder":         {Slug: "a/b"},
		"hyphen first":   {Slug: "-a"},
		"hyphen last":    {Slug: "a-"},
		"long":           {Slug: strings.Repeat("a", 64)},
		"line break":     {Slug: "a\n"},
		"name":           {Slug: "a", Name: "a\x00"},
		"long name":      {Slug: "a", Name: strings.Repeat("a", 201)},
		"currency":       {Slug: "a", Currency: "XXX"},
		"currency lower": {Slug: "a", Currency: "usd"},
		"zone":           {Slug: "a", TimeZone: "Mars/Olympus"},
		"local zone":     {Slug: "a", TimeZone: "Local"},
		"zone as path":   {Slug: "a", TimeZone: "../etc/passwd"},
	} {
		if _, err := d.CreateWorkspace(within(t), tester, n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, by := range []Actor{"", "a\nb", Actor(strings.Repeat("a", 201))} {
		if _, err := d.CreateWorkspace(within(t), by, NewWorkspace{Slug: "a"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("actor %q: %v", by, err)
		}
	}
	workspace(t, d, strings.Repeat("a", 63))
	if _, err := d.CreateWorkspace(within(t), tester, NewWorkspace{Slug: "b"}); !errors.Is(err, ErrLimit) {
		t.Errorf("one too many: %v", err)
	}
	if entries, err := d.Audit(within(t), AuditFilter{}); err != nil || len(entries) != 1 {
		t.Errorf("refused changes are in the audit: %v, %v", entries, err)
	}
}

// TestAWorkspaceCreatedAMomentAgoIsKnown asks one node for what another has created,
// without waiting for it to get around.
func TestAWorkspaceCreatedAMomentAgoIsKnown(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, _ := node(t, cfg)
	for n := range 20 {
		slug := fmt.Sprintf("w%d", n)
		if unknown, err := b.UnknownWorkspaces(within(t), []string{slug, "w0"}); err != nil || !slices.Contains(unknown, slug) {
			t.Fatalf("before it is created: unknown %v, %v", unknown, err)
		}
		workspace(t, a, slug)
		if unknown, err := b.UnknownWorkspaces(within(t), []string{"none", slug, "w0"}); err != nil || !slices.Equal(unknown, []string{"none"}) {
			t.Fatalf("right after it is created: unknown %v, %v", unknown, err)
		}
	}
}
