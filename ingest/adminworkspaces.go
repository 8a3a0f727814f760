package ingest

import (
	"context"
	"net/http"

	"revstream/connectors"
	"revstream/ingest/control"
)

func (s *Server) listWorkspaces(_ context.Context, r adminRequest) (answer, error) {
	all := s.Directory.Workspaces()
	if !r.ofInstallation() {
		own, err := s.managed(r.key, r.key.Workspace)
		if err != nil {
			return answer{}, err
		}
		all = []control.Workspace{own}
	}
	return listAnswer("workspaces", all, r.page, func(w control.Workspace) string { return w.Slug })
}

func (s *Server) createWorkspace(ctx context.Context, r adminRequest) (answer, error) {
	if !r.ofInstallation() {
		return answer{}, refused(http.StatusForbidden, "forbidden", "Workspaces are created with a key of the installation.")
	}
	var body struct {
		Slug     connectors.Value `json:"slug"`
		Name     connectors.Value `json:"name"`
		Currency connectors.Value `json:"currency"`
		TimeZone connectors.Value `json:"time_zone"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return answer{}, err
	}
	wanted := control.NewWorkspace{
		Slug: f.RequiredText("slug", body.Slug), Name: f.Text("name", body.Name),
		Currency: f.Currency("currency", body.Currency, ""), TimeZone: f.Text("time_zone", body.TimeZone),
	}
	if err := f.Err(); err != nil {
		return answer{}, err
	}
	created, err := s.Directory.CreateWorkspace(ctx, r.actor(), wanted)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, created), nil
}

func (s *Server) showWorkspace(_ context.Context, r adminRequest) (answer, error) {
	return jsonAnswer(http.StatusOK, r.workspace), nil
}

// updateWorkspace changes the members that are given.
func (s *Server) updateWorkspace(ctx context.Context, r adminRequest) (answer, error) {
	var body struct {
		Name     connectors.Value `json:"name"`
		Currency connectors.Value `json:"currency"`
		TimeZone connectors.Value `json:"time_zone"`
	}
	f, err := readAdminBody(r, &body)
	if err != nil {
		return answer{}, err
	}
	given := func(value connectors.Value, text string) *string {
		if !connectors.Given(value) {
			return nil
		}
		return &text
	}
	change := control.WorkspaceChange{
		Name: given(body.Name, f.Text("name", body.Name)), TimeZone: given(body.TimeZone, f.Text("time_zone", body.TimeZone)),
		Currency: given(body.Currency, f.Currency("currency", body.Currency, "")),
	}
	if err := f.Err(); err != nil {
		return answer{}, err
	}
	updated, err := s.Directory.UpdateWorkspace(ctx, r.actor(), r.workspace.Slug, change)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, updated), nil
}

// listAudit lists who changed what in the workspace, the newest first.
func (s *Server) listAudit(ctx context.Context, r adminRequest) (answer, error) {
	if r.page.after != "" {
		return answer{}, refused(http.StatusBadRequest, "invalid_query", "The audit has one page.")
	}
	entries, err := s.Directory.Audit(ctx, control.AuditFilter{Workspace: r.workspace.ID, Limit: r.page.limit})
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, map[string]any{"entries": append([]control.AuditEntry{}, entries...)}), nil
}
