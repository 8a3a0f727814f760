package analytics

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	Lag *SourceLag `json:"lag"`
	// Reconciliation is how the latest nightly comparison with the provider's own totals
	// ended; null if there was none.
	Reconciliation *SourceReconciliation `json:"reconciliation"`

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

// SourceReconciliation is a comparison of what the provider says it moved, from Since
// until Until, with the ledger.
type SourceReconciliation struct {
	At    string `json:"at"`
	Since string `json:"since"`
	Until string `json:"until"`
	// Totals is how many the provider has, one for each day, currency and flow.
	Totals      int                `json:"totals"`
	Differences []SourceDifference `json:"differences"`
	// Failure is why it could not be done; null if it could.
	Failure *string `json:"failure"`
}

// SourceDifference is a day on which the provider and the ledger disagree about a flow;
// signed minor units.
type SourceDifference struct {
	Day           string `json:"day"`
	Currency      string `json:"currency"`
	Flow          string `json:"flow"`
	ProviderCents int64  `json:"providerCents"`
	LedgerCents   int64  `json:"ledgerCents"`
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
	sources, err := ReadSources(ctx, s.store, s.directory.Endpoints(workspace.ID), workspace.ID, days, now)
	if err != nil {
		return answered{}, err
	}
	return answered{body: Sources{
		WorkspaceSlug: workspace.Slug, Since: exactInstant(now.AddDate(0, 0, -days)), Until: exactInstant(now), Sources: sources,
	}}, nil
}

// ReadSources tells how the endpoints of a workspace did in the days before now; those
// that nothing came by are there, too.
func ReadSources(ctx context.Context, store *clickhouse.Store, endpoints []control.Endpoint, workspace string, days int, now time.Time) ([]Source, error) {
	found, err := store.Sources(ctx, workspace, now.AddDate(0, 0, -days), now)
	if err != nil {
		return nil, err
	}
	reconciled, err := store.Reconciliations(ctx, workspace)
	if err != nil {
		return nil, err
	}
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
		if i := slices.IndexFunc(reconciled, func(r clickhouse.Reconciliation) bool { return r.Endpoint == e.ID }); i >= 0 {
			source.Reconciliation = reconciliationOf(&reconciled[i])
		}
		list = append(list, source)
	}
	return list, nil
}

func reconciliationOf(r *clickhouse.Reconciliation) *SourceReconciliation {
	shown := &SourceReconciliation{
		At: exactInstant(r.At), Since: exactInstant(r.Since), Until: exactInstant(r.Until), Totals: r.Totals, Differences: []SourceDifference{},
	}
	if r.Failure != "" {
		shown.Failure = &r.Failure
	}
	for _, d := range r.Differences {
		shown.Differences = append(shown.Differences, SourceDifference{d.Day.Format(time.DateOnly), d.Currency, d.Flow, d.Theirs, d.Ours})
	}
	return shown
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
