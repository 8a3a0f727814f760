package revenue

// A source can be read wrongly. When its deliveries are read again by a corrected
// mapping, the statements that they no longer come to are withdrawn, whatever their
// versions and whatever facts they were about, and the new ones are made. Versions
// could not do that: they say which rendering of an object is the later one, and a
// wrong amount may well have a greater one than the right amount.
//
// A statement (that is its content, see Digest) is a member of the group's set if it
// was said after it was last withdrawn, by Revision. Whoever wins does so in any
// order of arrival, so the ledger stays a function of the set of records.

// identity is a statement by its content.
type identity struct {
	fact   string
	digest Digest
}

func (s *statement) identity() identity { return identity{s.fact, s.digest} }

// compareWithdrawal orders sayings before withdrawals.
func (s statement) compareWithdrawal(other statement) int {
	switch {
	case s.Withdrawn == other.Withdrawn:
		return 0
	case other.Withdrawn:
		return -1
	default:
		return 1
	}
}

// revised reports whether any of the statements is a withdrawal. Groups without one,
// nearly all, need not look for who withdrew what.
func revised(statements []statement) bool {
	for i := range statements {
		if statements[i].Withdrawn {
			return true
		}
	}
	return false
}

// said are the statements that were made and not withdrawn since, each as it was
// first received after its last withdrawal.
func said(statements []statement) []statement {
	withdrawn := map[identity]int64{}
	for i := range statements {
		if s := &statements[i]; s.Withdrawn {
			last, known := withdrawn[s.identity()]
			if !known || s.Revision > last {
				withdrawn[s.identity()] = s.Revision
			}
		}
	}
	position := map[identity]int{}
	var kept []statement
	for _, s := range statements {
		last, wasWithdrawn := withdrawn[s.identity()]
		if s.Withdrawn || wasWithdrawn && s.Revision <= last {
			continue
		}
		if at, known := position[s.identity()]; !known {
			position[s.identity()] = len(kept)
			kept = append(kept, s)
		} else if s.earlier(&kept[at]) {
			kept[at] = s
		}
	}
	return kept
}

// Said are the statements among the records of a group that were made and not
// withdrawn since, without repetitions.
func Said(events []Event) []Event {
	var list []Event
	for _, s := range said(distinct(events)) {
		list = append(list, *s.Event)
	}
	return list
}

// standingOf is the statement of each fact that stands.
func standingOf(statements []statement) standing {
	if revised(statements) {
		statements = said(statements)
	}
	stand := make(standing, len(statements))
	for i := range statements {
		stand.take(&statements[i])
	}
	return stand
}

// restated is advance for groups with withdrawals, which may bring back what stood
// before: each moment is folded from the beginning.
func restated(statements []statement, fold folding) []LedgerRow {
	var rows []LedgerRow
	believed := map[uint64]*counted{}
	for i := 0; i < len(statements); {
		knownAt := statements[i].ReceivedAt
		for i < len(statements) && statements[i].ReceivedAt.Equal(knownAt) {
			i++
		}
		next := count(fold(standingOf(statements[:i])))
		rows = appendDifference(rows, next, believed, knownAt)
		believed = next
	}
	return rows
}
