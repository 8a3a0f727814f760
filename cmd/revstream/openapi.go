package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/gofiber/fiber/v2"
	"go.yaml.in/yaml/v3"
)

// openAPIBase is what the merged document has of its own.
const openAPIBase = `
openapi: 3.1.0
info:
  title: revstream
  description: Statements about revenue in, exact figures out.
paths:
  /healthz:
    get:
      operationId: getHealth
      summary: Whether the process runs
      tags: [operation]
      security: []
      responses: {"200": {description: It does}}
  /readyz:
    get:
      operationId: getReadiness
      summary: Whether everything that the process's roles depend on answers
      tags: [operation]
      security: []
      responses: {"200": {description: It does}, "503": {description: Some of it does not}}
  /readyz/{role}:
    get:
      operationId: getRoleReadiness
      summary: Whether everything that one role depends on answers
      tags: [operation]
      security: []
      parameters:
        - {name: role, in: path, required: true, schema: {type: string, enum: [ingest, sink, query]}}
      responses: {"200": {description: It does}, "404": {description: No such role here}, "503": {description: Some of it does not}}
  /metrics:
    get:
      operationId: getMetrics
      summary: Prometheus metrics of this process
      tags: [operation]
      security: []
      responses: {"200": {description: The metrics in Prometheus text format}}
  /openapi.json:
    get:
      operationId: getOpenAPI
      summary: This document
      tags: [operation]
      security: []
      responses: {"200": {description: The OpenAPI document}}
  /docs:
    get:
      operationId: getDocs
      summary: This document as a page, which loads nothing from other hosts
      tags: [operation]
      security: []
      responses: {"200": {description: The page, content: {text/html: {schema: {type: string}}}}}
  /docs/{file}:
    get:
      operationId: getDocsFile
      summary: A file of that page
      tags: [operation]
      security: []
      parameters:
        - {name: file, in: path, required: true, schema: {type: string}}
      responses: {"200": {description: The file}, "404": {description: No such file}}
`

// mergeOpenAPI merges YAML or JSON documents into the base: paths, components and
// tags. Two documents that say different things under one name are an error.
func mergeOpenAPI(documents ...[]byte) ([]byte, error) {
	var merged map[string]any
	for _, document := range append([][]byte{[]byte(openAPIBase)}, documents...) {
		var part any
		if err := yaml.Unmarshal(document, &part); err != nil {
			return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
		}
		next, isMap := withTextKeys(part).(map[string]any)
		if !isMap {
			return nil, fmt.Errorf("reading an OpenAPI document: it is no object")
		}
		if merged == nil {
			merged = next
			merged["info"].(map[string]any)["version"] = version()
			continue
		}
		for _, section := range []string{"paths", "components", "tags"} {
			var err error
			if merged[section], err = mergeValues(section, merged[section], next[section]); err != nil {
				return nil, err
			}
			if merged[section] == nil {
				delete(merged, section)
			}
		}
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("rendering the OpenAPI document: %w", err)
	}
	return text, nil
}

// mergeValues merges maps key by key and lists by appending what is new.
func mergeValues(at string, into, from any) (any, error) {
	switch into := into.(type) {
	case nil:
		return from, nil
	case map[string]any:
		additions, isMap := from.(map[string]any)
		if from == nil || !isMap {
			return into, conflict(at, into, from)
		}
		for key, value := range additions {
			var err error
			if into[key], err = mergeValues(at+"/"+key, into[key], value); err != nil {
				return nil, err
			}
		}
		return into, nil
	case []any:
		additions, isList := from.([]any)
		if from == nil || !isList {
			return into, conflict(at, into, from)
		}
		for _, value := range additions {
			if !containsEqual(into, value) {
				into = append(into, value)
			}
		}
		return into, nil
	default:
		return into, conflict(at, into, from)
	}
}

func conflict(at string, a, b any) error {
	if b == nil || reflect.DeepEqual(a, b) {
		return nil
	}
	return fmt.Errorf("two OpenAPI documents differ at %s", at)
}

func containsEqual(list []any, value any) bool {
	for _, element := range list {
		if reflect.DeepEqual(element, value) {
			return true
		}
	}
	return false
}

// withTextKeys turns YAML's keys of any kind (an unquoted 200) into JSON's.
func withTextKeys(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, element := range value {
			value[key] = withTextKeys(element)
		}
		return value
	case map[any]any:
		texts := make(map[string]any, len(value))
		for key, element := range value {
			texts[fmt.Sprint(key)] = withTextKeys(element)
		}
		return texts
	case []any:
		for i := range value {
			value[i] = withTextKeys(value[i])
		}
		return value
	default:
		return value
	}
}

func mountOpenAPI(app *fiber.App, document []byte) {
	app.Get("/openapi.json", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Send(document)
	})
}
