package ingest

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"revstream/connectors"
	"revstream/ingest/control"
)

// shownAlert is an alert without its secrets, but for the one that was just made.
type shownAlert struct {
	ID            string           `json:"id"`
	Workspace     string           `json:"workspace"`
	Name          string           `json:"name"`
	URL           string           `json:"url"`
	On            control.AlertOn  `json:"on"`
	Kinds         []string         `json:"kinds,omitempty"`
	Minimums      map[string]int64 `json:"minimums,omitempty"`
	PerMille      int64            `json:"per_mille,omitempty"`
	ByAmount      bool             `json:"by_amount,omitempty"`
	ChargesMin    int64            `json:"charges_min,omitempty"`
	PeriodSeconds int64            `json:"period_seconds,omitempty"`
	Endpoint      string           `json:"endpoint,omitempty"`
	SecretCount   int              `json:"secret_count"`
	CreatedAt     time.Time        `json:"created_at"`
	RevokedAt     time.Time        `json:"revoked_at,omitzero"`
	RevokedFor    string           `json:"revoked_for,omitempty"`
	Secret        string           `json:"secret,omitempty"`
}

func shownAlertOf(a control.Alert) shownAlert {
	return shownAlert{
		ID: a.ID, Workspace: a.Workspace, Name: a.Name, URL: a.URL, On: a.Rule.On, Kinds: a.Rule.Kinds, Minimums: a.Rule.Minimums,
		PerMille: a.Rule.PerMille, ByAmount: a.Rule.ByAmount, ChargesMin: a.Rule.ChargesMin, PeriodSeconds: int64(a.Rule.Period / time.Second),
		Endpoint: a.Rule.Endpoint, SecretCount: len(a.Secrets), CreatedAt: a.CreatedAt, RevokedAt: a.RevokedAt, RevokedFor: a.RevokedFor,
	}
}

// madeAlert shows an alert with its newest secret, this once, if it was made here.
func madeAlert(status int, a control.Alert, given string) answer {
	with := shownAlertOf(a)
	if given == "" && len(a.Secrets) > 0 {
		with.Secret = a.Secrets[0].Reveal()
	}
	answer := jsonAnswer(status, with)
	answer.kept = jsonAnswer(status, shownAlertOf(a)).body
	return answer
}

func (s *Server) listAlerts(_ context.Context, r adminRequest) (answer, error) {
	list := []shownAlert{}
	for _, a := range s.Directory.Alerts(r.workspace.ID) {
		list = append(list, shownAlertOf(a))
	}
	return listAnswer("alerts", list, r.page, func(a shownAlert) string { return a.ID })
}

// alertOf is the alert of the path, if the workspace has it; it may be revoked.
func (s *Server) alertOf(r adminRequest) (control.Alert, error) {
	a, err := s.Directory.FindAlert(r.id)
	if err != nil || a.Workspace != r.workspace.ID {
		return control.Alert{}, notFound("There is no such alert.")
	}
	return a, nil
}

func (s *Server) showAlert(_ context.Context, r adminRequest) (answer, error) {
	a, err := s.alertOf(r)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, shownAlertOf(a)), nil
}

func (s *Server) createAlert(ctx context.Context, r adminRequest) (answer, error) {
	wanted, given, err := readNewAlert(r)
	if err != nil {
		return answer{}, err
	}
	a, err := s.Directory.CreateAlert(ctx, r.actor(), wanted)
	if err != nil {
		return answer{}, err
	}
	return madeAlert(http.StatusCreated, a, given), nil
}

