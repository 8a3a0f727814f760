package analytics

import (
	"maps"
	"slices"
	"strings"
)

// dimension is what entries can be told apart by.
type dimension struct {
	// column is where the entries have it.
	column string
	// rollups have it as well.
	rollups bool
	// ofMRR says that MRR adds up by it, at all times: movements and transfers stand for
	// it. Of the others a movement says only what its last statement said.
	ofMRR bool
	// attributed dimensions say to what a payment is ascribed, and by which claim: claims
	// of several types may be about one sale, so their parts are kept apart.
	attributed bool
}

// metadataDimension is that of a key of the metadata, given after it: metadata.plan_tier.
const metadataDimension = "metadata"

// reasonDimension is why MRR was lost; answers are not broken down by it but for losses.
const reasonDimension = "reason"

// dimensions are what answers can be broken down by.
var dimensions = map[string]dimension{
	"provider":        {column: "provider", rollups: true, ofMRR: true},
	"currency":        {column: "currency", rollups: true, ofMRR: true},
	"kind":            {column: "kind", rollups: true},
	"plan":            {column: "plan", ofMRR: true},
	"product":         {column: "product", ofMRR: true},
	"customer":        {column: "customer", ofMRR: true},
	"country":         {column: "country", ofMRR: true},
	"billingInterval": {column: "interval", ofMRR: true},
	"message":         {column: "message", attributed: true},
	"offer":           {column: "offer", attributed: true},
	"contact":         {column: "contact", attributed: true},
	"campaign":        {column: "campaign", attributed: true},
	"source":          {column: "source", attributed: true},
	"visitor":         {column: "visitor", attributed: true},
	"attributionType": {column: "attribution_type", attributed: true},
	reasonDimension:   {column: "reason", ofMRR: true},
	metadataDimension: {},
}

// breakdown is what an answer is to be broken down by; the zero value is nothing.
type breakdown struct {
	dimension string
	// key is that of the metadata.
	key string
}

func (b breakdown) String() string {
	if b.key != "" {
		return b.dimension + "." + b.key
	}
	return b.dimension
}

// breakdown reads the name of a dimension.
func (p *parser) breakdown(name string) breakdown {
	text, given := p.text(name)
	if !given {
		return breakdown{}
	}
	dimension, key, _ := strings.Cut(text, ".")
	if _, known := dimensions[dimension]; !known || dimension == reasonDimension || (dimension == metadataDimension) != (key != "") || len(key) > dimensionBytesMax {
		p.fail(name, "%q is not one of %s, or metadata. and a key", clip(text),
			strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(dimensions)), func(name string) bool { return name == metadataDimension || name == reasonDimension }), ", "))
		return breakdown{}
	}
	return breakdown{dimension, key}
}

// Part is the expression for the dimension in a table of the given alias, and for the
// type of its claim, which is empty where nothing is claimed.
func (p parts) Part(table string) string {
	value, claim := p.columns(table)
	return value + " AS part, " + claim + " AS claim"
}

// PartIs is the condition that the dimension has the value that is asked for.
func (p parts) PartIs(table string) string {
	value, claim := p.columns(table)
	return value + " = {part:String} AND " + claim + " = {claim:String}"
}

func (p parts) columns(table string) (value, claim string) {
	d := dimensions[p.By]
	switch {
	case p.By == metadataDimension:
		member := "(" + table + ".metadata, {breakdown_key:String})"
		return "if(JSONType" + member + " = 'String', JSONExtractString" + member + ", JSONExtractRaw" + member + ")", "''"
	case d.attributed:
		return "toString(" + table + "." + d.column + ")", "toString(" + table + ".attribution_type)"
	default:
		return "toString(" + table + "." + d.column + ")", "''"
	}
}

// Part is one of the values that an answer is broken down by.
type Part struct {
	// Value is empty of what has none.
	Value string `json:"value" ch:"part"`
	// AttributionType is who claims it, where the answer is broken down by attribution.
	AttributionType string `json:"attributionType,omitempty" ch:"claim"`
	// Others says that this is all that is not listed, and of how many values.
	Others int `json:"others,omitempty"`
}
