package main

import (
	"encoding/json"
	"strings"
	"testing"
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
