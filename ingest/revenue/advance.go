package revenue

import (
	"slices"
	"time"
)

// Advance returns the rows that a store which holds the ledger of known statements lacks
// when fresh ones are added, and the keys that it has to take back, as Difference does. It
// folds once, and again for every moment from the first on that the fresh statements
// change: nearly always their own, for they are received in about the order in which they
// are read, where Ledger folds for every moment that there ever was. It applies, and ok is
// true, only if what was held before that moment is what the statements of then come to,
// and none was ever withdrawn; otherwise the whole Ledger has to be compared.
func Advance(known, fresh []Event, held Held) (missing []LedgerRow, foreign Held, ok bool) {
	before, all := distinct(known), distinct(slices.Concat(known, fresh))
	if revised(all) {
		return nil, nil, false
	}
	same := unchanged(before, all, distinct(fresh))
	earlier, later := held, Held{}
	if same < len(all) {
		earlier, later = held.split(all[same].ReceivedAt)
	}
	stand := make(standing, len(all))
	for i := range all[:same] {
		stand.take(&all[i])
	}
	believed := count(fold(stand))
	if !comesTo(earlier, believed) {
		return nil, nil, false
	}
	rows, _ := advance(stand, believed, all[same:], fold)
	missing, foreign = Difference(rows, later)
	return missing, foreign, true
}

// unchanged is how many of all statements were received before any of the fresh ones that
// may change what they come to. Repeats of what was known earlier do not. What is known at
// the very moment at which it is fresh may: it was stored beside the fold, and its rows are
// not there yet.
func unchanged(before, all, fresh []statement) int {
	known := make(map[identity]time.Time, len(before))
	for i := range before {
		known[before[i].identity()] = before[i].ReceivedAt
	}
	same := len(all)
	for i := range fresh {
		if at, repeated := known[fresh[i].identity()]; repeated && fresh[i].ReceivedAt.After(at) {
			continue
		}
		// The first of its moment: what was received at once is taken in at once.
		same, _ = slices.BinarySearchFunc(all[:same], fresh[i].ReceivedAt, func(s statement, at time.Time) int { return s.ReceivedAt.Compare(at) })
	}
	return same
}

// split tells what became known before a moment from what did then and later.
func (h Held) split(at time.Time) (earlier, later Held) {
	earlier, later = make(Held, len(h)), Held{}
	for key, n := range h {
		if key.KnownAt < at.UnixMicro() {
			earlier[key] = n
		} else {
			later[key] = n
		}
	}
	return earlier, later
}

// comesTo reports whether the held rows add up to exactly the believed entries.
func comesTo(held Held, believed map[uint64]*counted) bool {
	sums := make(map[uint64]int64, len(believed))
	for key, n := range held {
		sums[key.RowID] += n
	}
	for id, c := range believed {
		if sums[id] != int64(c.n) {
			return false
		}
		delete(sums, id)
	}
	for _, n := range sums {
		if n != 0 {
			return false
		}
	}
	return true
}
