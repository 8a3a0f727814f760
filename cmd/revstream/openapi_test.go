package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"revstream/analytics"
	connectorregistry "revstream/connectors/registry"
	"revstream/ingest"
)

func TestMergeOpenAPI(t *testing.T) {
	a := `{paths: {/a: {get: {responses: {200: {description: ok}}}}}, components: {schemas: {S: {type: object}}}, tags: [{name: x}]}`
	b := `{paths: {/a: {post: {}}, /b: {get: {}}}, components: {schemas: {S: {type: object}, T: {type: string}}}, tags: [{name: x}, {name: y}]}`
	text, err := mergeOpenAPI([]byte(a), []byte(b))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI    string
		Info       struct{ Version string }
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
		Tags       []any
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" || document.Info.Version == "" {
		t.Errorf("openapi %q, version %q", document.OpenAPI, document.Info.Version)
	}
	if len(document.Paths["/a"]) != 2 || len(document.Paths["/b"]) != 1 || len(document.Paths["/healthz"]) != 1 {
		t.Errorf("paths %v", document.Paths)
	}
	if len(document.Components.Schemas) != 2 || len(document.Tags) != 2 {
		t.Errorf("schemas %v, tags %v", document.Components.Schemas, document.Tags)
	}
	if !strings.Contains(string(text), `"200":{"description":"ok"}`) {
		t.Errorf("an unquoted status is not a text key: %s", text)
	}
}

func TestMergeOpenAPIRefusesContradictions(t *testing.T) {
	_, err := mergeOpenAPI([]byte(`{components: {schemas: {S: {type: object}}}}`), []byte(`{components: {schemas: {S: {type: string}}}}`))
	if err == nil || !strings.Contains(err.Error(), "components/schemas/S/type") {
		t.Errorf("got %v, want an error that names the place", err)
	}
}

// servedApp has the routes of every role, with nothing behind them.
func servedApp(t *testing.T) (*fiber.App, []byte) {
	t.Helper()
	config, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry := newRegistry()
	app := newApp(config, registry, zap.NewNop())
	accepting, err := ingest.New(config.Ingest, ingest.Dependencies{APIs: connectorregistry.APIs(), Registerer: registry, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	accepting.Routes(app)
	answering, err := analytics.New(config.Query, analytics.Dependencies{Registerer: registry, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	answering.Routes(app)
	document, err := mergeOpenAPI(ingest.OpenAPI(), analytics.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	mountHealth(app, nil, registry)
	mountOpenAPI(app, document)
	if err := mountDocs(app); err != nil {
		t.Fatal(err)
	}
	return app, document
}

// routed are the methods of every path, as {name} rather than :name.
func routed(app *fiber.App) map[string][]string {
	parameter := regexp.MustCompile(`:([a-z]+)`)
	paths := map[string][]string{}
	for _, route := range app.GetRoutes(true) {
		if route.Method != fiber.MethodHead { // comes with every GET
			path := parameter.ReplaceAllString(route.Path, "{$1}")
			paths[path] = append(paths[path], strings.ToLower(route.Method))
		}
	}
	return paths
}

// methodsAll is from how many methods on a path is one that refuses the others.
const methodsAll = 7

func TestDocumentAndRoutesAgree(t *testing.T) {
	app, text := servedApp(t)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	routes := routed(app)
	for path, methods := range routes {
		for _, method := range methods {
			if _, documented := document.Paths[path][method]; !documented && len(methods) < methodsAll {
				t.Errorf("%s %s is served and not documented", method, path)
			}
		}
		if document.Paths[path] == nil {
			t.Errorf("%s is served and not documented", path)
		}
	}
	operations := 0
	for path, methods := range document.Paths {
		for method := range methods {
			if method == "parameters" || method == "summary" || method == "description" {
				continue
			}
			operations++
			if !slices.Contains(routes[path], method) {
				t.Errorf("%s %s is documented and not served", method, path)
			}
		}
	}
	if operations < 15 {
		t.Errorf("only %d operations are documented", operations)
	}
}

func TestDocumentIsValid(t *testing.T) {
	_, text := servedApp(t)
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}
