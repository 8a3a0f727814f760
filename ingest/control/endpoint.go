package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Mode says which deliveries of a provider an endpoint is for.
type Mode string

// The modes of endpoints.
const (
	// ModeAny takes each delivery as what it says it is.
	ModeAny Mode = "any"
	// ModeLive and ModeTest are for deliveries of that mode only; where a provider
	// does not say, this is what they are.
	ModeLive Mode = "live"
	ModeTest Mode = "test"
)

// Accepts reports whether an endpoint of the mode is for such a delivery.
func (m Mode) Accepts(livemode bool) bool {
	return m == ModeAny || livemode == (m == ModeLive)
}

// Endpoint is where a provider sends its webhooks.
type Endpoint struct {
	// ID is part of the address, and cannot be guessed.
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	// Provider names the connector, Account the provider's account if one is meant.
	Provider string `json:"provider"`
	Account  string `json:"account,omitempty"`
	Mode     Mode   `json:"mode"`
	// Secrets are tried in turn: during rotation, or for several senders on one
	// address, there are several. There is always one, and none is empty: an empty
	// secret would let anyone sign.
	Secrets []Secret `json:"secrets"`
	// Options are the connector's own settings, and Credentials those of them that
	// are secret: the key of an API, a password.
	Options     map[string]string `json:"options,omitempty"`
	Credentials map[string]Secret `json:"credentials,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	// RevokedAt is when it was revoked; then it is in lists only.
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// NewEndpoint is what an endpoint is created from. Mode may be empty, for any.
type NewEndpoint struct {
	Workspace, Provider, Account string
	Mode                         Mode
	Secrets                      []Secret
	Options                      map[string]string
	Credentials                  map[string]Secret
}

// Divide splits settings into options and credentials, which are those that
// isSecret names.
func Divide(settings map[string]string, isSecret func(name string) bool) (options map[string]string, credentials map[string]Secret) {
	options, credentials = map[string]string{}, map[string]Secret{}
	for name, value := range settings {
		if isSecret(name) {
			credentials[name] = NewSecret(value)
		} else {
			options[name] = value
		}
	}
	return options, credentials
}

// Settings are Options and Credentials in one, secrets in clear. Whoever calls it
// answers for where they go.
func (e Endpoint) Settings() map[string]string {
	settings := make(map[string]string, len(e.Options)+len(e.Credentials))
	maps.Copy(settings, e.Options)
	for name, secret := range e.Credentials {
		settings[name] = secret.text
	}
	return settings
}

// storedEndpoint is an endpoint as the topic holds it: secrets in clear.
type storedEndpoint struct {
	Endpoint
	Secrets     []string          `json:"secrets"`
	Credentials map[string]string `json:"credentials,omitempty"`
}

func (e Endpoint) stored() storedEndpoint {
	stored := storedEndpoint{Endpoint: e, Secrets: Reveal(e.Secrets)}
	for name, secret := range e.Credentials {
		if stored.Credentials == nil {
			stored.Credentials = make(map[string]string, len(e.Credentials))
		}
		stored.Credentials[name] = secret.text
	}
	return stored
}

func (s storedEndpoint) endpoint() Endpoint {
	e := s.Endpoint
	e.Secrets, e.Credentials = nil, nil
	for _, text := range s.Secrets {
		e.Secrets = append(e.Secrets, NewSecret(text))
	}
	for name, text := range s.Credentials {
		if e.Credentials == nil {
			e.Credentials = make(map[string]Secret, len(s.Credentials))
		}
		e.Credentials[name] = NewSecret(text)
	}
	return e
}

var (
	endpointIDs = regexp.MustCompile(`^we_[0-9a-f]{32}$`)
	providers   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
)

// Endpoint looks an endpoint up that is not revoked. One that is not known here is
// looked for again after everything acknowledged has been read, as keys are; if
// Kafka does not answer, it counts as absent, and the provider retries.
func (d *Directory) Endpoint(id string) (Endpoint, bool) {
	e, err := d.FindEndpoint(id)
	return e, err == nil
}

// FindEndpoint is Endpoint that says why: ErrUnknown, or stream.ErrBusy.
func (d *Directory) FindEndpoint(id string) (Endpoint, error) {
	if !endpointIDs.MatchString(id) {
		return Endpoint{}, fmt.Errorf("endpoint: %w", ErrUnknown)
	}
	e, known := d.endpointOf(id)
	if !known {
		err := d.miss("endpoint "+id, func() bool {
			e, known = d.endpointOf(id)
			return known
		})
		if err != nil {
			return Endpoint{}, fmt.Errorf("look up endpoint: %w", err)
		}
	}
	if !known || !e.RevokedAt.IsZero() {
		return Endpoint{}, fmt.Errorf("endpoint: %w", ErrUnknown)
	}
	return e, nil
}

func (d *Directory) endpointOf(id string) (Endpoint, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e, known := d.endpoints[id]
	return e.clone(), known
}

// clone keeps the caller's slices and maps apart from ours.
func (e Endpoint) clone() Endpoint {
	e.Secrets, e.Options, e.Credentials = slices.Clone(e.Secrets), maps.Clone(e.Options), maps.Clone(e.Credentials)
	return e
}

// Endpoints lists the endpoints of a workspace, revoked ones too, oldest first.
func (d *Directory) Endpoints(workspace string) []Endpoint {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var list []Endpoint
	for _, e := range d.endpoints {
		if e.Workspace == workspace {
			list = append(list, e.clone())
		}
	}
	slices.SortFunc(list, func(a, b Endpoint) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// CreateEndpoint creates a webhook endpoint. Errors: ErrInvalid, ErrUnknown (the
// workspace), ErrLimit, stream.ErrBusy.
func (d *Directory) CreateEndpoint(ctx context.Context, by Actor, n NewEndpoint) (Endpoint, error) {
	e := Endpoint{
		ID: "we_" + randomHex(), Workspace: n.Workspace, Provider: n.Provider, Account: n.Account,
		Mode: n.Mode, Secrets: n.Secrets, Options: n.Options, Credentials: n.Credentials, CreatedAt: d.now(),
	}.clone()
	if e.Mode == "" {
		e.Mode = ModeAny
	}
	err := d.change(ctx, by, func() (step, error) {
		if err := d.validateEndpoint(e); err != nil {
			return step{}, err
		}
		if _, known := d.Workspace(e.Workspace); !known {
			return step{}, fmt.Errorf("workspace %q: %w", e.Workspace, ErrUnknown)
		}
		active := 0
		for _, other := range d.Endpoints(e.Workspace) {
			if other.RevokedAt.IsZero() {
				active++
			}
		}
		if active >= d.cfg.EndpointsPerWorkspaceMax {
			return step{}, fmt.Errorf("%w: %d endpoints", ErrLimit, d.cfg.EndpointsPerWorkspaceMax)
		}
		return e.step("endpoint.create", map[string]string{"provider": e.Provider, "account": e.Account, "mode": string(e.Mode)}), nil
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("create endpoint: %w", err)
	}
	return e, nil
}

// RotateSecret gives an endpoint a new secret. The newest of the old ones stays
// good, so that nothing is refused while the sender changes over; see DropSecrets.
// Errors: ErrInvalid, ErrUnknown, stream.ErrBusy.
func (d *Directory) RotateSecret(ctx context.Context, by Actor, id string, secret Secret) (Endpoint, error) {
	return d.updateEndpoint(ctx, by, id, "endpoint.rotate", func(e *Endpoint) (map[string]string, error) {
		e.Secrets = []Secret{secret, e.Secrets[0]}
		return map[string]string{"secrets": "2"}, nil
	})
}

// DropSecrets leaves an endpoint with the newest of its secrets. Errors:
// ErrUnknown, stream.ErrBusy.
func (d *Directory) DropSecrets(ctx context.Context, by Actor, id string) (Endpoint, error) {
	return d.updateEndpoint(ctx, by, id, "endpoint.drop_secrets", func(e *Endpoint) (map[string]string, error) {
		e.Secrets = e.Secrets[:1]
		return map[string]string{"secrets": "1"}, nil
	})
}

// EditEndpoint has edit change the mode, the options and the credentials of an
// endpoint, which it sees as they stand: of two who edit on one node at a time, the
// second sees what the first has made of it. Whether they are the connector's is
// for edit to check. Errors: edit's; ErrInvalid, ErrUnknown, stream.ErrBusy.
func (d *Directory) EditEndpoint(ctx context.Context, by Actor, id string, edit func(*Endpoint) error) (Endpoint, error) {
	return d.updateEndpoint(ctx, by, id, "endpoint.edit", func(e *Endpoint) (map[string]string, error) {
		edited := e.clone()
		if err := edit(&edited); err != nil {
			return nil, err
		}
		e.Mode, e.Options, e.Credentials = edited.Mode, edited.Options, edited.Credentials
		return map[string]string{"mode": string(e.Mode), "options": strings.Join(slices.Sorted(maps.Keys(e.Settings())), " ")}, nil
	})
}

// RevokeEndpoint turns an endpoint off for good and forgets its secrets. To revoke
// one again is ErrUnknown. Errors: ErrUnknown, stream.ErrBusy.
func (d *Directory) RevokeEndpoint(ctx context.Context, by Actor, id string) (Endpoint, error) {
	return d.updateEndpoint(ctx, by, id, "endpoint.revoke", func(e *Endpoint) (map[string]string, error) {
		e.RevokedAt, e.Secrets, e.Credentials = d.now(), nil, nil
		return nil, nil
	})
}

func (d *Directory) updateEndpoint(ctx context.Context, by Actor, id, action string, edit func(*Endpoint) (map[string]string, error)) (Endpoint, error) {
	var e Endpoint
	err := d.change(ctx, by, func() (step, error) {
		var known bool
		if e, known = d.endpointOf(id); !known || !e.RevokedAt.IsZero() {
			return step{}, fmt.Errorf("endpoint %q: %w", id, ErrUnknown)
		}
		detail, err := edit(&e)
		if err != nil {
			return step{}, err
		}
		if err := d.validateEndpoint(e); err != nil && e.RevokedAt.IsZero() {
			return step{}, err
		}
		return e.step(action, detail), nil
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("%s: %w", action, err)
	}
	return e, nil
}

func (e Endpoint) step(action string, detail map[string]string) step {
	return step{action: action, workspace: e.Workspace, key: endpointPrefix + e.ID,
		value: e.stored(), detail: detail}
}

const (
	secretBytesMin = 6 // Lemon Squeezy's shortest
	secretBytesMax = 512
	optionsMax     = 32
	optionBytesMax = 8192 // a private key in PEM fits
)

func (d *Directory) validateEndpoint(e Endpoint) error {
	var faults []error
	if !providers.MatchString(e.Provider) {
		faults = append(faults, fmt.Errorf("provider %q is not a connector's name", e.Provider))
	}
	if len(e.Account) > nameBytesMax || !utf8.ValidString(e.Account) || strings.ContainsFunc(e.Account, isControl) {
		faults = append(faults, fmt.Errorf("account: at most %d bytes of printable UTF-8", nameBytesMax))
	}
	if e.Mode != ModeAny && e.Mode != ModeLive && e.Mode != ModeTest {
		faults = append(faults, fmt.Errorf("mode %q is not any, live or test", e.Mode))
	}
	if len(e.Secrets) == 0 || len(e.Secrets) > d.cfg.SecretsPerEndpointMax {
		faults = append(faults, fmt.Errorf("%d secrets: 1 to %d", len(e.Secrets), d.cfg.SecretsPerEndpointMax))
	}
	for i, secret := range e.Secrets {
		if n := len(secret.text); n < secretBytesMin || n > secretBytesMax || !utf8.ValidString(secret.text) {
			faults = append(faults, fmt.Errorf("secret %d: %d to %d bytes of UTF-8", i+1, secretBytesMin, secretBytesMax))
		}
		if slices.Contains(e.Secrets[:i], secret) {
			faults = append(faults, fmt.Errorf("secret %d is given twice", i+1))
		}
	}
	return invalid(append(faults, validateOptions(e.Settings()))...)
}

func validateOptions(settings map[string]string) error {
	if len(settings) > optionsMax {
		return fmt.Errorf("%d options: at most %d", len(settings), optionsMax)
	}
	for name, value := range settings {
		if name == "" || len(name)+len(value) > optionBytesMax || !utf8.ValidString(name+value) {
			return errors.New("options: names and values of UTF-8, not too long")
		}
	}
	return nil
}
