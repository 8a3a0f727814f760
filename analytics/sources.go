package analytics

import (
	"context"
	"errors"
	"net/http"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// Sources is the answer of GET /v1/sources: how the webhook endpoints of a workspace do.
type Sources struct {
	WorkspaceSlug string   `json:"workspaceSlug"`
	Since         string   `json:"since"`
	Until         string   `json:"until"`
	Sources       []Source `json:"sources"`
}

// Source is how one webhook endpoint did. Durations are seconds.
type Source struct {
	Endpoint string `json:"endpoint"`
	Provider string `json:"provider"`
	Account  string `json:"account"`
	Mode     string `json:"mode"`
	Revoked  bool   `json:"revoked"`
	// LastDeliveryAt is when the last delivery that verified was accepted; null if none
	// was. Silent: that is longer ago than the source is ever quiet for.
	LastDeliveryAt *string `json:"lastDeliveryAt"`
	Silent         bool    `json:"silent"`
	Deliveries     uint64  `json:"deliveries"`
	Refused        uint64  `json:"refused"`
	// UsualPauseSeconds is what all but one in a hundred pauses between deliveries do
	// not exceed; null of fewer than twenty.
	UsualPauseSeconds *float64    `json:"usualPauseSeconds"`
	Gaps              []SourceGap `json:"gaps"`
	// Lag is from when events happened to their acceptance; null if the provider does
	// not say when they happened.
	Lag      *SourceLag      `json:"lag"`
	Events   []SourceEvents  `json:"events"`
	Versions []SourceVersion `json:"versions"`
	Refusals []SourceRefusal `json:"refusals"`
}

// SourceGap is a silence far beyond the usual.
type SourceGap struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

// SourceLag sums up lags.
type SourceLag struct {
	MedianSeconds float64 `json:"medianSeconds"`
	P95Seconds    float64 `json:"p95Seconds"`
	MaxSeconds    float64 `json:"maxSeconds"`
}

// SourceEvents counts events of one type and outcome.
type SourceEvents struct {
	Type    string `json:"type"`
	Outcome string `json:"outcome"`
	Count   uint64 `json:"count"`
	LastAt  string `json:"lastAt"`
}

// SourceVersion counts events of one API version.
type SourceVersion struct {
	Version string `json:"version"`
	Count   uint64 `json:"count"`
	LastAt  string `json:"lastAt"`
}

// SourceRefusal counts deliveries refused for one reason.
type SourceRefusal struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	LastAt string `json:"lastAt"`
}

// Days that GET /v1/sources looks back.
const (
	sourceDaysDefault = 30
	sourceDaysMax     = 400
)

func (s *Server) sources(ctx context.Context, request asked) (answered, error) {
	values, err := parseValues(request.query, s.config)
	if err != nil {
		return answered{}, refuse(http.StatusBadRequest, "%w", err)
	}
	p := parser{values: values}
	slug := p.slug()
	days := p.number("days", sourceDaysDefault, sourceDaysMax)
	if err := errors.Join(p.errs...); err != nil {
		return answered{}, refuse(http.StatusBadRequest, "%w", err)
	}
	workspace, err := s.workspace(request.key, slug)
	if err != nil {
		return answered{}, err
	}
	now := s.now().UTC()
	since := now.AddDate(0, 0, -days)
	found, err := s.store.Sources(ctx, workspace.ID, since, now)
	if err != nil {
		return answered{}, err
	}
	return answered{body: Sources{
		WorkspaceSlug: workspace.Slug, Since: exactInstant(since), Until: exactInstant(now),
		Sources: SourcesOf(s.directory.Endpoints(workspace.ID), found, now),
	}}, nil
}

// SourcesOf joins the endpoints of a workspace with what came by them; those that
// nothing came by are there, too.
func SourcesOf(endpoints []control.Endpoint, found []clickhouse.Source, now time.Time) []Source {
	byID := make(map[string]*clickhouse.Source, len(found))
	for i := range found {
		byID[found[i].Endpoint] = &found[i]
	}
	list := []Source{}
	for _, e := range endpoints {
		heard := byID[e.ID]
		if heard == nil {
			heard = &clickhouse.Source{}
		}
		source := sourceOf(heard, now)
		source.Endpoint, source.Provider, source.Account, source.Mode, source.Revoked = e.ID, e.Provider, e.Account, string(e.Mode), !e.RevokedAt.IsZero()
		source.Silent = source.Silent && !source.Revoked
		list = append(list, source)
	}
	return list
}

func sourceOf(heard *clickhouse.Source, now time.Time) Source {
	source := Source{
		Deliveries: heard.Deliveries, Refused: heard.Refused, Silent: heard.Silent(now),
		Gaps: []SourceGap{}, Events: []SourceEvents{}, Versions: []SourceVersion{}, Refusals: []SourceRefusal{},
	}
	if !heard.LastDelivery.IsZero() {
		source.LastDeliveryAt = new(exactInstant(heard.LastDelivery))
	}
	if heard.UsualPause > 0 {
		source.UsualPauseSeconds = new(heard.UsualPause.Seconds())
	}
	for _, gap := range heard.Gaps {
		source.Gaps = append(source.Gaps, SourceGap{exactInstant(gap.From), exactInstant(gap.Until)})
	}
	if heard.Lag != nil {
		source.Lag = &SourceLag{heard.Lag.Median.Seconds(), heard.Lag.P95.Seconds(), heard.Lag.Max.Seconds()}
	}
	for _, c := range heard.Events {
		source.Events = append(source.Events, SourceEvents{c.Name, c.Detail, c.Count, exactInstant(c.Last)})
	}
	for _, c := range heard.Versions {
		source.Versions = append(source.Versions, SourceVersion{c.Name, c.Count, exactInstant(c.Last)})
	}
	for _, c := range heard.Refusals {
		source.Refusals = append(source.Refusals, SourceRefusal{c.Name, c.Count, exactInstant(c.Last)})
	}
	return source
}
