package analytics

import (
	"slices"

	"revstream/ingest/control"
)

// choice is a parameter that only some series have, and what it may be.
type choice struct {
	name string
	of   []string
}

// chosenQuestion reads the question of a series that has choices, and what was chosen, by
// name; empty where nothing was.
func (s *Server) chosenQuestion(request asked, choices ...choice) (SeriesQuery, control.Workspace, map[string]string, error) {
	workspace, zone, err := s.whoseQuestion(request)
	if err != nil {
		return SeriesQuery{}, control.Workspace{}, nil, err
	}
	values, err := parseValues(request.query, s.config)
	if err != nil {
		return SeriesQuery{}, control.Workspace{}, nil, badRequest(err)
	}
	p, known, chosen := parser{values: values}, slices.Clone(seriesParameters), map[string]string{}
	for _, c := range choices {
		known = append(known, c.name)
		chosen[c.name] = p.choice(c.name, c.of, "")
	}
	query, err := p.seriesQuery(known, s.now(), zone, s.config)
	if err != nil {
		return SeriesQuery{}, control.Workspace{}, nil, badRequest(err)
	}
	return query, workspace, chosen, nil
}
