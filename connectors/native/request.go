package native

import (
	"bytes"
	"cmp"
	"fmt"

	"revstream/connectors"
)

// Split cuts a request into its events: one object, an array of objects, or one
// object a line (NDJSON), which lines says it is; a body of several lines that
// begins with an object is taken as such anyway. Blank lines are passed over.
// Lines are not checked here, so one bad line does not spoil the others. The error
// is a *connectors.InvalidError: invalid_json, missing_events or too_many_events.
func Split(text []byte, lines bool, eventsMax int) ([]connectors.Value, error) {
	text = bytes.TrimSpace(text)
	var events []connectors.Value
	switch {
	case len(text) == 0:
	case !lines && text[0] == '[':
		elements, err := connectors.ReadArray(text, eventsMax)
		if err != nil {
			return nil, err
		}
		events = elements
	case lines || text[0] == '{' && !connectors.Value(text).IsValid():
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				events = append(events, line)
			}
			if len(events) > eventsMax {
				break
			}
		}
		if !lines && !connectors.Value(events[0]).IsValid() {
			// Not lines after all: say what is wrong with the whole.
			return nil, cmp.Or(connectors.ReadObject(text, &struct{}{}), errNotLines)
		}
	default:
		events = []connectors.Value{text}
	}
	if len(events) == 0 {
		return nil, &connectors.InvalidError{Code: "missing_events", Detail: "The request has no events."}
	}
	if len(events) > eventsMax {
		return nil, &connectors.InvalidError{Code: "too_many_events", Detail: fmt.Sprintf("Exceeded the maximum of %d events per request.", eventsMax)}
	}
	return events, nil
}

var errNotLines error = &connectors.InvalidError{Code: "invalid_json", Detail: "the first line is not a JSON object"}
