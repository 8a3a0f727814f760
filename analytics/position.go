package analytics

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"revstream/clickhouse"
)

// mark is how far a slice of the ledger has come: all rows before it are stored. Rows are
// in the order of their writers' epochs, and of offsets within one, so a later row is
// never before an earlier mark, whichever clock stamped it and whoever wrote it.
type mark struct {
	Epoch  uint64
	Offset int64
}

func (m mark) before(other mark) bool {
	return m.Epoch < other.Epoch || m.Epoch == other.Epoch && m.Offset < other.Offset
}

// position is a place in the ledger: a mark for each slice, from 0 on.
type position []mark

// String is the id by which a stream goes on from the position.
func (p position) String() string {
	flat := make([]int64, 0, 2*len(p))
	for _, m := range p {
		flat = append(flat, int64(m.Epoch), m.Offset)
	}
	text, _ := json.Marshal(flat) // integers always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePosition(text string) (position, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errCursor
	}
	var flat []int64
	if err := json.Unmarshal(decoded, &flat); err != nil || len(flat)%2 != 0 || slices.Min(append(flat, 0)) < 0 {
		return nil, errCursor
	}
	p := make(position, len(flat)/2)
	for i := range p {
		p[i] = mark{uint64(flat[2*i]), flat[2*i+1]}
	}
	if p.String() != text {
		return nil, errCursor
	}
	return p, nil
}

// at is the mark of a slice, which has none before anything of it was stored.
func (p position) at(slice int) mark {
	if slice < len(p) {
		return p[slice]
	}
	return mark{}
}

// reaches reports whether there may be rows between the position and another.
func (p position) reaches(other position) bool {
	for slice := range other {
		if p.at(slice).before(other[slice]) {
			return true
		}
	}
	return false
}

// onTo is the position after going to another, in no slice back.
func (p position) onTo(other position) position {
	next := make(position, max(len(p), len(other)))
	for slice := range next {
		if next[slice] = p.at(slice); next[slice].before(other.at(slice)) {
			next[slice] = other.at(slice)
		}
	}
	return next
}

// bind are the two arrays by which a question knows the position, by slice from 0.
func (p position) bind(prefix string, slicesCount int) []clickhouse.Named {
	epochs, offsets := make([]uint64, slicesCount), make([]int64, slicesCount)
	for slice := range slicesCount {
		m := p.at(slice)
		epochs[slice], offsets[slice] = m.Epoch, m.Offset
	}
	return []clickhouse.Named{{Name: prefix + "_epochs", Value: epochs}, {Name: prefix + "_offsets", Value: offsets}}
}
