package ingest_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"revstream/ingest"
)

// apiDocument is the document, read once for all tests.
var apiDocument = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(ingest.OpenAPI()) })

var (
	adminOf    = regexp.MustCompile(`^/v1/admin/workspaces/[^/]+`)
	adminThing = regexp.MustCompile(`/(keys|endpoints|alerts)/[^/]+`)
)

// declared holds the status of an answer that any test gets against the document.
// Paths and methods that there are none of are not in it.
func declared(t *testing.T, method, path string, status int) {
	t.Helper()
	document, err := apiDocument()
	if err != nil {
		t.Fatal(err)
	}
	path, _, _ = strings.Cut(path, "?")
	if strings.HasPrefix(path, "/webhooks/") {
		path = "/webhooks/{provider}/{endpoint}"
	}
	path = adminOf.ReplaceAllString(path, "/v1/admin/workspaces/{workspace}")
	path = adminThing.ReplaceAllString(path, "/$1/{id}")
	item := document.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return
	}
	if status == 498 { // what a provider expects for a bad signature
		return
	}
	if item.GetOperation(method).Responses.Status(status) == nil {
		t.Errorf("%s %s: status %d is not in the document", method, path, status)
	}
}

// TestOpenAPI holds the document against the routes: the same paths and methods,
// nothing more and nothing less.
func TestOpenAPI(t *testing.T) {
	document, err := apiDocument()
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	documented := map[string]bool{}
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	routed := map[string]bool{}
	parameter := regexp.MustCompile(`:(\w+)`)
	for _, route := range start(t, settings{}).app.GetRoutes(true) {
		if route.Method == "HEAD" || strings.Contains(route.Path, "*") {
			continue
		}
		routed[route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}")] = true
	}
	if !maps.Equal(documented, routed) {
		t.Errorf("documented\n%s\nrouted\n%s", strings.Join(slices.Sorted(maps.Keys(documented)), "\n"), strings.Join(slices.Sorted(maps.Keys(routed)), "\n"))
	}
}