func readNewAlert(r adminRequest) (wanted control.NewAlert, secret string, err error) {
	var body struct {
		Name          connectors.Value `json:"name"`
		URL           connectors.Value `json:"url"`
		Secret        connectors.Value `json:"secret"`
		On            connectors.Value `json:"on"`
		Kinds         connectors.Value `json:"kinds"`
		Minimums      connectors.Value `json:"minimums"`
		PerMille      connectors.Value `json:"per_mille"`
		ByAmount      connectors.Value `json:"by_amount"`
		ChargesMin    connectors.Value `json:"charges_min"`
		PeriodSeconds connectors.Value `json:"period_seconds"`
		Endpoint      connectors.Value `json:"endpoint"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return wanted, "", err
	}
	var about []string
	for _, on := range control.AlertsOn {
		about = append(about, string(on))
	}
	secret = f.Text("secret", body.Secret)
	wanted = control.NewAlert{
		Workspace: r.workspace.ID, Name: f.Text("name", body.Name), URL: f.RequiredText("url", body.URL), Secret: control.NewSecret(secret),
		Rule: control.AlertRule{
			On: control.AlertOn(f.Choice("on", body.On, about...)), PerMille: f.Integer("per_mille", body.PerMille, 1, 1000),
			ByAmount: f.Flag("by_amount", body.ByAmount), ChargesMin: f.Integer("charges_min", body.ChargesMin, 1, math.MaxInt32),
			Period:   time.Duration(f.Integer("period_seconds", body.PeriodSeconds, 1, math.MaxInt32)) * time.Second,
			Endpoint: f.Text("endpoint", body.Endpoint),
		},
	}
	if !connectors.Given(body.On) {
		f.Missing("on")
	}
	if connectors.Given(body.Kinds) {
		kinds, err := connectors.ReadArray(body.Kinds, len(control.AlertKinds))
		if err != nil {
			return wanted, "", connectors.Within("kinds", err)
		}
		if most := len(control.AlertKinds); len(kinds) > most {
			f.Invalid("kinds", "has more than the %d that there are", most)
		}
		for _, kind := range kinds {
			wanted.Rule.Kinds = append(wanted.Rule.Kinds, f.Choice("kinds", kind, control.AlertKinds...))
		}
	}
	if connectors.Given(body.Minimums) {
		if err := json.Unmarshal(body.Minimums, &wanted.Rule.Minimums); err != nil {
			f.Invalid("minimums", "must be minor units by currency, like {\"USD\": 5000}")
		}
	}
	return wanted, secret, f.Err()
}

// rotateAlert gives an alert a new secret, beside which the one before goes on signing;
// or, with drop_old, leaves it with the newest alone.
func (s *Server) rotateAlert(ctx context.Context, r adminRequest) (answer, error) {
	if _, err := s.alertOf(r); err != nil {
		return answer{}, err
	}
	given, dropOld, err := readRotation(r)
	if err != nil {
		return answer{}, err
	}
	if dropOld {
		a, err := s.Directory.DropAlertSecrets(ctx, r.actor(), r.id)
		if err != nil {
			return answer{}, err
		}
		return jsonAnswer(http.StatusOK, shownAlertOf(a)), nil
	}
	a, err := s.Directory.RotateAlert(ctx, r.actor(), r.id, control.NewSecret(given))
	if err != nil {
		return answer{}, err
	}
	return madeAlert(http.StatusOK, a, given), nil
}

func (s *Server) revokeAlert(ctx context.Context, r adminRequest) (answer, error) {
	if _, err := s.alertOf(r); err != nil {
		return answer{}, err
	}
	a, err := s.Directory.RevokeAlert(ctx, r.actor(), r.id, "")
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, shownAlertOf(a)), nil
}

// testAlert and redeliverAlert ask whoever sends notifications, which need not be us;
// what came of it is in the log.
func (s *Server) testAlert(ctx context.Context, r adminRequest) (answer, error) {
	if _, err := readAdminBody(r, &struct{}{}); err != nil {
		return answer{}, err
	}
	return s.orderAlert(ctx, r, control.AlertOrder{Action: control.AlertTest})
}

func (s *Server) redeliverAlert(ctx context.Context, r adminRequest) (answer, error) {
	var body struct {
		Notification connectors.Value `json:"notification"`
		Since        connectors.Value `json:"since"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return answer{}, err
	}
	order := control.AlertOrder{Action: control.AlertRedeliver,
		Notification: f.Text("notification", body.Notification), Since: f.Instant("since", body.Since)}
	if err := f.Err(); err != nil {
		return answer{}, err
	}
	return s.orderAlert(ctx, r, order)
}

func (s *Server) orderAlert(ctx context.Context, r adminRequest, order control.AlertOrder) (answer, error) {
	if _, err := s.alertOf(r); err != nil {
		return answer{}, err
	}
	order.Alert = r.id
	order, err := s.Directory.OrderAlert(ctx, r.actor(), order)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusAccepted, order), nil
}

// alertDoors are the operations on alerts.
func (s *Server) alertDoors(workspace string) []adminDoor {
	alerts := workspace + "/alerts"
	return []adminDoor{
		{"alerts.list", http.MethodGet, alerts, s.listAlerts},
		{"alerts.create", http.MethodPost, alerts, s.createAlert},
		{"alerts.show", http.MethodGet, alerts + "/:id", s.showAlert},
		{"alerts.revoke", http.MethodDelete, alerts + "/:id", s.revokeAlert},
		{"alerts.rotate", http.MethodPost, alerts + "/:id/rotate", s.rotateAlert},
		{"alerts.test", http.MethodPost, alerts + "/:id/test", s.testAlert},
		{"alerts.redeliver", http.MethodPost, alerts + "/:id/redeliver", s.redeliverAlert},
	}
}
