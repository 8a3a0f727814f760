package sink

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// batch is what was polled and not yet stored, by slice.
type batch struct {
	topicID string // of the topic that it was read from, if the broker says so
	parts   map[int32]*part
	records int
	bytes   int
	// recordsMax is when it is full.
	recordsMax int
	// recordBytesMax is how large a record may be.
	recordBytesMax int
}

// part is the records of one slice in a batch, in order of their offsets.
type part struct {
	slice       int32
	records     []*kgo.Record
	last        int64 // offset
	leaderEpoch int32
	// events and faults are what decoding the records came to: one of the two
	// each. groups are in order of their first statement.
	events []revenue.Event
	faults []error
	groups []*group
	// session is the one that stores the part.
	session *session
}

// group is the statements of a batch about one group, and what is known of it.
type group struct {
	key    revenue.GroupKey
	part   *part
	fresh  []revenue.Event
	known  []revenue.Event
	held   revenue.Held
	source string // of the prior state: new, cache or read
	// missing is what the store lacks of the group's ledger, foreign what it holds
	// beyond it.
	missing []revenue.LedgerRow
	foreign revenue.Held
	// retracted are the rows that take the foreign ones back, all the statements
	// known when the batch is stored.
	retracted []revenue.LedgerRow
	all       []revenue.Event
}

// uncertain reports whether an earlier attempt may have written something of the
// part's records, and been cut short.
func (p *part) uncertain() bool { return p.records[0].Offset < p.session.uncertainUntil }

func newBatch(recordsMax, recordBytesMax int) *batch {
	return &batch{parts: map[int32]*part{}, recordsMax: recordsMax, recordBytesMax: recordBytesMax}
}

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

func (b *batch) full(bytesMax int) bool { return b.records >= b.recordsMax || b.bytes >= bytesMax }

// decode turns the records into statements, by group. It is pure, and needs
// nothing that the batch before has to leave behind.
func (b *batch) decode() {
	for _, p := range b.parts {
		p.events, p.faults = make([]revenue.Event, len(p.records)), make([]error, len(p.records))
		each(len(p.records), func(i int) { p.events[i], p.faults[i] = b.read(p.records[i]) })
		p.gather()
	}
}

func (b *batch) read(record *kgo.Record) (revenue.Event, error) {
	if size := len(record.Key) + len(record.Value); size > b.recordBytesMax {
		return revenue.Event{}, stream.Poison(stream.ReasonSize, fmt.Errorf("%d bytes, at most %d", size, b.recordBytesMax))
	}
	return stream.DecodeEvent(record.Value)
}

// workspaces are those that the statements are about, each once.
func (b *batch) workspaces() []string {
	seen := map[string]bool{}
	last := ""
	for _, p := range b.parts {
		for _, g := range p.groups {
			if id := g.key.Workspace; id != last {
				seen[id], last = true, id
			}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// refuse takes the statements of workspaces for poison.
func (b *batch) refuse(workspaces []string) {
	for _, p := range b.parts {
		refused := false
		for i := range p.events {
			if id := p.events[i].Workspace; p.faults[i] == nil && slices.Contains(workspaces, id) {
				p.faults[i] = stream.Poison(stream.ReasonWorkspace, fmt.Errorf("there is no workspace %q", id))
				refused = true
			}
		}
		if refused {
			p.gather()
		}
	}
}

// gather sorts the statements of the part by group. Most groups have one in a
// batch, which is then not copied: statements are large.
func (p *part) gather() {
	byKey := make(map[revenue.GroupKey]*group, len(p.events))
	p.groups = make([]*group, 0, len(p.events))
	for i := range p.events {
		if p.faults[i] != nil {
			continue
		}
		key := p.events[i].GroupKey()
		if g := byKey[key]; g != nil {
			g.fresh = append(g.fresh, p.events[i])
			continue
		}
		g := &group{key: key, part: p, fresh: p.events[i : i+1 : i+1]}
		byKey[key] = g
		p.groups = append(p.groups, g)
	}
}

// each calls do for 0 to n-1, spread over the cores in contiguous shares.
func each(n int, do func(i int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/64))
	var share errgroup.Group
	for worker := range workers {
		share.Go(func() error {
			for i := worker * n / workers; i < (worker+1)*n/workers; i++ {
				do(i)
			}
			return nil
		})
	}
	_ = share.Wait() // the functions return no error
}
