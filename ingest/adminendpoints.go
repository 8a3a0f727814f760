package ingest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/control"
)

// shownEndpoint is a webhook endpoint without its secrets, but for the one that
// was just made.
type shownEndpoint struct {
	ID        string       `json:"id"`
	Workspace string       `json:"workspace"`
	Provider  string       `json:"provider"`
	Account   string       `json:"account,omitempty"`
	Mode      control.Mode `json:"mode"`
	// Path is where deliveries go, at the address that the service is reached by.
	Path     string            `json:"path"`
	Settings map[string]string `json:"settings"`
	// Credentials names the secret settings that are set, and SecretCount says how
	// many secrets verify deliveries.
	Credentials []string  `json:"credentials"`
	SecretCount int       `json:"secret_count"`
	CreatedAt   time.Time `json:"created_at"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"`
	Secret      string    `json:"secret,omitempty"`
}

func shown(e control.Endpoint) shownEndpoint {
	s := shownEndpoint{
		ID: e.ID, Workspace: e.Workspace, Provider: e.Provider, Account: e.Account, Mode: e.Mode,
		Path: "/webhooks/" + e.Provider + "/" + e.ID, Settings: e.Options, Credentials: slices.Sorted(maps.Keys(e.Credentials)),
		SecretCount: len(e.Secrets), CreatedAt: e.CreatedAt, RevokedAt: e.RevokedAt,
	}
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	if s.Credentials == nil {
		s.Credentials = []string{}
	}
	return s
}

// madeAnswer shows an endpoint with the secret that was made for it, this once: it
// is not kept for a repeat of the request.
func madeAnswer(status int, e control.Endpoint, made string) answer {
	with := shown(e)
	with.Secret = made
	a := jsonAnswer(status, with)
	a.kept = jsonAnswer(status, shown(e)).body
	return a
}

// listProviders describes what endpoints can be made for.
func (s *Server) listProviders(_ context.Context, r adminRequest) (answer, error) {
	described := make([]connectors.Description, len(s.Connectors))
	for i, connector := range s.Connectors {
		described[i] = connector.Describe()
	}
	return listAnswer("providers", described, r.page, func(d connectors.Description) string { return d.Provider })
}

func (s *Server) listEndpoints(_ context.Context, r adminRequest) (answer, error) {
	all := s.Directory.Endpoints(r.workspace.ID)
	list := make([]shownEndpoint, len(all))
	for i := range all {
		list[i] = shown(all[i])
	}
	return listAnswer("endpoints", list, r.page, func(e shownEndpoint) string { return e.ID })
}

// endpointOf is the endpoint of the path, if the workspace has it; it may be
// revoked.
func (s *Server) endpointOf(r adminRequest) (control.Endpoint, error) {
	endpoints := s.Directory.Endpoints(r.workspace.ID)
	at := slices.IndexFunc(endpoints, func(e control.Endpoint) bool { return e.ID == r.id })
	if at < 0 {
		return control.Endpoint{}, notFound("There is no such webhook endpoint.")
	}
	return endpoints[at], nil
}

func (s *Server) showEndpoint(_ context.Context, r adminRequest) (answer, error) {
	endpoint, err := s.endpointOf(r)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, shown(endpoint)), nil
}

