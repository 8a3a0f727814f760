package stripe

import (
	"maps"

	"revstream/connectors"
)

// object is a JSON object as Stripe sent it. Stripe renders objects in the API
// version of the endpoint, and versions moved fields about: places are given oldest
// first.
type object = connectors.Object

// elements are those of an array, or of the data of a Stripe list, at the first
// place that has any such.
func elements(o object, places ...string) []any {
	for _, place := range places {
		switch value := o.Value(place).(type) {
		case []any:
			return value
		case map[string]any:
			if data, ok := value["data"].([]any); ok {
				return data
			}
		}
	}
	return nil
}

// list are the elements that are objects.
func list(o object, places ...string) []object {
	var objects []object
	for _, element := range elements(o, places...) {
		if members, ok := element.(map[string]any); ok {
			objects = append(objects, members)
		}
	}
	return objects
}

// idOf is the id of a related object, which Stripe gives bare or, when expanded, as
// the object itself.
func idOf(value any) string {
	switch value.(type) {
	case string, map[string]any:
		return object{"id": value}.ID("id")
	default:
		return ""
	}
}

// before is the object as it was before the event: previous_attributes name what
// changed and how it was, nested objects by the changed members only, arrays
// whole.
func before(o, previous object) object {
	was := maps.Clone(o)
	for name, old := range previous {
		nested, isObject := old.(map[string]any)
		now, wasObject := was[name].(map[string]any)
		if isObject && wasObject {
			was[name] = map[string]any(before(now, nested))
		} else {
			was[name] = old
		}
	}
	return was
}
