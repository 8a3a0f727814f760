package ingest

import _ "embed" // for the document

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the OpenAPI 3.1 document of the routes of this package, in YAML.
func OpenAPI() []byte { return openAPI }
