package clickhouse

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// family of groups: those of a workspace whose names begin alike, that is come
// from one source, account and mode.
type groupFamily struct{ workspace, prefix string }

// sortKey orders a row without touching its strings again: groups of a family
// differ in the sixteen bytes after what they share, almost always.
type sortKey struct {
	family  int32 // index in scratch.families, then rank
	index   int32
	head    [2]uint64
	rest    string
	instant int64
}

func compareKeys(a, b sortKey) int {
	switch {
	case a.family != b.family:
		return cmp.Compare(a.family, b.family)
	case a.head[0] != b.head[0]:
		return cmp.Compare(a.head[0], b.head[0])
	case a.head[1] != b.head[1]:
		return cmp.Compare(a.head[1], b.head[1])
	}
	if order := strings.Compare(a.rest, b.rest); order != 0 {
		return order
	}
	if order := cmp.Compare(a.instant, b.instant); order != 0 {
		return order
	}
	return cmp.Compare(a.index, b.index)
}

// sorted gives the order of rows by (workspace, group, instant). Sorting here,
// where only indexes move, is cheaper than in the server, where every column
// does. A group whose name is not made by revenue.GroupName may end up out of
// order; the server then sorts.
func (s *scratch) sorted(count int, key func(i int) (workspace, group string, instant int64)) []int32 {
	keys, families := s.sortKeys[:0], s.families[:0]
	known := make(map[groupFamily]int32)
	var last groupFamily
	lastIndex := int32(-1)
	for i := range count {
		workspace, group, instant := key(i)
		prefix := familyPrefix(group)
		family := groupFamily{workspace, group[:prefix]}
		if lastIndex < 0 || family != last {
			at, ok := known[family]
			if !ok {
				at = int32(len(families))
				known[family] = at
				families = append(families, family)
			}
			last, lastIndex = family, at
		}
		rest := group[prefix:]
		keys = append(keys, sortKey{lastIndex, int32(i), head(rest), rest, instant})
	}
	rankFamilies(keys, families)
	slices.SortFunc(keys, compareKeys)
	order := s.order[:0]
	for i := range keys {
		order = append(order, keys[i].index)
	}
	clear(keys)
	clear(families)
	s.sortKeys, s.families, s.order = keys, families, order
	return order
}

// rankFamilies replaces the index of each key's family by its rank.
func rankFamilies(keys []sortKey, families []groupFamily) {
	byName := make([]int32, len(families))
	for i := range byName {
		byName[i] = int32(i)
	}
	slices.SortFunc(byName, func(a, b int32) int {
		if order := strings.Compare(families[a].workspace, families[b].workspace); order != 0 {
			return order
		}
		return strings.Compare(families[a].prefix, families[b].prefix)
	})
	rank := make([]int32, len(families))
	for position, family := range byName {
		rank[family] = int32(position)
	}
	for i := range keys {
		keys[i].family = rank[keys[i].family]
	}
}

// familyPrefix is the length of the group's name up to and with its third bar.
func familyPrefix(group string) int {
	bars := 0
	for i := range len(group) {
		if group[i] == '|' {
			if bars++; bars == 3 {
				return i + 1
			}
		}
	}
	return 0
}

// head is the first sixteen bytes of a text, such that heads compare like texts.
func head(text string) [2]uint64 {
	var bytes [16]byte
	copy(bytes[:], text)
	return [2]uint64{binary.BigEndian.Uint64(bytes[:8]), binary.BigEndian.Uint64(bytes[8:])}
}
