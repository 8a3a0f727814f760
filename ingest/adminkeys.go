package ingest

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"revstream/connectors"
	"revstream/ingest/control"
)

// createdKey is a fresh key with its text, shown this once.
type createdKey struct {
	control.Key
	Secret string `json:"secret,omitempty"`
}

func (s *Server) listKeys(_ context.Context, r adminRequest) (answer, error) {
	return listAnswer("keys", s.Directory.Keys(r.workspace.ID), r.page, func(k control.Key) string { return k.ID })
}

// keyOf is the key of the path, if the workspace has it.
func (s *Server) keyOf(r adminRequest) (control.Key, error) {
	keys := s.Directory.Keys(r.workspace.ID)
	at := slices.IndexFunc(keys, func(k control.Key) bool { return k.ID == r.id })
	if at < 0 {
		return control.Key{}, notFound("There is no such key.")
	}
	return keys[at], nil
}

func (s *Server) showKey(_ context.Context, r adminRequest) (answer, error) {
	key, err := s.keyOf(r)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, key), nil
}

// createKey answers with the text of the key, this once: a repeat of the request
// under its Idempotency-Key creates no second key, and does not get the text.
func (s *Server) createKey(ctx context.Context, r adminRequest) (answer, error) {
	wanted, err := readNewKey(r)
	if err != nil {
		return answer{}, err
	}
	if err := r.grant(&wanted); err != nil {
		return answer{}, err
	}
	key, text, err := s.Directory.CreateKey(ctx, r.actor(), wanted)
	if err != nil {
		return answer{}, err
	}
	a := jsonAnswer(http.StatusCreated, createdKey{key, text.Reveal()})
	a.kept = jsonAnswer(http.StatusCreated, key).body
	return a, nil
}

func readNewKey(r adminRequest) (control.NewKey, error) {
	var body struct {
		Name          connectors.Value `json:"name"`
		Style         connectors.Value `json:"style"`
		Scopes        connectors.Value `json:"scopes"`
		Public        connectors.Value `json:"public"`
		RatePerSecond connectors.Value `json:"rate_per_second"`
		Burst         connectors.Value `json:"burst"`
		ExpiresAt     connectors.Value `json:"expires_at"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return control.NewKey{}, err
	}
	wanted := control.NewKey{
		Workspace: r.workspace.ID, Name: f.RequiredText("name", body.Name),
		Style:  control.Style(f.Choice("style", body.Style, string(control.StyleNative), string(control.StyleTrackly), string(control.StylePulsora))),
		Public: f.Flag("public", body.Public), Burst: int(f.Integer("burst", body.Burst, 1, 1_000_000)),
		ExpiresAt: f.Instant("expires_at", body.ExpiresAt),
	}
	if connectors.Given(body.RatePerSecond) {
		// A number of JSON; the control plane has its bounds.
		if wanted.RatePerSecond, err = strconv.ParseFloat(string(body.RatePerSecond), 64); err != nil || wanted.RatePerSecond <= 0 {
			f.Invalid("rate_per_second", "must be a number above 0")
		}
	}
	if connectors.Given(body.Scopes) {
		known := []string{string(control.ScopeRevenueWrite), string(control.ScopeRead), string(control.ScopeAdmin)}
		scopes, err := connectors.ReadArray(body.Scopes, len(known))
		if err != nil {
			return control.NewKey{}, connectors.Within("scopes", err)
		}
		if len(scopes) > len(known) {
			f.Invalid("scopes", "has more than the %d that there are", len(known))
		}
		for _, scope := range scopes {
			wanted.Scopes = append(wanted.Scopes, control.Scope(f.Choice("scopes", scope, known...)))
		}
	}
	return wanted, f.Err()
}

// grant refuses what the key that asks has not itself: a scope, a longer life,
// limits of its own choosing. What it has of life and limits, it passes on. A key
// of the installation may grant anything.
func (r adminRequest) grant(wanted *control.NewKey) error {
	if r.ofInstallation() {
		return nil
	}
	exceeded := func(field, detail string) error {
		return &failure{status: http.StatusForbidden, code: "grant_exceeded", field: field, detail: detail}
	}
	for _, scope := range wanted.Scopes {
		if !r.key.Allows(scope) {
			return exceeded("scopes", "The API key has not the scope "+string(scope)+" itself.")
		}
	}
	if wanted.RatePerSecond != 0 || wanted.Burst != 0 {
		return exceeded("rate_per_second", "Limits are set with a key of the installation. A key of a workspace passes on its own.")
	}
	wanted.RatePerSecond, wanted.Burst = r.key.RatePerSecond, r.key.Burst
	switch mine := r.key.ExpiresAt; {
	case mine.IsZero():
	case wanted.ExpiresAt.IsZero():
		wanted.ExpiresAt = mine
	case wanted.ExpiresAt.After(mine):
		return exceeded("expires_at", "The API key itself expires earlier.")
	}
	return nil
}

// revokeKey makes a key invalid for good, be it the one that asks.
func (s *Server) revokeKey(ctx context.Context, r adminRequest) (answer, error) {
	if _, err := s.keyOf(r); err != nil {
		return answer{}, err
	}
	key, err := s.Directory.RevokeKey(ctx, r.actor(), r.id)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, key), nil
}
