package analytics

import (
	_ "embed"
	"slices"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the description of this package's endpoints, in YAML after OpenAPI
// 3.1. It is the caller's own copy.
func OpenAPI() []byte { return slices.Clone(openAPI) }
