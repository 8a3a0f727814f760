package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scope is something that a key may do.
type Scope string

// The scopes. Each stands for itself: admin does not imply the others.
const (
	ScopeRevenueWrite Scope = "revenue:write"
	ScopeRead         Scope = "read"
	ScopeAdmin        Scope = "admin"
)

// Style is the form of a key's text, after the vendor whose clients expect it.
type Style string

// The styles; each is a prefix and 32 hexadecimal digits.
const (
	StyleNative  Style = "native"  // rsk_, public rpk_
	StyleTrackly Style = "trackly" // trk_
	StylePulsora Style = "pulsora" // sec_, public pub_
)

// prefix is the beginning of the keys of a style, "" if it has none such.
func (s Style) prefix(public bool) string {
	switch {
	case s == StyleNative && public:
		return "rpk_"
	case s == StyleNative:
		return "rsk_"
	case s == StyleTrackly && !public:
		return "trk_"
	case s == StylePulsora && public:
		return "pub_"
	case s == StylePulsora:
		return "sec_"
	}
	return ""
}

// Key is an API key, without the text that is presented.
type Key struct {
	ID string `json:"id"`
	// Workspace it is for. Empty for a key of the whole installation, whose only
	// scope is admin.
	Workspace string  `json:"workspace,omitempty"`
	Name      string  `json:"name"`
	Style     Style   `json:"style"`
	Scopes    []Scope `json:"scopes,omitempty"`
	// Public keys are seen by the world and may do nothing that needs a scope.
	Public bool `json:"public,omitempty"`
	// RatePerSecond and Burst bound its requests; 0 leaves it to the server.
	RatePerSecond float64   `json:"rate_per_second,omitempty"`
	Burst         int       `json:"burst,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	// ExpiresAt and RevokedAt are when it stops, or stopped, being valid; zero never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Allows reports whether the key has the scope.
func (k Key) Allows(scope Scope) bool { return !k.Public && slices.Contains(k.Scopes, scope) }

// Valid reports whether the key is neither revoked nor expired at the moment.
func (k Key) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// NewKey is what a key is created from. Style may be empty, for native.
type NewKey struct {
	Workspace, Name string
	Style           Style
	Scopes          []Scope
	Public          bool
	RatePerSecond   float64
	Burst           int
	ExpiresAt       time.Time
}

// hash of a key's text. The text has 128 random bits, so it needs neither salt
// nor stretching: there is no dictionary of it.
type hash [sha256.Size]byte

func hashOf(presented string) hash { return sha256.Sum256([]byte(presented)) }

// storedKey is a key with its hash, as the topic holds it.
type storedKey struct {
	Key
	Hash string `json:"sha256"`
}

// keyTexts is the form of every key's text; anything else is turned away without
// further question.
var keyTexts = regexp.MustCompile(`^(rsk|rpk|trk|sec|pub)_[0-9a-f]{32}$`)

// Authenticate finds the key by its text. One that is not known here is looked for
// again after everything acknowledged has been read, at most once per
// MissInterval for all, so that a key is good on every node when CreateKey
// returns, and bad ones cost Kafka nothing. Errors: ErrUnauthenticated; and
// stream.ErrBusy if Kafka has to be asked and does not answer within MissTimeout.
func (d *Directory) Authenticate(presented string) (Key, error) {
	if !keyTexts.MatchString(presented) {
		return Key{}, d.denied("malformed")
	}
	wanted := hashOf(presented)
	key, known := d.keyOf(wanted)
	if !known {
		err := d.miss("key "+string(wanted[:]), func() bool {
			key, known = d.keyOf(wanted)
			return known
		})
		if err != nil {
			return Key{}, fmt.Errorf("look up API key: %w", err)
		}
	}
	switch {
	case !known:
		return Key{}, d.denied("unknown")
	case !key.RevokedAt.IsZero():
		return Key{}, d.denied("revoked")
	case !key.Valid(d.now()):
		return Key{}, d.denied("expired")
	}
	return key, nil
}

// denied counts why; the caller is not told.
func (d *Directory) denied(reason string) error {
	d.metrics.denied.WithLabelValues(reason).Inc()
	return ErrUnauthenticated
}

func (d *Directory) keyOf(wanted hash) (Key, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, known := d.keyIDs[wanted]
	if !known {
		return Key{}, false
	}
	held := d.keys[id]
	if subtle.ConstantTimeCompare(held.hash[:], wanted[:]) != 1 {
		return Key{}, false
	}
	return held.Key.clone(), true
}

// clone keeps the caller's slices apart from ours.
func (k Key) clone() Key {
	k.Scopes = slices.Clone(k.Scopes)
	return k
}

// Keys lists the keys of a workspace, revoked ones too, oldest first. The
// workspace "" has those of the whole installation.
func (d *Directory) Keys(workspace string) []Key {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var list []Key
	for _, held := range d.keys {
		if held.Workspace == workspace {
			list = append(list, held.Key.clone())
		}
	}
	slices.SortFunc(list, func(a, b Key) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// CreateKey creates a key and returns its text, which cannot be had again. When
// it returns, every node accepts the key. Errors: ErrInvalid, ErrUnknown (the
// workspace), ErrLimit, stream.ErrBusy.
func (d *Directory) CreateKey(ctx context.Context, by Actor, n NewKey) (Key, Secret, error) {
	if n.Style == "" {
		n.Style = StyleNative
	}
	text := n.Style.prefix(n.Public) + randomHex()
	digest := hashOf(text)
	key := Key{
		ID: "key_" + randomHex()[:16], Workspace: n.Workspace, Name: n.Name, Style: n.Style, Scopes: slices.Clone(n.Scopes),
		Public: n.Public, RatePerSecond: n.RatePerSecond, Burst: n.Burst, CreatedAt: d.now(), ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	err := d.change(ctx, by, func() (step, error) {
		if err := key.validate(); err != nil {
			return step{}, err
		}
		if err := d.admitKey(key.Workspace); err != nil {
			return step{}, err
		}
		return step{action: "key.create", workspace: key.Workspace, key: keyPrefix + key.ID,
			value:  storedKey{key, hex.EncodeToString(digest[:])},
			detail: map[string]string{"name": key.Name, "style": string(key.Style), "scopes": joinScopes(key.Scopes)}}, nil
	})
	if err != nil {
		return Key{}, Secret{}, fmt.Errorf("create API key: %w", err)
	}
	return key, NewSecret(text), nil
}

// admitKey checks that the workspace exists and has room for one more.
func (d *Directory) admitKey(workspace string) error {
	if _, known := d.Workspace(workspace); !known && workspace != "" {
		return fmt.Errorf("workspace %q: %w", workspace, ErrUnknown)
	}
	valid := 0
	for _, key := range d.Keys(workspace) {
		if key.Valid(d.now()) {
			valid++
		}
	}
	if valid >= d.cfg.KeysPerWorkspaceMax {
		return fmt.Errorf("%w: %d keys", ErrLimit, d.cfg.KeysPerWorkspaceMax)
	}
	return nil
}

// RevokeKey makes a key invalid for good. To revoke one again changes nothing.
// Errors: ErrUnknown, stream.ErrBusy.
func (d *Directory) RevokeKey(ctx context.Context, by Actor, id string) (Key, error) {
	return d.updateKey(ctx, by, id, "key.revoke", func(key *Key) map[string]string {
		if key.RevokedAt.IsZero() {
			key.RevokedAt = d.now()
		}
		return nil
	})
}

// LimitKey sets the rate of a key; 0 leaves it to the server. Errors: ErrInvalid,
// ErrUnknown, stream.ErrBusy.
func (d *Directory) LimitKey(ctx context.Context, by Actor, id string, ratePerSecond float64, burst int) (Key, error) {
	return d.updateKey(ctx, by, id, "key.limit", func(key *Key) map[string]string {
		key.RatePerSecond, key.Burst = ratePerSecond, burst
		return map[string]string{"rate_per_second": fmt.Sprint(ratePerSecond), "burst": fmt.Sprint(burst)}
	})
}

func (d *Directory) updateKey(ctx context.Context, by Actor, id, action string, edit func(*Key) map[string]string) (Key, error) {
	var key Key
	err := d.change(ctx, by, func() (step, error) {
		d.mu.RLock()
		held, known := d.keys[id]
		d.mu.RUnlock()
		if !known {
			return step{}, fmt.Errorf("key %q: %w", id, ErrUnknown)
		}
		key = held.Key.clone()
		detail := edit(&key)
		if err := key.validateRate(); err != nil {
			return step{}, invalid(err)
		}
		return step{action: action, workspace: key.Workspace, key: keyPrefix + id,
			value: storedKey{key, hex.EncodeToString(held.hash[:])}, detail: detail}, nil
	})
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", action, err)
	}
	return key, nil
}

const (
	rateMax  = 1e6
	burstMax = 1_000_000
)

func (k Key) validateRate() error {
	if !(k.RatePerSecond >= 0 && k.RatePerSecond <= rateMax) || k.Burst < 0 || k.Burst > burstMax {
		return fmt.Errorf("rate %v per second, burst %d: 0 to %d", k.RatePerSecond, k.Burst, burstMax)
	}
	return nil
}

func (k Key) validate() error {
	faults := []error{validateName(k.Name), k.validateRate(), k.validateScopes()}
	if k.Style.prefix(k.Public) == "" {
		faults = append(faults, fmt.Errorf("style %q has no such keys", k.Style))
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(k.CreatedAt) {
		faults = append(faults, fmt.Errorf("expires at %v, which is past", k.ExpiresAt))
	}
	return invalid(faults...)
}

func (k Key) validateScopes() error {
	for i, scope := range k.Scopes {
		if scope != ScopeRevenueWrite && scope != ScopeRead && scope != ScopeAdmin {
			return fmt.Errorf("scope %q is unknown", scope)
		}
		if slices.Contains(k.Scopes[:i], scope) {
			return fmt.Errorf("scope %q is given twice", scope)
		}
	}
	switch {
	case k.Public && len(k.Scopes) > 0:
		return errors.New("a public key has no scopes")
	case !k.Public && len(k.Scopes) == 0:
		return errors.New("a secret key has at least one scope")
	case k.Workspace == "" && !slices.Equal(k.Scopes, []Scope{ScopeAdmin}):
		return errors.New("a key without workspace has the scope admin and no other")
	}
	return nil
}

func joinScopes(scopes []Scope) string {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = string(scope)
	}
	return strings.Join(texts, " ")
}

// randomHex is 128 random bits as 32 digits.
func randomHex() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the program instead
	return hex.EncodeToString(bits[:])
}
