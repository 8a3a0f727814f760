package analytics

import (
	"cmp"
	"context"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// TrialSeries is the body of /v1/metrics/trials.
type TrialSeries struct {
	SeriesHead
	// Basis is what ConversionRate is worked out of.
	Basis  string        `json:"basis"`
	Series []TrialBucket `json:"series"`
	// Previous is the answer about the period that it is compared with, if it is.
	Previous *TrialSeries `json:"previous,omitempty"`
}

func (s *TrialSeries) frame() (*SeriesHead, **TrialSeries) { return &s.SeriesHead, &s.Previous }

// TrialBucket are the trials of a bucket. Conversion rates are null of nothing.
type TrialBucket struct {
	Bucket
	// TrialCount are the trials that began in the bucket, TrialConversionCount the
	// conversions in it, whenever the trial began.
	TrialCount           int64 `json:"trialCount"`
	TrialConversionCount int64 `json:"trialConversionCount"`
	// CohortTrials are the subscriptions whose first trial began in the bucket, and
	// CohortConversions those of them that were converted since, by the moment of the
	// question.
	CohortTrials      int64 `json:"cohortTrials"`
	CohortConversions int64 `json:"cohortConversions"`
	// EndedTrials are those that were converted or expired in the bucket, and
	// EndedConversions those of them that were converted.
	EndedTrials      int64 `json:"endedTrials"`
	EndedConversions int64 `json:"endedConversions"`
	// ConversionRate is of the cohort, of what ended, or of the events.
	ConversionRate *Thousandths `json:"conversionRate"`
}

// The bases of conversion rates (reference/metrics.md section 2b).
const (
	trialsByCohort = "cohort"
	trialsByEnded  = "ended"
	trialsByEvents = "events"
)

// trials answers GET /v1/metrics/trials.
func (s *Server) trials(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, choice{"basis", []string{trialsByCohort, trialsByEnded, trialsByEvents}})
	if err != nil {
		return answered{}, err
	}
	if err := query.refuseBreakdown(); err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	if r.profile = profileOf(query.Profile); r.profile.trials == "" {
		if err := query.refuseProfile("trials"); err != nil {
			return answered{}, err
		}
	}
	basis := cmp.Or(query.chosen["basis"], r.profile.trials, trialsByCohort)
	return comparedAnswer(ctx, r, "trials", workspace, &query, func(ctx context.Context, query *SeriesQuery) (*TrialSeries, error) {
		buckets, err := r.trialBuckets(ctx, query, basis)
		return &TrialSeries{Basis: basis, Series: buckets}, err
	})
}

func (r *reading) trialBuckets(ctx context.Context, query *SeriesQuery, basis string) ([]TrialBucket, error) {
	type trialRow struct {
		Bucket      int64  `ch:"bucket"`
		Basis       string `ch:"basis"`
		Trials      uint64 `ch:"trials"`
		Conversions uint64 `ch:"conversions"`
	}
	rows, err := ask[trialRow](ctx, r, "trials", r.questions.trials, append(r.balanced(query.Edges),
		clickhouse.Named{Name: "since", Value: query.Edges[0]})...)
	if err != nil {
		return nil, err
	}
	events, err := r.flows(ctx, query.Edges, false, false)
	if err != nil {
		return nil, err
	}
	buckets := make([]TrialBucket, len(query.Edges)-1)
	for i, bucket := range query.buckets() {
		one := &buckets[i]
		one.Bucket = bucket
		begin, end := query.Edges[i].UnixMicro(), query.Edges[i+1].UnixMicro()
		for j := range events {
			if row := &events[j]; row.bucket >= begin && row.bucket < end {
				one.TrialCount += row.of(revenue.EntryTrialStart)
				one.TrialConversionCount += row.of(revenue.EntryTrialConversion)
			}
		}
		for _, row := range rows {
			switch {
			case row.Bucket != begin:
			case row.Basis == trialsByCohort:
				one.CohortTrials, one.CohortConversions = int64(row.Trials), int64(row.Conversions)
			default:
				one.EndedTrials, one.EndedConversions = int64(row.Trials), int64(row.Conversions)
			}
		}
		one.ConversionRate = map[string]*Thousandths{
			trialsByCohort: ratio(one.CohortConversions, one.CohortTrials),
			trialsByEnded:  ratio(one.EndedConversions, one.EndedTrials),
			trialsByEvents: ratio(one.TrialConversionCount, one.TrialCount),
		}[basis]
	}
	return buckets, nil
}
