package clickhouse

import (
	"context"
	"fmt"
	"time"
)

// Source is how a webhook endpoint did in a period.
type Source struct {
	Endpoint, Provider string
	// Deliveries verified, Refused did not (as far as they were noted).
	Deliveries, Refused uint64
	// LastDelivery is when the last one that verified was accepted; zero without any.
	LastDelivery time.Time
	// UsualPause is what all but one in a hundred pauses between deliveries do not
	// exceed; 0 if there are too few to say.
	UsualPause time.Duration
	// Gaps are pauses far beyond the usual, oldest first.
	Gaps []Gap
	// Lag is from when events happened, as their provider says, to their acceptance;
	// nil if it does not say.
	Lag *Lag
	// Events are by type and outcome, Versions by API version, Refusals by reason,
	// each with the most frequent first.
	Events, Versions, Refusals []SourceCount
}

// Gap is a silence from a delivery to the next.
type Gap struct{ From, Until time.Time }

// Lag sums up lags: half of them, 95 of 100, and all are no longer.
type Lag struct{ Median, P95, Max time.Duration }

// SourceCount counts what is alike: a type with an outcome, a version, a reason.
type SourceCount struct {
	Name, Detail string
	Count        uint64
	Last         time.Time
}

// A silence is beyond the usual if it is longer than gapFactor usual pauses, and than
// gapLeast: as in sources.sql.
const (
	gapFactor = 3
	gapLeast  = 10 * time.Minute
)

// Silent reports whether the source has been quiet for longer than it ever is.
func (s *Source) Silent(now time.Time) bool {
	return s.UsualPause > 0 && now.Sub(s.LastDelivery) > max(gapFactor*s.UsualPause, gapLeast)
}

type sourceRow struct {
	Endpoint     string    `ch:"endpoint"`
	Provider     string    `ch:"provider"`
	Deliveries   uint64    `ch:"deliveries"`
	Refused      uint64    `ch:"refused"`
	LastDelivery time.Time `ch:"last_delivery"`
	UsualPause   int64     `ch:"usual_pause"`
	GapEnds      []int64   `ch:"gap_ends"`
	GapLengths   []int64   `ch:"gap_lengths"`
	LagMedian    int64     `ch:"lag_median"`
	Lag95        int64     `ch:"lag_95"`
	LagMax       int64     `ch:"lag_max"`
}

type sourceCountRow struct {
	Endpoint string    `ch:"endpoint"`
	What     string    `ch:"what"`
	Name     string    `ch:"name"`
	Detail   string    `ch:"detail"`
	Count    uint64    `ch:"n"`
	Last     time.Time `ch:"last"`
}

// Sources tells how the endpoints of a workspace that something came by did between
// two moments, half open, in order of their ids.
func (s *Store) Sources(ctx context.Context, workspace string, since, until time.Time) ([]Source, error) {
	values := []Named{{"workspace", workspace}, {"since", since}, {"until", until}}
	rows, _, err := Select[sourceRow](ctx, s, s.sql.sources, values...)
	if err != nil {
		return nil, fmt.Errorf("reading how sources do: %w", err)
	}
	counts, _, err := Select[sourceCountRow](ctx, s, s.sql.sourceCounts, values...)
	if err != nil {
		return nil, fmt.Errorf("counting what sources sent: %w", err)
	}
	sources := make([]Source, len(rows))
	position := map[string]int{}
	for i := range rows {
		sources[i] = rows[i].source()
		position[rows[i].Endpoint] = i
	}
	for _, c := range counts {
		i, known := position[c.Endpoint]
		if !known {
			continue // came between the two questions
		}
		into := map[string]*[]SourceCount{"event": &sources[i].Events, "version": &sources[i].Versions, "refusal": &sources[i].Refusals}[c.What]
		*into = append(*into, SourceCount{c.Name, c.Detail, c.Count, c.Last.UTC()})
	}
	return sources, nil
}

func (r *sourceRow) source() Source {
	s := Source{Endpoint: r.Endpoint, Provider: r.Provider, Deliveries: r.Deliveries, Refused: r.Refused, UsualPause: micros(r.UsualPause)}
	if r.Deliveries > 0 {
		s.LastDelivery = r.LastDelivery.UTC()
	}
	for i, end := range r.GapEnds {
		s.Gaps = append(s.Gaps, Gap{time.UnixMicro(end - r.GapLengths[i]).UTC(), time.UnixMicro(end).UTC()})
	}
	if r.LagMax >= 0 {
		s.Lag = &Lag{micros(r.LagMedian), micros(r.Lag95), micros(r.LagMax)}
	}
	return s
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
