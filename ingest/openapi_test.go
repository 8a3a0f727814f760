package ingest_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"revstream/ingest"
)

// TestOpenAPI holds the document against the routes: the same paths and methods,
// nothing more and nothing less.
func TestOpenAPI(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(ingest.OpenAPI())
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
