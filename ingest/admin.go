package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"revstream/connectors"
	"revstream/ingest/control"
)

// adminDoor is one operation of the admin API, which manages over HTTP what
// `revstream workspaces`, `keys`, `endpoints` and `alerts` manage on the command line.
//
// A key of the installation covers all workspaces, a key of a workspace with the
// scope admin that one: others do not exist for it.
type adminDoor struct {
	name, method, path string
	serve              func(context.Context, adminRequest) (answer, error)
}

func (s *Server) adminDoors() []adminDoor {
	const (
		workspaces = "/v1/admin/workspaces"
		workspace  = workspaces + "/:workspace"
		keys       = workspace + "/keys"
		endpoints  = workspace + "/endpoints"
	)
	return append(s.alertDoors(workspace), []adminDoor{
		{"providers.list", http.MethodGet, "/v1/admin/providers", s.listProviders},
		{"workspaces.list", http.MethodGet, workspaces, s.listWorkspaces},
		{"workspaces.create", http.MethodPost, workspaces, s.createWorkspace},
		{"workspaces.show", http.MethodGet, workspace, s.showWorkspace},
		{"workspaces.update", http.MethodPatch, workspace, s.updateWorkspace},
		{"audit.list", http.MethodGet, workspace + "/audit", s.listAudit},
		{"keys.list", http.MethodGet, keys, s.listKeys},
		{"keys.create", http.MethodPost, keys, s.createKey},
		{"keys.show", http.MethodGet, keys + "/:id", s.showKey},
		{"keys.revoke", http.MethodDelete, keys + "/:id", s.revokeKey},
		{"endpoints.list", http.MethodGet, endpoints, s.listEndpoints},
		{"endpoints.create", http.MethodPost, endpoints, s.createEndpoint},
		{"endpoints.show", http.MethodGet, endpoints + "/:id", s.showEndpoint},
		{"endpoints.update", http.MethodPatch, endpoints + "/:id", s.updateEndpoint},
		{"endpoints.rotate", http.MethodPost, endpoints + "/:id/rotate", s.rotateEndpoint},
		{"endpoints.revoke", http.MethodDelete, endpoints + "/:id", s.revokeEndpoint},
	}...)
}

// adminRequest is a request whose key may manage the workspace that its path
// names; workspace is the zero one if the path names none.
type adminRequest struct {
	request
	// id is that of the key or the endpoint in the path.
	id   string
	page page
}

// actor names who makes a change, for the audit.
func (r adminRequest) actor() control.Actor { return control.Actor("key:" + r.key.ID) }

// ofInstallation reports whether the key covers all workspaces.
func (r adminRequest) ofInstallation() bool { return r.key.Workspace == "" }

// passAdmin lets a request through to its door.
func (s *Server) passAdmin(ctx context.Context, c *fiber.Ctx, d adminDoor) (answer, error) {
	c.Set(fiber.HeaderCacheControl, "no-store") // some answers hold a secret
	r := adminRequest{request: request{headerToken: headerToken(c)}, id: c.Params("id")}
	r.door = strings.Trim("admin."+d.name+"/"+r.id, "/") // one Idempotency-Key may be used for each
	var err error
	if r.key, err = s.authenticate(r.headerToken); err != nil {
		return answer{}, err
	}
	if err := s.limit(c, s.adminLimits, r.key); err != nil {
		return answer{}, err
	}
	// What other nodes have changed is seen here, the end of this very key too.
	if err := s.Directory.Refresh(ctx); err != nil {
		return answer{}, err
	}
	if r.key, err = s.authenticate(r.headerToken); err != nil {
		return answer{}, err
	}
	if !r.key.Allows(control.ScopeAdmin) {
		return answer{}, refused(http.StatusForbidden, "forbidden", "The API key has not the scope admin.")
	}
	if slug := c.Params("workspace"); slug != "" {
		if r.workspace, err = s.managed(r.key, slug); err != nil {
			return answer{}, err
		}
	}
	if r.page, err = readPage(string(c.Request().URI().QueryString()), d.method); err != nil {
		return answer{}, err
	}
	if r.body, err = s.readBody(c); err != nil {
		return answer{}, err
	}
	if r.idempotencyKey, err = idempotencyKey(c, d.method); err != nil {
		return answer{}, err
	}
	r.receivedAt = s.clock.next()
	return s.once(ctx, r.request, func(ctx context.Context, _ request) (answer, error) { return d.serve(ctx, r) })
}