func (s *Server) createEndpoint(ctx context.Context, r adminRequest) (answer, error) {
	var body struct {
		Provider connectors.Value `json:"provider"`
		Account  connectors.Value `json:"account"`
		Mode     connectors.Value `json:"mode"`
		Secret   connectors.Value `json:"secret"`
		Settings connectors.Value `json:"settings"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return answer{}, err
	}
	provider, account := f.RequiredText("provider", body.Provider), f.Text("account", body.Account)
	mode, given := readMode(f, body.Mode), f.Text("secret", body.Secret)
	changes, err := readSettings(body.Settings)
	if err = cmp.Or(f.Err(), err); err != nil {
		return answer{}, err
	}
	connector, known := s.providers[provider]
	if !known {
		return answer{}, &connectors.InvalidError{Field: "provider", Code: "invalid_provider", Detail: "is none that /v1/admin/providers lists"}
	}
	settings, err := r.settle(connector, map[string]string{}, changes)
	if err != nil {
		return answer{}, err
	}
	secret, made, err := signingSecret(connector, given)
	if err != nil {
		return answer{}, err
	}
	wanted := control.NewEndpoint{Workspace: r.workspace.ID, Provider: provider, Account: account, Mode: mode, Secrets: []control.Secret{secret}}
	wanted.Options, wanted.Credentials = control.Divide(settings, connector.IsSecret)
	endpoint, err := s.Directory.CreateEndpoint(ctx, r.actor(), wanted)
	if err != nil {
		return answer{}, err
	}
	return madeAnswer(http.StatusCreated, endpoint, made), nil
}

// updateEndpoint changes the mode and the settings that are given; a setting of
// null goes back to its default.
func (s *Server) updateEndpoint(ctx context.Context, r adminRequest) (answer, error) {
	connector, err := s.connectorOf(r)
	if err != nil {
		return answer{}, err
	}
	var body struct {
		Mode     connectors.Value `json:"mode"`
		Settings connectors.Value `json:"settings"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return answer{}, err
	}
	mode := readMode(f, body.Mode)
	changes, err := readSettings(body.Settings)
	if err = cmp.Or(f.Err(), err); err != nil {
		return answer{}, err
	}
	endpoint, err := s.Directory.EditEndpoint(ctx, r.actor(), r.id, func(e *control.Endpoint) error {
		settings, err := r.settle(connector, e.Settings(), changes)
		if err != nil {
			return err
		}
		if mode != "" {
			e.Mode = mode
		}
		e.Options, e.Credentials = control.Divide(settings, connector.IsSecret)
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, shown(endpoint)), nil
}

// readRotation is what a rotation asks for: a secret of the caller's own, none for one
// that is made up, or that the older ones are dropped.
func readRotation(r adminRequest) (secret string, dropOld bool, err error) {
	var body struct {
		Secret  connectors.Value `json:"secret"`
		DropOld connectors.Value `json:"drop_old"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return "", false, err
	}
	secret, dropOld = f.Text("secret", body.Secret), f.Flag("drop_old", body.DropOld)
	if dropOld && secret != "" {
		f.Invalid("drop_old", "cannot be true beside a new secret, which the old one is kept for")
	}
	return secret, dropOld, f.Err()
}

// rotateEndpoint gives an endpoint a new secret, of which the newest of the old
// ones stays good; or, with drop_old, leaves it with the newest alone.
func (s *Server) rotateEndpoint(ctx context.Context, r adminRequest) (answer, error) {
	connector, err := s.connectorOf(r)
	if err != nil {
		return answer{}, err
	}
	given, dropOld, err := readRotation(r)
	if err != nil {
		return answer{}, err
	}
	if dropOld {
		endpoint, err := s.Directory.DropSecrets(ctx, r.actor(), r.id)
		if err != nil {
			return answer{}, err
		}
		return jsonAnswer(http.StatusOK, shown(endpoint)), nil
	}
	secret, made, err := signingSecret(connector, given)
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.Directory.RotateSecret(ctx, r.actor(), r.id, secret)
	if err != nil {
		return answer{}, err
	}
	return madeAnswer(http.StatusOK, endpoint, made), nil
}

func (s *Server) revokeEndpoint(ctx context.Context, r adminRequest) (answer, error) {
	if _, err := s.endpointOf(r); err != nil {
		return answer{}, err
	}
	endpoint, err := s.Directory.RevokeEndpoint(ctx, r.actor(), r.id)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, shown(endpoint)), nil
}

// connectorOf is the connector of the endpoint of the path.
func (s *Server) connectorOf(r adminRequest) (connectors.Connector, error) {
	endpoint, err := s.endpointOf(r)
	if err != nil {
		return connectors.Connector{}, err
	}
	connector, known := s.providers[endpoint.Provider]
	if !known { // it was made by another version of the program
		return connectors.Connector{}, notFound("There is no connector for the endpoint's provider here.")
	}
	return connector, nil
}

func readMode(f *connectors.Fields, value connectors.Value) control.Mode {
	return control.Mode(f.Choice("mode", value, string(control.ModeAny), string(control.ModeLive), string(control.ModeTest)))
}

// readSettings reads what settings are to become; "" and null are their defaults.
func readSettings(value connectors.Value) (map[string]string, error) {
	if !connectors.Given(value) {
		return nil, nil
	}
	settings := map[string]string{}
	return settings, connectors.Within("settings", connectors.ReadObject(value, &settings))
}

// settle applies changes to what an endpoint was told before, as the connector and
// the key allow.
func (r adminRequest) settle(connector connectors.Connector, settings, changes map[string]string) (map[string]string, error) {
	for name, value := range changes {
		outbound := slices.ContainsFunc(connector.Settings, func(s connectors.Setting) bool { return s.Name == name && s.Outbound })
		if outbound && !r.ofInstallation() && value != settings[name] {
			return nil, &failure{status: http.StatusForbidden, code: "forbidden", field: "settings." + name,
				detail: "Where our own requests go is set with a key of the installation."}
		}
		if settings[name] = value; value == "" {
			delete(settings, name)
		}
	}
	if _, err := connector.Settle(settings); err != nil {
		return nil, &connectors.InvalidError{Field: "settings", Code: "invalid_settings", Detail: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return settings, nil
}

// signingSecret is the one that was given, or one that is made, with its text then.
func signingSecret(connector connectors.Connector, given string) (secret control.Secret, made string, err error) {
	if secret = control.NewSecret(given); given == "" {
		secret = control.NewSigningSecret()
		made = secret.Reveal()
	}
	if connector.CheckSecret == nil {
		return secret, made, nil
	}
	if err := connector.CheckSecret(secret.Reveal()); err != nil {
		code := "invalid_secret"
		if given == "" {
			code = "missing_secret"
		}
		return secret, "", &connectors.InvalidError{Field: "secret", Code: code,
			Detail: fmt.Sprintf("must be %s of %s: %v", connector.Secret, connector.Title, err)}
	}
	return secret, made, nil
}
