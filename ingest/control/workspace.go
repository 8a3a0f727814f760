package control

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // names of zones must mean the same on every node, whatever is installed
	"unicode/utf8"

	"revstream/ingest/revenue"
)

// Workspace is one tenant: whose revenue it is, and how it likes to see it.
type Workspace struct {
	// ID owns statements, keys and endpoints. It is the slug it was created with:
	// two nodes that create one slug at a time thereby create one workspace.
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	// Currency that answers are given in by default, ISO 4217.
	Currency string `json:"currency"`
	// TimeZone that days are reckoned in by default, an IANA name.
	TimeZone  string    `json:"time_zone"`
	CreatedAt time.Time `json:"created_at"`
}

// NewWorkspace is what a workspace is created from. Name may be empty, for the
// slug; Currency for USD; TimeZone for UTC.
type NewWorkspace struct {
	Slug, Name, Currency, TimeZone string
}

// WorkspaceChange holds the settings to change; nil leaves one as it is.
type WorkspaceChange struct {
	Name, Currency, TimeZone *string
}

const nameBytesMax = 200

// slugs are lower case, so that they can be host names and folders; without "|",
// which separates the workspace in a Kafka key.
var slugs = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$|^[a-z0-9]$`)

// Workspace looks the slug up in memory.
func (d *Directory) Workspace(slug string) (Workspace, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w, ok := d.workspaces[slug]
	return w, ok
}

// UnknownWorkspaces tells which of the workspaces there are not: neither here, nor in
// Kafka at the time of the call, which is asked only if one is missing here. The error
// is a stream.ErrBusy.
func (d *Directory) UnknownWorkspaces(ctx context.Context, ids []string) ([]string, error) {
	unknown := d.without(ids)
	if len(unknown) == 0 {
		return nil, nil
	}
	if err := d.table.Refresh(ctx); err != nil {
		return nil, err
	}
	return d.without(unknown), nil
}

// without are those of the workspaces that are not in memory.
func (d *Directory) without(ids []string) (missing []string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, id := range ids {
		if _, known := d.workspaces[id]; !known {
			missing = append(missing, id)
		}
	}
	return missing
}

// Workspaces lists all, by slug.
func (d *Directory) Workspaces() []Workspace {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]Workspace, 0, len(d.workspaces))
	for _, w := range d.workspaces {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b Workspace) int { return strings.Compare(a.Slug, b.Slug) })
	return list
}

// CreateWorkspace creates a workspace. Errors: ErrInvalid, ErrExists, ErrLimit,
// stream.ErrBusy.
func (d *Directory) CreateWorkspace(ctx context.Context, by Actor, n NewWorkspace) (Workspace, error) {
	w := Workspace{ID: n.Slug, Slug: n.Slug, Name: n.Name, Currency: n.Currency, TimeZone: n.TimeZone, CreatedAt: d.now()}
	w.Name = orElse(w.Name, w.Slug)
	w.Currency = orElse(w.Currency, "USD")
	w.TimeZone = orElse(w.TimeZone, "UTC")
	err := d.change(ctx, by, func() (step, error) {
		if err := w.validate(); err != nil {
			return step{}, err
		}
		d.mu.RLock()
		defer d.mu.RUnlock()
		if _, exists := d.workspaces[w.Slug]; exists {
			return step{}, fmt.Errorf("workspace %s %w", w.Slug, ErrExists)
		}
		if len(d.workspaces) >= d.cfg.WorkspacesMax {
			return step{}, fmt.Errorf("%w: %d workspaces", ErrLimit, d.cfg.WorkspacesMax)
		}
		return step{action: "workspace.create", workspace: w.ID, key: workspacePrefix + w.ID, value: w,
			detail: map[string]string{"name": w.Name, "currency": w.Currency, "time_zone": w.TimeZone}}, nil
	})
	if err != nil {
		return Workspace{}, fmt.Errorf("create workspace: %w", err)
	}
	return w, nil
}

// UpdateWorkspace changes settings. Errors: ErrInvalid, ErrUnknown, stream.ErrBusy.
func (d *Directory) UpdateWorkspace(ctx context.Context, by Actor, slug string, c WorkspaceChange) (Workspace, error) {
	var w Workspace
	err := d.change(ctx, by, func() (step, error) {
		var known bool
		if w, known = d.Workspace(slug); !known {
			return step{}, fmt.Errorf("workspace %q: %w", slug, ErrUnknown)
		}
		detail := map[string]string{}
		set := func(name string, field *string, value *string) {
			if value != nil {
				*field, detail[name] = *value, *value
			}
		}
		set("name", &w.Name, c.Name)
		set("currency", &w.Currency, c.Currency)
		set("time_zone", &w.TimeZone, c.TimeZone)
		if err := w.validate(); err != nil {
			return step{}, err
		}
		return step{action: "workspace.update", workspace: w.ID, key: workspacePrefix + w.ID, value: w, detail: detail}, nil
	})
	if err != nil {
		return Workspace{}, fmt.Errorf("update workspace: %w", err)
	}
	return w, nil
}

func (w Workspace) validate() error {
	var faults []error
	if !slugs.MatchString(w.Slug) {
		faults = append(faults, fmt.Errorf("slug %q: 1 to 63 of a-z, 0-9 and inner hyphens", w.Slug))
	}
	faults = append(faults, validateName(w.Name))
	if _, known := revenue.Exponent(w.Currency); !known {
		faults = append(faults, fmt.Errorf("currency %q: %w", w.Currency, revenue.ErrCurrency))
	}
	// LoadLocation also takes "" and "Local", which mean another zone elsewhere.
	if _, err := time.LoadLocation(w.TimeZone); err != nil || w.TimeZone == "" || w.TimeZone == "Local" {
		faults = append(faults, fmt.Errorf("time zone %q is not an IANA name", w.TimeZone))
	}
	return invalid(faults...)
}

func validateName(name string) error {
	if name == "" || len(name) > nameBytesMax || !utf8.ValidString(name) || strings.ContainsFunc(name, isControl) {
		return fmt.Errorf("name: 1 to %d bytes of printable UTF-8", nameBytesMax)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
