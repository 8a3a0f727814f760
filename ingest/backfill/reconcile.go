package backfill

import (
	"cmp"
	"slices"
	"time"

	"revstream/connectors"
)

// Difference is a day on which the provider and the ledger disagree about a flow.
type Difference struct {
	Day      time.Time
	Currency string
	Flow     string
	// Theirs is what the provider says, Ours what the ledger does; signed minor units.
	Theirs, Ours int64
}

// Compare lists every difference between what a provider says and the ledger, in order
// of days.
func Compare(theirs, ours []connectors.DayTotal) []Difference {
	type key struct {
		day            time.Time
		currency, flow string
	}
	sums := map[key]*Difference{}
	at := func(t connectors.DayTotal) *Difference {
		k := key{t.Day.UTC(), t.Currency, t.Flow}
		if sums[k] == nil {
			sums[k] = &Difference{Day: k.day, Currency: t.Currency, Flow: t.Flow}
		}
		return sums[k]
	}
	for _, t := range theirs {
		at(t).Theirs += t.Amount
	}
	for _, t := range ours {
		at(t).Ours += t.Amount
	}
	var differences []Difference
	for _, d := range sums {
		if d.Theirs != d.Ours {
			differences = append(differences, *d)
		}
	}
	slices.SortFunc(differences, func(a, b Difference) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Flow, b.Flow))
	})
	return differences
}
