package sink

import (
	"github.com/twmb/franz-go/pkg/kgo"
)

// batch is what was polled and not yet stored, by slice. It is plain data: no
// clock, no I/O.
type batch struct {
	parts   map[int32]*part
	records int
	bytes   int
}

// part is the records of one slice in a batch, in order of their offsets.
type part struct {
	slice       int32
	records     []*kgo.Record
	last        int64 // offset
	leaderEpoch int32
	session     *session
}

// uncertain reports whether an earlier attempt may have written something of the
// part's records, and been cut short.
func (p *part) uncertain() bool { return p.records[0].Offset < p.session.uncertainUntil }

func newBatch() *batch { return &batch{parts: map[int32]*part{}} }

func (b *batch) add(slice int32, records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	p := b.parts[slice]
	if p == nil {
		p = &part{slice: slice}
		b.parts[slice] = p
	}
	p.records = append(p.records, records...)
	newest := records[len(records)-1]
	p.last, p.leaderEpoch = newest.Offset, newest.LeaderEpoch
	b.records += len(records)
	for _, r := range records {
		b.bytes += len(r.Value)
	}
}

func (b *batch) full(c Config) bool { return b.records >= c.BatchRowsMax || b.bytes >= c.BatchBytesMax }
