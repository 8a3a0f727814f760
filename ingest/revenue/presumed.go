package revenue

import (
	"slices"
	"time"
)

// What a subscription was worth before anybody told is concluded afterwards, from its
// bills. A bill's moment may well lie after something that the subscription itself said
// (its source was read twice, or was told of by an endpoint that is no more), and what a
// bill says is less: it knows of no request to cancel, and perhaps not what a discount
// was. So what is presumed stands only before what was stated first, whichever came in
// first. That is a property of the set of statements, as everything here is.

// withoutContradicted leaves out presumed terms of a time of which terms were stated.
func (g groupFacts) withoutContradicted() groupFacts {
	if !slices.ContainsFunc(g, (*statement).presumed) {
		return g
	}
	told := map[string]time.Time{} // since when, by subscription
	for _, s := range g.of(KindSubscription) {
		if _, known := told[s.Subscription]; !known && !s.Presumed { // in order of occurrence
			told[s.Subscription] = s.OccurredAt
		}
	}
	return slices.DeleteFunc(g, func(s *statement) bool {
		since, known := told[s.Subscription]
		return known && s.presumed() && !s.OccurredAt.Before(since)
	})
}

func (s *statement) presumed() bool { return s.Kind == KindSubscription && s.Presumed }
