package ingest_test

import (
	"context"

	"revstream/ingest/control"
	"revstream/ingest/stream"
)

// keys are what the directory holds for the workspace of a test.
type keys struct {
	workspace string
	// endpoint is for any mode of the provider test, testEndpoint for test mode.
	endpoint, testEndpoint string
	secret, public         string
	reading                string // may not write
	limited                string // one request per second, two at once
	installation           string // of no workspace
}

// direct opens the directory of the service with a workspace, a key of each sort
// and endpoints.
func (s *service) direct(ctx context.Context, table *stream.Table, currency string) *control.Directory {
	s.t.Helper()
	directory, err := control.Open(ctx, table)
	if err != nil {
		s.t.Fatal(err)
	}
	const by control.Actor = "test"
	workspace, err := directory.CreateWorkspace(ctx, by, control.NewWorkspace{Slug: "demo", Currency: currency})
	if err != nil {
		s.t.Fatal(err)
	}
	key := func(n control.NewKey) string {
		_, text, err := directory.CreateKey(ctx, by, n)
		if err != nil {
			s.t.Fatal(err)
		}
		return text.Reveal()
	}
	endpoint := func(mode control.Mode) string {
		endpoint, err := directory.CreateEndpoint(ctx, by, control.NewEndpoint{
			Workspace: workspace.ID, Provider: "test", Account: "acct", Mode: mode, Secrets: []control.Secret{control.NewSecret("signing")},
			Options: map[string]string{"depth": "2"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		return endpoint.ID
	}
	write := []control.Scope{control.ScopeRevenueWrite}
	s.keys = keys{
		workspace: workspace.ID,
		endpoint:  endpoint(control.ModeAny), testEndpoint: endpoint(control.ModeTest),
		secret:       key(control.NewKey{Workspace: workspace.ID, Name: "secret", Style: control.StyleTrackly, Scopes: write}),
		public:       key(control.NewKey{Workspace: workspace.ID, Name: "public", Style: control.StylePulsora, Public: true}),
		reading:      key(control.NewKey{Workspace: workspace.ID, Name: "reading", Scopes: []control.Scope{control.ScopeRead}}),
		limited:      key(control.NewKey{Workspace: workspace.ID, Name: "limited", Scopes: write, RatePerSecond: 1, Burst: 2}),
		installation: key(control.NewKey{Name: "installation", Scopes: []control.Scope{control.ScopeAdmin}}),
	}
	return directory
}
