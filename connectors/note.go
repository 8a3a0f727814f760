package connectors

import (
	"encoding/json"

	"revstream/ingest/revenue"
)

// MRRUnknown is the note in the metadata of a subscription of whose worth something
// is not known; its value says what.
const MRRUnknown = string(revenue.NoteMRRUnknown)

// Noted adds a note of ours to the metadata of a statement.
func Noted(to *revenue.Dimensions, name, note string) {
	members, err := ParseObject(to.Metadata)
	if err != nil {
		members = Object{}
	}
	members[name] = note
	if text, err := json.Marshal(members); err == nil {
		to.Metadata = text
	}
}