// managed is the workspace of that slug, if there is one for the key.
func (s *Server) managed(key control.Key, slug string) (control.Workspace, error) {
	workspace, known := s.Directory.Workspace(slug)
	if !known || key.Workspace != "" && key.Workspace != workspace.ID {
		return control.Workspace{}, notFound("There is no such workspace.")
	}
	return workspace, nil
}

func refused(status int, code, detail string) *failure {
	return &failure{status: status, code: code, detail: detail}
}

// controlFailure is what an error of the control plane means to the caller, nil if
// it is another's.
func controlFailure(err error) *failure {
	var invalid *control.InvalidError
	switch {
	case errors.As(err, &invalid):
		return refused(http.StatusBadRequest, "invalid", invalid.Detail())
	case errors.Is(err, control.ErrUnknown):
		return notFound("There is nothing of that name, or not any more.")
	case errors.Is(err, control.ErrExists):
		return refused(http.StatusConflict, "exists", "There is one of that name already.")
	case errors.Is(err, control.ErrLimit):
		return refused(http.StatusConflict, "limit_reached", "There are as many as there may be. Revoke what is not used.")
	}
	return nil
}

// page is the part of a list that was asked for.
type page struct {
	// after is the id of the last one seen, limit how many more are wanted.
	after string
	limit int
}

const (
	pageLimitDefault = 100
	pageLimitMax     = 1000
)

// readPage reads the parameters of a list. What is not known is refused, so that a
// misspelt name does not ask for something else.
func readPage(query, method string) (page, error) {
	p := page{limit: pageLimitDefault}
	values, err := url.ParseQuery(query)
	if err != nil {
		return p, refused(http.StatusBadRequest, "invalid_query", "The query cannot be read.")
	}
	for name, given := range values {
		switch {
		case method != http.MethodGet || name != "limit" && name != "after" || len(given) > 1:
			return p, refused(http.StatusBadRequest, "invalid_query", fmt.Sprintf("The parameter %.40q is unknown, or given twice.", name))
		case name == "after":
			p.after = given[0]
		default:
			if p.limit, err = strconv.Atoi(given[0]); err != nil || p.limit < 1 || p.limit > pageLimitMax {
				return p, refused(http.StatusBadRequest, "invalid_limit", fmt.Sprintf("limit must be a whole number from 1 to %d.", pageLimitMax))
			}
		}
	}
	return p, nil
}

// listAnswer is the page of a list: {name: [...], "next": id}, where next is what
// after has to be for the rest, and absent if there is none.
func listAnswer[T any](name string, all []T, p page, id func(T) string) (answer, error) {
	if p.after != "" {
		last := -1
		for i := range all {
			if id(all[i]) == p.after {
				last = i
			}
		}
		if last < 0 {
			return answer{}, refused(http.StatusBadRequest, "invalid_after", "after names nothing in this list.")
		}
		all = all[last+1:]
	}
	body := map[string]any{name: append([]T{}, all[:min(p.limit, len(all))]...)}
	if len(all) > p.limit {
		body["next"] = id(all[p.limit-1])
	}
	return jsonAnswer(http.StatusOK, body), nil
}

// readAdminBody reads the members that are known; there being others is a fault.
// No body at all is one without members.
func readAdminBody(r adminRequest, target any) (*connectors.Fields, error) {
	body := r.body
	if len(body) == 0 {
		body = []byte("{}")
	}
	return &connectors.Fields{Now: r.receivedAt}, connectors.ReadObjectStrictly(body, target)
}
